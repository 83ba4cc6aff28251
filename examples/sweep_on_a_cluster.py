"""How many numbers a task needs: sizes of `DeltaHyperNetwork`'s change, swept on a Dask cluster.

    python examples/sweep_on_a_cluster.py

The cluster is two processes here; with the address of another, everything else stays. After 104 s
on two busy cores, and a line on standard error for each of six runs:

    size 4        47 bytes a task, 12.61 % wrong
    size 64      330 bytes a task,  1.39 % wrong
    size 1024   3393 bytes a task,  0.83 % wrong
"""

from __future__ import annotations

from typing import Any

import torch
from avalanche.training import Naive
from distributed import LocalCluster

from avalanche_hsf.experiments import Learner, Setting, compare
from avalanche_hsf.models import TaskConditional
from avalanche_hsf.training import CommitPlugin


def build(setting: Setting, *, size: int, **arguments: Any) -> Naive:
    """The stream's network, of which later tasks change each matrix by so many numbers."""
    options = {"adapter": "core", "size": size, "bits": 12}
    model = TaskConditional(
        setting.make_network(),
        hypernetwork="delta",
        hypernetwork_options=options,
        masking=True,
        seed=setting.seed,
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=8e-3)
    arguments["plugins"] = [CommitPlugin(), *arguments.get("plugins", ())]
    return Naive(model=model, optimizer=optimizer, **setting.arguments, **arguments)


def main(train_epochs: int = 3, sizes: tuple[int, ...] = (4, 64, 1024)) -> dict[str, float]:
    """Returns each size's mean error in percent after all tasks."""
    learners = {f"size {n}": Learner(build, grid=({"size": n},), optimizers=()) for n in sizes}
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        address = cluster.scheduler_address
        runs = compare(
            "split-digits", learners, seeds=[1, 2], epochs=train_epochs, scheduler=address
        )
    errors = {}
    for name, of_size in runs.by("learner").items():
        errors[name] = sum(100 * run.final_mean_error for run in of_size) / len(of_size)
        print(
            f"{name:9s} {of_size[0].bytes_per_task:6.0f} bytes a task, {errors[name]:5.2f} % wrong"
        )
    return errors


if __name__ == "__main__":
    main()

"""Samples of every task from one model that has learned them one after the other, as a picture.

    python examples/draw_old_tasks.py [--data-root DIR with MNIST] [--train-epochs 40]

A Hypernet-SDE-Flow learns two digits per task. `samples.png` has images on the left, and on the
right samples that it draws of each task after the last. On digits, after 41 s of CPU time:

    log p in nats: {'task 0': 33.9, 'task 1': 20.3, 'task 2': 20.0, 'task 3': 18.8, 'task 4': 10.1}
"""

from __future__ import annotations

import argparse

import torch
from matplotlib.figure import Figure
from torch.nn.functional import pad

from avalanche_hsf.benchmarks import SplitDigits, SplitMNIST
from avalanche_hsf.training import HSFStrategy


def main(train_epochs: int = 40, data_root: str | None = None) -> dict[str, float]:
    """Trains and draws; returns the mean log p of each task's latents, in nats."""
    torch.manual_seed(0)
    if data_root is None:
        benchmark, hidden_dim = SplitDigits(5, shuffle=False), 64
    else:
        benchmark, hidden_dim = SplitMNIST(5, shuffle=False, dataset_root=data_root), 400
    x = benchmark.train_stream[0].dataset[0][0]
    strategy = HSFStrategy.from_preset(
        input_dim=x.numel(),
        seed=0,
        model_options={"hidden_dim": hidden_dim, "latent_dim": 16},
        optimizer_options={"name": "AdamW", "lr": 2e-3, "betas": (0.9, 0.95)},
        train_mb_size=64 if data_root is None else 128,
        train_epochs=train_epochs,
        evaluator=None,
    )
    strategy.train(benchmark.train_stream, eval_streams=[])
    model, densities, rows = strategy.model.eval(), {}, []
    for task, experience in enumerate(benchmark.train_stream):
        every = len(experience.dataset) // 10
        real = torch.stack([experience.dataset[i * every][0] for i in range(10)])
        drawn = model.sample(10, task).view(-1, *x.shape).clamp(0, 1)
        rows.append(pad(torch.cat([*real, torch.zeros_like(x), *drawn], dim=-1), (1, 1, 1, 1))[0])
        densities[f"task {task}"] = float(model.log_prob(real, task).mean())
    figure = Figure(figsize=(10.5, 2.5))
    figure.add_axes((0, 0, 1, 1)).imshow(torch.cat(rows), cmap="gray_r")
    figure.savefig("samples.png")
    print("log p in nats:", {task: round(value, 1) for task, value in densities.items()})
    return densities


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--train-epochs", type=int, default=40)
    parser.add_argument("--data-root")
    main(**vars(parser.parse_args()))

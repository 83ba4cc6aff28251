"""What repair wins back on Split MNIST after Naive, from a few stored images of each task.

    AVALANCHE_HSF_DATA=FOLDER python benchmarks/repair.py --out measured/repair/runs.jsonl
    python benchmarks/repair.py --out measured/repair/runs.jsonl --table

A small CNN learns five tasks with Avalanche's Naive, an epoch each, with one head for all ten
classes or a head for each task. Then it is repaired with 50 or 10 stored training images of each
task. What is blamed is found on these same images, with the model as it was after each task: early
models must be kept for that, and for putting back; fitting all, or the head, needs none.

- all: everything is fitted;
- head: only what gives out the scores;
- blamed 50 %, blamed 80 %: the fewest components that have that share in what was forgotten;
- verdict: the head, if a probe says that the features are intact, else blamed 50 %;
- put back: blamed 50 %, as they were after whichever earlier task suits the old images best.

Rate and steps are chosen for each method by itself on validation images, with seed 100; seeds 1 to
5 are reported, on test images. Lines go into --out as they come; what is there is not run again.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
warnings.filterwarnings("ignore", message="No loggers specified|Call to deprecated")

import torch
from avalanche.models import as_multitask
from avalanche.training import Naive
from torch import nn

from avalanche_hsf.analysis import ModelRecorderPlugin
from avalanche_hsf.benchmarks import SplitMNIST
from avalanche_hsf.forensics import blamed, choose_components, examine, repair
from avalanche_hsf.forensics.findings import TaskFindings, accuracy_on
from avalanche_hsf.forensics.verdict import INTACT_POINTS
from avalanche_hsf.report.statistics import mean_and_interval
from avalanche_hsf.training import InMemoryLoadingPlugin

TUNING_SEED, SEEDS = 100, (1, 2, 3, 4, 5)
SETTINGS = "one head", "a head per task"
N_STORED = 50, 10
FITTED = "all", "head", "blamed 50 %", "blamed 80 %", "verdict"
GRIDS = {
    SETTINGS[0]: tuple((lr, steps) for lr in (1e-3, 3e-3, 1e-2, 3e-2) for steps in (200, 600)),
    SETTINGS[1]: tuple((lr, 200) for lr in (3e-4, 1e-3, 3e-3, 1e-2)),
}
"""Rates and steps that all methods choose from; with a head per task all of them do about alike."""
PUT_BACK = "put back"
MAY_LOSE = 0.5
"""Nats that the loss on the new task's stored images may rise."""
Line = dict[str, Any]


class SmallCNN(nn.Module):
    """Two strided convolutions, a layer of 64 units, and the scores of ten classes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.fc = nn.Linear(32 * 7 * 7, 64)
        self.classifier = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.conv2(torch.relu(self.conv1(x)))).flatten(1)
        return self.classifier(torch.relu(self.fc(x)))


@dataclass
class Trained:
    """A run of Naive: the model after each task, stored and held-out images of each."""

    models: list[nn.Module]
    stored: list[Any]
    held_out: list[Any]

    def first(self, n: int) -> list[Any]:
        """So many stored images of each task."""
        return [[tuple(part[:n] for part in data[0])] for data in self.stored]


def train(setting: str, seed: int) -> Trained:
    has_heads = setting == SETTINGS[1]
    validation = 0.1 if seed == TUNING_SEED else 0
    stream = SplitMNIST(5, seed=seed, return_task_id=has_heads, validation=validation)
    torch.manual_seed(seed)
    model = as_multitask(SmallCNN(), "classifier") if has_heads else SmallCNN()
    recorder = ModelRecorderPlugin()
    strategy = Naive(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), 1e-3),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=64,
        train_epochs=1,
        plugins=[recorder, InMemoryLoadingPlugin()],
        evaluator=None,
    )
    strategy.train(stream.train_stream)
    draw = torch.Generator().manual_seed(seed)
    stored = []
    for experience in stream.train_stream:
        rows = torch.randperm(len(experience.dataset), generator=draw)[: max(N_STORED)]
        stored.append(images_of(experience.dataset, rows.tolist()))
    held_out = [images_of(e.dataset, range(len(e.dataset))) for e in stream.test_stream]
    return Trained(recorder.models, stored, held_out)


def images_of(dataset: Any, rows: Sequence[int]) -> Any:
    """Images, classes and task labels, as one minibatch."""
    x, y, t = zip(*(dataset[row] for row in rows), strict=True)
    return [(torch.stack(x), torch.tensor(y), torch.tensor(t))]


def chosen_by(method: str, found: Sequence[TaskFindings], names: Sequence[str]) -> tuple[str, ...]:
    """The components that a method mends."""
    attributions = [task.attribution for task in found]
    if method == "all":
        return tuple(names)
    if method == "head":
        return ("classifier",)
    if method == "verdict":
        lost = [task.probe[0] - task.probe[1] for task in found if task.probe]
        is_intact = sum(lost) / len(lost) <= INTACT_POINTS
        return chosen_by("head" if is_intact else "blamed 50 %", found, names)
    return blamed(attributions, share=0.8 if method == "blamed 80 %" else 0.5)


def accuracies(model: nn.Module, trained: Trained) -> list[float]:
    return [accuracy_on(model, data) for data in trained.held_out]


def measure(setting: str, seed: int, jobs: Sequence[tuple[int, str, float, int]]) -> Iterator[Line]:
    """A line for each job: stored images, method, rate and steps."""
    trained = train(setting, seed)
    *early, late = trained.models
    parts = choose_components(late)
    by_task = zip(trained.models, trained.held_out, strict=True)
    learned = [accuracy_on(model, data) for model, data in by_task]
    before = accuracies(late, trained)
    done: dict[Any, Any] = {}  # methods that mend the same components are the same
    found: dict[int, list[TaskFindings]] = {}
    for n, method, lr, steps in jobs:
        *old, new = trained.first(n)
        if n not in found:
            pairs = zip(early, old, strict=True)
            found[n] = [examine(model, late, data, components=parts) for model, data in pairs]
        mended = chosen_by(method, found[n], list(parts))
        key = n, mended, lr, steps
        options: Line = {"new": new, "may_lose": MAY_LOSE, "parts": parts, "seed": seed}
        if key not in done and mended:
            if method == PUT_BACK:
                # A head per task was not there before its task, and stays.
                back = [c for c in mended if setting == SETTINGS[0] or c != "classifier"]
                of_each = [repair(late, back, old, early=m, steps=0, **options) for m in early]
                result = min(of_each, key=lambda result: result.old[1])
            else:
                result = repair(late, mended, old, lr=lr, steps=steps, **options)
            done[key] = result.how, accuracies(result.model, trained)
        how, after = done.get(key, ("left", before))
        yield {
            "setting": setting,
            "seed": seed,
            "stored": n,
            "method": method,
            "lr": lr,
            "steps": steps,
            "components": list(mended),
            "how": how,
            "learned": learned,
            "before": before,
            "after": after,
            "probe": [task.probe for task in found[n]],
        }


def tuned(lines: Sequence[Line], setting: str, n: int, method: str) -> tuple[float, int]:
    """The rate and steps with the best accuracy on validation images; of equals the first."""
    if method == PUT_BACK:
        return 0.0, 0
    of_method = {
        (line["lr"], line["steps"]): sum(line["after"])
        for line in lines
        if (line["setting"], line["seed"], line["stored"], line["method"])
        == (setting, TUNING_SEED, n, method)
    }
    return max(GRIDS[setting], key=lambda point: of_method[point])


def won_back(line: Line) -> float:
    """Of the accuracy that the old tasks lost, in percent."""
    learned, before, after = (sum(line[key][:-1]) for key in ("learned", "before", "after"))
    return 100 * (after - before) / (learned - before)


def table(lines: Sequence[Line]) -> str:
    rows = [
        "| setting | stored | method | rate, steps | accuracy, % | won back, % | new task lost |",
        "|---|--:|---|---|--:|--:|--:|",
    ]
    reported = [line for line in lines if line["seed"] in SEEDS]

    def cell(values: Sequence[float]) -> str:
        mean, width = mean_and_interval(values)
        return f"{mean:.1f} ± {width:.1f}"

    for setting in SETTINGS:
        of_setting = [line for line in reported if line["setting"] == setting]
        first = {line["seed"]: line for line in of_setting}.values()
        before = cell([sum(line["before"]) / 5 for line in first])
        rows.append(f"| {setting} | - | none | - | {before} | 0 | 0 |")
        for n in N_STORED:
            for method in (*FITTED, PUT_BACK):
                of_row = [x for x in of_setting if (x["stored"], x["method"]) == (n, method)]
                lr, steps = of_row[0]["lr"], of_row[0]["steps"]
                cells = (
                    cell([sum(line["after"]) / 5 for line in of_row]),
                    cell([won_back(line) for line in of_row]),
                    cell([line["before"][-1] - line["after"][-1] for line in of_row]),
                )
                point = f"{lr:g}, {steps}" if steps else "-"
                rows.append(f"| {setting} | {n} | {method} | {point} | {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("repair.jsonl"))
    parser.add_argument("--table", action="store_true", help="print the table of --out")
    given = parser.parse_args()
    torch.set_num_threads(1)
    lines = list(map(json.loads, given.out.read_text().splitlines())) if given.out.exists() else []
    if given.table:
        print(table(lines))
        return
    given.out.parent.mkdir(parents=True, exist_ok=True)
    for seed in (TUNING_SEED, *SEEDS):
        for setting in SETTINGS:
            there = {
                (line["stored"], line["method"], line["lr"], line["steps"])
                for line in lines
                if (line["setting"], line["seed"]) == (setting, seed)
            }
            if seed == TUNING_SEED:
                jobs = [
                    (n, m, *point) for n in N_STORED for m in FITTED for point in GRIDS[setting]
                ]
            else:
                jobs = [
                    (n, method, *tuned(lines, setting, n, method))
                    for n in N_STORED
                    for method in (*FITTED, PUT_BACK)
                ]
            left = [job for job in jobs if job not in there]
            for line in measure(setting, seed, left) if left else ():
                lines.append(line)
                with given.out.open("a") as file:
                    file.write(json.dumps(line) + "\n")
                print(
                    *(line[key] for key in ("setting", "seed", "stored", "method", "lr", "steps")),
                    line["components"],
                    line["how"],
                    f"{sum(line['before']) / 5:.2f} -> {sum(line['after']) / 5:.2f}",
                    f"won back {won_back(line):.1f} %",
                    flush=True,
                )


if __name__ == "__main__":
    main()

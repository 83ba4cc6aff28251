"""Five seeds side by side: the bare training step on stacked weights against one seed's.

    python benchmarks/seeds.py [--blocks 7] [--steps 6] [--out DIR]

A step is each seed's own draws, loss, gradients and SOAP, without Avalanche's loop. "vmap" is the
gradient of the module vectorized by torch.func; "as tasks" the model itself on a batch of five
tasks, one for each seed; "by hand" the same network in batched products. Times are the processor's.
"""

from __future__ import annotations

import argparse
import copy
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

warnings.filterwarnings("ignore", message="no QP solver found|No loggers specified")
warnings.filterwarnings("ignore", category=DeprecationWarning)

import torch
from avalanche.training.determinism.rng_manager import RNGManager
from speed import _multiply, _products
from stacked_seeds import Alone, OfHSF, OfMLP, Stacked
from timing import Ratio, in_turn, over_blocks, ratio, report
from torch import Tensor, nn

from avalanche_hsf.experiments import BENCHMARKS, LEARNERS, Setting

SEEDS = range(1, 6)
SOAP = {"name": "SOAP", "lr": 5.6e-3, "betas": (0.9, 0.95), "precondition_frequency": 2}
ADAMW = {"name": "AdamW", "lr": 1e-3}
CASES = {"mlp-replay": 1, "hsf-isolated": 0, "hsf-compact": 1}  # with the task in training
# Its first task is one of isolated, and four come after it.
COMPACT = "hsf-compact, whole run: five by hand / one seed"


def made(name: str) -> tuple[list[Any], Tensor]:
    """The seeds' losses, with their initial weights, and their batches, `seeds x n x 3`."""
    problem, task, losses, batches = BENCHMARKS["bottleneck"], CASES[name], [], []
    stream = problem.make(1).train_stream
    data = [torch.stack([item[0] for item in experience.dataset]) for experience in stream]
    chosen = {"optimizer": "SOAP", "lr": 5.6e-2} if name == "mlp-replay" else {}
    for seed in SEEDS:
        RNGManager.set_random_seeds(seed)
        setting = Setting(problem, (3,), 3, len(stream), len(data[0]), 20, seed)
        strategy = LEARNERS[name].build(setting, **chosen, evaluator=None)
        batch = data[task]
        if name == "mlp-replay":
            batch = torch.cat((batch, data[0][torch.randperm(len(data[0]))[: setting.memory]]))
        else:
            for experience in stream[:task]:
                strategy.train(experience, shuffle=False)
            strategy.model.hypernetwork.begin([task])
        strategy.model.train()
        losses.append((OfMLP if name == "mlp-replay" else OfHSF)(strategy.model, task))
        batches.append(batch)
    return losses, torch.stack(batches)


def checked(name: str, losses: Sequence[Any], x: Tensor, n_steps: int = 20) -> list[Ratio]:
    """How far stacked seeds are from their own runs, beside one whose weights are moved by 1e-7."""
    rows = []
    for options, dtype, goal in ((ADAMW, torch.float64, "<= 1e-9"), (SOAP, torch.float32, "")):
        seeds, batches = [copy.deepcopy(loss).to(dtype) for loss in losses], x.to(dtype)
        moved = copy.deepcopy(seeds)
        for p in nn.ModuleList(moved).parameters():
            p.data *= 1 + 1e-7
        stacked = [Stacked(copy.deepcopy(seeds), batches, way, options) for way in losses[0].ways]
        last = [[each.step() for _ in range(n_steps)][-1] for each in stacked]
        for alone in (_alone(moved, batches, options), _alone(seeds, batches, options)):
            last.append(torch.stack([[one.step() for _ in range(n_steps)][-1] for one in alone]))
        *gaps, gap = [float((each / last[-1] - 1).abs().max()) for each in last[:-1]]
        title = f"{name}: losses after {n_steps} steps of {options['name']}"
        rows.append(over_blocks(f"{title}, stacked", gaps, unit="loss", goal=goal))
        rows.append(over_blocks(f"{title}, moved by 1e-7", [gap], unit="loss"))
    return rows


def main(blocks: int = 7, steps: int = 6, out: str | None = None) -> list[Ratio]:
    """Prints the table and returns its rows.

    Args:
        blocks: Blocks of `steps` steps of each variant.
        steps: An even number, since SOAP renews its bases in every second step.
        out: Folder for seeds.json.
    """
    torch.set_num_threads(1)
    rows: list[Ratio] = []
    whole: dict[str, dict[str, list[float]]] = {}
    for name in CASES:
        losses, x = made(name)
        rows += checked(name, losses, x)
        stacked = {w: Stacked(copy.deepcopy(losses), x, w, SOAP) for w in losses[0].ways}
        by_hand = Stacked(copy.deepcopy(losses[:1]), x[:1], "by hand", SOAP)
        alone = _alone(copy.deepcopy(losses), x, SOAP)
        one, five = alone[0], stacked["by hand"]
        one.step(), five.step()  # SOAP's first step only prepares
        variants: dict[str, Callable[[], object]] = {
            "one seed": one.step,
            "one seed by hand": by_hand.step,
            "five in turn": partial(_all, [one.step for one in alone]),
            **{f"five {way}": of_five.step for way, of_five in stacked.items()},
            "SOAP of one": one.optimizer.step,
            "SOAP of five": five.optimizer.step,
            "products of one": partial(_multiply, _products(one.step)),
            "products of five": partial(_multiply, _products(five.step)),
        }
        repeated = {n: partial(_all, [step] * steps) for n, step in variants.items()}
        whole[name] = seconds = in_turn(repeated, blocks=blocks, clock=time.process_time)
        pairs = [(f"five {way}", "one seed") for way in stacked]
        pairs += [("five in turn", "five by hand"), ("five by hand", "one seed by hand")]
        pairs += [(f"{part} of five", f"{part} of one") for part in ("SOAP", "products")]
        for rival, ours in [*pairs, ("products of five", "one seed")]:
            goal = "<= 2" if rival == "five by hand" and ours == "one seed" else ""
            rows.append(ratio(seconds, rival, ours, name=f"{name}: {rival} / {ours}", goal=goal))
    of_tasks = whole["hsf-isolated"], whole["hsf-compact"]
    run = {
        n: [a + 4 * b for a, b in zip(*(seconds[n] for seconds in of_tasks), strict=True)]
        for n in of_tasks[0]
    }
    rows.append(ratio(run, "five by hand", "one seed", name=COMPACT, goal="<= 2"))
    report(rows, out, "seeds")
    return rows


def _alone(losses: Sequence[Any], x: Tensor, options: Mapping[str, Any]) -> list[Alone]:
    return [Alone(loss, batch, options) for loss, batch in zip(losses, x, strict=True)]


def _all(steps: Sequence[Callable[[], object]]) -> None:
    for step in steps:
        step()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--blocks", type=int, default=7)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--out")
    options = parser.parse_args()
    main(options.blocks, options.steps, options.out)

"""Where the time goes: a training step and its parts against their rivals, all in one process.

    python benchmarks/speed.py [--steps 60] [--rounds 3] [--blocks 7] [--threads 1] [--out DIR]

Variants run in turn, so that whatever slows the machine slows all; the figure to quote is the
ratio. Ours is measured inside Avalanche's training loop, loading and hooks included; the author's
way, and whatever is called bare, in a plain loop.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

warnings.filterwarnings("ignore", message="no QP solver found|No loggers specified")
warnings.filterwarnings("ignore", category=DeprecationWarning)

import torch
import torchsde
from author_way import AuthorWay
from avalanche.core import SupervisedPlugin
from bare import coupling_flow, euler_maruyama, training_step
from nflows.transforms import AffineCouplingTransform, CompositeTransform
from timing import Ratio, in_turn, over_blocks, peak_memory, ratio, report
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from avalanche_hsf.benchmarks import SyntheticManifolds
from avalanche_hsf.experiments import BENCHMARKS, LEARNERS, Setting
from avalanche_hsf.models import ManifoldNormalizingFlow, NeuralSDE
from avalanche_hsf.training import HSFStrategy, LatentReplayPlugin

N_TASKS = 5
EPOCHS = 30
HALF = "hsf-compact, 150 epochs a task"


class StepAbout(SupervisedPlugin):
    """Times each epoch of a strategy (one full batch) and lets the rival do one step after it."""

    def __init__(self) -> None:
        super().__init__()
        self.ours: list[float] = []
        self.rivals: list[float] = []
        self.difference = 0.0
        self.rival: AuthorWay | None = None

    def before_training_exp(self, strategy, **kwargs) -> None:
        replay = next(p for p in strategy.plugins if isinstance(p, LatentReplayPlugin))
        self.rival = AuthorWay(strategy.model, _stored(replay))
        self.x = torch.stack([item[0] for item in strategy.experience.dataset])
        self._start = time.perf_counter()

    def after_training_epoch(self, strategy, **kwargs) -> None:
        start = time.perf_counter()
        self.ours.append(start - self._start)
        task = strategy.experience.task_label
        loss = self.rival.step(self.x, task, strategy.clock.train_exp_epochs)
        self.rivals.append(time.perf_counter() - start)
        if task == 0:  # later replay draws other samples, the losses part
            gap = abs(loss - float(strategy.loss.detach())) / abs(loss)
            self.difference = max(self.difference, gap)
        self._start = time.perf_counter()


def against_the_author(steps: int, rounds: int) -> list[Ratio]:
    """The preset "paper" beside the author's way, step by step through all tasks.

    How fast either is changes from one pair of learners to the next, by where their memory comes
    to lie: hence several, with and without fast_tanh in turn.
    """
    stream = SyntheticManifolds().train_stream
    kinds = {"paper": False, "paper, fast_tanh": True}
    pairs: dict[str, list[float]] = {}
    differences = dict.fromkeys(kinds, 0.0)
    for _ in range(rounds):
        for name, fast_tanh in kinds.items():
            torch.manual_seed(0)
            timing = StepAbout()
            strategy = HSFStrategy.from_preset(
                "paper",
                input_dim=3,
                seed=0,
                model_options={"sde_options": {"fast_tanh": fast_tanh}},
                train_epochs=steps,
                plugins=[timing],
                evaluator=None,
            )
            times = []
            for experience in stream:
                timing.ours, timing.rivals = [], []
                strategy.train(experience, shuffle=False)
                times.append((_in_fives(timing.rivals), _in_fives(timing.ours)))
            differences[name] = max(differences[name], timing.difference)
            all_tasks = [
                [sum(each) for each in zip(*(task[side] for task in times), strict=True)]
                for side in range(2)
            ]
            for what, (theirs, ours) in {
                "first task": times[0],
                "fifth task": times[-1],
                "whole run": all_tasks,
            }.items():
                blocks = [rival / our for rival, our in zip(theirs, ours, strict=True)]
                pairs.setdefault(f"author's way / {name}, {what}", []).extend(blocks)
            print(f"{name}: {statistics.median(timing.ours) * 1e3:.0f} ms a step, fifth task")
    rows = [
        _row(name, blocks, goal=">= 6" if "whole" in name else "") for name, blocks in pairs.items()
    ]
    for name, difference in differences.items():
        title = f"losses of {name}, largest relative difference"
        rows.append(over_blocks(title, [difference], unit="loss", goal="<= 1e-6"))
    return [*rows, _memory(strategy, timing, stream[1])]


def _in_fives(seconds: list[float]) -> list[float]:
    """Sums over five steps, the period of replay; the first five warm up."""
    return [sum(seconds[i : i + 5]) for i in range(5, len(seconds), 5)]


def _memory(strategy: HSFStrategy, timing: StepAbout, experience: Any) -> Ratio:
    """The peak of a step with replay; parameters and the optimizer's state are there before."""
    strategy.plugins.remove(timing)
    strategy.train_epochs = 1
    rival = timing.rival
    peaks = []
    for optimizer, step in (
        (rival.optimizer, lambda: rival.step(timing.x, 1, 0)),
        (strategy.optimizer, _training(strategy, experience)),
    ):
        step()
        optimizer.zero_grad()
        peaks.append(peak_memory(step))
    gradients = 4 * sum(p.numel() for p in strategy.model.parameters())
    theirs, ours = (f"{peak / 1e6:.1f} MB" for peak in peaks)
    print(f"peak of a step: {theirs} and {ours}, of which gradients {gradients / 1e6:.1f} MB")
    name = "author's way / paper, peak memory of a step"
    return _row(name, [peaks[0] / peaks[1]], goal=">= 5", unit="memory")


def presets(blocks: int) -> list[Ratio]:
    """Whole runs of learners against the author's way, estimated from first and second task."""
    torch.manual_seed(0)
    stream = SyntheticManifolds().train_stream
    variants: dict[str, Callable[[], object]] = {}
    for name in ("hsf-paper", "hsf-repaired", "hsf-isolated", "hsf-compact", "mlp-paper"):
        for task in range(2):
            setting = Setting(BENCHMARKS["synthetic"], (3,), 3, N_TASKS, 300, 1, seed=0)
            strategy = LEARNERS[name].build(setting, evaluator=None)
            if task:
                strategy.train(stream[0], shuffle=False)
            strategy.train_epochs = EPOCHS
            if name == "hsf-paper":  # itself timed step by step, see `against_the_author`
                replay = next(p for p in strategy.plugins if isinstance(p, LatentReplayPlugin))
                variants[f"author's way {task}"] = _author(strategy, replay, stream[task], task)
            else:
                variants[f"{name} {task}"] = _training(strategy, stream[task])
    seconds = in_turn(variants, blocks=blocks)
    whole = {
        name: [a + 4 * b for a, b in zip(seconds[f"{name} 0"], seconds[f"{name} 1"], strict=True)]
        for name in {each[:-2]: None for each in variants}
    }
    # Half the epochs in half the time, if anything less, since blocks of so few steps weigh what
    # comes with a task too much. Its error is in the sweep, `measured/compact-epochs`.
    whole[HALF] = [seconds / 2 for seconds in whole["hsf-compact"]]
    goals = dict.fromkeys(("hsf-compact", HALF), ">= 20 (the best preset)")
    return [
        ratio(whole, "author's way", name, name=f"author's way / {name}", goal=goals.get(name, ""))
        for name in whole
        if name != "author's way"
    ]


def libraries(blocks: int) -> list[Ratio]:
    """torchsde, nflows and Avalanche as they are used here, against doing without them."""
    torch.manual_seed(0)
    z0 = torch.randn(300, 24)
    sde, noise = NeuralSDE(24), torch.randn(300, 10, 24)
    for together in (False, True):
        torch.testing.assert_close(
            sde(z0, noise), euler_maruyama(sde, z0, noise, together=together)
        )
    fast = copy.deepcopy(sde)
    fast.fast_tanh = True
    flow = ManifoldNormalizingFlow(24)
    torch.testing.assert_close(flow(z0), coupling_flow(flow, z0))
    stock = CompositeTransform(
        [AffineCouplingTransform([k % 2, 1 - k % 2] * 12, _Conditioner) for k in range(4)]
    )
    documented = _Documented(sde)

    def solve_as_documented() -> Tensor:
        times = torch.tensor([0.0, 1.0])
        return torchsde.sdeint(documented, z0, times, dt=0.1, method="euler")[-1]

    # A block long enough to be timed.
    variants = {
        "sde, ours": _backward(sde, lambda: sde(z0, noise), 10),
        "sde, ours, fast_tanh": _backward(fast, lambda: fast(z0, noise), 10),
        "sde, bare loop": _backward(sde, lambda: euler_maruyama(sde, z0, noise), 10),
        "sde, bare loop, f and g as one": _backward(
            sde, lambda: euler_maruyama(sde, z0, noise, together=True), 10
        ),
        "sde, torchsde as documented": _backward(sde, solve_as_documented, 10),
        "flow, ours": _backward(flow, lambda: flow(z0), 40),
        "flow, by hand": _backward(flow, lambda: coupling_flow(flow, z0), 40),
        "flow, nflows' stock coupling": _backward(stock, lambda: stock(z0), 40),
    }
    stream = SyntheticManifolds().train_stream
    for name, in_memory in (("in Avalanche", True), ("in Avalanche, its loading", False)):
        # Without replay, which would come in when the first task is trained again.
        strategy = HSFStrategy.from_preset(
            "paper",
            input_dim=3,
            seed=0,
            gamma=0,
            delta=0,
            train_epochs=EPOCHS,
            evaluator=None,
            in_memory=in_memory,
        )
        variants[name] = _training(strategy, stream[0])
    model = HSFStrategy.from_preset("paper", input_dim=3, seed=0, evaluator=None).model
    model.hypernetwork.add_task(0)
    step = training_step(model, torch.stack([item[0] for item in stream[0].dataset]))
    variants["in a bare loop"] = lambda: [step(epoch) for epoch in range(EPOCHS)]
    products = _products(lambda: step(0))
    variants["its matrix products"] = lambda: [_multiply(products) for _ in range(EPOCHS)]
    seconds = in_turn(variants, blocks=blocks)
    return [
        ratio(seconds, rival, ours, name=f"{rival} / {ours}", goal=goal)
        for rival, ours, goal in (
            ("sde, ours", "sde, bare loop", "<= 1.05"),
            ("sde, ours", "sde, bare loop, f and g as one", "<= 1.10"),
            ("sde, ours, fast_tanh", "sde, ours", ""),
            ("sde, torchsde as documented", "sde, ours", ""),
            ("flow, ours", "flow, by hand", "<= 1.10"),
            ("flow, nflows' stock coupling", "flow, ours", ""),
            ("in Avalanche", "in a bare loop", "<= 1.05"),
            ("in Avalanche, its loading", "in Avalanche", ""),
            ("in a bare loop", "its matrix products", "<= 1.5"),
        )
    ]


class _Documented(nn.Module):
    """The same SDE as torchsde's documentation would have it, its Brownian motion included."""

    noise_type = "diagonal"
    sde_type = "ito"

    def __init__(self, sde: NeuralSDE) -> None:
        super().__init__()
        self.sde = sde

    def f(self, t: Tensor, z: Tensor) -> Tensor:
        return self.sde.drift(z)

    def g(self, t: Tensor, z: Tensor) -> Tensor:
        return torch.sigmoid(self.sde.diffusion(z))


class _Products(TorchDispatchMode):
    """Notes the operands' shapes of every matrix product."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[Any, list[torch.Size]]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in ("mm", "bmm", "addmm", "baddbmm"):
            factors = args[-2:] if name.startswith(("add", "badd")) else args[:2]
            self.shapes.append((torch.mm if factors[0].dim() == 2 else torch.bmm, factors))
        return func(*args, **(kwargs or {}))


def _products(step: Callable[[], object]) -> list[tuple[Any, Tensor, Tensor]]:
    """The matrix products of a step, on operands of the same shapes and layouts."""
    with _Products() as noted:
        step()
    return [
        (multiply, *(torch.empty_like(each, requires_grad=False).normal_() for each in factors))
        for multiply, factors in noted.shapes
    ]


@torch.no_grad()
def _multiply(products: list[tuple[Any, Tensor, Tensor]]) -> None:
    for multiply, a, b in products:
        multiply(a, b)


def _training(strategy: Any, experience: Any) -> Callable[[], object]:
    return lambda: strategy.train(experience, shuffle=False)


def _author(strategy: Any, replay: Any, experience: Any, task: int) -> Callable[[], object]:
    rival = AuthorWay(strategy.model, _stored(replay), tasks=[task])
    x = torch.stack([item[0] for item in experience.dataset])
    return lambda: [rival.step(x, task, epoch) for epoch in range(EPOCHS)]


def _stored(replay: LatentReplayPlugin) -> Any:
    """All that is stored, as samples, latents and task labels; None before the first task ends."""
    memory = replay.memory
    return None if memory is None else memory[torch.arange(len(memory))]


def _backward(module: nn.Module, compute: Callable[[], Any], times: int) -> Callable[[], None]:
    def block() -> None:
        for _ in range(times):
            module.zero_grad()
            made = compute()
            sum(part.sum() for part in (made if isinstance(made, tuple) else (made,))).backward()

    return block


class _Conditioner(nn.Sequential):
    """As like our couplings' as the stock class lets it, whose shift and scale are outputs."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__(nn.Linear(n_in, 64), nn.ReLU(), nn.Linear(64, n_out))

    def forward(self, kept: Tensor, context: None = None) -> Tensor:
        return super().forward(kept)


def _row(name: str, pairs: list[float], *, unit: str = "time", goal: str = "") -> Ratio:
    rival, _, ours = name.partition(" / ")
    return over_blocks(name, pairs, ours=ours, rival=rival, unit=unit, goal=goal)


def main(
    steps: int = 60, rounds: int = 3, blocks: int = 7, threads: int = 1, out: str | None = None
) -> list[Ratio]:
    """Prints the table and returns its rows.

    Args:
        steps: Training steps a task beside the author's way, a multiple of 5 (replay comes in
            every fifth).
        rounds: Runs beside the author's way.
        blocks: Blocks of everything else.
        threads: Threads of torch.
        out: Folder for speed.json.
    """
    torch.set_num_threads(threads)
    rows = [
        *against_the_author(steps, rounds),
        *presets(blocks),
        *libraries(blocks),
    ]
    report(rows, out, "speed")
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--blocks", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out")
    options = parser.parse_args()
    main(options.steps, options.rounds, options.blocks, options.threads, options.out)

"""What the benchmarks have in common: variants timed in turn, ratios and a report."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tabulate import tabulate
from torch.profiler import ProfilerActivity, profile

from avalanche_hsf.experiments.runs.results import versions


@dataclass(frozen=True)
class Ratio:
    """One line of a report: how many times `rival` takes `ours`, over blocks.

    Attributes:
        name: What is compared.
        ours: Name of what is divided by.
        rival: Name of what is divided.
        median: Over blocks.
        low: The smallest block.
        high: The largest.
        unit: "time", or what else is compared, such as "memory".
        goal: What was to be reached, in words; "" for none.
    """

    name: str
    ours: str
    rival: str
    median: float
    low: float
    high: float
    unit: str = "time"
    goal: str = ""


def in_turn(
    variants: Mapping[str, Callable[[], object]],
    *,
    blocks: int = 7,
    warm_up: bool = True,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of each variant in each block, by a clock.

    All run in turn in one process, in every other block the other way round, so that whatever
    slows the machine slows all. A first block warms up and is not counted, unless told otherwise.
    """
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for block in range(0 if warm_up else 1, blocks + 1):
        names = list(variants)
        for name in names if block % 2 else reversed(names):
            start = clock()
            variants[name]()
            if block:
                seconds[name].append(clock() - start)
    return seconds


def ratio(
    seconds: Mapping[str, Sequence[float]], rival: str, ours: str, *, name: str = "", goal: str = ""
) -> Ratio:
    """How many times as long the rival takes, block by block."""
    pairs = [b / a for a, b in zip(seconds[ours], seconds[rival], strict=True)]
    return over_blocks(name or f"{rival} / {ours}", pairs, ours=ours, rival=rival, goal=goal)


def over_blocks(
    name: str,
    values: Sequence[float],
    *,
    ours: str = "",
    rival: str = "",
    unit: str = "time",
    goal: str = "",
) -> Ratio:
    """A line of a report from one value for each block."""
    median = statistics.median(values)
    return Ratio(name, ours, rival, median, min(values), max(values), unit, goal)


def peak_memory(step: Callable[[], object]) -> int:
    """The most bytes that torch's CPU allocator held at once during a call, beyond those before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        step()
    events = profiled.profiler.kineto_results.events()
    held = peak = 0
    for event in sorted(
        (each for each in events if each.name() == "[memory]"), key=lambda each: each.start_ns()
    ):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def report(rows: Sequence[Ratio], out: str | None, name: str) -> None:
    """Prints a table; with a folder, also writes `<name>.json` there, with versions and machine."""
    print(
        tabulate(
            [
                [each.name, f"{each.median:.3g}", f"{each.low:.3g} - {each.high:.3g}", each.goal]
                for each in rows
            ],
            headers=["ratio", "median", "blocks", "goal"],
            disable_numparse=True,
            colalign=["left", "right", "right", "left"],
        )
    )
    if out is not None:
        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        content = {
            "versions": versions(),
            "machine": machine(),
            "ratios": [asdict(each) for each in rows],
        }
        (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


def machine() -> dict[str, object]:
    """What the times were taken on."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        model = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), model)
    return {"processor": model, "cores": os.cpu_count(), "threads": torch.get_num_threads()}

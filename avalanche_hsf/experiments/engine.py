"""Many independent runs: taken from the results file, or made and kept there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from avalanche_hsf.experiments.results import Key, ResultsFile, Run, run_key
from avalanche_hsf.experiments.runner import run


@dataclass(frozen=True)
class Job:
    """The arguments of one run, see `run`."""

    benchmark: str
    strategy: str
    seed: int
    epochs: int
    configuration: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        """Of the run that it makes."""
        return run_key(self.benchmark, self.strategy, self.seed, self.epochs, self.configuration)


def make(results: ResultsFile, jobs: Sequence[Job]) -> list[Run | None]:
    runs: list[Run | None] = []
    for job in jobs:
        made = results.find(job.key)
        if made is None:
            made = run(
                job.benchmark,
                job.strategy,
                seed=job.seed,
                epochs=job.epochs,
                configuration=job.configuration,
            )
            results.add(made)
        runs.append(made)
    return runs

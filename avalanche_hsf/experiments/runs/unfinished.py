"""Runs that were begun: their checkpoints, from which the next attempt goes on."""

from __future__ import annotations

import hashlib
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avalanche.benchmarks import CLScenario

from avalanche_hsf.checkpoints import CheckpointError, CheckpointPlugin, resume
from avalanche_hsf.checkpoints.folder import checkpoints_in
from avalanche_hsf.experiments.runs.progress import say
from avalanche_hsf.experiments.runs.record import Key


@dataclass(frozen=True)
class Unfinished:
    """Where one run keeps its checkpoints.

    Attributes:
        folder: Of this run alone.
        seconds: Between two checkpoints.
    """

    folder: Path
    seconds: float

    def plugin(self) -> CheckpointPlugin:
        """What saves; a learner that cannot be saved is trained without."""
        return CheckpointPlugin(self.folder, seconds=self.seconds, strict=False)

    def resume(self, strategy: Any, stream: CLScenario) -> int:
        """The number of experiences that are trained; says if a file is damaged."""
        for path in reversed(checkpoints_in(self.folder)):
            try:
                n = resume(strategy, path, stream)
            except CheckpointError as error:
                say(f"{error}".partition(";")[0] + "; the one before it is tried")
            else:
                say(f"goes on from {path}")
                return n
        self.forget()
        return 0

    def forget(self) -> None:
        """Deletes the checkpoints, of a run that is in the results file."""
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True)
class UnfinishedRuns:
    """The folder `checkpoints` beside a results file.

    Attributes:
        folder: It.
        seconds: Between two checkpoints of a run; 0: no run has any.
    """

    folder: Path
    seconds: float

    def of(self, key: Key, work: str) -> Unfinished | None:
        """Those of one run, which is told by its key and the name of what makes it."""
        if self.seconds == 0:
            return None
        digest = hashlib.sha256(repr((key, work)).encode()).hexdigest()[:16]
        return Unfinished(self.folder / digest, self.seconds)

    def forget(self) -> None:
        """Deletes all."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def tidy(self) -> None:
        """Deletes the folder if no run is left in it."""
        with suppress(OSError):
            self.folder.rmdir()

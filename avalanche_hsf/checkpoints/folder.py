"""A folder of checkpoints: saving into it, and going on from it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avalanche.benchmarks import CLScenario
from avalanche.training.templates import BaseSGDTemplate

from avalanche_hsf.checkpoints.checkpoint import Checkpoint
from avalanche_hsf.checkpoints.errors import CheckpointError
from avalanche_hsf.checkpoints.file import SUFFIX
from avalanche_hsf.checkpoints.identity import check_identity, identity_of
from avalanche_hsf.checkpoints.resumption import Resumption
from avalanche_hsf.checkpoints.strategy import put_state, state_of
from avalanche_hsf.checkpoints.stream import Known
from avalanche_hsf.checkpoints.watcher import Watcher
from avalanche_hsf.checks import check_path
from avalanche_hsf.whole import remove_parts

KEPT = 2
_NUMBERED = re.compile(rf"\d{{8}}\{SUFFIX}")


def save(strategy: Any, folder: str | Path, benchmark: CLScenario | None = None) -> Path:
    """Saves a strategy between two calls of `train`, with everything that training depends on.

    Model, optimizer, plugins with their memories, metrics, and the states of all generators. The
    newest two checkpoints of a folder are kept. Inside of `train` a `CheckpointPlugin` saves.

    Args:
        strategy: Any Avalanche strategy.
        folder: Made if it does not exist.
        benchmark: Where memories of samples come from. It must be given where these are not plain
            tensors, or have transformations, unless the strategy has a `CheckpointPlugin`.

    Returns:
        The file.

    Raises:
        CheckpointError: Some state cannot be kept; says which, and what to do.
        OSError: The file cannot be written.
        TypeError: The strategy is none of Avalanche's, or the folder no path.
    """
    _check(strategy, folder)
    if strategy.experience is not None:
        raise CheckpointError("save is for between two calls of train; use a CheckpointPlugin")
    known = Known()
    for plugin in strategy.plugins:
        if isinstance(plugin, Resumption) and plugin.waits and benchmark is None:
            raise CheckpointError(
                "the strategy was resumed and waits for its stream: resume(strategy, folder, "
                "benchmark) gives it at once"
            )
        known = plugin.known if isinstance(plugin, Watcher) else known
    if benchmark is not None:
        known = Known(benchmark.train_stream)
    n_done = strategy.clock.train_exp_counter
    begin = state_of(strategy, known)
    saved = Checkpoint(n_done, 0, None, "", True, known.prints, identity_of(strategy), begin)
    return add(saved, Path(folder))


def add(checkpoint: Checkpoint, folder: Path) -> Path:
    """Writes a checkpoint into a folder, then deletes all but the newest two."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = checkpoints_in(folder)
    number = 1 + max((int(path.stem) for path in paths), default=0)
    path = folder / f"{number:08}{SUFFIX}"
    checkpoint.write(path)
    remove_parts(folder, f"*{SUFFIX}")
    for old in paths[: len(paths) - KEPT + 1]:
        old.unlink(missing_ok=True)
    return path


def checkpoints_in(folder: Path) -> list[Path]:
    """The files of a folder, the oldest first."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NUMBERED.fullmatch(path.name))


def resume(strategy: Any, checkpoint: str | Path, benchmark: CLScenario | None = None) -> int:
    """Puts the newest state of a folder into a strategy that was made as the saved one.

    What follows is, to the bit, what would have followed there:

    ```
    start = resume(strategy, "checkpoints")
    for experience in benchmark.train_stream[start:]:
        strategy.train(experience)
        strategy.eval(benchmark.test_stream)
    ```

    A checkpoint from within an experience goes on within it: `train` of that experience trains the
    epochs that are left, and until then the strategy is as it was when that experience began.

    Args:
        strategy: Made by the same code as the one that was saved: model, optimizer, plugins and
            metrics of the same classes, shapes and settings. Its objects stay the same objects.
        checkpoint: The folder, or one of its files.
        benchmark: The stream, for memories of samples that are looked at before `train` is called.

    Returns:
        The number of experiences that were trained; 0 if there is no checkpoint yet.

    Raises:
        CheckpointError: The file is damaged, or of another version or strategy, with the reason;
            the strategy is as it was. Names the checkpoint before it if that one fits.
        TypeError: The strategy is none of Avalanche's, or the folder no path.
    """
    _check(strategy, checkpoint)
    path = Path(checkpoint)
    files = [path] if path.suffix == SUFFIX else checkpoints_in(path)
    if not files:
        return 0
    try:
        return _take(strategy, files[-1], benchmark)
    except CheckpointError as error:
        raise CheckpointError(f"{error}{_way_out(strategy, files[:-1])}") from error.__cause__


def _check(strategy: object, folder: object) -> None:
    check_path("a folder of checkpoints", folder)
    if not isinstance(strategy, BaseSGDTemplate):
        kind = type(strategy).__name__
        raise TypeError(f"a strategy must be one of Avalanche that trains epochs, got {kind}")


def _take(strategy: Any, path: Path, benchmark: CLScenario | None) -> int:
    saved = Checkpoint.read(path)
    before = state_of(strategy, Known())
    try:
        check_identity(saved.identity, strategy)
        known = None if benchmark is None else Known(benchmark.train_stream)
        if known is not None:
            known.check(saved.stream)
        waits = put_state(strategy, saved.begin, known)
    except Exception as error:  # whatever is wrong with a file, the strategy stays as it was
        put_state(strategy, before)
        cause = None if isinstance(error, CheckpointError) else error
        raise CheckpointError(f"{path} cannot be taken: {error}") from cause
    others = [plugin for plugin in strategy.plugins if not isinstance(plugin, Resumption)]
    strategy.plugins = [Resumption(saved, waits=waits), *others]
    return saved.experience


def _way_out(strategy: Any, files: Sequence[Path]) -> str:
    for path in reversed(files):
        try:
            check_identity(Checkpoint.read(path).identity, strategy)
        except CheckpointError:
            continue
        return f"; the checkpoint before it, {path}, is whole: resume(strategy, {str(path)!r})"
    return "; no other fits, so start anew in another folder"

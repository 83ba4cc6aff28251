"""A folder of checkpoints: saving into it, and going on from it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avalanche.benchmarks import CLScenario

from avalanche_hsf.checkpoints import file
from avalanche_hsf.checkpoints.errors import CheckpointError
from avalanche_hsf.checkpoints.resumption import Resumption
from avalanche_hsf.checkpoints.strategy import Position, Watcher, check_fits, put_state, state_of
from avalanche_hsf.checkpoints.stream import fingerprint

KEPT = 2
_NUMBERED = re.compile(rf"(\d{{8}})\{file.SUFFIX}")


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
    """
    if strategy.experience is not None and strategy.is_training:
        raise CheckpointError("save is for between two calls of train; use a CheckpointPlugin")
    experiences = [] if benchmark is None else list(benchmark.train_stream)
    met = [plugin.experiences for plugin in strategy.plugins if isinstance(plugin, Watcher)]
    position = Position(strategy.clock.train_exp_counter, None)
    return keep(strategy, Path(folder), position, experiences or next(iter(met), []))


def keep(strategy: Any, folder: Path, position: Position, experiences: Sequence[Any]) -> Path:
    """Writes the state of a strategy into a folder, and deletes all but the newest two files."""
    prints = [fingerprint(experience) for experience in experiences]
    content, tensors = state_of(strategy, position, experiences, prints)
    folder.mkdir(parents=True, exist_ok=True)
    paths = checkpoints_in(folder)
    number = 1 + max((int(path.stem) for path in paths), default=0)
    path = folder / f"{number:08}{file.SUFFIX}"
    file.write(path, content, tensors)
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
    epochs that are left.

    Args:
        strategy: Made by the same code as the one that was saved: model, optimizer, plugins and
            metrics of the same classes, shapes and settings. Its objects stay the same objects.
        checkpoint: The folder, or one of its files.
        benchmark: The stream, for memories that are looked at before `train` is called.

    Returns:
        The number of the experience to go on with; 0 if there is no checkpoint yet.

    Raises:
        CheckpointError: The file is damaged, of another version or of another strategy, with the
            reason; the strategy is as it was. Names the checkpoint before it if that is whole.
    """
    path = Path(checkpoint)
    files = checkpoints_in(path) if path.is_dir() or not path.exists() else [path]
    if not files:
        return 0
    try:
        return _take(strategy, files[-1], benchmark)
    except CheckpointError as error:
        raise CheckpointError(f"{error}{_way_out(files)}") from error


def _take(strategy: Any, path: Path, benchmark: CLScenario | None) -> int:
    content, tensors = file.read(path)
    experiences = None if benchmark is None else list(benchmark.train_stream)
    before = state_of(strategy, Position(0, None), [], [])
    try:
        check_fits(strategy, content)
        put_late = put_state(strategy, content, tensors, experiences)
    except CheckpointError as error:
        put_state(strategy, *before)
        raise CheckpointError(f"{path} cannot be taken: {error}") from error
    strategy.plugins = [p for p in strategy.plugins if not isinstance(p, Resumption)]
    strategy.plugins.insert(0, Resumption(content, tensors, put_late))
    return int(content["position"][0])


def _way_out(files: Sequence[Path]) -> str:
    for path in reversed(files[:-1]):
        try:
            file.read(path)
        except CheckpointError:
            continue
        return f"; the checkpoint before it, {path}, is whole: resume(strategy, {str(path)!r})"
    return "; start anew with another folder"

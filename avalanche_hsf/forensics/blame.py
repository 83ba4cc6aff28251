"""Two checkpoints and old samples: which part of the model forgot. No Avalanche is needed."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from avalanche_hsf.analysis.components import Components
from avalanche_hsf.analysis.data import Data
from avalanche_hsf.analysis.errors import Criterion
from avalanche_hsf.checks import shown
from avalanche_hsf.forensics.findings import TaskFindings, examine

Checkpoint = nn.Module | Mapping[str, Any] | str | Path

NESTED = ("state_dict", "model_state_dict", "model")
"""Where training scripts put the state of the model in a checkpoint."""


def blame(
    early: Checkpoint,
    late: Checkpoint,
    data: Data,
    *,
    model: Callable[[], nn.Module] | None = None,
    criterion: Criterion | None = None,
    components: Components | None = None,
    task: str = "the old task",
    seed: int = 0,
) -> TaskFindings:
    """Finds out which part of a model forgot, from two states of it.

    Args:
        early: The model when it had learned the old task: a module, its state dict, or a file that
            `torch.save` wrote of one, also in a dictionary under "state_dict", "model_state_dict"
            or "model". Prefixes of DataParallel and torch.compile are taken off.
        late: The same later.
        data: Samples of the old task, better none that were trained on: a `DataLoader`, a
            `Dataset` or a pair of tensors; see `avalanche_hsf.analysis.data`.
        model: Makes the model, for states of it.
        criterion, components, seed: See `examine`.
        task: What the old task is called.

    Raises:
        OSError: A file cannot be read.
        TypeError, ValueError: It holds no state, or that of another model; the message names what
            differs. Or as `examine`.

    Example:
        >>> early, late = nn.Linear(4, 2), nn.Linear(4, 2)
        >>> x, y = torch.randn(50, 4), torch.randint(2, (50,))
        >>> blame(early, late, (x, y)).task
        'the old task'
    """
    before, after = (
        _model_of(checkpoint, model, when)
        for checkpoint, when in ((early, "early"), (late, "late"))
    )
    return examine(
        before,
        after,
        data,
        task=task,
        criterion=criterion,
        components=components,
        seed=seed,
    )


def _model_of(checkpoint: Checkpoint, make: Callable[[], nn.Module] | None, when: str) -> nn.Module:
    if isinstance(checkpoint, nn.Module):
        return checkpoint
    name = when if isinstance(checkpoint, Mapping) else str(checkpoint)
    if make is None:
        raise TypeError(f"{name} is a state: give model=, a function that makes the model")
    model = make()
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must make a torch module, got {shown(model)}")
    state = checkpoint if isinstance(checkpoint, Mapping) else _read(Path(checkpoint))
    if isinstance(state, nn.Module):
        return state
    return _loaded(model, _state_in(state, name), name)


def _read(path: Path) -> Any:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} holds more than tensors and plain values, which could run any code: save "
            "model.state_dict(), or load it yourself and call blame() in Python"
        ) from error
    except (EOFError, RuntimeError) as error:
        raise ValueError(f"{path} is no checkpoint of torch: {error}") from error


def _state_in(saved: Any, name: str) -> dict[str, Any]:
    for key in NESTED:
        if isinstance(saved, Mapping) and isinstance(saved.get(key), Mapping):
            saved = saved[key]
    if not isinstance(saved, Mapping) or not any(isinstance(v, Tensor) for v in saved.values()):
        raise ValueError(f"{name} holds no state dict, of names and tensors")
    state = dict(saved)
    for prefix in ("module.", "_orig_mod."):
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _loaded(model: nn.Module, state: Mapping[str, Any], name: str) -> nn.Module:
    expected = model.state_dict()
    missing = [key for key in expected if key not in state]
    unknown = [key for key in state if key not in expected]
    other = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(expected[key].shape)}"
        for key in expected
        if isinstance(state.get(key), Tensor)
        and isinstance(expected[key], Tensor)
        and state[key].shape != expected[key].shape
    ]
    problems = {"lacks": missing, "has beside it": unknown, "has of another shape": other}
    found = [
        f"{what} {', '.join(keys[:5])}{f' and {len(keys) - 5} more' if keys[5:] else ''}"
        for what, keys in problems.items()
        if keys
    ]
    if found:
        raise ValueError(f"{name} is not of the model that model= makes: it {'; it '.join(found)}")
    model.load_state_dict(state)
    return model

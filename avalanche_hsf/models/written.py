"""What models whose weights a hypernetwork writes have in common."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from avalanche_hsf.models.hypernetworks.base import TaskWeights
from avalanche_hsf.models.hypernetworks.registry import make_hypernetwork
from avalanche_hsf.models.tasks.call import call_per_task
from avalanche_hsf.models.tasks.class_mask import ClassMask
from avalanche_hsf.models.tasks.groups import TaskGroups
from avalanche_hsf.models.tasks.guard import StepGuard
from avalanche_hsf.models.tasks.module import TaskModule
from avalanche_hsf.models.tasks.slots import EmptySlot, release


@dataclass(frozen=True)
class Written:
    """A batch's rows by task, and the weights of its k tasks: by name a `k x *shape` tensor."""

    groups: TaskGroups
    weights: Mapping[str, Tensor]


Labels = Tensor | int | Written
"""One task label, or one per row, or what a pass over the same rows has written already."""


class TaskWritten(TaskModule):
    """A `TaskModule` whose tensors, all or some, a hypernetwork writes for each task.

    Attributes:
        guard: Stops training at what is NaN or infinite, see `StepGuard`.
    """

    _is_trial = False
    guard: StepGuard
    hypernetwork: TaskWeights
    mask: ClassMask | None

    @property
    def root(self) -> nn.Module:
        """The module that the names of written tensors start from."""
        return self

    @property
    def tasks(self) -> list[int]:
        return self.hypernetwork.tasks

    def hand_over(
        self,
        names: Sequence[str],
        kind: str | Callable[..., TaskWeights],
        twins: Mapping[str, str] | None = None,
        /,
        **options: Any,
    ) -> None:
        """Makes a hypernetwork of a kind and leaves it the parameters of these names.

        Args:
            names: Of parameters, from the root.
            kind: See `make_hypernetwork`.
            twins: Of further names of some of them, the first one.
            **options: Of the kind.
        """
        further = {name: [t for t, n in (twins or {}).items() if n == name] for name in names}
        initial = {name: release(self.root, name, *further[name]) for name in names}
        self.hypernetwork = make_hypernetwork(kind, initial, **options)
        self.guard = StepGuard()
        self.register_load_state_dict_pre_hook(_check_state)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """As torch's, but a state that does not fit changes nothing.

        Raises:
            ValueError: The state is of another kind, or of other names or shapes.
        """
        self.hypernetwork.check_state(state_dict, "hypernetwork.")
        missing, unexpected = _tried(self, state_dict) if strict else ([], [])
        if missing or unexpected:
            found = [f"{n} is missing" for n in missing] + [f"{n} is too many" for n in unexpected]
            raise ValueError(
                f"the state is that of another {type(self).__name__}: {', '.join(found[:3])}; make "
                "the model as the saved one was made, or load with strict=False"
            )
        return super().load_state_dict(state_dict, strict, assign)

    def write(self, labels: Labels, n: int, prefix: str = "") -> Written:
        """The weights for n rows, unless written yet: tensors whose name begins with the prefix."""
        if isinstance(labels, Written):
            return labels
        groups = TaskGroups.from_labels(labels, n)
        # Weights are exact whatever precision a pass computes in.
        with _without_autocast():
            return Written(groups, self.hypernetwork(groups.tasks, prefix))

    @property
    def is_guarded(self) -> bool:
        """Whether a pass now is one that training can take a step after."""
        return self.training and torch.is_grad_enabled()

    def run(self, block: str, written: Written, *inputs: Tensor, **options: Any) -> Any:
        """Runs a submodule of the root, see `call_per_task`; "" is the root itself."""
        prefix = f"{block}." if block else ""
        named = written.weights.items()
        weights = {name.removeprefix(prefix): w for name, w in named if name.startswith(prefix)}
        module = self.root.get_submodule(block)
        return call_per_task(module, weights, written.groups, *inputs, **options)


def _check_state(module: TaskWritten, state: Mapping[str, Any], prefix: str, *_: Any) -> None:
    """Before anything is changed."""
    module.hypernetwork.check_state(state, f"{prefix}hypernetwork.")
    _tried(module, {n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)})


def _tried(module: TaskWritten, state: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Keys missing and unexpected of a state; ValueError if a shape does not fit.

    Found by loading it into a copy without numbers, on the device meta, since a model takes on the
    tasks of a state while it loads. A module that cannot be copied is left to torch's own check.
    """
    if module._is_trial:
        return [], []
    tensors = (*module.parameters(), *module.buffers())
    memo: dict[int, Any] = {id(t): _meta(t) for t in tensors if not isinstance(t, EmptySlot)}
    try:
        trial = copy.deepcopy(module, memo)
    except Exception:  # of whatever a user's module holds
        return [], []
    trial._is_trial = True
    of_meta: Any = copy.copy(state)  # of its class, with its attributes
    for name, value in state.items():
        if isinstance(value, Tensor) and not name.endswith("_extra_state"):
            of_meta[name] = value.to("meta")
    try:
        missing, unexpected = trial.load_state_dict(of_meta, strict=False)
    except RuntimeError as error:
        reasons = str(error).split("\n")[1:] or [str(error)]
        raise ValueError(
            f"the state is that of another {type(module).__name__}: "
            f"{'; '.join(reason.strip().rstrip('.') for reason in reasons[:3])}; make the model as "
            "the saved one was made"
        ) from None
    return missing, unexpected


def _meta(tensor: Tensor) -> Tensor:
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(tensor.detach().to("meta"), tensor.requires_grad)
    return tensor.detach().to("meta")


@contextmanager
def _without_autocast() -> Iterator[None]:
    with ExitStack() as stack:
        for device in ("cpu", "cuda", "mps"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        yield

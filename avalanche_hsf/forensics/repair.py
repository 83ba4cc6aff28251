"""Mending the parts of a model that forgot, with a few old samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from avalanche_hsf.analysis import Attribution, error_on, find_components
from avalanche_hsf.analysis.components import Components, Hybrid, is_in
from avalanche_hsf.analysis.data import Data, Minibatch, joined, minibatches_of
from avalanche_hsf.analysis.errors import Criterion, loss_of
from avalanche_hsf.checks import (
    check_int,
    check_names,
    check_non_negative,
    check_positive,
    check_share,
)
from avalanche_hsf.forensics.parts import choose_components
from avalanche_hsf.generators import generators_kept
from avalanche_hsf.models.tasks.nested import n_rows, rows_of

LOOKS = 20
"""How often the guard looks while a repair is fitted."""


@dataclass(frozen=True)
class Repair:
    """A mended model, and what mending it did.

    Attributes:
        model: A copy; the given model is untouched.
        components: Those that were mended.
        how: "put back", "fitted", or "left": nothing helped within what the new task may lose.
        old: Mean error on the old tasks' samples, before and after.
        new: Error on the new task's samples, before and after; None: none were given.
    """

    model: nn.Module
    components: tuple[str, ...]
    how: str
    old: tuple[float, float]
    new: tuple[float, float] | None


def blamed(attributions: Sequence[Attribution], *, share: float = 0.5) -> tuple[str, ...]:
    """The fewest components that have, together, a share in what all tasks forgot.

    Args:
        attributions: Of each old task, of the same components.
        share: In (0, 1].

    Example:
        >>> blame = Attribution(0.0, 1.0, {}, {}, {"body": 0.2, "head": 0.8}, {}, 4)
        >>> blamed([blame])
        ('head',)
    """
    check_share("share", share)
    total = {
        name: sum(attribution.shapley.get(name, 0.0) for attribution in attributions)
        for name in attributions[0].shapley
    }
    needed = share * sum(total.values())
    chosen: list[str] = []
    for name, value in sorted(total.items(), key=lambda item: -item[1]):
        if value <= 0 or sum(total[c] for c in chosen) >= needed:
            break
        chosen.append(name)
    return tuple(chosen)


def repair(
    model: nn.Module,
    components: Sequence[str],
    old: Sequence[Data],
    *,
    new: Data | None = None,
    may_lose: float = 0.1,
    early: nn.Module | None = None,
    parts: Components | None = None,
    criterion: Criterion | None = None,
    steps: int = 200,
    lr: float = 1e-3,
    mb_size: int = 32,
    seed: int = 0,
) -> Repair:
    """A copy of a model with some components mended; the model itself stays as it is.

    They are put back, if an earlier model is given, or fitted to the samples, with Adam: whichever
    leaves the smaller mean error on the old tasks' samples, of all that the guard lets pass.

    Source: to fine-tune what forgets most, Zhao et al. 2023, https://arxiv.org/abs/2304.04158;
    theirs are chosen by how far they move, these by what they are blamed for.

    Args:
        model: Any module.
        components: Names of components, such as `blamed` or a verdict's `culprits` have.
        old: A few samples of each old task.
        new: A few samples of the task learned last; they are fitted along with the old ones.
        may_lose: How much the error on `new` may rise.
        early: The model before it forgot.
        parts: What components consist of, see `find_components`. Default: `choose_components`.
        criterion: Of output and target. Default: the cross entropy, for class targets alone.
        steps: Of Adam; 0: the components are put back or left.
        lr: Its rate.
        mb_size: Samples per step.
        seed: Of the order of samples.

    Raises:
        TypeError, ValueError: No samples, an unknown component (the message lists the valid
            names), or nothing to fit, or no steps to, and no `early` to put it back from.
    """
    check_names("components", components)
    if isinstance(old, (tuple, Tensor)):
        raise TypeError("old must be a list, with the samples of each old task: [(x, y)] for one")
    check_int("steps", steps, at_least=0)
    check_int("mb_size", mb_size, at_least=1)
    check_positive("lr", lr)
    check_non_negative("may_lose", may_lose)
    found = find_components(model, parts) if parts else choose_components(model)
    unknown = [name for name in components if name not in found]
    if unknown or not components:
        raise ValueError(
            f"no component {', '.join(unknown) or 'was given'}; choose from {', '.join(found)}"
        )
    if not old:
        raise ValueError("old must hold samples of at least one task")
    with generators_kept():  # loaders draw, even where they do not shuffle
        old = [minibatches_of(samples) for samples in old]
        new = None if new is None else minibatches_of(new)
    on_old = [error_on(samples, criterion) for samples in old]
    on_new = None if new is None else error_on(new, criterion)

    def errors(candidate: nn.Module) -> tuple[float, float | None]:
        of_old = sum(error(candidate) for error in on_old) / len(on_old)
        return of_old, None if on_new is None else on_new(candidate)

    before = errors(deepcopy(model))
    trained = {name: p.requires_grad for name, p in model.named_parameters()}
    best = Repair(deepcopy(model), (), "left", (before[0], before[0]), _pair(before, before))

    def look(candidate: nn.Module, how: str) -> None:
        nonlocal best
        after = errors(candidate)
        is_let_pass = before[1] is None or (after[1] or 0.0) <= before[1] + may_lose
        if is_let_pass and after[0] < best.old[1]:
            mended = deepcopy(candidate).eval()
            for name, p in mended.named_parameters():
                p.requires_grad_(trained.get(name, p.requires_grad))
            best = Repair(
                mended, tuple(components), how, (before[0], after[0]), _pair(before, after)
            )

    chosen = [part for name in components for part in found[name]]
    if early is not None:
        others = [name for name in found if name not in components]
        look(Hybrid(early, model, found).with_late(others), "put back")
    candidate = deepcopy(model)
    fitted = [p for name, p in candidate.named_parameters() if is_in(name, chosen) and p.numel()]
    if early is None and not fitted:
        raise ValueError(f"{', '.join(components)} has no parameters to fit: give early=")
    if early is None and not steps:
        raise ValueError("steps is 0, so nothing is fitted: give early=, or steps")
    if fitted and steps:
        samples = joined([minibatch for of_task in [*old, new or []] for minibatch in of_task])
        for step in _fit(candidate, fitted, samples, criterion, steps, lr, mb_size, seed):
            if step % max(1, steps // LOOKS) == 0 or step == steps:
                look(candidate, "fitted")
    return best


def _pair(
    before: tuple[float, float | None], after: tuple[float, float | None]
) -> tuple[float, float] | None:
    return None if before[1] is None or after[1] is None else (before[1], after[1])


def _fit(
    model: nn.Module,
    fitted: Sequence[Tensor],
    together: Minibatch,
    criterion: Criterion | None,
    steps: int,
    lr: float,
    mb_size: int,
    seed: int,
) -> Iterator[int]:
    """Steps of Adam on some parameters; gives the number of each.

    The mode stays that of evaluation, so that running statistics do not move.
    """
    model.requires_grad_(False)
    for p in fitted:
        p.requires_grad_(True)
    optimizer = torch.optim.Adam(fitted, lr)
    generator = torch.Generator().manual_seed(seed)
    n = n_rows(together[1])
    model.eval()
    for step in range(1, steps + 1):
        rows = torch.randperm(n, generator=generator)[:mb_size]
        optimizer.zero_grad()
        loss_of(model, [rows_of(part, rows) for part in together], criterion).backward()
        optimizer.step()
        yield step

"""Attribution of forgetting to the parts of a model."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import factorial
from typing import Any

import torch
from torch import nn

from avalanche_hsf.analysis.components import Components, Hybrid, find_components
from avalanche_hsf.analysis.errors import error_on
from avalanche_hsf.analysis.recorder import ModelRecorderPlugin
from avalanche_hsf.checks import check_int

Error = Callable[[nn.Module], float]
Value = Callable[[Iterable[str]], float]


@dataclass(frozen=True)
class Attribution:
    """The share of each component of a model in the forgetting of one task.

    v(S) is the error on the task of the model whose components S are as they are later, the
    others as they were right after the task; v of all minus v of none is the forgetting, positive
    is worse.

    Attributes:
        before: v(none), the error right after the task.
        after: v(all), the error later.
        alone: v({c}) - v(none) by component: the forgetting if it alone moves on.
        recovered: v(all) - v(all but c): the error won back if it alone is put back.
        shapley: Shapley value: the mean of its contribution over all orders in which components
            may move on. They sum to the forgetting.
        shapley_error: Standard error of that mean; 0 where all orders were taken.
        n_evaluations: How often the model was evaluated.
        interactions: The Shapley interaction index of each component c with each other one d: the
            mean over orders of v(S + c + d) - v(S + c) - v(S + d) + v(S), where S moved on before
            both, and c next to d. Negative: either alone does the harm of both; positive: it takes
            both. Empty where orders were drawn, which do not evaluate what it needs.
    """

    before: float
    after: float
    alone: dict[str, float]
    recovered: dict[str, float]
    shapley: dict[str, float]
    shapley_error: dict[str, float]
    n_evaluations: int
    interactions: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def forgetting(self) -> float:
        """after - before; positive is worse."""
        return self.after - self.before


def attribute_forgetting(
    early: nn.Module,
    late: nn.Module,
    error: Error,
    *,
    components: Components | None = None,
    n_orders: int = 20,
    exact_up_to: int = 8,
    seed: int = 0,
) -> Attribution:
    r"""Attributes the forgetting between two states of a model to its components.

    shapley_c = mean over orders of v(those before c, and c) - v(those before c)

    Components co-adapt: putting back any one of them may recover nothing, and moving any one on
    may destroy everything. The Shapley value shares the forgetting out all the same. Parameters
    are blamed, not functions: hidden units that swap places put blame on both of their layers.

    Source: Shapley 1953; sampled as in Castro et al. 2009, https://doi.org/10.1016/j.cor.2008.04.004;
    interactions of Grabisch and Roubens 1999, https://doi.org/10.1007/s001820050125

    Args:
        early: The model right after the task was learned.
        late: The same model later.
        error: From a model to its error on the task, see `error_on`; the same for the same model.
        components: See `find_components`.
        n_orders: Random orders drawn for more components, at least 2; each with its reverse.
        exact_up_to: Up to this many components, all orders are taken, at 2^k evaluations.
        seed: Seed of the draws.

    Raises:
        ValueError: A component does not exist (the message lists the valid names), two share a
            part, the model has a state that no component has, or the error is not the same at
            every call.

    Example:
        >>> early, late = nn.Linear(1, 1), nn.Linear(1, 1)
        >>> _ = late.load_state_dict({"weight": early.weight, "bias": early.bias + 3})
        >>> error = lambda model: float((model(torch.ones(1, 1)) - early(torch.ones(1, 1))) ** 2)
        >>> attribution = attribute_forgetting(early, late, error, components=["weight", "bias"])
        >>> round(attribution.shapley["bias"], 4), round(attribution.shapley["weight"], 4)
        (9.0, 0.0)
    """
    check_int("n_orders", n_orders, at_least=2)
    parts = find_components(early, components)
    names, everything = list(parts), frozenset(parts)
    hybrid = Hybrid(early, late, parts)
    values: dict[frozenset[str], float] = {}

    def v(chosen: Iterable[str]) -> float:
        key = frozenset(chosen)
        if key not in values:
            values[key] = error(hybrid.with_late(key))
        return values[key]

    _check_states(early, late, error, v, names)
    alone = {name: v([name]) - v([]) for name in names}
    recovered = {name: v(everything) - v(everything - {name}) for name in names}
    if len(names) <= exact_up_to:
        shapley, errors = _exact(names, v), dict.fromkeys(names, 0.0)
        interactions = _interactions(names, v)
    else:
        (shapley, errors), interactions = _sampled(names, v, n_orders, seed), {}
    return Attribution(
        v([]), v(everything), alone, recovered, shapley, errors, len(values), interactions
    )


def attribute_run(
    recorder: ModelRecorderPlugin, experiences: Sequence[Any], **options: Any
) -> list[Attribution]:
    """Attributes the forgetting of each experience of a recorded run except the last.

    Args:
        recorder: The plugin that watched the run.
        experiences: Of the test stream, one for each recorded experience, in order.
        **options: Arguments of `attribute_forgetting`, or `criterion`, by default the strategy's,
            and `n_passes` of `error_on`.

    Returns:
        One attribution per experience, from the state right after it to the last one.

    Raises:
        ValueError: Nothing was recorded, or another number of experiences.
    """
    late = recorder.model_after(-1)
    if len(experiences) != len(recorder.models):
        raise ValueError(
            f"{len(recorder.models)} experiences were recorded, got {len(experiences)} to measure "
            "on: give those of the test stream that were trained, in order"
        )
    error_options = {"criterion": recorder.criterion} | {
        key: options.pop(key) for key in ("criterion", "n_passes") if key in options
    }
    return [
        attribute_forgetting(early, late, error_on(experience, **error_options), **options)
        for early, experience in zip(recorder.models[:-1], experiences[:-1], strict=True)
    ]


def _check_states(
    early: nn.Module, late: nn.Module, error: Error, v: Value, components: Collection[str]
) -> None:
    """Raises ValueError if components put together do not give the two models their errors."""
    for model, chosen, when in ((early, [], "earlier"), (late, components, "later")):
        whole = Hybrid(model, model, {}).with_late([])
        expected, put_together = error(whole), v(chosen)
        if abs(expected - put_together) > 1e-5 * max(abs(expected), abs(put_together), 1e-12):
            raise ValueError(
                f"the model as it was {when} has the error {expected:.6g}, put together from its "
                f"components {put_together:.6g}: either it has a state that no component has, "
                "which is no parameter or buffer (name the module that holds it as a component), "
                "or the error is not the same at every call (see error_on)"
            )


def _exact(names: list[str], v: Value) -> dict[str, float]:
    n = len(names)
    shapley = dict.fromkeys(names, 0.0)
    for name in names:
        others = [component for component in names if component != name]
        for size in range(n):
            weight = factorial(size) * factorial(n - size - 1) / factorial(n)
            for chosen in combinations(others, size):
                shapley[name] += weight * (v([*chosen, name]) - v(chosen))
    return shapley


def _interactions(names: list[str], v: Value) -> dict[str, dict[str, float]]:
    """The Shapley interaction index, Grabisch and Roubens 1999, of each pair."""
    n = len(names)
    found: dict[str, dict[str, float]] = {name: {} for name in names}
    for pair in combinations(names, 2):
        others = [component for component in names if component not in pair]
        total = 0.0
        for size in range(n - 1):
            weight = factorial(size) * factorial(n - size - 2) / factorial(n - 1)
            for chosen in combinations(others, size):
                first, second = (v([*chosen, name]) for name in pair)
                total += weight * (v([*chosen, *pair]) - first - second + v(chosen))
        c, d = pair
        found[c][d] = found[d][c] = total
    return found


def _sampled(
    names: list[str], v: Value, n_orders: int, seed: int
) -> tuple[dict[str, float], dict[str, float]]:
    generator = torch.Generator().manual_seed(seed)
    added = torch.zeros(n_orders, len(names), dtype=torch.float64)
    for i in range(n_orders):
        order = torch.randperm(len(names), generator=generator).tolist()
        for direction in (order, order[::-1]):
            for place, k in enumerate(direction):
                before = [names[m] for m in direction[:place]]
                added[i, k] += (v([*before, names[k]]) - v(before)) / 2
    means, errors = added.mean(dim=0), added.std(dim=0) / n_orders**0.5
    shapley, shapley_errors = (dict(zip(names, m.tolist(), strict=True)) for m in (means, errors))
    return shapley, shapley_errors

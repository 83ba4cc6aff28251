"""Attribution of forgetting to the parts of a model."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from avalanche_hsf.analysis.components import Components, Hybrid, find_components
from avalanche_hsf.analysis.errors import errors_on
from avalanche_hsf.analysis.shapley import Value, exact, interactions, sampled
from avalanche_hsf.checks import check_int

if TYPE_CHECKING:  # it imports Avalanche
    from avalanche_hsf.analysis.recorder import ModelRecorderPlugin

Error = Callable[[nn.Module], "float | Tensor"]


@dataclass(frozen=True)
class Attribution:
    """The share of each component of a model in the forgetting of one task.

    v(S) is the error on the task of the model whose components S are as they are later, the
    others as they were right after the task; v of all minus v of none is the forgetting, positive
    is worse. Components that did not move have no share.

    Attributes:
        before: v(none), the error right after the task.
        after: v(all), the error later.
        alone: v({c}) - v(none) by component: the forgetting if it alone moves on.
        recovered: v(all) - v(all but c): the error won back if it alone is put back.
        shapley: Shapley value: the mean of its contribution over all orders in which components
            may move on. They sum to the forgetting.
        shapley_error: Its standard error, over the samples if the error was given for each, and
            over the orders if they were drawn; 0 if neither.
        n_evaluations: How often the model was evaluated.
        interactions: The Shapley interaction index of each component c with each other one d: the
            mean over orders of v(S + c + d) - v(S + c) - v(S + d) + v(S), where S moved on before
            both, and c next to d. Negative: either alone does the harm of both; positive: it takes
            both. Empty where orders were drawn, which do not evaluate what it needs.
        pairs: v({c, d}) - v(none) of the pairs that were evaluated.
        n_samples: Samples whose errors were told apart; 1: none were.
        forgetting_error: The standard error of the forgetting over samples; NaN for one.
        share_error: That of each component's share in the forgetting, shapley / forgetting.
    """

    before: float
    after: float
    alone: dict[str, float]
    recovered: dict[str, float]
    shapley: dict[str, float]
    shapley_error: dict[str, float]
    n_evaluations: int
    interactions: dict[str, dict[str, float]] = field(default_factory=dict)
    pairs: dict[str, dict[str, float]] = field(default_factory=dict)
    n_samples: int = 1
    forgetting_error: float = math.nan
    share_error: dict[str, float] = field(default_factory=dict)

    @property
    def forgetting(self) -> float:
        """after - before; positive is worse."""
        return self.after - self.before

    @property
    def shares(self) -> dict[str, float]:
        """shapley / forgetting by component; they sum to 1. NaN if nothing was forgotten."""
        total = self.forgetting
        return {name: value / total if total else math.nan for name, value in self.shapley.items()}


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
        error: From a model to its error on the task, see `errors_on` and `error_on`; the same for
            the same model.
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
    names = list(parts)
    hybrid = Hybrid(early, late, parts)
    values: dict[frozenset[str], Tensor] = {}

    def v(chosen: Iterable[str]) -> Tensor:
        key = frozenset(chosen)
        if key not in values:
            values[key] = _as_samples(error(hybrid.with_late(key)))
        return values[key]

    unmoved = hybrid.unmoved()
    moved = [name for name in names if name not in unmoved]
    try:
        _check_states(early, late, error, v, moved)
    except ValueError:
        # What a module holds beside its state may have changed.
        hybrid.take_attributes()
        values.clear()
        names = moved = list(hybrid.components)
        _check_states(early, late, error, v, moved)
    forgetting = v(moved) - v([])
    is_exact = len(moved) <= exact_up_to
    if is_exact:
        by_sample, by_order = exact(moved, v), dict.fromkeys(moved, 0.0)
    else:
        by_sample, by_order = sampled(moved, v, n_orders, seed)
    alone = {name: v([name]) - v([]) for name in moved}
    recovered = {name: v(moved) - v([m for m in moved if m != name]) for name in moved}
    among = moved if is_exact else _opposed(alone, recovered)
    pairs: dict[str, dict[str, float]] = {name: {} for name in among}
    for c, d in combinations(among, 2):
        pairs[c][d] = pairs[d][c] = float((v([c, d]) - v([])).mean())

    def completed(by_name: Mapping[str, Any], value: Any = 0.0) -> dict[str, Any]:
        return {name: by_name.get(name, value) for name in names}

    def mean(by_name: Mapping[str, Tensor]) -> dict[str, float]:
        return completed({name: float(samples.mean()) for name, samples in by_name.items()})

    return Attribution(
        before=float(v([]).mean()),
        after=float(v(moved).mean()),
        alone=mean(alone),
        recovered=mean(recovered),
        shapley=mean(by_sample),
        shapley_error=completed(
            {name: math.hypot(standard_error(by_sample[name]), by_order[name]) for name in moved}
        ),
        n_evaluations=len(values),
        interactions=interactions(moved, v) if is_exact else {},
        pairs=pairs,
        n_samples=len(forgetting),
        forgetting_error=standard_error(forgetting) if len(forgetting) > 1 else math.nan,
        share_error=completed(share_errors(by_sample, by_order, forgetting)),
    )


def attribute_run(
    recorder: ModelRecorderPlugin, experiences: Sequence[Any], **options: Any
) -> list[Attribution]:
    """Attributes the forgetting of each experience of a recorded run except the last.

    Args:
        recorder: The plugin that watched the run.
        experiences: Of the test stream, one for each recorded experience, in order.
        **options: Arguments of `attribute_forgetting`, or `criterion`, by default the strategy's,
            and `n_passes` of `errors_on`.

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
        attribute_forgetting(early, late, errors_on(experience, **error_options), **options)
        for early, experience in zip(recorder.models[:-1], experiences[:-1], strict=True)
    ]


def _as_samples(error: float | Tensor) -> Tensor:
    """One entry for each sample; one alone where the error is of all."""
    return torch.as_tensor(error, dtype=torch.float64).detach().cpu().reshape(-1)


def standard_error(samples: Tensor) -> float:
    """The standard error of their mean; 0 for one, of which it is not known."""
    return float(samples.std() / len(samples) ** 0.5) if len(samples) > 1 else 0.0


def share_errors(
    by_sample: Mapping[str, Tensor], by_order: Mapping[str, float], forgetting: Tensor
) -> dict[str, float]:
    """The standard errors of ratios of means, by the delta method."""
    total = float(forgetting.mean())
    if not total:
        return dict.fromkeys(by_sample, math.nan)
    return {
        name: math.hypot(
            standard_error(samples - float(samples.mean()) / total * forgetting), by_order[name]
        )
        / abs(total)
        for name, samples in by_sample.items()
    }


def _opposed(alone: Mapping[str, Tensor], recovered: Mapping[str, Tensor]) -> list[str]:
    """The components that may cancel each other: harmful alone, needed later; six at most."""
    harm = {
        name: float(alone[name].mean())
        for name in alone
        if alone[name].mean() > 0 > recovered[name].mean()
    }
    return sorted(sorted(harm, key=lambda name: -harm[name])[:6], key=list(alone).index)


def _check_states(
    early: nn.Module, late: nn.Module, error: Error, v: Value, components: Collection[str]
) -> None:
    """Raises ValueError if components put together do not give the two models their errors."""
    for model, chosen, when in ((early, [], "earlier"), (late, components, "later")):
        whole = Hybrid(model, model, {}).with_late([])
        expected = float(_as_samples(error(whole)).mean())
        put_together = float(v(chosen).mean())
        if math.isnan(expected):
            raise ValueError(f"the error of the model as it was {when} is NaN")
        if abs(expected - put_together) > 1e-5 * max(abs(expected), abs(put_together), 1e-12):
            raise ValueError(
                f"the model as it was {when} has the error {expected:.6g}, put together from its "
                f"components {put_together:.6g}: either it has a state that no component has, "
                "which is no parameter or buffer (name the module that holds it as a component), "
                "or the error is not the same at every call (see errors_on)"
            )

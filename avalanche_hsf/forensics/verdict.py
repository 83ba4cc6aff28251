"""The rules that turn findings into a sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from avalanche_hsf.analysis import Attribution
from avalanche_hsf.analysis.components import REST
from avalanche_hsf.forensics.culprit import (
    CURES,
    TURNED,
    of_culprit,
    said_of_features,
    state_of_features,
)
from avalanche_hsf.forensics.findings import TaskFindings

FORGOTTEN_POINTS = 1.0
"""Accuracy, in points, that must be lost for a task to count as forgotten."""
FORGOTTEN_NATS = 0.1
"""Loss that a classifier must have added for it to be told, though its accuracy did not fall."""
FEW = 10
"""Samples below which no component is named."""
FORGOTTEN_SHARE = 0.1
"""Of what is no classifier: the part of its error that must be added."""
MOST = 0.5
"""The share that makes one component the culprit, surely exceeded."""
TOGETHER = 0.8
"""The share that makes two components the culprits together."""
OPPOSED = -0.5
"""The share of a component below which it takes back what others add, and no part is to blame."""
NEXT = 0.75
"""The part of the largest share from which on the next one counts as much."""
UNCLEAR = 0.25
"""Standard error of the largest share from which on the samples do not tell."""
CANCELLED = 0.2
"""The part of the harm done alone that may be left where two components cancel."""
CERTAIN = 3.0
"""Standard errors that make a change certain."""
WIDTH = 1.96
"""Standard errors on each side of an interval of 95 %."""


@dataclass(frozen=True)
class Verdict:
    """What is to be said of one task.

    Attributes:
        sentence: In words, with 95 % intervals.
        culprits: The components that most of the forgetting comes from; () if there is none.
        kind: "none": nothing was forgotten; "unclear": the samples do not tell; "opposed": some
            components take back much of what others add; "spread": none stands out; "together":
            two do; else the one culprit is the "head", a
            "layer", "normalization statistics" or "embeddings".
        features: "intact", "turned" (the culprit is a layer, and they are the
            same but for a rotation, shift or scale), "lost" or "unknown".
        cancelling: Pairs of components that each would do harm alone, and do none together.
        cure: What to try; "" if nothing follows.
    """

    sentence: str
    culprits: tuple[str, ...] = ()
    kind: str = "none"
    features: str = "unknown"
    cancelling: tuple[tuple[str, str], ...] = ()
    cure: str = ""


def give_verdict(findings: TaskFindings) -> Verdict:
    """The verdict on one task.

    A component is the culprit if more than half of the forgetting comes from it, by the whole
    width of the 95 % interval of its Shapley share, and no other has nearly as much; or, where
    parts took back what others added, if it alone, put back, wins back most of what was lost.
    """
    attribution, task = findings.attribution, capital(findings.task)
    cancelling = _cancelling(attribution)
    also = "".join(_of_pair(c, d, attribution) for c, d in cancelling)
    if not _is_forgotten(findings):
        return Verdict(_nothing(findings) + also, cancelling=cancelling)
    if 0 < findings.n_samples < FEW or attribution.forgetting <= 0:
        return Verdict(_untold(findings) + also, kind="unclear", cancelling=cancelling)
    also = _of_layers(findings.layers) + also
    shares = sorted(attribution.shares.items(), key=lambda item: -item[1])
    (first, share), *others = shares
    error = error_of_share(attribution, first)
    lost, of_first = _what_was_lost(findings), _percent(share, error)
    verdict = Verdict("", features=state_of_features(findings), cancelling=cancelling)
    if error > UNCLEAR:
        sentence = (
            f"{task} {lost}, but the {findings.over} do not tell which part forgot it: {first} "
            f"has the largest share, {of_first}. Give more {findings.over}.{also}"
        )
        return replace(verdict, sentence=sentence, kind="unclear")
    won_back = {c: won / attribution.forgetting for c, won in attribution.recovered.items()}
    if shares[-1][1] < OPPOSED:
        (last, least), best = shares[-1], max(won_back, key=lambda name: won_back[name])
        against = (
            f"{task} {lost}; its parts moved against each other: {first} adds {of_first} of that "
            f"and {last} takes {-100 * least:.0f} % back"
        )
        if won_back[best] >= TOGETHER:
            said = f"{against}; {best} alone, put back, wins back {100 * won_back[best]:.0f} %"
            return _with_culprit(verdict, findings, best, said, also, won_back[best])
        sentence = (
            f"{against}, so no part is to blame by itself"
            f"{said_of_features(findings, verdict.features)}.{also}"
        )
        return replace(verdict, sentence=sentence, kind="opposed", cure=CURES["shared"])
    second, next_share = others[0] if others else ("", 0.0)
    surely = share - WIDTH * (0.0 if math.isnan(error) else error)
    if not others or (surely > MOST and next_share < NEXT * share):
        said = f"{task} {lost}: {of_first} of it comes from {first}"
        return _with_culprit(verdict, findings, first, said, also, won_back[first])
    cure = CURES["new head" if verdict.features == "intact" else "shared"]
    tail = f"{said_of_features(findings, verdict.features)}.{also}"
    third = others[1][1] if others[1:] else 0.0
    if share + next_share >= TOGETHER and third < next_share / 2:
        both = f"{first} ({of_first}) and {second} ({100 * next_share:.0f} %)"
        sentence = f"{task} {lost}; it comes from {both} together{tail}"
        culprits = first, second
        return replace(verdict, sentence=sentence, culprits=culprits, kind="together", cure=cure)
    sentence = (
        f"{task} {lost}; no single part forgot it: the largest share, {of_first}, is that of "
        f"{first}, then {second} with {100 * next_share:.0f} %{tail}"
    )
    return replace(verdict, sentence=sentence, kind="spread", cure=cure)


def _with_culprit(
    verdict: Verdict, findings: TaskFindings, culprit: str, said: str, also: str, won_back: float
) -> Verdict:
    """The verdict that one component is to blame, by what happened to it."""
    kind = findings.kinds[culprit]
    if kind == "layer" and verdict.features == "intact":
        is_turned = findings.feature_change <= TURNED
        verdict = replace(verdict, features="turned" if is_turned else "intact")
    what, cure = of_culprit(kind, verdict.features, findings)
    if culprit == REST:
        what, cure = "that is all that no component has", "name more components"
    elif won_back < MOST and kind in ("head", "layer"):
        what = "; ".join(
            filter(None, [what, f"put back alone, it wins back {100 * won_back:.0f} %"])
        )
        cure = CURES["shared"]
    sentence = f"{said}{what and f'; {what}'}.{also}"
    return replace(verdict, sentence=sentence, culprits=(culprit,), kind=kind, cure=cure)


def headline_of(verdicts: Sequence[tuple[TaskFindings, Verdict]]) -> str:
    """The verdict on the task that lost most."""
    if not verdicts:
        return "One task was learned: there was nothing to forget."
    forgotten = [pair for pair in verdicts if pair[1].kind != "none"]
    if not forgotten:
        only = verdicts[0][1].sentence
        return only if len(verdicts) == 1 else "No task lost anything that counts."
    _, worst = max(forgotten, key=lambda pair: pair[0].attribution.forgetting)
    return worst.sentence


def capital(text: str) -> str:
    """A text as a sentence or heading begins."""
    return text[:1].upper() + text[1:]


def _is_forgotten(findings: TaskFindings) -> bool:
    """Of a classifier by its accuracy, of others by their error."""
    if findings.accuracy is None:
        attribution = findings.attribution
        forgetting, error = attribution.forgetting, attribution.forgetting_error
        is_certain = forgetting > CERTAIN * (0.0 if math.isnan(error) else error)
        return is_certain and forgetting > FORGOTTEN_SHARE * abs(attribution.before)
    before, after = findings.accuracy
    spread = 0.0 if math.isnan(findings.accuracy_error) else findings.accuracy_error
    return before - after >= max(FORGOTTEN_POINTS, WIDTH * spread)


def _nothing(findings: TaskFindings) -> str:
    attribution, task = findings.attribution, capital(findings.task)
    if attribution.forgetting == 0:
        return f"{task} lost nothing: its error is the same to the last bit."
    if findings.accuracy is not None:
        before, after = findings.accuracy
        if before - after >= FORGOTTEN_POINTS:
            return (
                f"{task} lost nothing that is certain: its accuracy fell from "
                f"{before:.1f} to {after:.1f} %, by {before - after:.1f} ± "
                f"{WIDTH * findings.accuracy_error:.1f} points. Give more {findings.over}."
            )
        accuracy = f"its accuracy was {before:.1f} % and is {after:.1f} %"
        if attribution.forgetting > FORGOTTEN_NATS:
            return (
                f"{task} kept its accuracy, it was {before:.1f} % and is {after:.1f} %, but "
                f"{_less_sure(attribution)}."
            )
        change = f"{attribution.forgetting:+.2g}"
        return f"{task} lost nothing that counts: {accuracy}, its loss changed by {change}."
    return (
        f"{task} lost nothing that counts: its error was {attribution.before:.3g} and is "
        f"{attribution.after:.3g}."
    )


def _less_sure(attribution: Attribution) -> str:
    """Of a classifier that is right as often as before, at a larger loss."""
    first = max(attribution.shares, key=lambda name: attribution.shares[name])
    share = _percent(attribution.shares[first], error_of_share(attribution, first))
    return (
        f"it is less sure of itself: the loss rose by {attribution.forgetting:.2g}, {share} of it "
        f"by {first}"
    )


def _untold(findings: TaskFindings) -> str:
    """Forgotten, but shares do not say by which part."""
    start = f"{capital(findings.task)} {_what_was_lost(findings)}, but"
    if findings.n_samples < FEW:
        return (
            f"{start} {findings.n_samples} samples are too few to tell which part forgot it: give "
            f"{FEW} at least."
        )
    return (
        f"{start} its loss did not rise, so shares in the loss do not tell which part forgot it: "
        "measure errors, with criterion=lambda output, y: (output.argmax(dim=1) != y).float()."
    )


def _what_was_lost(findings: TaskFindings) -> str:
    attribution = findings.attribution
    error = attribution.forgetting_error
    width = "" if math.isnan(error) else f" ± {WIDTH * error:.2g}"
    loss = f"{attribution.forgetting:+.3g}{width}"
    if findings.accuracy is None:
        return f"lost: its error rose from {attribution.before:.3g} by {loss}"
    before, after = findings.accuracy
    return f"fell from {before:.1f} to {after:.1f} % (loss {loss})"


def _cancelling(attribution: Attribution) -> tuple[tuple[str, str], ...]:
    """Pairs of which each would do much harm alone, and both together do next to none."""
    alone, scale = attribution.alone, max([*map(abs, attribution.alone.values()), 0.0])
    least = max(scale / 10, abs(attribution.before) / 4)
    return tuple(
        (c, d)
        for c, row in attribution.pairs.items()
        for d, both in row.items()
        if c < d and min(alone[c], alone[d]) > least and both <= CANCELLED * min(alone[c], alone[d])
    )


def _of_layers(layers: Attribution | None) -> str:
    """Where in the task's own network it was lost, if a hypernetwork writes that."""
    if layers is None:
        return ""
    first = max(layers.shares, key=lambda name: layers.shares[name])
    share = _percent(layers.shares[first], error_of_share(layers, first))
    return f" Of the layers of its network {first} has the largest share, {share}."


def _of_pair(c: str, d: str, attribution: Attribution) -> str:
    return (
        f" {c} and {d} cancel each other: alone they would add {attribution.alone[c]:.2g} and "
        f"{attribution.alone[d]:.2g}, together {attribution.pairs[c][d]:.2g}."
    )


def error_of_share(attribution: Attribution, component: str) -> float:
    """The standard error of a component's share; NaN if it is not known."""
    is_known = not math.isnan(attribution.forgetting_error)
    return attribution.share_error[component] if is_known else math.nan


def _percent(share: float, error: float) -> str:
    width = 100 * WIDTH * error
    return f"{100 * share:.0f} %" + ("" if math.isnan(width) else f" (± {width:.{width < 1:d}f})")

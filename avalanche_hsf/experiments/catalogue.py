"""What can be named, and what is known of it without torch: the content of `catalogue.json`.

The registries have the last word: a test compares the file with them, and `python -m
avalanche_hsf.experiments.commands.write_catalogue` writes it anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

PATH = Path(__file__).with_suffix(".json")


class BenchmarkFacts(NamedTuple):
    """Fields of a `Problem`."""

    name: str
    about: str
    latent_dim: int
    data: Sequence[str]


class LearnerFacts(NamedTuple):
    """Fields of a `Learner`."""

    about: str
    group: str
    autoencodes: bool
    jointly: bool


class PresetFacts(NamedTuple):
    """Of a `Preset`: where it comes from, and its hyperparameters, see `values_of`."""

    source: str
    values: Mapping[str, float]


class Catalogue(NamedTuple):
    """Facts by name, in the order of the registries; of a metric its line."""

    benchmarks: Mapping[str, BenchmarkFacts]
    learners: Mapping[str, LearnerFacts]
    presets: Mapping[str, PresetFacts]
    metrics: Mapping[str, str]


@cache
def catalogue() -> Catalogue:
    """The content of the file."""
    kinds = json.loads(PATH.read_text(encoding="utf-8"))
    return Catalogue(
        {name: BenchmarkFacts(**facts) for name, facts in kinds["benchmarks"].items()},
        {name: LearnerFacts(**facts) for name, facts in kinds["learners"].items()},
        {name: PresetFacts(**facts) for name, facts in kinds["presets"].items()},
        kinds["metrics"],
    )


def text_of(content: Catalogue) -> str:
    """The text of the file, with a line for each name."""
    kinds = []
    for kind, entries in content._asdict().items():
        plain = {n: f if isinstance(f, str) else f._asdict() for n, f in entries.items()}
        lines = [f"  {json.dumps(n)}: {json.dumps(f)}" for n, f in plain.items()]
        kinds.append(f'"{kind}": {{\n' + ",\n".join(lines) + "\n}")
    return "{\n" + ",\n".join(kinds) + "\n}\n"

"""The catalogue as the registries have it; run as a program, writes it where commands read it."""

from __future__ import annotations

import inspect

from avalanche_hsf import evaluation
from avalanche_hsf.experiments.catalogue import (
    PATH,
    BenchmarkFacts,
    Catalogue,
    LearnerFacts,
    PresetFacts,
    text_of,
)
from avalanche_hsf.experiments.learners import LEARNERS
from avalanche_hsf.experiments.runs.named import BENCHMARKS
from avalanche_hsf.training import PRESETS
from avalanche_hsf.training.hyperparameters import values_of


def catalogue_of_registries() -> Catalogue:
    """Every benchmark, learner, preset and metric."""
    public = {name: getattr(evaluation, name) for name in evaluation.__all__}
    return Catalogue(
        {
            name: BenchmarkFacts(**{f: getattr(problem, f) for f in BenchmarkFacts._fields})
            for name, problem in BENCHMARKS.items()
        },
        {
            name: LearnerFacts(**{f: getattr(learner, f) for f in LearnerFacts._fields})
            for name, learner in LEARNERS.items()
        },
        {name: PresetFacts(preset.source, values_of(name)) for name, preset in PRESETS.items()},
        {
            name: (inspect.getdoc(thing) or "").split("\n")[0]
            for name, thing in public.items()
            if hasattr(thing, "__name__")
        },
    )


if __name__ == "__main__":
    PATH.write_text(text_of(catalogue_of_registries()), encoding="utf-8")

"""Small runs, for tests of what commands do with runs whatever these learn."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from avalanche_hsf.benchmarks import SyntheticManifolds
from avalanche_hsf.experiments import BENCHMARKS
from avalanche_hsf.training import PRESETS

SMALL = {
    **{"hidden_dim": 16, "flow_layers": 2, "flow_hidden_dim": 16, "sde_hidden_dim": 16},
    **{"encoder_steps": 2, "decoder_steps": 2},
}


def few_samples(seed):
    return SyntheticManifolds(40)


@contextmanager
def small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, preset in PRESETS.items():
            patch.setitem(PRESETS, name, replace(preset, model={**preset.model, **SMALL}))
        curves = replace(BENCHMARKS["synthetic"], make=few_samples)
        patch.setitem(BENCHMARKS, "synthetic", curves)
        yield


@pytest.fixture
def small_runs():
    """Every preset with a narrow network, few samples in synthetic; in this process alone."""
    with small():
        yield


@pytest.fixture(scope="module")
def small_runs_of_module():
    """The same for all tests of a module."""
    with small():
        yield

"""Presets with small networks, for what commands do with runs whatever they have learned."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from avalanche_hsf.training import PRESETS

SMALL = {"hidden_dim": 16, "flow_layers": 2, "flow_hidden_dim": 16, "sde_hidden_dim": 16}


@contextmanager
def small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, preset in PRESETS.items():
            patch.setitem(PRESETS, name, replace(preset, model={**preset.model, **SMALL}))
        yield


@pytest.fixture
def small_presets():
    """Every preset with a narrow network, in this process alone."""
    with small():
        yield


@pytest.fixture(scope="module")
def small_presets_of_module():
    """The same for all tests of a module."""
    with small():
        yield

"""Models without what a plugin needs, and plugins that contradict each other.

Each is an error before the first training step, not in the middle of a run.
"""

import pytest
from under_naive import naive, parameters, small, stream

from avalanche_hsf.models import MLPAutoencoder
from avalanche_hsf.training import (
    CosineRestartPlugin,
    DecayToStartPlugin,
    DetachedLikelihoodPlugin,
    DiffusionFloorPlugin,
    EmbeddingTablePlugin,
    FreezeEmbeddingsPlugin,
    FreezeSharedPlugin,
    InputNoisePlugin,
    LatentReplayPlugin,
    OutputRegularizerPlugin,
    RawReplayPlugin,
    SeparationPlugin,
    WarmStartPlugin,
)

EVERY = [
    CosineRestartPlugin,
    DecayToStartPlugin,
    DetachedLikelihoodPlugin,
    DiffusionFloorPlugin,
    EmbeddingTablePlugin,
    FreezeEmbeddingsPlugin,
    FreezeSharedPlugin,
    InputNoisePlugin,
    LatentReplayPlugin,
    OutputRegularizerPlugin,
    RawReplayPlugin,
    SeparationPlugin,
    WarmStartPlugin,
]
WORK_WITH_ANY_MODEL = {
    CosineRestartPlugin,
    DecayToStartPlugin,
    InputNoisePlugin,
    RawReplayPlugin,
}


def assert_refused(error, message, *plugins, model):
    strategy = naive(*plugins, model=model)
    before = parameters(model)
    with pytest.raises(error, match=message):
        strategy.train(stream(5)[0])
    assert strategy.clock.train_iterations == 0
    after = parameters(model)
    assert all(p.equal(after[name]) for name, p in before.items() if name in after)


@pytest.mark.parametrize("plugin", EVERY)
def test_a_model_without_what_a_plugin_needs(plugin):
    if plugin in WORK_WITH_ANY_MODEL:
        naive(plugin(), model=MLPAutoencoder(3)).train(stream(5)[:2])
    else:
        message = f"{plugin.__name__} needs a .*MLPAutoencoder"
        assert_refused(TypeError, message, plugin(), model=MLPAutoencoder(3))


@pytest.mark.parametrize("plugin", EVERY)
def test_the_same_plugin_twice(plugin):
    message = f"{plugin.__name__} is among the plugins twice"
    assert_refused(ValueError, message, plugin(), plugin(), model=small())


@pytest.mark.parametrize(
    ("plugins", "kind", "message"),
    [
        (
            [EmbeddingTablePlugin, FreezeEmbeddingsPlugin],
            "paper",
            "FreezeEmbeddingsPlugin and EmbeddingTablePlugin contradict each other",
        ),
        (
            [FreezeEmbeddingsPlugin, EmbeddingTablePlugin],
            "paper",
            "FreezeEmbeddingsPlugin and EmbeddingTablePlugin contradict each other",
        ),
        (
            [OutputRegularizerPlugin],
            "isolated",
            "OutputRegularizerPlugin and IsolatedHyperNetwork contradict each other",
        ),
        (
            [OutputRegularizerPlugin],
            "delta",
            "OutputRegularizerPlugin and DeltaHyperNetwork contradict each other",
        ),
    ],
)
def test_contradictions(plugins, kind, message):
    assert_refused(ValueError, message, *(plugin() for plugin in plugins), model=small(kind))


@pytest.mark.parametrize("kind", ["isolated", "delta"])
@pytest.mark.parametrize("plugin", [SeparationPlugin, EmbeddingTablePlugin, FreezeEmbeddingsPlugin])
def test_a_hypernetwork_without_learned_embeddings(plugin, kind):
    message = f"{plugin.__name__} needs a model with learned task embeddings"
    assert_refused(TypeError, message, plugin(), model=small(kind))

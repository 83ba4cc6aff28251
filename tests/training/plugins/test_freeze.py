"""FreezeSharedPlugin and FreezeEmbeddingsPlugin."""

import pytest
import torch
from under_naive import naive, parameters, small, stream, with_momentum

from avalanche_hsf.training import FreezeEmbeddingsPlugin, FreezeSharedPlugin, SeparationPlugin


def moved(before, after):
    return {name for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize("trainable", [(), ("flow.", "encoder_sde.diffusion")])
@pytest.mark.parametrize("train_mb_size", [100, 7])
def test_shared_parameters_stay_as_the_first_experience_left_them(trainable, train_mb_size):
    model = small()
    start = parameters(model)
    strategy = naive(
        FreezeSharedPlugin(trainable),
        model=model,
        optimizer=with_momentum(model),
        train_mb_size=train_mb_size,
    )
    strategy.train(stream()[0])
    first = parameters(model)
    # Without a likelihood nothing reaches the flow.
    assert {name for name in start if name not in moved(start, first)} == {
        name for name in start if name.startswith("flow.") or name.endswith(".anchor")
    }
    strategy.train(stream()[1:3])
    now_moved = moved(first, parameters(model))
    shared = {name for name in now_moved if not name.startswith("hypernetwork.")}
    assert all(name.startswith(trainable) for name in shared)
    assert any("diffusion" in name for name in shared) == bool(trainable)
    assert any(name.startswith("hypernetwork.generators") for name in now_moved)


def test_a_model_that_comes_with_old_tasks_is_frozen_from_the_start():
    model = small()
    naive(model=model).train(stream()[0])
    other = small()
    other.load_state_dict(model.state_dict())
    before = parameters(other)
    naive(FreezeSharedPlugin(), model=other, optimizer=with_momentum(other)).train(stream()[1])
    assert all(name.startswith("hypernetwork.") for name in moved(before, parameters(other)))


def test_a_misspelt_prefix():
    strategy = naive(FreezeSharedPlugin(("flows.",)))
    with pytest.raises(ValueError, match=r"no parameter's name begins with 'flows\.'"):
        strategy.train(stream()[0])
    assert strategy.clock.train_iterations == 0
    with pytest.raises(TypeError, match="trainable must be a list of names"):
        FreezeSharedPlugin("flow.")


def test_embeddings_of_finished_tasks_stay_though_separation_pulls_at_them():
    model = small()
    plugins = SeparationPlugin(10.0), FreezeEmbeddingsPlugin()
    strategy = naive(*plugins, model=model, optimizer=with_momentum(model), train_epochs=3)
    embeddings = model.hypernetwork.task_embedding.embeddings
    finished = {}
    for task in (0, 1, 2):
        strategy.train(stream()[task])
        finished[task] = embeddings[task].detach().clone()
        assert all(torch.equal(embeddings[old], e) for old, e in finished.items())
    # A task that comes back is free again, the others are held.
    strategy.train(stream()[0])
    stayed = [torch.equal(embeddings[old], e) for old, e in finished.items()]
    assert stayed == [False, True, True]


def test_without_freezing_separation_moves_them():
    model = small()
    strategy = naive(SeparationPlugin(10.0), model=model, optimizer=with_momentum(model))
    embedding = model.hypernetwork.task_embedding
    strategy.train(stream()[0])
    before = embedding([0]).detach().clone()
    strategy.train(stream()[1])
    assert not torch.equal(embedding([0]), before)

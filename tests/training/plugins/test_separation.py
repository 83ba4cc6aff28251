"""SeparationPlugin."""

import math

import pytest
from under_naive import Added, naive, small, stream

from avalanche_hsf.training import SeparationPlugin


def test_it_adds_the_sum_over_all_pairs_of_a_current_and_another_task():
    watch, model = Added(), small()
    strategy = naive(SeparationPlugin(1.5), watch, model=model)
    embeddings = model.hypernetwork.task_embedding
    for task, experience in enumerate(stream()[:3]):
        model.pre_adapt(None, experience)  # so that the start of its embedding is known
        e = embeddings(list(range(task + 1))).detach()
        pairs = [math.exp(-float((e[task] - e[k]).norm())) for k in range(task)]
        strategy.train(experience)
        assert abs(watch.values[task] - 1.5 * sum(pairs)) < 1e-5


def test_it_drives_embeddings_apart():
    model = small()
    strategy = naive(SeparationPlugin(100.0), model=model, train_epochs=40)
    embeddings = model.hypernetwork.task_embedding
    strategy.train(stream(5)[0])
    first = embeddings([0]).detach().clone()
    strategy.train(stream(5)[1])
    e0, e1 = embeddings([0, 1]).detach()
    assert float((e0 - e1).norm()) > 0.3  # two draws of N(0, 0.02^2 I) are 0.11 apart
    assert not (e0 == first[0]).all()


def test_bad_weight():
    with pytest.raises(ValueError, match="at least 0"):
        SeparationPlugin(-1)

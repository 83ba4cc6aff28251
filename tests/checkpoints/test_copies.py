"""A strategy copied or pickled as a whole trains on as itself."""

import copy
import io

import pytest
import torch
from pipelines import HSF, PIPELINES, equal, result_of


def pickled(strategy):
    file = io.BytesIO()
    torch.save(strategy, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("copied", [copy.deepcopy, pickled])
@pytest.mark.parametrize(
    "name",
    [
        *(pytest.param(n, marks=pytest.mark.slow) if n == "repaired" else n for n in HSF),
        "isolated soap ",
        "delta adam replay",
    ],
)
def test_a_whole_strategy_is_copied(name, copied):
    strategy, stream = PIPELINES[name]()
    for experience in stream.train_stream[:2]:
        strategy.train(experience)
        strategy.eval(stream.test_stream)
    other, state = copied(strategy), torch.random.get_rng_state()

    def end(of):
        torch.random.set_rng_state(state)
        of.train(stream.train_stream[2])
        of.eval(stream.test_stream)
        return result_of(of)

    assert equal(end(other), end(strategy))

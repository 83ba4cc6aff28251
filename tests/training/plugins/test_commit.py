"""CommitPlugin: what is evaluated after an experience is what is kept."""

import pytest
import torch
from torch import nn
from under_naive import naive, stream

from avalanche_hsf.models import TaskConditional
from avalanche_hsf.training import CommitPlugin


@pytest.mark.parametrize("commits", [True, False])
def test_the_next_experience_changes_nothing(commits):
    module = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 3))
    options = {"adapter": "low-rank", "size": 2, "bits": 4}
    model = TaskConditional(module, hypernetwork="delta", hypernetwork_options=options, seed=0)
    strategy = naive(*([CommitPlugin()] if commits else []), model=model, train_epochs=5)
    x = torch.rand(6, 3)
    first, second, third = stream()[:3]
    strategy.train([first, second])
    before = model.eval()(x, 1)
    strategy.train(third)
    assert torch.equal(model.eval()(x, 1), before) == commits


def test_a_model_without_a_hypernetwork():
    with pytest.raises(TypeError, match="CommitPlugin needs a model with a hypernetwork"):
        naive(CommitPlugin(), model=nn.Linear(3, 3)).train(stream()[0])

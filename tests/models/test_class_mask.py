"""ClassMask, and masking= of the models that have it: a head for each task."""

import pytest
import torch
from avalanche.models import MultiHeadClassifier
from avalanche.training import JointTraining, Naive
from avalanche.training.plugins import EvaluationPlugin
from torch import nn

from avalanche_hsf.benchmarks import PolynomialRegression, SplitDigits
from avalanche_hsf.models import ClassMask, HypernetSDEFlow, TaskConditional, TaskGroups


def masked_model(**options):
    return TaskConditional(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), masking=True, **options)


def train(model, experiences, strategy=Naive, criterion=None):
    strategy(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=1e-2),
        criterion=criterion or nn.CrossEntropyLoss(),
        train_mb_size=64,
        evaluator=EvaluationPlugin(loggers=[]),
    ).train(experiences)
    return model.eval()


@pytest.mark.parametrize("strategy", [Naive, JointTraining])
def test_each_task_has_the_classes_it_was_trained_on(strategy):
    benchmark = SplitDigits(5, seed=0)
    model = train(masked_model(), benchmark.train_stream, strategy)
    x = torch.rand(5, 1, 8, 8)
    t = torch.tensor([0, 4, 1, 1, 3])
    for row, task in zip(model(x, t), t.tolist(), strict=True):
        own = sorted(benchmark.train_stream[task].classes_in_this_experience)
        assert (row > ClassMask.VALUE).nonzero().flatten().tolist() == own


def test_it_masks_what_avalanches_heads_mask():
    experience = SplitDigits(5, seed=0).train_stream[2]
    head = MultiHeadClassifier(4, initial_out_features=10)
    head.adaptation(experience)
    theirs = head(torch.rand(3, 4), torch.full((3,), 2))
    ours = train(masked_model(), experience)(torch.rand(3, 1, 8, 8), 2)
    assert torch.equal(theirs == head.mask_value, ours == ClassMask.VALUE)


def test_a_task_never_trained_is_not_masked():
    model = train(masked_model(), SplitDigits(5).train_stream[0])
    assert (model(torch.rand(2, 1, 8, 8), 3) > ClassMask.VALUE).all()


def test_it_is_saved():
    model = train(masked_model(seed=0), SplitDigits(5).train_stream[:2])
    other = masked_model(seed=1)
    other.load_state_dict(model.state_dict())
    x, t = torch.rand(4, 1, 8, 8), torch.tensor([0, 1, 1, 0])
    assert torch.equal(other.eval()(x, t), model(x, t))


def test_what_cannot_be_masked():
    mask = ClassMask()
    mask.add_classes(0, [7])
    with pytest.raises(ValueError, match=r"task 0 has class 7, but the module gives 5 scores"):
        mask(torch.zeros(2, 5), TaskGroups([0]))
    with pytest.raises(ValueError, match=r"scores of shape \(n, n_classes\), got \(2, 5, 3\)"):
        mask(torch.zeros(2, 5, 3), TaskGroups([0]))
    model = TaskConditional(nn.Linear(1, 1), masking=True)
    with pytest.raises(ValueError, match="needs class labels"):
        train(model, PolynomialRegression().train_stream[0], criterion=nn.MSELoss())
    with pytest.raises(ValueError, match="give output_dim"):
        HypernetSDEFlow(3, masking=True)

"""A recognizer and a classifier as one: what it passes through, and what it refuses."""

import pytest
import torch
from avalanche.training import Naive
from avalanche.training.plugins import EvaluationPlugin
from torch import nn

from avalanche_hsf.benchmarks import SplitDigits
from avalanche_hsf.inference import ClassIncremental, ReconstructionScore, TaskRecognizer
from avalanche_hsf.models import HypernetSDEFlow, TaskConditional


def _parts(n_tasks=2, classes=()):
    torch.manual_seed(0)
    recognizer = TaskRecognizer(HypernetSDEFlow(64, seed=0), ReconstructionScore())
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    classifier = TaskConditional(network, masking=True, seed=0)
    for task in range(n_tasks):
        for model in (recognizer.model, classifier):
            model.hypernetwork.add_task(task)
            model.known_train_tasks_labels.add(task)
        classifier.mask.add_classes(task, [2 * task, 2 * task + 1])
        of_task = classes[task] if classes else ()
        recognizer.calibrate(task, torch.rand(40, 1, 8, 8), classes=of_task)
    return recognizer, classifier


def test_what_is_of_no_task_has_no_class():
    recognizer, classifier = _parts()
    both, x = ClassIncremental(recognizer, classifier), torch.rand(60, 1, 8, 8)
    x[30:] = 1e3 * torch.randn(30, 1, 8, 8)
    assert torch.equal(both.novelty(x), recognizer.novelty(x))
    away = recognizer.infer_tasks(x, unknown=0.3) == -1
    classes = both.predict(x, unknown=0.3)
    assert 0 < away.sum() < len(x)
    assert torch.equal(classes == -1, away)
    assert torch.equal(classes[~away], both.predict(x)[~away])


def test_it_is_not_trained_itself():
    both = ClassIncremental(*_parts())
    before = {k: v.clone() for k, v in both.state_dict().items() if isinstance(v, torch.Tensor)}
    strategy = Naive(
        model=both,
        optimizer=torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1),
        evaluator=EvaluationPlugin(loggers=[]),
    )
    with pytest.raises(ValueError, match="not trained itself"):
        strategy.train(SplitDigits(5).train_stream[0])
    after = both.state_dict()
    assert all(torch.equal(before[k].nan_to_num(), after[k].nan_to_num()) for k in before)
    strategy.eval(SplitDigits(5).test_stream[:1])


def test_parts_of_streams_with_other_classes():
    x = torch.rand(3, 1, 8, 8)
    ClassIncremental(*_parts(classes=[(0, 1), (2, 3)]))(x)
    with pytest.raises(ValueError, match=r"task 0 has the classes \[8, 9\] in the recognizer"):
        ClassIncremental(*_parts(classes=[(8, 9), (2, 3)]))(x)


def test_classes_are_part_of_the_state():
    recognizer, classifier = _parts(classes=[(8, 9), (2, 3)])
    other, _ = _parts()
    other.load_state_dict(recognizer.state_dict())
    with pytest.raises(ValueError, match="task 0 has the classes"):
        ClassIncremental(other, classifier)(torch.rand(3, 1, 8, 8))


def test_a_task_of_the_classifier_alone_is_refused():
    recognizer, classifier = _parts()
    classifier.hypernetwork.add_task(2)
    both, x = ClassIncremental(recognizer, classifier), torch.rand(3, 1, 8, 8)
    for ask in (both, both.predict, both.predict_proba):
        with pytest.raises(ValueError, match="task 2 is of one alone"):
            ask(x)
    before = {k: v.clone() for k, v in both.state_dict().items() if isinstance(v, torch.Tensor)}
    state = ClassIncremental(*_parts()).state_dict()
    del state["classifier.hypernetwork._extra_state"]
    with pytest.raises((RuntimeError, ValueError)):
        both.load_state_dict(state)
    after = both.state_dict()
    assert all(torch.equal(before[k].nan_to_num(), after[k].nan_to_num()) for k in before)

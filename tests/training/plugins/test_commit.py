"""CommitPlugin: what is evaluated after an experience is what is kept."""

import warnings

import pytest
import torch
from torch import nn
from under_naive import naive, stream

from avalanche_hsf.benchmarks import SplitDigits
from avalanche_hsf.inference import TaskRecognizer
from avalanche_hsf.models import TaskConditional
from avalanche_hsf.training import CommitPlugin, HSFStrategy, TaskInferencePlugin


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


def classifier(*plugins, **options):
    model = TaskConditional(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), seed=0)
    return naive(CommitPlugin(), *plugins, model=model, criterion=nn.CrossEntropyLoss(), **options)


def warnings_of(strategy, experiences):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for experience in experiences:
            strategy.train(experience)
    return [str(w.message) for w in caught if "second experience" in str(w.message)]


def test_a_stream_without_labels_is_warned_of():
    unlabelled = SplitDigits(5, return_task_id=False).train_stream
    (warning, *_) = warnings_of(classifier(), unlabelled[:2])
    assert "task label 0, as all samples so far: its task is trained again" in warning
    assert "task_incremental_benchmark" in warning and "TaskInferencePlugin" in warning


def test_no_warning_where_labels_tell_tasks_apart():
    labelled = SplitDigits(5).train_stream
    assert warnings_of(classifier(), labelled[:3]) == []
    assert warnings_of(classifier(), [labelled[0], labelled[0]]) == []


@pytest.mark.parametrize("new_task", ["experience", "novelty"])
def test_no_warning_where_a_plugin_tells_tasks_apart(new_task):
    hsf = HSFStrategy.from_preset(input_dim=64, train_epochs=1, evaluator=None)
    plugin = TaskInferencePlugin(TaskRecognizer(hsf.model), hsf, new_task=new_task)
    strategy = classifier(plugin)
    assert warnings_of(strategy, SplitDigits(5, return_task_id=False).train_stream[:2]) == []

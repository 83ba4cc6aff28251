"""A calibration is refused once its task's weights have changed, and only then."""

import copy
import pickle
import warnings

import pytest
import torch
from torch import nn

from avalanche_hsf.inference import (
    AgreementScore,
    ReconstructionScore,
    SubspaceScore,
    TaskRecognizer,
)
from avalanche_hsf.inference.fingerprint import fingerprint
from avalanche_hsf.models import HypernetSDEFlow, MLPAutoencoder, TaskConditional

X = torch.rand(60, 4, generator=torch.Generator().manual_seed(0))


def _step(model, task, n=1):
    model.hypernetwork.begin([task])
    model.train()
    model.known_train_tasks_labels.add(task)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(n):
        optimizer.zero_grad()
        (model(X + task, task) - X - task).square().mean().backward()
        optimizer.step()


def _model(kind="isolated", module=None):
    torch.manual_seed(0)
    return TaskConditional(module or MLPAutoencoder(4), hypernetwork=kind, seed=0)


def _recognizer(kind="isolated", n_tasks=2, **options):
    recognizer = TaskRecognizer(_model(kind), ReconstructionScore(), **options)
    for task in range(n_tasks):
        _step(recognizer.model, task)
        recognizer.model.hypernetwork.commit()
        recognizer.calibrate(task, X + task)
    return recognizer


def _asked(recognizer, x=X):
    """All that goes by the calibration."""
    return (
        recognizer.task_probabilities(x),
        recognizer.novelty(x),
        recognizer.deviations(x),
        recognizer.share_below(x),
        recognizer.infer_tasks(x, unknown=0.1),
    )


@pytest.mark.parametrize("kind", ["isolated", "delta"])
def test_a_task_that_is_trained_again_must_be_calibrated_again(kind):
    recognizer = _recognizer(kind)
    _asked(recognizer)
    before = recognizer.infer_tasks(X)
    _step(recognizer.model, 1)
    for ask in ("task_probabilities", "novelty", "deviations", "share_below"):
        for _ in range(2):  # not only the first time
            with pytest.raises(ValueError, match="calibrate task 1 again"):
                getattr(recognizer, ask)(X)
    with pytest.raises(ValueError, match="calibrate task 1 again"):
        recognizer.infer_tasks(X, unknown=0.1)
    assert recognizer.infer_tasks(X).shape == before.shape  # goes by no calibration
    recognizer.model.hypernetwork.commit()
    recognizer.calibrate(1, X + 1)
    _asked(recognizer)


@pytest.mark.parametrize("kind", ["isolated", "delta"])
def test_later_tasks_copies_and_moves_leave_it_fresh(kind):
    recognizer = _recognizer(kind)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _step(recognizer.model, 2, n=3)
        _asked(recognizer)
        recognizer.model.hypernetwork.commit()
        _asked(recognizer)
        _asked(copy.deepcopy(recognizer))
        other = _recognizer(kind, n_tasks=1)
        other.load_state_dict(recognizer.state_dict())
        assert torch.equal(other.novelty(X), recognizer.novelty(X))
        recognizer.double()
        _asked(recognizer, X.double())


def test_it_is_pickled_as_it_is():
    recognizer = _recognizer()
    again = pickle.loads(pickle.dumps(recognizer.freshness))
    again.check(recognizer.calibration, (recognizer.model,))


def test_a_copy_is_refused_where_the_original_is():
    recognizer = _recognizer()
    _asked(recognizer)
    twin = copy.deepcopy(recognizer)
    _step(twin.model, 0)
    _asked(recognizer)
    with pytest.raises(ValueError, match="calibrate task 0 again"):
        twin.novelty(X)
    other = _recognizer()
    other.load_state_dict(twin.state_dict())
    with pytest.raises(ValueError, match="calibrate task 0 again"):
        other.novelty(X)


def test_a_hypernetwork_that_drifts_warns_once():
    recognizer = _recognizer("mlp", n_tasks=1)
    _asked(recognizer)
    _step(recognizer.model, 1)
    with pytest.warns(UserWarning, match="scores of earlier weights") as caught:
        for _ in range(2):
            _asked(recognizer)
            _step(recognizer.model, 1)
    assert len([w for w in caught if "earlier weights" in str(w.message)]) == 1


def test_weights_are_looked_at_only_where_one_was_written_to(monkeypatch):
    from avalanche_hsf.inference import freshness

    recognizer, calls = _recognizer(), []
    monkeypatch.setattr(
        freshness, "fingerprint", lambda *given: calls.append(1) or fingerprint(*given)
    )
    for _ in range(3):
        _asked(recognizer)
    assert len(calls) == 2  # of each task once
    _step(recognizer.model, 2)
    _asked(recognizer)
    assert len(calls) == 4


def test_what_no_model_is_asked_for_is_always_fresh():
    model = _model()
    _step(model, 0)
    recognizer = TaskRecognizer(model, SubspaceScore(2))
    recognizer.calibrate(0, X)
    _step(model, 0)
    _asked(recognizer)


def test_the_classifier_of_an_agreement_counts():
    classifier = _model(module=nn.Linear(4, 3))
    classifier.hypernetwork.begin([0])
    classifier.known_train_tasks_labels.add(0)
    model = _model()
    _step(model, 0)
    recognizer = TaskRecognizer(model, AgreementScore(classifier))
    recognizer.calibrate(0, X)
    _asked(recognizer)
    with torch.no_grad():
        for parameter in classifier.parameters():
            parameter.add_(0.1)
    with pytest.raises(ValueError, match="calibrate task 0 again"):
        _asked(recognizer)


def test_a_flow_with_shared_parts_warns():
    torch.manual_seed(0)
    model = HypernetSDEFlow(4, generated="autoencoder", seed=0)
    recognizer = TaskRecognizer(model, ReconstructionScore())
    _step(model, 0)
    recognizer.calibrate(0, X)
    with torch.no_grad():
        next(model.encoder_sde.parameters()).add_(0.1)
    with pytest.warns(UserWarning, match="earlier weights"):
        recognizer.novelty(X)


def test_few_samples_do_not_calibrate():
    recognizer = _recognizer()
    before = recognizer.novelty(X)
    with pytest.raises(ValueError, match="at least 2 samples"):
        recognizer.calibrate(0, X[:1])
    with pytest.raises(ValueError, match="held_out must hold at least 2"):
        recognizer.calibrate(0, X, held_out=X[:1])
    assert torch.equal(recognizer.novelty(X), before)
    with pytest.warns(UserWarning, match="calibrated with 5 samples"):
        recognizer.calibrate(0, X[:5])


def test_held_out_samples_set_the_thresholds():
    recognizer = _recognizer(n_tasks=1)
    others = X + 0.3
    recognizer.calibrate(0, X, held_out=others)
    away = (recognizer.infer_tasks(others, unknown=0.1) == -1).float().mean()
    assert away == pytest.approx(0.1, abs=0.04)
    with pytest.raises(ValueError, match=r"held_out must be \(n, 4\)"):
        recognizer.calibrate(0, X, held_out=torch.rand(30, 5))

"""A recognizer tells the task of a sample, and forgets nothing."""

import copy
import math

import pytest
import torch
from torch import nn

from avalanche_hsf.benchmarks import SyntheticManifolds
from avalanche_hsf.inference import (
    AgreementScore,
    ClassIncremental,
    EntropyScore,
    JointScore,
    LikelihoodScore,
    PrototypeScore,
    ReconstructionScore,
    SubspaceScore,
    TaskRecognizer,
)
from avalanche_hsf.models import HypernetSDEFlow, MLPAutoencoder, TaskConditional
from avalanche_hsf.training import HSFStrategy

N_TASKS = 3


def _samples(task):
    return torch.stack([item[0] for item in STREAM[task].dataset])


STREAM = list(SyntheticManifolds().train_stream)


def _trained(n_tasks=N_TASKS, **options):
    torch.manual_seed(0)
    strategy = HSFStrategy.from_preset(
        input_dim=3, seed=0, train_epochs=60, evaluator=None, **options
    )
    recognizer = TaskRecognizer(strategy.model)
    for task in range(n_tasks):
        strategy.train(STREAM[task], eval_streams=[])
        recognizer.calibrate(task, _samples(task))
    return strategy, recognizer


@pytest.fixture(scope="module")
def trained():
    return _trained()


@pytest.fixture
def recognizer(trained):
    return trained[1]


def test_the_task_of_each_sample_is_told(recognizer):
    for task in range(N_TASKS):
        right = (recognizer.infer_tasks(_samples(task)) == task).float().mean()
        assert right > 0.85


def test_an_autoencoder_in_a_task_conditional_is_a_recognizer_too():
    torch.manual_seed(0)
    model = TaskConditional(MLPAutoencoder(3, latent_dim=2), seed=0)
    for task in range(2):
        model.hypernetwork.begin([task])
        optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
        for _ in range(150):
            optimizer.zero_grad()
            (model(_samples(task), task) - _samples(task)).square().mean().backward()
            optimizer.step()
    model.hypernetwork.commit()
    recognizer = TaskRecognizer(model)
    for task in range(2):
        recognizer.calibrate(task, _samples(task))
    for task in range(2):
        assert (recognizer.infer_tasks(_samples(task)) == task).float().mean() > 0.9


def test_samples_that_share_a_task_share_the_answer(recognizer):
    x = _samples(1)[:25]
    labels = recognizer.infer_tasks(x, group_size=10)
    assert all(len(set(labels[i : i + 10].tolist())) == 1 for i in (0, 10, 20))
    single, grouped = recognizer.scores(x), recognizer.scores(x, 10)
    torch.testing.assert_close(grouped[20:], single[20:].mean(dim=0).expand(5, -1))


@pytest.mark.slow
def test_scores_of_finished_tasks_do_not_move():
    strategy, recognizer = _trained(2)
    x = torch.cat([_samples(0), _samples(1)])
    before = recognizer.scores(x)
    strategy.train(STREAM[2], eval_streams=[])
    recognizer.calibrate(2, _samples(2))
    # In reconstructions, to 1e-6; the score is their logarithm, which blows up the smallest.
    torch.testing.assert_close(recognizer.scores(x)[:, :2], before, rtol=1e-3, atol=2e-2)
    assert recognizer.tasks == [0, 1, 2]


def test_asking_gives_the_same_answer_and_changes_nothing(trained):
    strategy, recognizer = trained
    x, state = _samples(0), copy.deepcopy(strategy.model.state_dict())
    strategy.model.train()
    first = recognizer.scores(x)
    assert strategy.model.training
    assert torch.equal(recognizer.scores(x), first)
    after = strategy.model.state_dict()
    assert all(torch.equal(state[k], after[k]) for k in state if isinstance(state[k], torch.Tensor))


def test_a_recognizer_is_saved_and_loaded(recognizer):
    other = TaskRecognizer(HypernetSDEFlow(3, seed=1))
    other.load_state_dict(recognizer.state_dict())
    x = torch.cat([_samples(task) for task in range(N_TASKS)])
    assert other.tasks == recognizer.tasks
    assert torch.equal(other.infer_tasks(x), recognizer.infer_tasks(x))
    assert torch.equal(other.share_below(x), recognizer.share_below(x))


def test_prototypes_are_saved_and_loaded(trained):
    first = TaskRecognizer(trained[0].model, first=PrototypeScore(), keep=1)
    for task in range(N_TASKS):
        first.calibrate(task, _samples(task))
    other = TaskRecognizer(HypernetSDEFlow(3, seed=1), first=PrototypeScore(), keep=1)
    other.load_state_dict(first.state_dict())
    assert torch.equal(other.scores(_samples(1)), first.scores(_samples(1)))


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2])
def test_so_many_of_a_tasks_own_samples_are_turned_away(recognizer, share):
    own = _samples(2)
    away = (recognizer.infer_tasks(own, unknown=share) == -1).float().mean()
    assert away == pytest.approx(share, abs=0.03)


def test_what_is_of_no_task_is_newer_and_turned_away(recognizer):
    foreign = 3 * torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    own = torch.cat([_samples(task) for task in range(N_TASKS)])
    assert recognizer.novelty(foreign).median() > recognizer.novelty(own).median()
    assert (recognizer.infer_tasks(foreign, unknown=0.01) == -1).float().mean() > 0.8


def test_the_second_stage_passes_only_what_the_first_leaves(trained):
    model = trained[0].model
    recognizer = TaskRecognizer(model, first=PrototypeScore(), keep=1)
    for task in range(N_TASKS):
        recognizer.calibrate(task, _samples(task))
    x, rows = _samples(0), []
    handle = model.encoder.register_forward_hook(
        lambda module, inputs, out: rows.append(inputs[0][..., 0].numel())
    )
    scores = recognizer.scores(x)
    handle.remove()
    assert scores.isfinite().sum(dim=1).eq(1).all()
    assert sum(rows) <= N_TASKS * len(x)


def test_probabilities_are_those_of_the_calibrated_sharpness(recognizer):
    x = torch.cat([_samples(task) for task in range(N_TASKS)])
    p = recognizer.task_probabilities(x)
    torch.testing.assert_close(p.sum(dim=1), torch.ones(len(x)))
    assert torch.equal(p.argmax(dim=1), recognizer.scores(x).argmax(dim=1))
    right = torch.arange(N_TASKS).repeat_interleave(len(_samples(0)))
    surest = p[torch.arange(len(x)), right]
    assert surest.log().mean() > -0.5  # much likelier than by chance, log(1 / 3)


def test_joint_scores_are_the_sum_of_their_parts(trained):
    model, x = trained[0].model, _samples(1)

    def scored(score):
        recognizer = TaskRecognizer(model, score)
        recognizer.calibrate(1, x)
        return recognizer.scores(x)

    parts = scored(ReconstructionScore()) + 0.1 * scored(LikelihoodScore())
    torch.testing.assert_close(scored(JointScore(0.1)), parts, rtol=1e-4, atol=1e-3)


def _classifier(n_tasks=N_TASKS):
    torch.manual_seed(0)
    classifier = TaskConditional(nn.Linear(3, 2 * N_TASKS), masking=True, seed=0)
    for task in range(n_tasks):
        classifier.hypernetwork.add_task(task)
        classifier.mask.add_classes(task, [2 * task, 2 * task + 1])
    return classifier


def test_a_class_incremental_model_mixes_the_tasks(recognizer):
    classifier = _classifier()
    both, x = ClassIncremental(recognizer, classifier), _samples(1)
    p = both.predict_proba(x)
    torch.testing.assert_close(p.sum(dim=1), torch.ones(len(x)))
    of_task = recognizer.task_probabilities(x)
    with torch.no_grad():
        own = classifier(x, 1).softmax(dim=1)[:, 2:4]
    torch.testing.assert_close(p[:, 2:4], of_task[:, 1:2] * own, rtol=1e-4, atol=1e-6)
    hard = ClassIncremental(recognizer, classifier, soft=False)
    assert torch.equal(hard.predict(x) // 2, recognizer.infer_tasks(x))


def test_an_entropy_recognizes_what_the_classifier_is_sure_of():
    classifier = _classifier()
    recognizer = TaskRecognizer(classifier, EntropyScore())
    x = _samples(0)
    recognizer.calibrate(0, x)
    with torch.no_grad():
        p = classifier(x, 0).softmax(dim=1)
    entropy = -(p * p.clamp(min=1e-30).log()).sum(dim=1)
    torch.testing.assert_close(recognizer.scores(x)[:, 0], -entropy, rtol=1e-4, atol=1e-5)


def test_agreement_is_highest_where_reconstructions_are_exact(trained):
    model, classifier = trained[0].model, _classifier()
    recognizer = TaskRecognizer(model, AgreementScore(classifier, weight=0.0))
    for task in range(N_TASKS):
        recognizer.calibrate(task, _samples(task))
    scores = recognizer.scores(_samples(0))
    assert scores.max() <= 1e-5
    assert scores[:, 0].mean() > scores[:, 1:].mean()


def _two_stage(trained, keep):
    recognizer = TaskRecognizer(trained[0].model, first=PrototypeScore(), keep=keep)
    for task in range(N_TASKS):
        recognizer.calibrate(task, _samples(task))
    return recognizer


def test_a_group_is_left_the_same_tasks_by_the_first_stage(trained):
    recognizer = _two_stage(trained, keep=1)
    x = _samples(1)[:40]
    assert recognizer.task_probabilities(x, group_size=20).isfinite().all()
    assert recognizer.scores(x, 20).isfinite().sum(dim=1).eq(1).all()


def test_a_share_of_samples_is_not_asked_of_groups(recognizer):
    with pytest.raises(ValueError, match="leave group_size at 1"):
        recognizer.infer_tasks(_samples(0), unknown=0.05, group_size=10)


def test_nothing_to_compare_with(trained):
    with pytest.raises(ValueError, match="keep at least 2"):
        _two_stage(trained, keep=1).novelty(_samples(0), relative=True)
    assert _two_stage(trained, keep=2).novelty(_samples(0), relative=True).isfinite().all()


def test_what_reconstructs_has_no_entropy(trained):
    with pytest.raises(TypeError, match="reconstructs its input"):
        TaskRecognizer(trained[0].model, EntropyScore())
    flat = TaskConditional(nn.Linear(3, 3), seed=0)
    with pytest.raises(TypeError, match="masking=True"):
        TaskRecognizer(flat, EntropyScore()).try_on(_samples(0)[:2], 0)


def test_agreement_with_a_classifier_that_never_saw_the_task(trained):
    recognizer = TaskRecognizer(trained[0].model, AgreementScore(_classifier(n_tasks=1)))
    recognizer.calibrate(0, _samples(0))
    with pytest.raises(ValueError, match="task 1 has no classifier"):
        recognizer.calibrate(1, _samples(1))


def test_asked_before_the_first_task():
    recognizer = TaskRecognizer(HypernetSDEFlow(3, seed=0))
    with pytest.raises(ValueError, match="knows no task yet"):
        recognizer.infer_tasks(torch.rand(2, 3))


def test_a_task_that_the_model_never_saw(recognizer):
    with pytest.raises(ValueError, match="never saw task 9"):
        recognizer.calibrate(9, _samples(0))


def test_samples_of_another_shape(recognizer):
    with pytest.raises(ValueError, match=r"x must be \(n, 3\)"):
        recognizer.infer_tasks(torch.rand(2, 4))


def test_a_classifier_that_knows_other_tasks(recognizer):
    both = ClassIncremental(recognizer, _classifier(n_tasks=1))
    with pytest.raises(ValueError, match="train both on the same stream"):
        both(torch.rand(2, 3))


@pytest.mark.parametrize("score", [LikelihoodScore, JointScore])
def test_a_density_that_is_not_there(score):
    with pytest.raises(TypeError, match="needs a HypernetSDEFlow"):
        TaskRecognizer(_classifier(), score())


def test_a_classifier_asked_for_reconstructions():
    recognizer = TaskRecognizer(_classifier())
    with pytest.raises(TypeError, match="EntropyScore"):
        recognizer.calibrate(0, _samples(0))


def test_a_model_without_tasks():
    with pytest.raises(TypeError, match="weights for each task"):
        TaskRecognizer(nn.Linear(3, 3))


def _of_digits(*sizes):
    """A classifier whose tasks have so many classes, and samples."""
    model = TaskConditional(nn.Linear(4, 10), masking=True, seed=0)
    for task, n in enumerate(sizes):
        model.hypernetwork.add_task(task)
        model.mask.add_classes(task, range(n))
    return model, torch.randn(30, 4, generator=torch.Generator().manual_seed(0))


def test_the_entropy_of_one_class_is_refused():
    model, x = _of_digits(2, 1)
    recognizer = TaskRecognizer(model, EntropyScore())
    recognizer.calibrate(0, x)
    for ask in (recognizer.try_on, lambda x, task: recognizer.calibrate(task, x)):
        with pytest.raises(ValueError, match=r"task 1 has one class.*ReconstructionScore"):
            ask(x, 1)
    assert recognizer.tasks == [0]


def test_the_entropy_as_a_share_of_its_greatest_value():
    model, x = _of_digits(2, 5)
    for task, n in enumerate((2, 5)):
        labels = torch.full((len(x),), task)
        share = EntropyScore(relative=True)(model, x, labels)
        assert torch.allclose(share * math.log(n), EntropyScore()(model, x, labels), atol=1e-6)
        assert (share >= -1.0 - 1e-6).all()


@pytest.mark.parametrize(
    ("ours", "theirs", "match"),
    [
        (
            {"score": JointScore()},
            {"score": JointScore(0.1)},
            r"score=JointScore\(relative=True, w",
        ),
        ({"score": ReconstructionScore()}, {"score": ReconstructionScore(relative=False)}, "score"),
        ({"calibrated": True}, {}, "calibrated=True"),
        ({"first": PrototypeScore()}, {}, r"first=PrototypeScore\(\)"),
    ],
)
def test_a_state_of_other_settings_is_refused_and_changes_nothing(trained, ours, theirs, match):
    saved = TaskRecognizer(trained[0].model, **ours)
    saved.calibrate(0, _samples(0))
    other = TaskRecognizer(HypernetSDEFlow(3, seed=1), **theirs)
    _refuses(other, saved.state_dict(), match)


def test_what_is_refused_late_changes_nothing(recognizer):
    other = TaskRecognizer(HypernetSDEFlow(3, seed=1))
    state = recognizer.state_dict()
    del state["calibration.of_task.1.mean"]
    _refuses(other, state, "calibration.of_task.1.mean")
    assert other.tasks == []


def _refuses(recognizer, state, match):
    before = copy.deepcopy(recognizer.state_dict())
    with pytest.raises((ValueError, RuntimeError), match=match):
        recognizer.load_state_dict(state)
    after = recognizer.state_dict()
    assert set(before) == set(after)
    assert all(torch.equal(before[k], after[k]) for k in before if torch.is_tensor(before[k]))


def test_a_state_of_before_settings_were_kept_is_read(recognizer):
    state = recognizer.state_dict()
    del state["_extra_state"]["settings"]
    other = TaskRecognizer(HypernetSDEFlow(3, seed=1))
    other.load_state_dict(state)
    assert other.tasks == recognizer.tasks


def test_samples_of_another_dtype_are_named():
    model = TaskConditional(MLPAutoencoder(4, latent_dim=2), seed=0)
    model.hypernetwork.add_task(0)
    recognizer, x = TaskRecognizer(model), torch.rand(30, 4)
    with pytest.raises(TypeError, match=r"give x.to\(torch.float32\)"):
        recognizer.calibrate(0, x.double())
    recognizer.calibrate(0, x)
    with pytest.raises(TypeError, match=r"x is of torch.float64, the weights of the TaskCond"):
        recognizer.infer_tasks(x.double())


@pytest.mark.parametrize("score", [ReconstructionScore(), SubspaceScore(2)])
def test_samples_too_faint_to_score_are_refused(score):
    model = TaskConditional(MLPAutoencoder(4, latent_dim=2), seed=0)
    model.hypernetwork.add_task(0)
    with pytest.raises(ValueError, match="scale the samples"):
        TaskRecognizer(model, score).calibrate(0, 1e-6 * torch.rand(30, 4))

"""Learners that are not told the task: each learns, and keeps what it says that it keeps."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from avalanche.benchmarks import tensors_benchmark
from avalanche.training.templates import SupervisedTemplate

from avalanche_hsf.benchmarks import SplitDigits
from avalanche_hsf.experiments import BENCHMARKS, LEARNERS
from avalanche_hsf.experiments.commands.comparison import GROUPS
from avalanche_hsf.experiments.learners.mended import AllExemplars
from avalanche_hsf.experiments.runs.jobs import Failure, Job, Task, finish
from avalanche_hsf.experiments.runs.problems import setting_for
from avalanche_hsf.experiments.runs.results import ResultsFile
from avalanche_hsf.experiments.runs.run import run
from avalanche_hsf.experiments.runs.unfinished import Unfinished


def digits(seed):
    return SplitDigits(5, seed=seed, return_task_id=False)


TOLD = BENCHMARKS["split-digits"]
UNTOLD = replace(TOLD, name="digits-class", make=digits, told=False)
LEARNERS_HERE = GROUPS["class-incremental"]
PIXELS = 64
NETWORK = 9930  # 16 and 32 filters of 3 x 3, 512 features to 10 classes
EPOCHS = 5


def learn(problem, name, seed=1, **fields):
    learner = LEARNERS[name]
    configuration = {"optimizer": "AdamW", "lr": 2e-3, **learner.grid[-1]}
    fields = {
        "epochs": EPOCHS,
        "configuration": configuration if learner.optimizers else {},
    } | fields
    return run(problem, name, seed=seed, progress=False, **fields)


def test_who_they_are():
    recognizers = ("hsf", "hsf-compact", "autoencoder", "pca", "entropy", "chunked-entropy")
    assert {f"ids-{name}" for name in recognizers} <= set(LEARNERS_HERE)
    assert {"net-slda", "net-ncm", "net-icarl", "net-der"} <= set(LEARNERS_HERE)


RESEMBLES = {
    "ids-hsf-compact": "ids-hsf",
    "ids-chunked-entropy": "ids-entropy",
    "ids-pca": "ids-autoencoder",
    "net-icarl": "net-ncm",
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in RESEMBLES else name
        for name in LEARNERS_HERE
    ],
)
def test_each_runs_and_forgets_less_than_naive(name):
    made = learn(replace(UNTOLD, memory=1000), name)
    assert not made.diverged and all(map(math.isfinite, made.error_matrix[-1]))
    # Naive: 0.8, of two of ten classes known.
    assert made.final_mean_error < (0.15 if name == "ids-hsf" else 0.75)
    assert made.bytes_kept > made.bytes_per_task > 0


def test_naive_knows_little_more_than_the_last_classes():
    assert learn(UNTOLD, "net-naive").final_mean_error > 0.7


@pytest.mark.parametrize("name", ["ids-pca", "ids-entropy", "net-slda", "net-der"])
def test_told_tasks_are_not_made_use_of(name):
    """On a stream with task labels they know no more in evaluation than without."""
    assert learn(TOLD, name).error_matrix == learn(UNTOLD, name).error_matrix


@pytest.mark.parametrize("name", ["net-replay", "net-ewc", "net-si", "net-lwf", "net-gem"])
def test_the_learners_with_heads_take_a_stream_without_labels(name):
    made = learn(UNTOLD, name, epochs=1)
    assert all(map(math.isfinite, made.error_matrix[-1]))


def test_bytes_by_hand():
    """Principal directions add a mean and 24 directions to a task, inference ten numbers."""
    entropy, pca = (learn(UNTOLD, name, epochs=1) for name in ("ids-entropy", "ids-pca"))
    beside = entropy.bytes_kept - 5 * 4 * (NETWORK + 10)
    assert 0 < beside < 5 * 4 * (16 + 17) + 100  # embeddings, their features, classes of tasks
    assert pca.bytes_kept - entropy.bytes_kept == 5 * 25 * PIXELS * 4
    assert pca.bytes_kept == 4 * pca.floats_kept  # no samples


@pytest.mark.parametrize(
    ("name", "limit", "beside", "per_sample"),
    [
        ("net-replay", 100_000, 4 * NETWORK, PIXELS),
        ("net-replay-more", 100_000, 4 * NETWORK, PIXELS),
        ("net-der", 100_000, 4 * NETWORK, PIXELS + 4 * 10),
        # With a former network, and class means of 512 features in each.
        ("net-icarl", 170_000, 2 * 4 * (NETWORK + 10 * 512), PIXELS + 4),
    ],
)
def test_memories_fill_the_bytes_that_they_may_keep(name, limit, beside, per_sample):
    field = "more_memory_bytes" if name.endswith("more") else "memory_bytes"
    problem = replace(UNTOLD, **{field: limit}, bytes_per_input=1)
    made = learn(problem, name, epochs=1)
    assert made.bytes_kept == pytest.approx(limit, rel=0.01)
    assert made.bytes_kept == pytest.approx(beside + per_sample * made.raw_samples, abs=100)
    assert made.floats_kept * 4 - made.bytes_kept == 3 * PIXELS * made.raw_samples


def test_a_memory_smaller_than_the_network_is_refused():
    problem = replace(UNTOLD, memory_bytes=1000)
    with pytest.raises(ValueError, match=r"of which the networks take.*raise memory_bytes"):
        learn(problem, "net-replay")


def _noise(shape, n_tasks, per_task, n_classes):
    """What is kept does not depend on what is seen."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(per_task) % n_classes
    return [
        (torch.rand(per_task, *shape, generator=generator), y + n_classes * t)
        for t in range(n_tasks)
    ]


@pytest.mark.parametrize("learner", ["ids-hsf", "ids-hsf-compact"])
@pytest.mark.parametrize(
    ("name", "shape", "n_tasks"),
    [
        ("split-mnist-class", (1, 28, 28), 5),
        pytest.param("permuted-mnist-10-domain", (1, 32, 32), 10, marks=pytest.mark.slow),
    ],
)
def test_replay_may_keep_what_ours_keeps(learner, name, shape, n_tasks):
    """If this fails the configuration of ids-hsf has changed: put its bytes into `runs.named`."""
    pairs = _noise(shape, n_tasks, per_task=200, n_classes=2 if n_tasks == 5 else 1)
    problem = BENCHMARKS[name]
    stream = partial(tensors_benchmark, task_labels=[0] * n_tasks)
    small = replace(problem, make=lambda seed: stream(train_tensors=pairs, test_tensors=pairs))
    kept = learn(replace(small, data=()), learner, epochs=1).bytes_kept
    budget = problem.more_memory_bytes if learner == "ids-hsf" else problem.memory_bytes
    assert budget == pytest.approx(kept, rel=0.01)
    for twin in (f"{name}-validation", name.replace("mnist", "fashion-mnist")):
        if twin in BENCHMARKS:
            assert BENCHMARKS[twin].memory_bytes == problem.memory_bytes


def test_exemplars_are_as_many_as_asked_for_and_their_mean_is_that_of_all():
    """Avalanche's own herding ends after 1,000 steps, some of which choose a sample again."""
    setting = setting_for(UNTOLD, digits(1), epochs=1, seed=1)
    problem = replace(UNTOLD, memory=1000)
    strategy = LEARNERS["net-icarl"].build(replace(setting, problem=problem), lr=1e-3)
    experience = digits(1).train_stream[0]
    strategy.train(experience)
    plugin = next(p for p in strategy.plugins if isinstance(p, AllExemplars))
    x = torch.stack([item[0] for item in experience.dataset])
    y = torch.tensor([item[1] for item in experience.dataset])
    assert sum(map(len, plugin.x_memory)) == len(x)  # fewer than the 500 of its share: all
    stored = {tuple(row.flatten().tolist()) for rows in plugin.x_memory for row in rows}
    assert len(stored) == len({tuple(row.flatten().tolist()) for row in x})

    few = AllExemplars(40)
    few.observed_classes = [0, 1]
    strategy.experience = experience
    few.construct_exemplar_set(strategy)
    with torch.no_grad():
        for rows, labels in zip(few.x_memory, few.y_memory, strict=True):
            assert len(rows) == len(labels) == 20
            features, of_all = (
                torch.nn.functional.normalize(strategy.model.feature_extractor(part), dim=1)
                for part in (rows, x[y == labels[0]])
            )
            gap = (features.mean(dim=0) - of_all.mean(dim=0)).norm()
            drawn = (of_all[:20].mean(dim=0) - of_all.mean(dim=0)).norm()
            assert gap < 0.7 * drawn


def test_streams_that_do_not_fit():
    with pytest.raises(ValueError, match=r"bottleneck has none: choose hn-\*"):
        learn("bottleneck", "ids-pca")


def test_icarl_says_which_streams_it_is_for(data_root):
    problem = replace(BENCHMARKS["permuted-mnist-10-domain"], memory_bytes=0)
    with pytest.raises(ValueError, match="classes of their own"):
        learn(problem, "net-icarl", epochs=1)


IDS_HSF_IS_SLOW = pytest.param("ids-hsf", marks=pytest.mark.slow)


@pytest.mark.parametrize("name", [IDS_HSF_IS_SLOW, "ids-pca", "net-slda", "net-icarl", "net-der"])
def test_a_run_goes_on_from_its_checkpoint(name, data_root, tmp_path, monkeypatch):
    results = ResultsFile(tmp_path, checkpoint_every=1e-6)
    learner = LEARNERS[name]
    configuration = {"optimizer": "AdamW", "lr": 2e-3, **learner.grid[0]}
    job = Job("split-mnist-class", name, 1, 1, configuration if learner.optimizers else {})
    expected = finish(Task(job, job.key))
    unfinished = results.unfinished.of(job.key, "run")
    resumed, n_criteria = [], []
    resume, criterion = Unfinished.resume, SupervisedTemplate.criterion
    monkeypatch.setattr(Unfinished, "resume", lambda *a: resumed.append(resume(*a)) or resumed[-1])

    def dies(self):
        n_criteria.append(1)
        if len(n_criteria) == 14:  # after the second task and its evaluation
            raise RuntimeError("it dies")
        return criterion(self)

    monkeypatch.setattr(SupervisedTemplate, "criterion", dies)
    assert isinstance(finish(Task(job, job.key, unfinished)), Failure)
    again = finish(Task(job, job.key, unfinished))
    results.close()
    assert resumed[0] == 0 and resumed[1] > 0
    assert again.error_matrix == expected.error_matrix
    assert again.bytes_kept == expected.bytes_kept

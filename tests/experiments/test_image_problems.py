"""The problems of MNIST and FashionMNIST: as published, from files that are looked for first."""

import json
from dataclasses import replace

import pytest
import torch
from avalanche.models import MultiTaskModule

from avalanche_hsf.cli import main
from avalanche_hsf.experiments import BENCHMARKS, LEARNERS, compare
from avalanche_hsf.experiments.catalogue import catalogue
from avalanche_hsf.experiments.commands.comparison import Comparison
from avalanche_hsf.experiments.learners.forms import network_with_heads
from avalanche_hsf.experiments.runs.jobs import Failure, Job, Task, finish
from avalanche_hsf.experiments.runs.problems import setting_for
from avalanche_hsf.experiments.runs.results import ResultsFile
from avalanche_hsf.experiments.runs.run import run
from avalanche_hsf.experiments.runs.unfinished import Unfinished

FILES = {name: problem for name, problem in BENCHMARKS.items() if problem.data}
REPORTED = [name for name in FILES if not name.endswith("-validation")]
RATE = {"optimizer": "AdamW", "lr": 2e-3}


def setting_of(name):
    problem = BENCHMARKS[name]
    return setting_for(problem, problem.make(1), epochs=1, seed=1)


@pytest.mark.parametrize("name", REPORTED)
def test_networks_and_heads_are_the_published(name, data_root):
    setting = setting_of(name)
    network = setting.make_network()
    widths = [layer.weight.shape for layer in network if hasattr(layer, "weight")]
    if name.startswith("split"):
        assert widths == [(400, 784), (400, 400), (10, 400)]
    else:
        assert widths == [(1000, 1024), (1000, 1000), (10, 1000)]
    told = not name.endswith(("-class", "-domain"))
    model = network_with_heads(setting)
    assert isinstance(model, MultiTaskModule) == told
    if not told:  # one head for all classes
        assert model(torch.zeros(2, *setting.input_shape)).shape == (2, 10)
    labels = [e.task_label for e in BENCHMARKS[name].make(1).train_stream]
    assert labels == (list(range(len(labels))) if told else [0] * len(labels))
    assert setting.mb_size == 128


def test_steps_are_the_published():
    for name, n_images, n_steps in (
        ("split-mnist", 12_000, 2000),
        ("permuted-mnist-10", 6e4, 5000),
    ):
        steps = BENCHMARKS[name].epochs * -(-n_images // 128)
        assert abs(steps / n_steps - 1) < 0.04


@pytest.mark.parametrize("name", REPORTED)
def test_tuning_never_reads_a_test_image(name, own_data, monkeypatch):
    (own_data / "MNIST").rename(own_data / BENCHMARKS[name].data[0])
    monkeypatch.setenv("AVALANCHE_HSF_DATA", str(own_data))
    for path in own_data.glob("*/raw/t10k*"):
        path.unlink()
    tuned_on = BENCHMARKS[BENCHMARKS[name].tuned_on]
    assert tuned_on.make(1).test_stream[0].dataset
    changed = {"name", "make", "about", "tuned_on"}
    for field in vars(tuned_on).keys() - changed:
        assert getattr(tuned_on, field) == getattr(BENCHMARKS[name], field), field


def test_error_rates_with_and_without_the_task(data_root):
    made = {
        name: run(name, "net-naive", seed=1, epochs=8, configuration=RATE, progress=False)
        for name in ("split-mnist", "split-mnist-class")
    }
    learned, last = (made["split-mnist"].matrix[k] for k in (0, -1))
    assert learned[0] < 0.2 and last.max() < 0.5
    without = made["split-mnist-class"].matrix
    assert without[-1, -1] < 0.2 and without[-1, :-1].min() > 0.9  # the last classes took it all


def test_of_ours_one_that_infers_the_task_is_compared_by_default_where_none_is_told(data_root):
    names = list(Comparison.of("split-mnist-class").learners)
    assert names[0] == "ids-hsf" and not any(LEARNERS[name].ours for name in names[1:])
    assert "hn-isolated" in Comparison.of("split-mnist").learners


WORDS = ["compare", "--strategies", "net-naive", "--epochs", "1", "--seeds", "1"]


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("command", ["compare", "sweep", "diagnose"])
def test_missing_files_end_with_one_line(command, jobs, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("AVALANCHE_HSF_DATA", str(tmp_path))
    made = tmp_path / "not-made"
    words = [command, "--benchmark", "permuted-mnist-10", "--jobs", jobs, "--out", str(made)]
    if command != "compare":  # what these reconstruct has no files: a module of a user's may
        monkeypatch.setitem(
            BENCHMARKS, "permuted-mnist-10", replace(BENCHMARKS["synthetic"], data=("MNIST",))
        )
        known = catalogue().benchmarks
        facts = known["synthetic"]._replace(data=("MNIST",))
        monkeypatch.setitem(known, "permuted-mnist-10", facts)
    with pytest.raises(SystemExit) as ended:
        main(words)
    error = capsys.readouterr().err
    assert ended.value.code == 2 and error.count("\n") == 1
    assert "train-images-idx3-ubyte" in error and str(tmp_path / "MNIST" / "raw") in error
    assert "--data-root" in error and "--download" in error and "cannot write" not in error
    assert not made.exists()


@pytest.mark.slow
def test_the_root_reaches_other_processes_and_is_no_part_of_a_run(
    own_data, tmp_path, capsys, monkeypatch
):
    words = [*WORDS, "--benchmark", "split-mnist", "--out", str(tmp_path / "out")]
    assert main([*words, "--data-root", str(own_data), "--jobs", "2"]) == 0
    before = json.loads((tmp_path / "out" / "results.json").read_text())
    moved = own_data.rename(tmp_path / "moved")
    capsys.readouterr()
    assert main([*words, "--data-root", str(moved)]) == 0
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == before
    assert str(own_data) not in json.dumps(before)


def test_a_worker_takes_the_root_of_the_task(own_data, tmp_path):
    job = Job("split-mnist", "net-naive", 1, 1, RATE)
    for root, message in ((own_data, ""), (tmp_path / "of-another-machine", "nowhere")):
        outcome = finish(Task(job, job.key, None, str(root)))
        assert isinstance(outcome, Failure) == bool(message)
        assert message in getattr(outcome, "reason", "")


def test_download_is_asked_for(own_data, monkeypatch, tmp_path, capsys):
    calls = []
    monkeypatch.setattr("torchvision.datasets.MNIST", lambda *a, **k: calls.append((a, k)))
    root = str(tmp_path / "empty")
    words = [*WORDS, "--benchmark", "split-mnist", "--data-root", root, "--out", root]
    with pytest.raises(SystemExit):
        main(words)
    assert calls == []
    with pytest.raises(SystemExit):
        main([*words, "--download"])
    assert calls == [((root,), {"download": True})]


def test_compare_in_python_says_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("AVALANCHE_HSF_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="train-images-idx3-ubyte"):
        compare("split-fashion-mnist", ["net-naive"], out=tmp_path / "not-made")
    assert not (tmp_path / "not-made").exists()


@pytest.mark.parametrize(
    "name", ["split-mnist", pytest.param("permuted-mnist-10-domain", marks=pytest.mark.slow)]
)
def test_a_run_with_a_memory_goes_on_from_its_checkpoint(name, data_root, tmp_path, monkeypatch):
    results = ResultsFile(tmp_path, checkpoint_every=1e-6)
    job = Job(name, "net-replay", 1, 1, RATE)
    expected = finish(Task(job, job.key))
    unfinished = results.unfinished.of(job.key, "run")
    resumed = []
    resume = Unfinished.resume
    monkeypatch.setattr(Unfinished, "resume", lambda *a: resumed.append(resume(*a)) or resumed[-1])
    n_trained, train = [], torch.nn.CrossEntropyLoss.forward

    def dies(self, *arguments):
        n_trained.append(1)
        if len(n_trained) == 14:  # after the first task and its evaluation
            raise RuntimeError("it dies")
        return train(self, *arguments)

    monkeypatch.setattr(torch.nn.CrossEntropyLoss, "forward", dies)
    assert isinstance(finish(Task(job, job.key, unfinished)), Failure)
    again = finish(Task(job, job.key, unfinished))
    results.close()
    assert resumed[0] == 0 and resumed[1] > 0
    assert again.error_matrix == expected.error_matrix

"""Runs in this process, in several, and on a real Dask cluster: the same, whatever dies."""

import os
import signal
import threading
import time
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from cluster import running
from test_doors import build, two_tasks

from avalanche_hsf.cli import main
from avalanche_hsf.experiments import ResultsFile, compare, run
from avalanche_hsf.experiments.runs.engines import in_process, make_engine, on_cluster
from avalanche_hsf.experiments.runs.jobs import Failure, Job, Task, finish_elsewhere, make
from avalanche_hsf.experiments.runs.results import versions

JOBS = [Job("synthetic", name, seed, 2) for name in ("hsf-compact", "mlp-paper") for seed in (1, 2)]
BROKEN = Job("synthetic", "hsf-paper", 3, 2, {"varied": {"gamma": -1}})


def without_seconds(folder):
    """The runs of a results file, in the file's order, but for the time that they took."""
    return [replace(each, seconds=0.0) for each in ResultsFile(folder).runs]


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """What one process makes of the jobs."""
    folder = tmp_path_factory.mktemp("expected")
    make(ResultsFile(folder), JOBS, in_process)
    return without_seconds(folder)


@pytest.fixture(scope="module")
def processes():
    """Two processes of this machine, for all tests that need some."""
    with make_engine(2) as engine:
        yield engine


@pytest.fixture
def cluster():
    """A scheduler and two workers of one thread; their processes by name."""
    with running({"a": None, "b": None}) as (address, client, processes):
        yield address, client, processes


def dies_once(benchmark, learner, *, configuration, **arguments):
    """`run`, but that its process dies the first time."""
    mark = Path(configuration["mark"])
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(run(benchmark, learner, **arguments), configuration=configuration)


def dies(benchmark, learner, **arguments):
    """A run whose process always dies."""
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_several_processes_make_the_same_file(tmp_path, expected, processes):
    make(ResultsFile(tmp_path), JOBS[::-1], processes)
    assert without_seconds(tmp_path) == expected


@pytest.mark.slow
def test_what_is_there_is_not_run_again(tmp_path, expected, processes):
    results = ResultsFile(tmp_path)
    make(results, JOBS[:1], in_process)
    before = results.runs[0]
    made = make(ResultsFile(tmp_path), JOBS, processes)
    assert made[0] == before  # its seconds too
    assert without_seconds(tmp_path) == expected


@pytest.mark.parametrize("n", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_run_that_fails_is_reported_and_does_not_lose_the_others(
    n, tmp_path, expected, processes, capsys
):
    engine = in_process if n == 1 else processes
    made = make(ResultsFile(tmp_path), [BROKEN, *JOBS], engine)
    assert made[0] is None and all(each is not None for each in made[1:])
    assert without_seconds(tmp_path) == expected
    error = capsys.readouterr().err
    assert "failed: hsf-paper on synthetic, seed 3, {'varied': {'gamma': -1}}: ValueError" in error


@pytest.mark.slow
def test_the_run_of_a_worker_that_died_is_made_again(tmp_path, expected, processes):
    dying = Job("synthetic", "mlp-paper", 5, 2, {"mark": str(tmp_path / "mark")}, work=dies_once)
    made = make(ResultsFile(tmp_path), [dying, *JOBS], processes)
    assert all(each is not None for each in made)
    assert [each for each in without_seconds(tmp_path) if not each.configuration] == expected


@pytest.mark.slow
def test_a_run_that_always_kills_its_worker_does_not_lose_the_others(
    tmp_path, expected, processes, capsys
):
    dying = Job("synthetic", "mlp-paper", 5, 2, work=dies)
    made = make(ResultsFile(tmp_path), [dying, *JOBS], processes)
    assert made[0] is None
    assert without_seconds(tmp_path) == expected
    assert "its worker died 3 times" in capsys.readouterr().err


@pytest.mark.slow
def test_a_cluster_one_of_whose_workers_is_killed_in_mid_run(tmp_path, expected, cluster):
    address, client, workers = cluster
    results = ResultsFile(tmp_path)
    long = Job("synthetic", "mlp-paper", 1, 400)  # some seconds
    made = []
    running = threading.Thread(
        target=lambda: made.extend(
            make(results, [long, *JOBS, BROKEN], partial(on_cluster, address=address))
        )
    )
    running.start()
    names = {info["name"]: at for at, info in client.scheduler_info()["workers"].items()}
    victim = None
    while victim is None and running.is_alive():  # the first worker that computes something
        busy = client.processing()
        victim = next((name for name, at in names.items() if busy.get(at)), None)
        time.sleep(0.02)
    time.sleep(0.5)
    workers[victim].kill()
    running.join(timeout=120)
    assert not running.is_alive()
    assert [each is None for each in made] == [False] * 5 + [True]
    assert [each for each in without_seconds(tmp_path) if each.epochs == 2] == expected
    # The same words again find everything there.
    before = results.path.read_text()
    make(ResultsFile(tmp_path), [long, *JOBS], partial(on_cluster, address=address))
    assert results.path.read_text() == before


def test_a_worker_with_other_versions_computes_nothing():
    other = versions() | {"torch": "1.0"}
    made = finish_elsewhere(Task(JOBS[0], JOBS[0].key), other)
    assert isinstance(made, Failure) and "another torch: 2" in made.reason


@pytest.mark.slow
def test_no_scheduler_answers(tmp_path, capsys):
    words = ["--seeds", "1", "--out", str(tmp_path), "--scheduler", "tcp://127.0.0.1:1"]
    with pytest.raises(SystemExit) as stop:
        main(["reproduce", "--epochs", "1", *words])
    assert stop.value.code == 2
    assert "--scheduler tcp://127.0.0.1:1: " in capsys.readouterr().err.splitlines()[-1]


def test_an_address_without_a_port(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["reproduce", "--seeds", "1", "--out", str(tmp_path), "--scheduler", "nohost"])
    assert stop.value.code == 2
    assert "missing port number" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.slow
def test_workers_without_the_package_are_left_out(tmp_path, expected, capsys):
    hidden = tmp_path / "hidden" / "avalanche_hsf" / "__init__.py"
    hidden.parent.mkdir(parents=True)
    hidden.write_text("raise ModuleNotFoundError('not here')")
    with running({"a": None, "lacks": tmp_path / "hidden"}) as (address, client, processes):
        make(ResultsFile(tmp_path / "out"), JOBS, partial(on_cluster, address=address))
        assert without_seconds(tmp_path / "out") == expected
        assert "is left out: ModuleNotFoundError: not here" in capsys.readouterr().err
        processes["a"].kill()
        while len(client.scheduler_info()["workers"]) > 1:
            time.sleep(0.1)
        with pytest.raises(ImportError, match="no worker"):
            make(ResultsFile(tmp_path / "none"), JOBS, partial(on_cluster, address=address))


@pytest.mark.slow
def test_a_scheduler_that_is_lost_loses_no_finished_run(tmp_path):
    long = Job("synthetic", "mlp-paper", 1, 100_000)
    results = ResultsFile(tmp_path)
    with running({"a": None}) as (address, _, processes):
        engine = partial(on_cluster, address=address)

        def kill_after_the_first(jobs):
            for made in engine(jobs):
                yield made
                processes["scheduler"].kill()

        with pytest.raises(ConnectionError, match="finished runs are kept"):
            make(results, [JOBS[0], long], kill_after_the_first)
    assert ResultsFile(tmp_path).find(JOBS[0].key) is not None


@pytest.fixture
def asked(monkeypatch, processes):
    """How many processes the commands ask for; they are given those that are there."""
    numbers = []

    def given(jobs, scheduler=None):
        numbers.append(jobs)
        return nullcontext(processes if jobs == 2 else in_process)

    monkeypatch.setattr("avalanche_hsf.experiments.runs.engines.make_engine", given)
    monkeypatch.setattr("avalanche_hsf.experiments.commands.compare.make_engine", given)
    return numbers


def test_objects_travel_to_other_processes(asked):
    def run(jobs):
        def make():
            return two_tasks("classification")

        return compare(make, {"mine": build}, seeds=[1, 2], epochs=1, jobs=jobs)

    runs, again = run(2), run(1)
    assert [run.error_matrix for run in runs] == [run.error_matrix for run in again]
    assert asked == [2, 1]


@pytest.mark.slow
def test_diagnose_in_processes_of_its_own(tmp_path, capsys):
    words = ["diagnose", "--preset", "compact", "--set", "solver_steps=2", "--seeds", "1"]
    words += ["--benchmark", "bottleneck", "--epochs", "1", "--jobs", "2"]
    assert main([*words, "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "Which part of hsf-compact, solver_steps 2 on bottleneck forgot" in shown


@pytest.mark.slow
def test_the_commands_take_jobs(tmp_path, capsys, asked):
    words = ["--epochs", "1", "--jobs", "2"]
    assert main(["reproduce", "--seeds", "1,2", *words, "--out", str(tmp_path / "a")]) == 0
    out = ["--out", str(tmp_path / "b")]
    assert (
        main(["sweep", "--preset", "compact", "--vary", "lr=0.001", "--seeds", "1", *words, *out])
        == 0
    )
    out = ["--benchmark", "bottleneck", "--out", str(tmp_path / "c")]
    assert main(["compare", "--strategies", "mlp-paper", "--seeds", "1,2", *words, *out]) == 0
    assert asked == [2, 2, 2]
    with pytest.raises(SystemExit):
        main(["reproduce", "--jobs", "0"])
    assert "must be at least 1" in capsys.readouterr().err


@pytest.mark.slow
def test_two_commands_in_one_folder_lose_nothing_of_each_other(tmp_path, expected):
    one, two = ResultsFile(tmp_path), ResultsFile(tmp_path)
    make(one, JOBS[:2], in_process)
    make(two, JOBS[2:], in_process)
    assert without_seconds(tmp_path) == expected
    fresh = ResultsFile(tmp_path, fresh=True)
    make(fresh, JOBS[:1], in_process)
    assert len(ResultsFile(tmp_path).runs) == 1

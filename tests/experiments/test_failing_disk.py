"""Disks that are full, folders that are read-only, locks of others: no run is lost."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from filelock import FileLock

from avalanche_hsf.cli import main
from avalanche_hsf.experiments import ResultsFile, compare
from avalanche_hsf.experiments.runs import results as module
from avalanche_hsf.experiments.runs.jobs import Job, make
from avalanche_hsf.experiments.runs.run import run

COMPARE = ["compare", "--benchmark", "synthetic", "--strategies", "mlp-paper", "--epochs", "1"]
SEEDS = [1, 2, 3]
COMMAND = [sys.executable, "-m", "avalanche_hsf.cli"]


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path, monkeypatch):
    """Where runs go that cannot be written where they belong."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))


def words(out, seeds=SEEDS):
    return [*COMPARE, "--seeds", ",".join(map(str, seeds)), "--out", str(out)]


def kept(folder):
    return sorted(run.seed for run in ResultsFile(folder).runs)


def elsewhere(tmp_path):
    """The one folder that stands in."""
    (folder,) = (tmp_path / "tmp").iterdir()
    return folder


def engine(before):
    """In this process; calls `before` with the number of a run that is finished, before it is kept.

    So the disk fails while the command is at work.
    """

    def make_each(tasks):
        for i, task in enumerate(tasks):
            made = run(**task.job.arguments, progress=False)
            before(i)
            yield task, made.__class__(**{**vars(made), "inputs": task.key.inputs})

    return make_each


JOBS = [Job("synthetic", "mlp-paper", seed, 1) for seed in SEEDS]
# Each takes the path of the results file, and lets no one write it.
FAILURES = {
    "a folder in the place of the file": lambda path: (path.unlink(missing_ok=True), path.mkdir()),
    "a folder in the place of what is written first": lambda path: path.with_name(
        f"results.json.{os.getpid()}.part"
    ).mkdir(exist_ok=True),
    "a read-only file": lambda path: (path.touch(), path.chmod(0o444)),
    "a damaged file": lambda path: path.write_text('{"runs": {}}'),
    "a folder in the place of the lock": lambda path: (
        path.with_name("results.lock").unlink(missing_ok=True),
        path.with_name("results.lock").mkdir(),
    ),
    "a file in the place of the folder": lambda path: (
        [each.unlink() for each in path.parent.iterdir()],
        path.parent.rmdir(),
        path.parent.touch(),
    ),
}


def each_failure_at_each_moment():
    """Every failure before the second run, and one at each moment, are quick."""
    for i, failure in enumerate(FAILURES):
        for moment in range(3):
            quick = moment == 1 or i == 0
            yield pytest.param(failure, moment, marks=[] if quick else [pytest.mark.slow])


@pytest.mark.parametrize(("failure", "moment"), each_failure_at_each_moment())
def test_no_run_is_lost(failure, moment, tmp_path, capsys):
    out = tmp_path / "out"
    results = ResultsFile(out)
    path = results.path

    def fail(i):
        if i == moment:
            FAILURES[failure](path)

    damaged = path.read_bytes() if failure == "a damaged file" and path.exists() else None
    assert all(make(results, JOBS, engine(fail)))
    assert results.close() != path and results.is_misplaced
    error = capsys.readouterr().err
    place = elsewhere(tmp_path)
    assert f"cannot write {path}: " in error and f"--out {place} goes on there" in error
    assert error.count("cannot write") == 1  # not once a run
    assert kept(place) == SEEDS
    assert damaged is None or path.read_bytes() == damaged
    # What was said is true: there the same command has nothing to do.
    before = (place / "results.json").read_text()
    make(ResultsFile(place), JOBS, engine(lambda i: pytest.fail("run again")))
    assert (place / "results.json").read_text() == before


def test_a_disk_that_recovers_has_everything(tmp_path, capsys):
    out = tmp_path / "out"
    results = ResultsFile(out)
    obstacle = out / f"results.json.{os.getpid()}.part"

    def fail_once(i):
        obstacle.mkdir() if i == 0 else obstacle.rmdir() if i == 1 else None

    make(results, JOBS, engine(fail_once))
    assert results.close() == results.path and not results.is_misplaced
    assert kept(out) == SEEDS
    assert f"{results.path} is written again" in capsys.readouterr().err
    assert list((tmp_path / "tmp").iterdir()) == []  # nothing is left behind


def test_reports_that_cannot_be_written_are_elsewhere(tmp_path, capsys):
    out = tmp_path / "out"
    for name in ("comparison.md", "comparison.csv", "frontier.png", "compare.toml"):
        (out / name).mkdir(parents=True)
    assert main(words(out)) == 1
    shown = capsys.readouterr()
    place = elsewhere(tmp_path)
    assert kept(out) == SEEDS and not (place / "results.json").exists()
    for name in ("comparison.md", "comparison.csv", "frontier.png", "compare.toml"):
        assert (place / name).stat().st_size > 100
        assert f"cannot write {out / name}: " in shown.err and str(place / name) in shown.out
    assert "Errors on synthetic" in shown.out


def test_links_and_permissions_are_respected(tmp_path):
    real = tmp_path / "real.json"
    compare("synthetic", ["mlp-paper"], seeds=[1], epochs=1, out=tmp_path / "first")
    os.replace(tmp_path / "first" / "results.json", real)
    real.chmod(0o640)
    out = tmp_path / "out"
    out.mkdir()
    (out / "results.json").symlink_to(real)
    compare("synthetic", ["mlp-paper"], seeds=[1, 2], epochs=1, out=out)
    assert (out / "results.json").is_symlink() and real.stat().st_mode & 0o777 == 0o640
    assert len(json.loads(real.read_text())["runs"]) == 2


@pytest.mark.parametrize("name", ["results.json", "results.lock"])
def test_a_read_only_file_is_refused_before_anything_runs(name, tmp_path, capsys):
    compare("synthetic", ["mlp-paper"], seeds=[1], epochs=1, out=tmp_path)
    (tmp_path / name).chmod(0o444)
    before = (tmp_path / "results.json").read_bytes()
    with pytest.raises(SystemExit) as stop:
        main(words(tmp_path))
    error = capsys.readouterr().err
    assert stop.value.code == 2 and "Traceback" not in error
    assert f"{name} is read-only; make it writable" in error
    assert (tmp_path / "results.json").read_bytes() == before


def test_waiting_for_a_lock_says_so(tmp_path, capsys):
    results = ResultsFile(tmp_path)
    lock = FileLock(tmp_path / "results.lock", thread_local=False)
    lock.acquire()
    threading.Timer(2.0, lock.release).start()
    make(results, JOBS[:1], engine(lambda i: None))
    assert kept(tmp_path) == [1] and not results.is_misplaced
    waiting = f"waiting for {tmp_path / 'results.lock'}, which another command holds\n"
    assert capsys.readouterr().err.count(waiting) == 1


HOLD = """
import sys, time
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.slow
def test_a_lock_that_another_process_never_gives_back(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "PATIENCE", 1.5)
    results = ResultsFile(tmp_path / "out")
    lock = str(tmp_path / "out" / "results.lock")
    with subprocess.Popen([sys.executable, "-c", HOLD, lock], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        make(results, JOBS[:2], engine(lambda i: None))
        assert kept(elsewhere(tmp_path)) == [1, 2]
        holder.kill()
    assert results.close() == results.path and kept(tmp_path / "out") == [1, 2]
    assert "is written again" in capsys.readouterr().err


@contextmanager
def no_large_files(size):
    """No file may grow beyond some bytes, as if all disks were full."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_runs_that_can_be_written_nowhere_are_printed(tmp_path, capsys):
    with no_large_files(1500):
        assert main(words(tmp_path)) == 1
    shown = capsys.readouterr()
    assert "Errors on synthetic" in shown.out and "nor anywhere else" in shown.err
    printed = shown.err[shown.err.index('{"versions"') :]
    rescued = json.JSONDecoder().raw_decode(printed)[0]
    assert [each["seed"] for each in rescued["runs"]] == SEEDS
    assert not list(tmp_path.glob("*.part"))
    (tmp_path / "results.json").write_text(json.dumps(rescued))
    assert kept(tmp_path) == SEEDS


FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")


@FULL
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_streams_that_cannot_be_written(stream, tmp_path, capsys):
    redirect = {"stdout": redirect_stdout, "stderr": redirect_stderr}[stream]
    with open("/dev/full", "w", buffering=1) as full, redirect(full):
        assert main(words(tmp_path)) == (1 if stream == "stdout" else 0)
    shown = capsys.readouterr()
    assert kept(tmp_path) == SEEDS and (tmp_path / "comparison.md").exists()
    if stream == "stdout":
        assert "cannot write to standard output: No space left" in shown.err
    else:
        assert "Errors on synthetic" in shown.out


@pytest.mark.slow
@FULL
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_process_whose_streams_cannot_be_written(stream, tmp_path):
    with open("/dev/full", "w") as full:
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: full}
        command = [*COMMAND, *words(tmp_path)]
        ended = subprocess.run(command, **streams, text=True, check=False, timeout=120)
    assert kept(tmp_path) == SEEDS
    assert ended.returncode == (1 if stream == "stdout" else 0)
    assert "Traceback" not in (ended.stderr or "")
    assert "Exception ignored" not in (ended.stderr or "")


@pytest.mark.slow
def test_a_reader_that_leaves():
    with subprocess.Popen(
        [*COMMAND, "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as listing:
        listing.stdout.close()
        error = listing.stderr.read()
    assert listing.returncode == 1
    assert error == "cannot write to standard output: Broken pipe\n"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 200 kB, where one may be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)]
    if (
        sys.platform != "linux"
        or subprocess.run(mount, check=False, capture_output=True).returncode
    ):
        pytest.skip("nothing can be mounted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk, left=0):
    """Writes until nothing fits but some bytes."""
    with open(disk / "ballast", "ab", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            pass
        file.truncate(max(file.tell() // 4096 * 4096 - left, 0))


@pytest.mark.slow
@pytest.mark.parametrize("moment", range(10))
def test_a_disk_that_fills_up(moment, small_disk, tmp_path, capsys):
    """Before run 0, 1, ... 5, with one block left or none."""
    results = ResultsFile(small_disk / "out")
    jobs = [Job("synthetic", "mlp-paper", seed, 1) for seed in range(1, 6)]

    def fail(i):
        if i == moment // 2:
            fill(small_disk, left=4096 * (moment % 2))

    assert all(make(results, jobs, engine(fail)))
    place = results.close()
    assert kept(place.parent) == [1, 2, 3, 4, 5]
    said = capsys.readouterr().err
    if results.is_misplaced:
        assert "No space left on device; it is in" in said
        # What was there is whole; into the block that is left a run or two may go.
        there = kept(small_disk / "out") if results.path.exists() else []
        assert there == list(range(1, 1 + len(there))) and len(there) >= moment // 2


@pytest.mark.slow
def test_a_folder_that_becomes_read_only(small_disk, tmp_path, capsys):
    results = ResultsFile(small_disk / "out")

    def fail(i):
        if i == 1:
            remount = ["mount", "-o", "remount,ro", str(small_disk)]
            subprocess.run(remount, check=True)

    make(results, JOBS, engine(fail))
    assert results.close().parent == elsewhere(tmp_path) and kept(elsewhere(tmp_path)) == SEEDS
    assert "Read-only file system" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        main(words(small_disk / "out"))
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error.count("\n") == 1 and "cannot write to --out" in error


BECOME_NOBODY = """
import os, sys
from avalanche_hsf.cli import main
# Python may lie where nobody else may read it.
import avalanche_hsf.experiments.commands.compare, avalanche_hsf.experiments.commands.config
os.setgid(65534)
os.setuid(65534)
try:
    code = main(sys.argv[1:])
except SystemExit as stop:
    code = stop.code
os._exit(code)
"""


@pytest.mark.slow
@pytest.mark.parametrize("theirs", ["results.lock", "results.json", "."])
def test_another_user_owns_it(theirs, tmp_path):
    """A sentence before anything runs, as a user without rights sees it."""
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only the superuser can be another user")
    out = tmp_path / "out"
    compare("synthetic", ["mlp-paper"], seeds=[1], epochs=1, out=out)
    before = (out / "results.json").read_bytes()
    for path in (out, *out.iterdir()):
        os.chown(path, 65534, 65534)
    os.chown(out / theirs, 0, 0)
    for folder in [tmp_path, *tmp_path.parents][:3]:
        folder.chmod(0o755)
    command = [sys.executable, "-c", BECOME_NOBODY, *words(out)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1, ended.stderr
    assert "cannot write to --out" in ended.stderr
    assert (out / "results.json").read_bytes() == before


@pytest.mark.slow
def test_a_signal_on_a_failing_disk(tmp_path):
    """Stopped with runs elsewhere, the command says where they are."""
    out = tmp_path / "out"
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    long = [*COMPARE[:-1], "20", "--seeds", ",".join(map(str, range(60))), "--out", str(out)]
    with subprocess.Popen(
        [*COMMAND, *long], stderr=subprocess.PIPE, text=True, env=environment
    ) as command:
        while not (out / "results.json").exists():
            time.sleep(0.05)
        (out / "results.json").unlink()
        (out / "results.json").mkdir()
        while not list((tmp_path / "tmp").glob("*/results.json")):
            time.sleep(0.05)
        command.send_signal(signal.SIGTERM)
        error = command.stderr.read()
    assert command.returncode == 143 and "Traceback" not in error
    assert str(elsewhere(tmp_path)) in error and len(kept(elsewhere(tmp_path))) > 0

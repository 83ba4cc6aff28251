"""Commands that are ended: one line, the exit code of the signal, and no worker that stays."""

import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from avalanche_hsf.cli import main
from avalanche_hsf.experiments import ResultsFile
from avalanche_hsf.orphans import end_with_parent
from avalanche_hsf.terminal import Ended, signals_end, signals_wait

LONG = ["reproduce", "--epochs", "400", "--seeds", "1,2,3,4,5,6"]
STOPPED = "stopped; finished runs are kept, the same command goes on"
SIGNALS = ["SIGTERM", "SIGKILL", "SIGINT"]
WITHIN = 10.0
"""Seconds in which everything is gone."""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_ends_with_one_line_and_its_code(name, tmp_path, capsys):
    number = getattr(signal, name)
    before = signal.getsignal(number)
    path = tmp_path / "results.json"

    def end_after_the_first_run():
        while not path.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    threading.Thread(target=end_after_the_first_run).start()
    assert main([*LONG[:2], "5", *LONG[3:], "--out", str(tmp_path)]) == 128 + number
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line and " of 18: " not in line] == [STOPPED]
    assert 0 < len(ResultsFile(tmp_path).runs) < 12
    assert signal.getsignal(number) == before


ORPHAN = """
import subprocess, sys, time
child = "import time; from avalanche_hsf.orphans import end_with_parent; end_with_parent();"
child += "print('ready', flush=True); time.sleep(60)"
subprocess.run([sys.executable, "-c", child])
"""


def test_a_child_ends_with_its_parent():
    with subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE) as parent:
        assert parent.stdout.readline() == b"ready\n"
        (child,) = psutil.Process(parent.pid).children()
        parent.kill()
        assert parent.stdout.read() == b""  # its pipe is closed
    child.wait(WITHIN)


def test_a_child_ends_without_help_of_the_system(monkeypatch):
    """Where the system knows no such signal, looking at the parent does it."""
    script = ORPHAN.replace("from avalanche", "import sys; sys.platform = 'other'; from avalanche")
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout.readline() == b"ready\n"
        parent.kill()
        assert parent.stdout.read() == b""


def test_a_child_lives_as_long_as_its_parent():
    before = {thread.name for thread in threading.enumerate()}
    assert "watch parent" not in before
    code = "from avalanche_hsf.orphans import end_with_parent; import time; end_with_parent();"
    code += "time.sleep(1.5); print('alive')"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert shown.stdout == "alive\n"
    assert end_with_parent.__module__ == "avalanche_hsf.orphans"


def test_a_signal_waits_for_what_cannot_be_stopped():
    with pytest.raises(Ended) as ended, signals_end():
        finished = False
        with signals_wait():
            signal.raise_signal(signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)
            finished = True
    assert finished and ended.value.exit_code in (128 + signal.SIGTERM, 128 + signal.SIGINT)


def at_the_start(command, out):
    """When the first worker is there."""
    wait_until(lambda: workers(command), command)


def in_the_middle(command, out):
    """When both workers have worked for a while."""
    wait_until(
        lambda: sum(each.cpu_times().user > 6 for each in workers(command)) == 2,
        command,
    )


def between_runs(command, out):
    """When a run has just been kept."""
    wait_until((out / "results.json").exists, command)


def workers(command):
    """The worker processes of a command, however they are called."""
    return [
        child
        for child in psutil.Process(command.pid).children(recursive=True)
        if "spawn_main" in " ".join(child.cmdline())
    ]


def wait_until(condition, command):
    while not condition():
        assert command.poll() is None
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("moment", [at_the_start, in_the_middle, between_runs])
def test_no_worker_outlives_its_command(moment, name, tmp_path):
    words = [sys.executable, "-m", "avalanche_hsf.cli", *LONG, "--jobs", "2"]
    with subprocess.Popen(
        [*words, "--out", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as command:
        # A reader that holds the pipe open to its end, as a log does.
        said = []
        reader = threading.Thread(target=lambda: said.append(command.stdout.read()))
        reader.start()
        moment(command, tmp_path)
        children = psutil.Process(command.pid).children(recursive=True)
        if name == "SIGINT":  # as Ctrl-C: to the command and its workers
            os.killpg(command.pid, signal.SIGINT)
        else:
            command.send_signal(getattr(signal, name))
        began = time.monotonic()
        reader.join(WITHIN)
        assert not reader.is_alive(), "the pipe is still open"
        _, alive = psutil.wait_procs(children, timeout=WITHIN)
        assert not alive and time.monotonic() - began < WITHIN
    text = said[0].decode()
    number = getattr(signal, name)
    if name == "SIGKILL":
        assert command.returncode == -number
    else:
        assert command.returncode == 128 + number
        assert text.count(STOPPED) == 1
    lines = [line for line in text.replace("\r", "\n").splitlines() if "%|" not in line]
    assert set(lines) <= {"", STOPPED}, text
    assert len(ResultsFile(tmp_path).runs) >= (moment is between_runs)

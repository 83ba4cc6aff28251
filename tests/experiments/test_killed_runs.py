"""Runs that are killed within, and gone on with by the same command, end as ones that are not."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest

PRESETS = ["--benchmark", "synthetic", "--epochs", "20", "--seeds", "1"]
NETWORKS = ["--benchmark", "split-digits", "--epochs", "3", "--seeds", "1"]
RUNS = {
    **{name: [*PRESETS, "--strategies", f"hsf-{name}"] for name in ("repaired", "isolated")},
    **{name: [*PRESETS, "--strategies", f"hsf-{name}"] for name in ("paper", "compact")},
    "hn-isolated": [*NETWORKS, "--strategies", "hn-isolated"],
    "net-replay": [*NETWORKS, "--strategies", "net-replay"],
}
COMMAND = [sys.executable, "-W", "ignore", "-m", "avalanche_hsf.cli", "compare"]


def results(folder):
    """The runs without the time that they took; [] if there are none yet."""
    path = folder / "results.json"
    runs = json.loads(path.read_text())["runs"] if path.exists() else []
    return [{**run, "seconds": 0} for run in runs]


def begin(words, folder):
    every = "0.5" if "paper" in words[-1] or "repaired" in words[-1] else "0.05"  # of 160 MB
    return subprocess.Popen(
        [*COMMAND, *words, "--out", folder, "--checkpoint-every", every],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def killed_within(words, folder, delay):
    """Whether a command was killed some seconds after it had written a new checkpoint."""

    def written():
        return {path.stat().st_mtime_ns for path in folder.glob("checkpoints/*/*.checkpoint")}

    process, before = begin(words, folder), written()
    while process.poll() is None and not written() - before:
        time.sleep(0.01)
    time.sleep(delay)
    is_over = process.poll() is not None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return not is_over


def goes_on(name, tmp_path, n_kills, seed=0):
    """Kills a command again and again, lets it end, and counts the kills within runs."""
    words, draw, folder = RUNS[name], random.Random(seed), tmp_path / "killed"
    assert begin(words, tmp_path / "whole").wait() == 0
    n = sum(killed_within(words, folder, draw.uniform(0.0, 1.0)) for _ in range(n_kills))
    assert begin(words, folder).wait() == 0
    assert results(folder) == results(tmp_path / "whole")
    assert not (folder / "checkpoints").exists()
    return n


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_killed_at_random_moments(name, tmp_path, record_property):
    record_property("kills", goes_on(name, tmp_path, n_kills=9))

"""Runs that are killed within, and gone on with by the same command, end as ones that are not."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

PRESETS = ["--benchmark", "synthetic", "--epochs", "30", "--seeds", "1"]
NETWORKS = ["--benchmark", "split-digits", "--epochs", "3", "--seeds", "1"]
RUNS = {
    **{name: [*PRESETS, "--strategies", f"hsf-{name}"] for name in ("repaired", "isolated")},
    **{name: [*PRESETS, "--strategies", f"hsf-{name}"] for name in ("paper", "compact")},
    "hn-isolated": [*NETWORKS, "--strategies", "hn-isolated"],
    "net-replay": [*NETWORKS, "--strategies", "net-replay"],
}
COMMAND = [sys.executable, "-W", "ignore", "-m", "avalanche_hsf.cli", "compare"]
ENDLESS = 60


def results(folder):
    """The runs without the time that they took; [] if there are none yet."""
    path = folder / "results.json"
    runs = json.loads(path.read_text())["runs"] if path.exists() else []
    return [{**run, "seconds": 0} for run in runs]


def killed(words, folder, seconds):
    """Whether a command was still running after some seconds, and was killed."""
    process = subprocess.Popen(
        [*COMMAND, *words, "--out", folder, "--checkpoint-every", "0.05"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        return True
    assert process.returncode == 0
    return False


def goes_on(name, tmp_path, n_kills, seed=0):
    """Kills a command at random moments until it was killed often enough, then lets it end."""
    words, draw = RUNS[name], random.Random(seed)
    start = time.monotonic()
    assert not killed(words, tmp_path / "whole", 600)
    took = time.monotonic() - start
    within, folder = 0, tmp_path / "killed"
    for _ in range(n_kills):
        if killed(words, folder, draw.uniform(0.3, 1.0) * took):
            within += any((folder / "checkpoints").glob("*/*.checkpoint"))
        if results(folder):
            break
    assert not killed(words, folder, 600)
    assert results(folder) == results(tmp_path / "whole")
    assert not (folder / "checkpoints").exists()
    return within


def test_a_killed_run_goes_on(tmp_path):
    assert goes_on("hn-isolated", tmp_path, n_kills=2) > 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", RUNS)
def test_killed_at_random_moments(name, seed, tmp_path):
    goes_on(name, tmp_path, n_kills=3, seed=seed)

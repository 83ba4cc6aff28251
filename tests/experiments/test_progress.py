"""How far many runs are: lines without a terminal, bars on one, and never both."""

import os
import pty
import re
import subprocess
import sys

import pytest

COMPARE = ["compare", "--benchmark", "split-digits", "--strategies", "net-naive", "--epochs", "1"]


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """What a command wrote to standard error, as a file and as a terminal."""
    written = {}
    for kind in ("file", "terminal"):
        ours, theirs = pty.openpty() if kind == "terminal" else os.pipe()
        words = [*COMPARE, "--seeds", "1,2", "--out", str(tmp_path_factory.mktemp(kind))]
        process = subprocess.Popen(
            [sys.executable, "-m", "avalanche_hsf.cli", *words],
            stdout=subprocess.DEVNULL,
            stderr=theirs,
        )
        os.close(theirs)
        read = []
        while part := _read(ours):
            read.append(part)
        os.close(ours)
        assert process.wait() == 0
        written[kind] = b"".join(read).decode()
    return written


def _read(descriptor):
    try:
        return os.read(descriptor, 4096)
    except OSError:  # so a terminal says that its other side is closed
        return b""


def test_a_file_has_a_line_for_each_run(shown):
    lines = shown["file"].splitlines()
    places = [re.match(r"(tuning run|run) (\d+) of (\d+): net-naive on", line) for line in lines]
    assert all(places), lines
    n_tuning = int(places[0][3])
    assert n_tuning > 1
    expected = [("tuning run", i, n_tuning) for i in range(1, n_tuning + 1)]
    expected += [("run", 1, 2), ("run", 2, 2)]
    assert [(place[1], int(place[2]), int(place[3])) for place in places] == expected


def test_a_terminal_has_a_bar_of_the_runs_and_one_of_the_run(shown):
    text = shown["terminal"]
    assert re.search(r"tuning run: .*\d+/\d+ \[", text)
    assert re.search(r"\rrun: .*2/2 \[", text)
    assert re.search(r"net-naive, seed 2: .*epoch/s", text)
    assert " of 2: " not in text and "Warning" not in text

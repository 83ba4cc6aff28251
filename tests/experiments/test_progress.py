"""How far many runs are: lines without a terminal, bars on one, and never both."""

import os
import pty
import re
import sys
import threading

from avalanche_hsf.cli import main

COMPARE = ["compare", "--benchmark", "split-digits", "--strategies", "net-naive", "--epochs", "1"]


def test_a_file_has_a_line_for_each_run(tmp_path, capsys):
    assert main([*COMPARE, "--seeds", "1,2", "--out", str(tmp_path)]) == 0
    lines = capsys.readouterr().err.splitlines()
    places = [re.match(r"(tuning run|run) (\d+) of (\d+): net-naive on", line) for line in lines]
    assert all(places), lines
    n_tuning = int(places[0][3])
    assert n_tuning > 1
    expected = [("tuning run", i, n_tuning) for i in range(1, n_tuning + 1)]
    expected += [("run", 1, 2), ("run", 2, 2)]
    assert [(place[1], int(place[2]), int(place[3])) for place in places] == expected


def test_a_terminal_has_a_bar_of_the_runs_and_one_of_the_run(tmp_path, monkeypatch):
    ours, theirs = pty.openpty()
    read = []

    def collect():
        try:
            while part := os.read(ours, 4096):
                read.append(part)
        except OSError:  # so a terminal says that its other side is closed
            pass

    reader = threading.Thread(target=collect)
    reader.start()
    with os.fdopen(theirs, "w") as terminal, monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", terminal)
        assert main([*COMPARE, "--seeds", "1,2", "--out", str(tmp_path)]) == 0
    reader.join()
    os.close(ours)
    text = b"".join(read).decode()
    assert re.search(r"tuning run: .*\d+/\d+ \[", text)
    assert re.search(r"\rrun: .*2/2 \[", text)
    assert re.search(r"net-naive, seed 2: .*epoch/s", text)
    assert " of 2: " not in text and "Warning" not in text

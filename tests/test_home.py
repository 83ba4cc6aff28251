"""Avalanche writes into the home directory when it is imported; that may not be possible."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from avalanche.benchmarks.datasets.dataset_utils import AVALANCHE_CONFIG, default_dataset_location

from avalanche_hsf._home import dataset_location

IMPORT = """
import os
import avalanche_hsf.training
from avalanche.benchmarks.datasets.dataset_utils import default_dataset_location
print(os.environ["HOME"], default_dataset_location("x"))
"""


def imported(home):
    command = [sys.executable, "-c", IMPORT]
    environment = {**os.environ, "HOME": str(home)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="there is no folder without files to make")
def test_a_home_in_which_nothing_can_be_written():
    """Not even by the superuser, for whom a read-only folder is none."""
    ended = imported("/proc")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == ["/proc", "/proc/.avalanche/data/x"]


@pytest.mark.parametrize("location", [None, "/data", "~/data"])
def test_the_folder_of_data_sets_is_told_without_avalanche(location, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    if location is not None:
        (tmp_path / ".avalanche").mkdir()
        settings = {"dataset_location": location}
        (tmp_path / ".avalanche" / "config.json").write_text(json.dumps(settings))
    # Without settings Avalanche writes these.
    default = str(tmp_path / ".avalanche" / "data")
    monkeypatch.setitem(AVALANCHE_CONFIG, "dataset_location", location or default)
    expected = default_dataset_location("mnist")
    monkeypatch.delitem(sys.modules, "avalanche")
    assert dataset_location("mnist") == expected


@pytest.mark.slow
def test_a_home_with_settings_is_left_alone(tmp_path):
    settings = tmp_path / ".avalanche" / "config.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps({"dataset_location": "/data"}))
    ended = imported(tmp_path)
    assert ended.stdout.split() == [str(tmp_path), "/data/x"]
    assert [path.name for path in settings.parent.iterdir()] == ["config.json"]

"""What Avalanche keeps in the home directory."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path


def import_avalanche_without_a_home() -> None:
    """Imports Avalanche where the home directory cannot be written; elsewhere does nothing.

    Avalanche 0.6 writes `~/.avalanche/config.json` when it is imported, if there is none, and ends
    with a traceback where it cannot. Here it writes into a folder that is removed at once, and
    afterwards has the settings that it would have written.
    """
    folder = Path(os.path.expanduser("~/.avalanche"))
    if "avalanche" in sys.modules or (folder / "config.json").exists():
        return
    there = next(path for path in [folder, *folder.parents] if path.exists())
    # Tried, not asked: the superuser is told that he may write even where nothing can be written.
    with suppress(OSError), tempfile.TemporaryFile(dir=there) as file:
        file.write(b"on a full disk this fails")
        file.flush()
        return
    home = os.environ.get("HOME")
    with tempfile.TemporaryDirectory(prefix="avalanche-hsf-") as stand_in:
        os.environ["HOME"] = stand_in
        try:
            from avalanche.benchmarks.datasets import dataset_utils
        finally:
            if home is None:
                del os.environ["HOME"]
            else:
                os.environ["HOME"] = home
    dataset_utils.AVALANCHE_CONFIG["dataset_location"] = str(folder / "data")


def dataset_location(name: str) -> Path:
    """Avalanche's folder for a data set.

    Where Avalanche is not imported, which takes seconds, what it would say: from its settings.
    """
    if "avalanche" not in sys.modules:
        folder = Path(os.path.expanduser("~/.avalanche"))
        if not (folder / "config.json").exists():
            return folder / "data" / name
        with suppress(OSError, ValueError, TypeError, KeyError):  # then it is asked, and says why
            location = json.loads((folder / "config.json").read_text())["dataset_location"]
            return Path(os.path.expanduser(location)) / name
    from avalanche.benchmarks.datasets import default_dataset_location

    return Path(default_dataset_location(name))

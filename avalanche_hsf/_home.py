"""A home directory in which Avalanche can be imported."""

from __future__ import annotations

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

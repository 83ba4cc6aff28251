"""The command `avalanche-hsf blame`. Avalanche is imported only if the user's module does."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from avalanche_hsf.addresses import load
from avalanche_hsf.forensics.blame import blame
from avalanche_hsf.forensics.page import forensics_report
from avalanche_hsf.forensics.run import RunFindings
from avalanche_hsf.report import circumstances


def run(chosen: argparse.Namespace) -> None:
    """Carries it out: prints the verdict and writes the page.

    Raises:
        OSError, TypeError, ValueError: Something given is not right; the message says what.
    """
    make, of_data = (_function(chosen, name) for name in ("model", "data"))
    criterion = _function(chosen, "criterion")() if chosen.criterion else None
    data = of_data()
    if data is None:
        raise ValueError(f"--data {chosen.data} returned nothing: return a DataLoader or x, y")
    findings = blame(
        chosen.early,
        chosen.late,
        data,
        model=make,
        criterion=criterion,
        components=chosen.components,
        task=chosen.task,
    )
    about = circumstances(command=chosen.typed)
    report = forensics_report(RunFindings([findings]), about=about)
    folder = Path(chosen.out)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, content in report.contents().items():
        (folder / name).write_bytes(content)
        written.append(str(folder / name))
    print(f"{report.text()}\n\nwritten: {', '.join(written)}")


def _function(chosen: argparse.Namespace, option: str) -> Any:
    address = getattr(chosen, option)
    if ":" not in address:
        raise ValueError(f"--{option} must be MODULE:NAME, got {address!r}")
    thing = load(address)
    if not callable(thing):
        raise ValueError(f"--{option} {address} is no function, but a {type(thing).__name__}")
    return thing

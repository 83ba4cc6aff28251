"""The commands of users' own models: `blame`, and `diagnose MODULE:NAME`.

`blame` imports Avalanche only if the user's module does. What is given is looked at before anything
that takes long to import.
"""

from __future__ import annotations

import argparse
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avalanche_hsf.addresses import load
from avalanche_hsf.extras import require
from avalanche_hsf.whole import write_whole

if TYPE_CHECKING:
    from avalanche_hsf.report import Report


def blame_checkpoints(chosen: argparse.Namespace) -> None:
    """Prints the verdict on two checkpoints and writes the page.

    Raises:
        MissingExtraError: What writes the page is not installed.
        OSError, TypeError, ValueError: Something given is not right; the message says what.
    """
    _require(chosen)
    make, of_data = (_function(chosen, name) for name in ("model", "data"))
    criterion = _function(chosen, "criterion")() if chosen.criterion else None
    data = of_data()
    if data is None:
        raise ValueError(f"--data {chosen.data} returned nothing: return a DataLoader or x, y")
    from avalanche_hsf.forensics.blame import blame
    from avalanche_hsf.forensics.page import forensics_report
    from avalanche_hsf.forensics.run import RunFindings
    from avalanche_hsf.report import circumstances

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
    _write(report, Path(chosen.out))


def diagnose_function(chosen: argparse.Namespace) -> None:
    """Has a user's function train, prints the verdicts and writes the page.

    Raises:
        OSError, TypeError, ValueError: As `blame_checkpoints`.
    """
    _require(chosen)
    function = load(chosen.run)
    if not callable(function) or "plugins" not in signature(function).parameters:
        raise ValueError(
            f"{chosen.run} must be a function that takes plugins=, a list to hand to the strategy "
            "that it trains"
        )
    from avalanche_hsf.forensics.page import forensics_report
    from avalanche_hsf.forensics.plugin import ForensicsPlugin
    from avalanche_hsf.report import circumstances

    plugin = ForensicsPlugin(None)
    function(plugins=[plugin])
    if not plugin.recorder.models:
        raise ValueError(f"{chosen.run} trained nothing with the plugins that it was given")
    report = forensics_report(plugin.findings(), about=circumstances(command=chosen.typed))
    _write(report, Path(chosen.out))


def _require(chosen: argparse.Namespace) -> None:
    require(f"avalanche-hsf {chosen.command}", "jinja2", "tabulate", extra="report")


def _write(report: Report, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, content in report.contents().items():
        write_whole(folder / name, content)
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

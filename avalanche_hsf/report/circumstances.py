"""Under what circumstances something was measured."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

PACKAGES = ("torch", "avalanche-lib", "avalanche-hsf")


def circumstances(
    *,
    command: str = "",
    configuration: str = "",
    seeds: Sequence[int] = (),
    seconds: float | None = None,
) -> dict[str, str]:
    """What a reader needs to repeat a report: what is given, the versions, machine and date.

    Args:
        command: As typed.
        configuration: All that it stands for.
        seeds: Of the runs.
        seconds: That it took.

    Returns:
        Texts by their names; what is not given is left out.

    Example:
        >>> list(circumstances(seeds=[1, 2]))[:3]
        ['seeds', 'date', 'machine']
    """
    given = {
        "command": command,
        "seeds": ", ".join(map(str, seeds)),
        "time": "" if seconds is None else f"{seconds:,.0f} s",
    }
    return {
        **{name: text for name, text in given.items() if text},
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC",
        "machine": _machine(),
        "python": platform.python_version(),
        **{package: _version(package) for package in PACKAGES},
        **({"configuration": configuration.strip()} if configuration else {}),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _machine() -> str:
    parts = [f"{platform.system()} {platform.machine()}", _processor(), f"{os.cpu_count()} CPUs"]
    if torch.cuda.is_initialized():  # asking would initialize it
        parts.append(torch.cuda.get_device_name())
    return ", ".join(filter(None, parts))


def _processor() -> str:
    if sys.platform == "linux":
        with suppress(OSError):
            for line in Path("/proc/cpuinfo").read_text().splitlines():
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    return platform.processor()

"""Packages that come with an extra: who lacks one is told which."""

from __future__ import annotations

from importlib.util import find_spec


class MissingExtraError(ImportError):
    """A package is not installed, and an extra of this one brings it."""


def require(what: str, *packages: str, extra: str) -> None:
    """Nothing, if all packages can be imported; none is.

    Args:
        what: What needs them, at the beginning of the sentence.
        packages: Their names in an import.
        extra: The extra that brings them.

    Raises:
        MissingExtraError: Some cannot; the message names them and the command that installs them.

    Example:
        >>> require("Everybody", "torch", extra="x")
        >>> require("Nobody", "torch", "nowhere", extra="x")
        Traceback (most recent call last):
            ...
        avalanche_hsf.extras.MissingExtraError: Nobody needs nowhere: pip install 'avalanche-hsf[x]'
    """
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        needed = " and ".join(filter(None, [", ".join(missing[:-1]), missing[-1]]))
        raise MissingExtraError(f"{what} needs {needed}: pip install 'avalanche-hsf[{extra}]'")

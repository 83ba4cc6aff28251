"""Docstrings as they are written in this house, made ready for the site.

- `Example:` is the section that griffe calls `Examples:`.
- Brackets in text, as in R[i, j], are no links.
- A public name in backticks is a link to its entry.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import griffe

PACKAGE = Path(__file__).parents[1] / "avalanche_hsf"
_NAME = re.compile(r"(`[^`\n]+`)")


def _public() -> dict[str, str]:
    """The path of each name that a package names in `__all__`, of those that look like code."""
    paths = {}
    for init in sorted([*PACKAGE.glob("*/__init__.py*"), PACKAGE / "training/plugins/__init__.py"]):
        package = ".".join(init.parent.relative_to(PACKAGE).parts)
        for node in ast.parse(init.read_text()).body:
            if (
                isinstance(node, ast.Assign)
                and getattr(node.targets[0], "id", "") == "__all__"
                and isinstance(node.value, ast.List)
            ):
                names = ast.literal_eval(node.value)
                paths |= {name: f"avalanche_hsf.{package}.{name}" for name in names}
    return {name: path for name, path in paths.items() if re.search("[A-Z][a-z]|_", name)}


class Docstrings(griffe.Extension):
    def __init__(self) -> None:
        super().__init__()
        self.public = _public()

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None and "mkdocs" not in obj.path:
            obj.docstring.value = self._ready(obj.docstring.value, obj.name)

    def _ready(self, text: str, own: str) -> str:
        text, mark, example = re.sub(r"^( *)Example:$", r"\1Examples:", text, flags=re.M).partition(
            "Examples:\n"
        )
        return "".join(self._piece(p, own) for p in _NAME.split(text)) + mark + example

    def _piece(self, piece: str, own: str) -> str:
        if not piece.startswith("`"):
            return piece.replace("[", "\\[")
        path = self.public.get(piece.strip("`"))
        return f"[{piece}][{path}]" if path and piece.strip("`") != own else piece

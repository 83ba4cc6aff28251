"""Fills the tables of the pages from those that commands wrote.

    python docs/tables.py

A table has a comment above it that says what it is of: `from: FILE` or `FILE#heading`; `columns:`
names, each with `= its title here` if that is another; `rows:` the names in the first column, each
likewise; default: all. A file of ratios (`measured/speed/*.json`) has the columns median, blocks
and aim.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_FILLED = re.compile(r"^<!-- table\n((?:.*\n)*?)-->\n(?:\|.*\n)*", re.MULTILINE)


def filled(text: str) -> str:
    """A page with its tables as their sources are now."""
    return _FILLED.sub(lambda found: f"<!-- table\n{found[1]}-->\n{_table(found[1])}", text)


def _table(wanted: str) -> str:
    """Rows and columns of tables in a file, joined by their first column."""
    said = dict(re.split(r":\s*", line, maxsplit=1) for line in wanted.strip().splitlines())
    path, _, heading = said["from"].partition("#")
    text = (ROOT / path).read_text()
    has_ratios = path.endswith(".json")
    rows = _ratios(json.loads(text)) if has_ratios else _rows(text, heading)
    columns = _titled(said["columns"])
    chosen = _titled(said["rows"]) if "rows" in said else {name: name for name in rows}
    if not has_ratios:
        chosen = {name: f"`{name}`" if name == title else title for name, title in chosen.items()}
    try:
        body = [[title, *(rows[name][c] for c in columns)] for name, title in chosen.items()]
    except KeyError as missing:
        raise SystemExit(f"no row or column {missing} in the tables of {said['from']}") from None
    lines = [["", *columns.values()], ["---", *["--:"] * len(columns)], *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _titled(names: str) -> dict[str, str]:
    pairs = (each.partition("=") for each in names.split(";"))
    return {name.strip(): (title or name).strip() for name, _, title in pairs}


def _rows(text: str, heading: str) -> dict[str, dict[str, str]]:
    if heading:
        text = re.split(rf"^#+ {re.escape(heading)}$", text, flags=re.MULTILINE)[1]
        text = re.split(r"^#+ ", text, maxsplit=1, flags=re.MULTILINE)[0]
    rows: dict[str, dict[str, str]] = {}
    titles: list[str] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            titles = []
        elif not titles:
            titles = cells
        elif set(line) - set("|-: "):
            name = cells[0].strip("`*").partition("`")[0]
            rows.setdefault(name, {}).update(zip(titles[1:], cells[1:], strict=True))
    return rows


def _ratios(measured: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Those that a script in `benchmarks/` wrote; a spread where there is one."""
    return {
        row["name"]: {
            "median": f"{row['median']:.3g}",
            "blocks": f"{row['low']:.3g} to {row['high']:.3g}" if row["low"] < row["high"] else "",
            "aim": row["goal"],
        }
        for row in measured["ratios"]
    }


if __name__ == "__main__":
    for page in (ROOT / "docs").glob("**/*.md"):
        page.write_text(filled(page.read_text()))

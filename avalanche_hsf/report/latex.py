"""Tables in LaTeX, with rules of the package booktabs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from avalanche_hsf.report.cells import Cell

_SPECIAL = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": "$-$",
    # At the start of a row the bare bracket would be the argument of the \\ before it.
    "[": "{[}",
    "]": "{]}",
}
_NUMBER = re.compile(r"(?P<mantissa>[+-]?[\d,.]+)(?:e(?P<exponent>[+-]?\d+))?")


def escape(text: str) -> str:
    r"""Text as LaTeX shows it, on one line.

    >>> escape("R[i, j] & 5 %")
    'R{[}i, j{]} \\& 5 \\%'
    """
    escaped = "".join(_SPECIAL.get(c, c) for c in " ".join(text.split()))
    return escaped.replace("--", "-{}-")  # else one long dash


def latex_of(
    title: str,
    headers: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    numeric: Sequence[bool],
) -> str:
    """A table with a caption.

    Args:
        title: Of the caption.
        headers: Column names.
        rows: The cells of each row.
        numeric: For each column whether it is aligned right.
    """
    columns = "".join("r" if right else "l" for right in numeric)
    lines = [" & ".join(map(_cell, row)) + r" \\" for row in rows]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape(title)}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(map(escape, headers)) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )


def _cell(cell: Cell) -> str:
    """A number as a formula, with its powers of ten; anything else as text."""
    if not cell.is_number:
        return escape(cell.text)
    formula = _NUMBER.sub(_power, f"{cell.number} {cell.spread}".strip())
    return f"${formula.replace('±', chr(92) + 'pm')}$"


def _power(found: re.Match[str]) -> str:
    mantissa = found["mantissa"].rstrip(",")
    rest = found["mantissa"][len(mantissa) :]
    mantissa = mantissa.replace(",", "{,}")
    if found["exponent"] is None:
        return mantissa + rest
    return rf"{mantissa} \times 10^{{{int(found['exponent'])}}}" + rest

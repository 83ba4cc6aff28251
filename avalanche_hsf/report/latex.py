"""Tables in LaTeX that fit a page: with the packages booktabs and graphicx."""

from __future__ import annotations

import re
import textwrap
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
    # At the start of a row the bare characters would be arguments of the \\ before it.
    "*": "{*}",
    "[": "{[}",
    "]": "{]}",
}
_LINE = 84
"""Characters of a line of 345 points, as of the class article, in its type of 8 points."""
_GAP = 2
"""Characters that the space between two columns takes."""
_HEADER = 14
"""Characters of a header from which on it is broken into lines."""
_FIT = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}"
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
    *,
    n_labels: int = 1,
) -> str:
    """A table with a caption, in small type.

    What is too wide for a line stands in parts, one under the other, that begin with the same
    columns. A part that is wider than the line none the less, as in a narrow column, is shrunk.

    Args:
        title: Of the caption.
        headers: Column names.
        rows: The cells of each row.
        numeric: For each column whether it is aligned right.
        n_labels: Columns that name a row; rows with a blank first cell belong to the one above.
    """
    parts = []
    for columns in _parts(headers, rows, n_labels):
        lines = [" & ".join(_cell(row[k]) for k in columns) + r" \\" for row in rows]
        gaps = [
            r"\addlinespace" + "\n" if n_labels > 1 and i > 0 and not row[0].is_blank else ""
            for i, row in enumerate(rows)
        ]
        body = [
            rf"\begin{{tabular}}{{{''.join('r' if numeric[k] else 'l' for k in columns)}}}",
            r"\toprule",
            " & ".join(_header(headers[k], right=numeric[k]) for k in columns) + r" \\",
            r"\midrule",
            *(gap + line for gap, line in zip(gaps, lines, strict=True)),
            r"\bottomrule",
            r"\end{tabular}",
        ]
        parts.append("\n".join([_FIT + "{%", *body]) + "}")
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape(title)}}}",
            r"\footnotesize",
            r"\setlength{\tabcolsep}{4pt}",
            "\n\\par\\medskip\n".join(parts),
            r"\end{table}",
        ]
    )


def _parts(
    headers: Sequence[str], rows: Sequence[Sequence[Cell]], n_labels: int
) -> list[list[int]]:
    """The columns of each part, the labels in all of them."""
    widths = [
        max([*map(len, _broken(header)), *(len(row[k].text) for row in rows)]) + _GAP
        for k, header in enumerate(headers)
    ]
    labels, others = list(range(n_labels)), range(n_labels, len(headers))
    parts, room = [labels], _LINE - sum(widths[:n_labels])
    used = 0
    for k in others:
        if used and used + widths[k] > room:
            parts.append(list(labels))
            used = 0
        parts[-1] = [*parts[-1], k]
        used += widths[k]
    return parts


def _broken(header: str) -> list[str]:
    """A header in lines of its own cell."""
    return textwrap.wrap(header, _HEADER, break_long_words=False) or [""]


def _header(header: str, *, right: bool) -> str:
    lines = [escape(line) for line in _broken(header)]
    if len(lines) == 1:
        return lines[0]
    stacked = r" \\ ".join(lines)
    return rf"\begin{{tabular}}[b]{{@{{}}{'r' if right else 'l'}@{{}}}}{stacked}\end{{tabular}}"


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

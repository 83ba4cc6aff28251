"""What a command has to show, in one shape."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.figure import Figure

from avalanche_hsf.report.tables import Table

DPI = 150


@dataclass(frozen=True)
class Report:
    """Tables, notes, figures and further files.

    Attributes:
        name: Stem of the file that holds tables and notes.
        tables: In their order.
        notes: A line each.
        figures: By file name.
        files: Further texts by file name.
        failures: A line for each run or learner that failed.
        diverged: A line for each run that diverged.
    """

    name: str
    tables: Sequence[Table]
    notes: Sequence[str] = ()
    figures: Mapping[str, Figure] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    failures: Sequence[str] = ()
    diverged: Sequence[str] = ()

    @property
    def lacks(self) -> str:
        """What its tables lack, in words; "": nothing."""
        counts = {"failed": len(self.failures), "diverged": len(self.diverged)}
        return " and ".join(f"{n} {what}" for what, n in counts.items() if n)

    def text(self) -> str:
        """For a terminal."""
        return "\n\n".join([table.text() for table in self.tables] + self._lines())

    def markdown(self) -> str:
        """For a Markdown file."""
        return "\n\n".join([table.markdown() for table in self.tables] + self._lines()) + "\n"

    def contents(self) -> dict[str, bytes]:
        """Everything to be written, by file name."""
        texts = {f"{self.name}.md": self.markdown(), **self.files}
        drawn = {name: io.BytesIO() for name in self.figures}
        for name, figure in self.figures.items():
            figure.savefig(drawn[name], dpi=DPI)
        return {
            **{name: text.encode() for name, text in texts.items()},
            **{name: image.getvalue() for name, image in drawn.items()},
        }

    def _lines(self) -> list[str]:
        """Notes, failures and what diverged, as lists that read the same in Markdown."""
        groups = [
            list(self.notes),
            [f"failed: {failure}" for failure in self.failures],
            [f"diverged: {run}" for run in self.diverged],
        ]
        return ["\n".join(f"- {line}" for line in group) for group in groups if group]

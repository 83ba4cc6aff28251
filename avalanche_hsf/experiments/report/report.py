"""What a command has to show, in one shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure

from avalanche_hsf.experiments.report.tables import Table

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
    """

    name: str
    tables: Sequence[Table]
    notes: Sequence[str] = ()
    figures: Mapping[str, Figure] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    failures: Sequence[str] = ()

    def text(self) -> str:
        """For a terminal."""
        return "\n\n".join([table.text() for table in self.tables] + self._lines())

    def markdown(self) -> str:
        """For a Markdown file."""
        return "\n\n".join([table.markdown() for table in self.tables] + self._lines()) + "\n"

    def write(self, folder: Path) -> list[Path]:
        """Writes everything into a folder; returns the paths."""
        texts = {f"{self.name}.md": self.markdown(), **self.files}
        for name, text in texts.items():
            (folder / name).write_text(text)
        for name, figure in self.figures.items():
            figure.savefig(folder / name, dpi=DPI)
        return [folder / name for name in (*texts, *self.figures)]

    def _lines(self) -> list[str]:
        """Notes and failures, as lists that read the same in Markdown."""
        groups = [list(self.notes), [f"failed: {failure}" for failure in self.failures]]
        return ["\n".join(f"- {line}" for line in group) for group in groups if group]

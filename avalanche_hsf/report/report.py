"""What a command has to show, in one shape."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure

from avalanche_hsf.report.long_form import csv_of
from avalanche_hsf.report.page import page_of
from avalanche_hsf.report.tables import Table, in_markdown
from avalanche_hsf.report.vector import label_of
from avalanche_hsf.whole import write_whole

DPI = 150


@dataclass(frozen=True)
class Section:
    """Tables and figures that belong together.

    Attributes:
        title: Its heading; "": none.
        text: A sentence or paragraph below the heading.
        tables: In their order.
        figures: By file name, below the tables.
    """

    title: str = ""
    text: str = ""
    tables: Sequence[Table] = ()
    figures: Mapping[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """Tables, notes, figures and further files.

    Attributes:
        name: Stem of the files that hold tables and notes.
        tables: In their order, below the sections.
        notes: A line each.
        figures: By file name, below the tables.
        files: Further texts by file name; they replace what would have the same name.
        failures: A line for each run or learner that failed.
        diverged: A line for each run that diverged.
        headline: What was found, in one sentence.
        sections: Tables and figures with headings, in the order in which they are read.
        about: How it was made, by name; see `circumstances`.

    Example:
        >>> table = Table("Forgetting", ["model", "T0"], [["mlp", "+0.0016"]])
        >>> report = Report("summary", [table], headline="The MLP forgets little.")
        >>> report.html().splitlines()[0]
        '<!doctype html>'
    """

    name: str
    tables: Sequence[Table] = ()
    notes: Sequence[str] = ()
    figures: Mapping[str, Figure] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    failures: Sequence[str] = ()
    diverged: Sequence[str] = ()
    headline: str = ""
    sections: Sequence[Section] = ()
    about: Mapping[str, str] = field(default_factory=dict)

    @property
    def parts(self) -> list[Section]:
        """Everything in sections: the last one has no title, and what is in no other."""
        rest = Section("", "", self.tables, self.figures)
        return [*self.sections, *([rest] if rest.tables or rest.figures else [])]

    @property
    def lacks(self) -> str:
        """What its tables lack, in words; "": nothing."""
        counts = {"failed": len(self.failures), "diverged": len(self.diverged)}
        return " and ".join(f"{n} {what}" for what, n in counts.items() if n)

    def text(self) -> str:
        """For a terminal."""
        blocks = [
            block
            for part in self.parts
            for block in (part.title, part.text, *(table.text() for table in part.tables))
        ]
        return "\n\n".join(filter(None, [self.headline, *blocks, *self._lines()]))

    def markdown(self) -> str:
        """For a Markdown file, with the figures by name: they lie beside it, see `contents`."""
        blocks = [
            block
            for part in self.parts
            for block in (
                part.title and f"## {part.title}",
                part.text,
                *(table.markdown() for table in part.tables),
                *(
                    f"![{in_markdown(label_of(figure, name))}]({name})"
                    for name, figure in part.figures.items()
                ),
            )
        ]
        return "\n\n".join(filter(None, [self.headline, *blocks, *self._lines()])) + "\n"

    def html(self) -> str:
        """One HTML file with everything in it but `files`, to be opened by a double click."""
        return page_of(self)

    def write_html(self, path: str | Path) -> Path:
        """Writes `html` to a file, whole or not at all, and its folder if there is none.

        Raises:
            OSError: It cannot be written.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, self.html().encode())
        return path

    def latex(self) -> str:
        """All tables, to be included in a paper."""
        head = "% \\usepackage{booktabs,graphicx}\n\n"
        return head + "\n\n".join(table.latex() for table in self._tables()) + "\n"

    def csv(self) -> str:
        """All tables in long form, a line for each cell; see `csv_of`."""
        return csv_of(self._tables())

    def contents(self) -> dict[str, bytes]:
        """Everything to be written, by file name."""
        texts = {f"{self.name}.md": self.markdown(), f"{self.name}.html": self.html()}
        if self._tables():
            texts |= {f"{self.name}.tex": self.latex(), f"{self.name}.csv": self.csv()}
        texts |= self.files
        figures = {name: figure for part in self.parts for name, figure in part.figures.items()}
        drawn = {name: io.BytesIO() for name in figures}
        for name, figure in figures.items():
            figure.savefig(drawn[name], dpi=DPI)
        return {
            **{name: text.encode() for name, text in texts.items()},
            **{name: image.getvalue() for name, image in drawn.items()},
        }

    def _tables(self) -> list[Table]:
        return [table for part in self.parts for table in part.tables]

    def _lines(self) -> list[str]:
        """Notes, failures and what diverged, as lists that read the same in Markdown."""
        groups = [
            list(self.notes),
            [f"failed: {failure}" for failure in self.failures],
            [f"diverged: {run}" for run in self.diverged],
        ]
        return ["\n".join(f"- {line}" for line in group) for group in groups if group]

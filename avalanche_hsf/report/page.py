"""A report as one HTML file, which needs neither a network nor anything beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from avalanche_hsf.extras import require
from avalanche_hsf.report.vector import inline_svg, label_of

require("An HTML report", "jinja2", "markupsafe", extra="report")
from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: E402
from markupsafe import Markup  # noqa: E402

if TYPE_CHECKING:
    from avalanche_hsf.report.report import Report, Section

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page_of(report: Report) -> str:
    """The text of the file."""
    parts = [
        (section, [table.shown() for table in section.tables], _figures(section, i))
        for i, section in enumerate(report.parts)
    ]
    return _TEMPLATES.get_template("page.html.j2").render(report=report, parts=parts)


def _figures(section: Section, part: int) -> list[tuple[str, bool, Markup]]:
    """Label of each figure, whether to show it as a caption, and its SVG, which is markup."""
    figures = []
    for k, (name, figure) in enumerate(section.figures.items()):
        label = label_of(figure, Path(name).stem)
        svg = inline_svg(figure, prefix=f"figure-{part}-{k}-", label=label)
        figures.append((label, bool(figure.get_suptitle()), Markup(svg)))
    return figures

"""Figures as SVG that stands within a page."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from xml.etree import ElementTree

import matplotlib
from matplotlib.figure import Figure

from avalanche_hsf.report.figures.style import BAND, FAINT, INK, MUTED, PAPER

_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""Characters that XML cannot hold, but a title can."""

_REFERENCE = re.compile(r"url\(#([^)]+)\)|^#(.+)$")
_FAMILIES = re.compile(r"(font-family: |font: [^;]*?px )[^;]+")  # either, by version
_DROPPED = {"metadata", "style"}
_COLORS = {INK: "ink", MUTED: "soft", FAINT: "line", BAND: "faint", PAPER: "paper"}
"""What the page calls the colours that are not those of data, see `page.css`."""
_COLOR = re.compile("|".join(_COLORS))


def inline_svg(figure: Figure, *, prefix: str, label: str) -> str:
    """The figure as an `svg` element without anything that acts beyond it, nor its main title.

    Texts stay texts, in the reader's own font. Text, axes and paper take the colours of the page
    around, light or dark; its width in points is the variable `--points`. Of the ids only those
    that are referred to are kept.

    Args:
        figure: To be drawn.
        prefix: Of all ids, another for each figure of a page.
        label: What is read out in place of the figure.
    """
    drawn = io.StringIO()
    context = matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "avalanche-hsf"})
    with context, _without_title(figure):
        # Without a background of its own, so that the page's shows.
        figure.savefig(
            drawn, format="svg", facecolor="none", metadata={"Date": None, "Creator": None}
        )
    root = ElementTree.fromstring(_ILLEGAL.sub("", drawn.getvalue()))
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = {_local(key): value for key, value in element.attrib.items()}
        for child in [child for child in element if _local(child.tag) in _DROPPED]:
            element.remove(child)
    _rename(root, prefix)
    for key in ("version", "height", "width"):
        root.attrib.pop(key, None)
    width = f"--points: {72 * figure.get_figwidth():.5g}"
    root.attrib |= {"role": "img", "aria-label": _ILLEGAL.sub("", label), "style": width}
    return ElementTree.tostring(root, encoding="unicode")


def label_of(figure: Figure, otherwise: str) -> str:
    """The figure's title in one line."""
    titles = [figure.get_suptitle(), *(axes.get_title() for axes in figure.axes)]
    return " ".join(next(filter(None, titles), otherwise).split())


@contextmanager
def _without_title(figure: Figure) -> Iterator[None]:
    """Takes the title away, and the room for it; the page shows it as text."""
    titles = [text for text in figure.texts if text.get_text() == figure.get_suptitle() != ""]
    for text in titles:
        text.set(visible=False, in_layout=False)
    try:
        yield
    finally:
        for text in titles:
            text.set(visible=True, in_layout=True)


def _rename(root: ElementTree.Element, prefix: str) -> None:
    """Puts the prefix before all ids and references to them."""
    values = [value for element in root.iter() for value in element.attrib.values()]
    referred = {a or b for value in values for a, b in _REFERENCE.findall(value)}

    def renamed(found: re.Match[str]) -> str:
        return f"url(#{prefix}{found[1]})" if found[1] else f"#{prefix}{found[2]}"

    for element in root.iter():
        if (name := element.attrib.pop("id", None)) in referred:
            element.set("id", f"{prefix}{name}")
        for key, value in element.attrib.items():
            # A colour such as #ffffff is an attribute too, but no reference.
            if key == "href" or "url(#" in value:
                element.set(key, _REFERENCE.sub(renamed, value))
            if key == "style":
                style = _FAMILIES.sub(r"\1sans-serif", element.attrib[key])
                element.set(key, _COLOR.sub(lambda c: f"var(--{_COLORS[c[0]]}, {c[0]})", style))


def _local(name: str) -> str:
    """A name without its namespace, which elements within a page do not have."""
    return name.rpartition("}")[2]

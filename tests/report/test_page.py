"""The page of a report: whole, escaped, and with markup that a browser and a reader can use."""

import re
from html.parser import HTMLParser

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pages import HOSTILE, full, plot

from avalanche_hsf.report import Report, Table, circumstances, plot_curves, plot_frontier
from avalanche_hsf.report.figures.style import FAINT, INK, MUTED, PAPER

VOID = {"meta", "link", "br", "img"}


class Page(HTMLParser):
    """Elements with their attributes, and the text, of a page that closes what it opens."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self._open = [], [], []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def collapsed(text):
    return " ".join(text.split())


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1))
def test_any_text_is_shown_and_changes_no_markup(text):
    def report(text):
        table = Table(text, ["a", text], [[text, text], ["b", "1"]])
        words = {"notes": [text], "failures": [text], "headline": text, "about": {"about": text}}
        return Report(text, [table], **words)

    page, plain = Page(report(text).html()), Page(report("x").html())
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in plain.elements]
    if collapsed(text):
        assert collapsed(text) in collapsed("".join(page.texts))


def test_hostile_texts_are_texts():
    text = full().html()
    page = Page(text)
    assert HOSTILE in "".join(page.texts)
    assert len(page.all("script")) == 1 and not page.all("img")
    assert not [a for _, a in page.elements if any(name.startswith("on") for name in a)]


def test_nothing_comes_from_a_network():
    for _, attributes in Page(full().html()).elements:
        for name in ("src", "href"):
            assert attributes.get(name, "#").startswith(("#", "data:"))
    assert "@import" not in full().html() and not re.search(r"url\((?!#)", full().html())


def test_ids_are_unique_and_all_references_lead_somewhere():
    report = Report("r", figures={f"{k}.png": plot("The same", (1, 3, 2)) for k in range(3)})
    for text in (report.html(), full().html()):
        elements = Page(text).elements
        ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
        assert len(ids) == len(set(ids))
        references = re.findall(r'(?:url\(#|href="#|aria-labelledby=")([^)"]+)', text)
        assert references and set(references) <= set(ids)
    assert report.html() == report.html()


def test_figures_are_vectors_with_texts_and_a_label():
    page = Page(Report("r", figures={"f.png": plot("Title of it")}).html())
    (svg,) = page.all("svg")
    assert svg["role"] == "img" and svg["aria-label"] == "Title of it" and "viewbox" in svg
    assert "Title of it" in page.texts and page.all("text")
    styles = [a["style"] for a in page.all("text") if "style" in a]
    assert styles and all("sans-serif" in style and "DejaVu" not in style for style in styles)


def test_the_title_of_a_figure_is_text_of_the_page_alone():
    figure = plot_curves({"loss": {"a": [(1, 0.5), (2, 0.1)]}}, steps=1, title="While it learned")
    page = Page(Report("r", figures={"f.png": figure}).html())
    assert page.texts.count("While it learned") == 1 and len(page.all("figcaption")) == 1
    (title,) = figure.texts
    assert title.get_visible() and title.get_in_layout()  # for the PNG


def test_figures_take_the_colours_of_the_page_but_for_those_of_data():
    figure = plot_frontier({"a": torch.ones(2, 2)}, kept={"a": 0.0}, keeps_samples=["a"])
    styles = " ".join(
        a["style"]
        for _, a in Page(Report("r", figures={"f.png": figure}).html()).elements
        if "style" in a
    )
    for name, color in (("ink", INK), ("soft", MUTED), ("line", FAINT), ("paper", PAPER)):
        assert f"var(--{name}, {color})" in styles
        assert not re.search(rf"(?<!, ){color}", styles)
    assert "#0072b2" in styles


@pytest.mark.filterwarnings("ignore:Glyph 1")
def test_a_title_may_hold_what_xml_cannot():
    assert "A  B" in Report("r", figures={"f.png": plot("A \x01 B")}).html()


def test_tables_can_be_sorted_by_what_their_cells_mean():
    rows = [["a", "1,200 ± 5"], ["b", "-"], ["c", "2.5e-3 [1e-3, 5e-3]"], ["d", "5 times"]]
    page = Page(Report("r", [Table("t", ["n", "x"], rows)]).html())
    (table,) = page.all("table")
    assert table["class"] == "sortable"
    cells = page.all("td")
    assert [cell.get("data-value") for cell in cells] == ["1200.0", None, "0.0025", "5.0"]
    assert ["data-blank" in cell for cell in cells] == [False, True, False, False]
    assert all(cell["class"] == "number" for cell in cells)
    assert [cell["scope"] for cell in page.all("th")] == ["col"] * 2 + ["row"] * 4


def test_names_of_rows_are_no_numbers():
    rows = [["0 (Linear)", "1"], ["1 (Linear)", "2"], ["10 (Linear)", "3"]]
    table = Table("t", ["layer", "x"], rows)
    names = [th for th in Page(Report("r", [table]).html()).all("th") if th["scope"] == "row"]
    assert names == [{"scope": "row"}] * 3
    assert r"\begin{tabular}{lr}" in table.latex()
    assert "|:------------|----:|" in table.markdown()


def test_rows_that_belong_together_are_not_sorted_apart():
    rows = [["T0", "ours", "1"], ["", "paper", "2"]]
    (table,) = Page(Report("r", [Table("t", ["a", "", "x"], rows)]).html()).all("table")
    assert table["class"] == "grouped"


def test_the_head_of_the_page():
    page = Page(full().html())
    assert page.all("html") == [{"lang": "en"}]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all(
        "meta"
    )
    assert len(page.all("h1")) == 1 and len(page.all("title")) == 1
    assert "Some report - avalanche-hsf" in page.texts


def test_a_page_is_written_as_one_file(tmp_path):
    path = Report("r").write_html(tmp_path / "new" / "page.html")
    assert path.read_text() == Report("r").html() and list(path.parent.iterdir()) == [path]


def test_circumstances():
    about = circumstances(command="c", configuration="a = 1\n", seeds=[1, 2], seconds=61.4)
    assert about["command"] == "c" and about["seeds"] == "1, 2" and about["time"] == "61 s"
    assert about["configuration"] == "a = 1"
    assert about["torch"][0].isdigit() and about["avalanche-lib"].startswith("0.")
    assert "command" not in circumstances()

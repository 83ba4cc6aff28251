"""The page in a browser: wide and narrow, light and dark, sorted by keys alone."""

import pytest
import torch
from browser import browser, find_browser
from pages import full

from avalanche_hsf.report import Report, plot_frontier

pytestmark = pytest.mark.skipif(
    find_browser() is None, reason="no Chromium is installed (apt-get install chromium)"
)

COLUMN = "[...document.querySelectorAll('table.sortable tbody tr')].map(r => r.cells[%d].innerText)"
SORTED_BY = "[...document.querySelectorAll('th')].map(th => th.getAttribute('aria-sort'))"
COLOURS = "(s => [s.color, s.backgroundColor])(getComputedStyle(document.body))"
# What is wider than the window and not in a box of its own that scrolls.
TOO_WIDE = """[...document.querySelectorAll("body *")].filter(
  (e) => !e.closest(".scroll") && e.getBoundingClientRect().right > innerWidth + 0.5
).map((e) => e.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return full().write_html(tmp_path_factory.mktemp("page") / "page.html")


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_only_boxes_scroll_sideways_and_nothing_complains(tab, page, width, scheme):
    tab.open(page, width=width, scheme=scheme)
    assert tab.run("innerWidth") == width
    assert tab.run("document.documentElement.scrollWidth") <= width
    assert tab.run(TOO_WIDE) == []
    boxes = "[...document.querySelectorAll('.scroll')].map(b => b.scrollWidth - b.clientWidth)"
    assert max(tab.run(boxes)) > 100  # the wide table does scroll
    assert tab.complaints == []
    assert tab.run("window.broken") is None
    color, background = (sum(map(int, c[4:-1].split(","))) for c in tab.run(COLOURS))
    assert (color < background) == (scheme == "light")
    assert all(url.startswith(("file:", "data:")) for url in tab.requests)


@pytest.mark.parametrize(("scheme", "media"), [("light", ""), ("dark", ""), ("dark", "print")])
def test_texts_of_figures_have_the_ink_of_the_page(tab, page, scheme, media):
    figure = plot_frontier({"a": torch.ones(2, 2)}, kept={"a": 0.0})
    path = Report("r", figures={"f.png": figure}).write_html(page.parent / "figure.html")
    tab.open(path, width=390, scheme=scheme, media=media)
    fills = tab.run("[...document.querySelectorAll('svg text')].map(t => getComputedStyle(t).fill)")
    assert set(fills) == {tab.run(COLOURS)[0]}
    if not media:  # letters of a scrolled figure are no smaller than those of its PNG
        size = "document.querySelector('svg text').getBoundingClientRect().height"
        assert tab.run(size) >= 11
    assert tab.complaints == []


def test_a_header_sorts_up_and_down_and_back(tab, page):
    tab.open(page)
    written = tab.run(COLUMN % 1)
    assert written[0] == "-" and written[-1] == ""

    def click():
        tab.run("document.querySelectorAll('th button')[1].click()")
        return tab.run(COLUMN % 1), tab.run(SORTED_BY)[:3]

    up = ["2.0 ± 0.5", "9.0", "10", "1,200 [900, 1,500]"]
    assert click() == ([*up, "-", ""], ["none", "ascending", "none"])
    assert click() == ([*up[::-1], "-", ""], ["none", "descending", "none"])
    assert click() == (written, ["none", "none", "none"])


def test_keys_alone_sort(tab, page):
    tab.open(page)
    for _ in range(20):
        tab.press("Tab")
        if tab.run("document.activeElement.textContent") == "column number 0":
            break
    tab.press("Enter")
    assert tab.run(SORTED_BY)[1] == "ascending"
    assert tab.run("document.activeElement.textContent") == "column number 0"


def test_in_print_nothing_is_cut_off_in_a_box(tab, page):
    tab.open(page, width=390, scheme="dark", media="print")
    assert tab.run("getComputedStyle(document.querySelector('.scroll')).overflowX") == "visible"
    assert tab.run(COLOURS)[1] == "rgb(255, 255, 255)"
    assert tab.complaints == []

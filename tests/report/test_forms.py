"""A table as LaTeX and CSV, and the files that a report writes."""

import csv
import io
import re
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pages import HOSTILE, full, plot, wide

from avalanche_hsf.report import Report, Section, Table

TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
SPECIAL = re.compile(r"(?<!\\)[&%#_$~^]")
MATH = re.compile(r"\$[^$]*\$")
SYMBOLS = re.compile(r"\$(\\pm|\\times|-)\$")


def rows_of(latex):
    body = latex.split(r"\midrule")[1].split(r"\bottomrule")[0]
    return body.strip().splitlines()


@given(TEXT, TEXT)
def test_any_text_is_escaped_in_latex(title, text):
    latex = Table(title, ["a", text], [["x", text], [text, "y"]]).latex()
    # What is left after commands and symbols has no character that LaTeX takes for its own.
    left = latex.replace(r"\\", "").replace(r"\{", "").replace(r"\}", "")
    assert left.count("{") == left.count("}")
    for line in rows_of(latex):
        assert line.endswith(r" \\")
        formulas = line.replace(r"\$", "")  # a dollar of the text opens none
        assert not SPECIAL.search(SYMBOLS.sub("", MATH.sub("", formulas)).replace(" & ", " "))


def test_numbers_are_formulas_in_latex():
    rows = [["a_b", "2.7e-06 ± 3.3e-06", "1,200 [900, 1,500]"], ["[x]", "-", "-5"]]
    first, second = rows_of(Table("t", ["n", "x", "y"], rows).latex())
    assert first == (
        r"a\_b & $2.7 \times 10^{-6} \pm 3.3 \times 10^{-6}$ & $1{,}200 [900, 1{,}500]$ \\"
    )
    assert second == r"{[}x{]} & - & $-5$ \\"


def compiled(folder, latex, options):
    """The log of a document with those tables."""
    parts = [rf"\documentclass[{options}]{{article}}\usepackage{{booktabs,graphicx}}"]
    parts += [r"\begin{document}", latex, r"\end{document}"]
    (folder / "paper.tex").write_text("\n".join(parts))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return (folder / "paper.log").read_text(errors="replace")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no TeX is installed")
@pytest.mark.parametrize("options", ["onecolumn", "twocolumn"])
def test_tables_fit_a_line_of_latex(tmp_path, options):
    rows = [[f"*[{HOSTILE}", "1.0e-05 ± 2.0e-06", "$%&_^~\\{}#"], ["", "-", "*"], ["b", "1", "[2]"]]
    tables = [wide(), Table("50 % of a_b", ["learner", "final mean error, %", "**"], rows)]
    log = compiled(tmp_path, Report("r", tables).latex(), options)
    assert "Overfull" not in log and "Float too large" not in log


def test_a_wide_table_stands_in_parts_that_begin_with_the_names():
    latex = wide().latex()
    bodies = re.findall(r"\\midrule(.*?)\\bottomrule", latex, re.DOTALL)
    assert len(bodies) > 1 and latex.count(r"\begin{table}") == 1
    for body in bodies:
        assert [line[0] for line in body.strip().splitlines()] == list("abcdef")


def test_markdown_has_the_figures_and_cells_that_stay_cells():
    table = Table("a|b", ["n", "x|y"], [["a|b\n<c>", "1"]])
    text = Report("r", [table], figures={"f.png": plot("A figure")}).markdown()
    assert r"| a\|b &lt;c> |" in text and text.endswith("![A figure](f.png)\n")


def test_blank_columns_are_in_no_form():
    table = Table("t", ["n", "gone", "kept"], [["a", "-", "1"], ["b", "", "-"]])
    report = Report("r", [table])
    for text in (report.text(), report.markdown(), report.latex(), report.csv(), report.html()):
        assert "kept" in text and "gone" not in text
    assert Table("t", ["n", "x"], []).shown().headers == ["n", "x"]
    assert Table("t", ["n", "x"], [["-", "1"]]).shown().headers == ["n", "x"]


@given(st.lists(st.tuples(TEXT, st.floats(-1e6, 1e6), st.floats(0, 1e6)), max_size=5))
def test_values_of_the_csv_parse(rows):
    cells = [[name, f"{mean:.6g} ± {half:.6g}", f"{mean:,.3f}"] for name, mean, half in rows]
    written = list(csv.DictReader(io.StringIO(Report("r", [Table("t", "abc", cells)]).csv())))
    intervals = [row for row in written if row["column"] == "b"]
    plain = [row for row in written if row["column"] == "c"]
    assert len(intervals) == len(plain) == len(rows)
    for (_, mean, half), with_interval, without in zip(rows, intervals, plain, strict=True):
        assert float(with_interval["mean"]) == float(f"{mean:.6g}")
        assert float(with_interval["half_width"]) == float(f"{half:.6g}")
        assert float(with_interval["low"]) <= float(with_interval["high"])
        assert float(without["value"]) == float(f"{mean:.3f}") and without["mean"] == ""


def test_rows_of_a_group_have_names_of_their_own_in_the_csv():
    rows = [["T0", "ours", "1"], ["", "paper", "2"], ["T1", "ours", "3"]]
    written = list(
        csv.DictReader(io.StringIO(Report("r", [Table("t", ["a", "", "x"], rows)]).csv()))
    )
    assert [row["row"] for row in written] == ["T0, ours", "T0, paper", "T1, ours"]


def test_what_is_written_beside_each_other():
    contents = full().contents()
    assert list(contents) == [
        *("some_report.md", "some_report.html", "some_report.tex", "some_report.csv"),
        *("a.png", "b.png"),
    ]
    assert contents["a.png"].startswith(b"\x89PNG")
    richer = Report("r", [Table("t", ["a"], [["1"]])], files={"r.csv": "richer"})
    assert richer.contents()["r.csv"] == b"richer"
    assert list(Report("r").contents()) == ["r.md", "r.html"]


def test_a_report_reads_from_the_headline_down():
    report = Report(
        "r",
        [Table("last", ["a"], [["1"]])],
        ["note"],
        headline="Found.",
        sections=[Section("Title", "Text.", [Table("first", ["a"], [["1"]])], {"f.png": plot()})],
        about={"command": "c"},
    )
    for text in (report.text(), report.markdown(), report.html().split("<main>")[1]):
        places = [
            text.index(word) for word in ("Found.", "Title", "Text.", "first", "last", "note")
        ]
        assert places == sorted(places)
    assert "c" in report.html() and report.text() == report.text()

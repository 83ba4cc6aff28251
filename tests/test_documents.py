"""What the documents say can be done: snippets run, commands parse, links lead somewhere.

The Python fences of a page run in order and share their names. They name the epochs of a real
run, as `train_epochs=30`; here they are as few as `EPOCHS` says. A fence that is shown but not run
has the line `<!-- not run: REASON -->` above it.
"""

import importlib.util
import json
import re
import shlex
from configparser import ConfigParser
from pathlib import Path

import pytest

from avalanche_hsf import cli

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    str(path.relative_to(ROOT))
    for path in (*ROOT.glob("docs/**/*.md"), ROOT / "benchmarks/README.md", *ROOT.glob("*.md"))
)
NOTEBOOKS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/**/*.ipynb"))
SNIPPET = re.compile(r"(?:^<!-- not run: (.+) -->\n)?^```python\n(.*?)^```$", re.M | re.S)
EPOCHS = {"docs/how-to/compare.md": 1, "docs/how-to/no-task-ids.md": 5, "docs/quickstart.md": 5}


def text_of(document):
    return (ROOT / document).read_text()


def snippets_of(document):
    """Those that run; an example that is included runs in test_examples.py."""
    found = SNIPPET.findall(text_of(document))
    return [code for reason, code in found if not reason and not code.startswith("--8<--")]


def shortened(document, code):
    return re.sub(r"\b(train_epochs|epochs)=\d+", rf"\1={EPOCHS.get(document, 2)}", code)


def accuracy_in(names):
    (accuracy,) = (v for k, v in names["metrics"].items() if "Top1_Acc_Stream" in k)
    return accuracy


def after_no_labels(names, _):
    assert accuracy_in(names) > 0.6  # Naive: 0.2


def after_a_run_in_a_table(names, _):
    table = str(names["summary"](names["strategy"])).splitlines()
    assert len(table) == 8 and "just learned" in table[1]


def after_a_network_in_a_table(names, _):
    mean = names["summary"](names["strategy"]).mean
    assert mean.now > 0.8 and mean.forgotten == 0


def after_resuming(names, run_again):
    assert names["start"] == 0
    assert run_again()["start"] == 4


def after_comparing(names, _):
    assert set(names["frame"].learner) == {"mine", "ours"}
    assert len(names["frame"]) == 2 * 2 * 15


def after_repairing(names, _):
    assert len(names["attributions"]) == 4 and "mended" in names


def after_logging(names, _):
    assert names["matrix"].result().shape == (5, 5)
    assert Path("metrics.csv").stat().st_size and Path("metrics.jsonl").stat().st_size


def after_choosing_options(names, _):
    assert names["strategy"].model.encoder_sde.fast_tanh
    assert names["strategy"].optimizer.defaults["max_precondition_dim"] == 1024


AFTER = {
    ("README.md", 0): after_a_run_in_a_table,
    ("README.md", 1): after_a_network_in_a_table,
    ("docs/quickstart.md", 0): after_a_network_in_a_table,
    ("docs/quickstart.md", 1): after_a_run_in_a_table,
    ("docs/how-to/no-task-ids.md", 0): after_no_labels,
    ("docs/how-to/resume.md", 0): after_resuming,
    ("docs/how-to/compare.md", 0): after_comparing,
    ("docs/how-to/forensics.md", 2): after_repairing,
    ("docs/how-to/logging.md", 0): after_logging,
    ("docs/speed.md", 0): after_choosing_options,
}
"""By document and number of a snippet: what holds once it has run."""


@pytest.mark.parametrize("document", [d for d in DOCUMENTS if snippets_of(d)])
def test_snippets(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some write files
    names = {}
    for i, code in enumerate(snippets_of(document)):
        compiled = compile(shortened(document, code), f"{document}, snippet {i + 1}", "exec")
        exec(compiled, names)

        def run_again(compiled=compiled):
            again = {}
            exec(compiled, again)
            return again

        AFTER.get((document, i), lambda *_: None)(names, run_again)


def tables():
    spec = importlib.util.spec_from_file_location("tables", ROOT / "docs/tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("document", [d for d in DOCUMENTS if "<!-- table" in text_of(d)])
def test_tables_are_as_their_sources(document):
    text = text_of(document)
    assert tables().filled(text) == text, "run python docs/tables.py"


def test_a_table_is_all_that_is_filled():
    wanted = "<!-- table\nfrom: measured/speed/parallel.json\ncolumns: median\n-->\n"
    page = f"Before.\n\n{wanted}| old | table |\n\nBetween.\n\n{wanted}\nAfter.\n"
    filled = tables().filled(page)
    assert [line for line in filled.splitlines() if line.istitle()] == [
        "Before.",
        "Between.",
        "After.",
    ]
    assert filled.count("| 16 runs one after the other / --jobs 2 | 1.97 |") == 2
    assert "old" not in filled


def test_the_front_page_is_short():
    text = text_of("README.md")
    assert len(text.split()) <= 750
    assert text.index("![") < 1000  # a picture above the fold


def test_all_that_is_checked_is_there():
    assert all(len(snippets_of(document)) > i for document, i in AFTER)
    assert set(EPOCHS) <= set(DOCUMENTS)


def commands_of(document):
    """Lines of shell fences and of indented blocks that begin with a program known here."""
    text = re.sub(r"\\\n\s*", "", text_of(document))
    for lead, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S):
        if lead in ("", "bash"):
            yield from _lines(block, lead == "bash")
    yield from _lines("\n".join(re.findall(r"^ {4,}(\S.*)$", text, re.M)), False)


def _lines(block, are_commands):
    for line in block.splitlines():
        line = re.sub(r" \[--[^]]*\]", "", line)  # options that may be left out
        words = shlex.split(line, comments=True) if are_commands or _is_command(line) else []
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words = words[1:]
        if words:
            yield words


def _is_command(line):
    return re.match(r"([A-Z_]+=\S* )*(avalanche-hsf|python|python3|make|pip|dask|source) ", line)


@pytest.fixture
def parsed(monkeypatch, data_root, tmp_path):
    """The command line up to where a command would run."""
    monkeypatch.chdir(tmp_path)
    Path("my_module.py").touch()
    for name in ("_make", "_blame", "_quiet"):
        monkeypatch.setattr(cli, name, lambda *_: 0)
    return cli.main


@pytest.mark.parametrize("document", [d for d in DOCUMENTS if list(commands_of(d))])
def test_commands(document, parsed):
    for program, *words in commands_of(document):
        match program:
            case "avalanche-hsf":
                assert parsed(words) == 0, words
            case "make":
                assert f"\n{words[0]}: " in (ROOT / "Makefile").read_text(), words
            case "python" | "python3" if words[0] == "-m":
                assert importlib.util.find_spec(words[1]), words
            case "python" | "python3":
                assert (ROOT / words[0]).is_file(), words
            case "pip":
                setup = ConfigParser()
                setup.read(ROOT / "setup.cfg")
                (extra,) = re.findall(r"\[(\w+)\]", words[-1])
                assert extra in setup["options.extras_require"], words
            case _:
                assert program in ("source", "dask", "jupyter"), program


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_between_files(document):
    """Those into headings are checked when the site is built."""
    text = re.sub(r"^```.*?^```$|`[^`\n]+`", "", text_of(document), flags=re.M | re.S)
    for address in re.findall(r"\]\(([^)\s]+)\)", text):
        path = address.partition("#")[0]
        if path and ":" not in path:
            assert (ROOT / document).parent.joinpath(path).exists(), address


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_notebook(notebook, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cells = json.loads(text_of(notebook))["cells"]
    codes = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in codes] == [*range(1, len(codes) + 1)]
    assert any("image/png" in out.get("data", {}) for cell in codes for out in cell["outputs"])
    assert not any(out.get("name") == "stderr" for cell in codes for out in cell["outputs"])
    names = {}
    for i, cell in enumerate(codes):
        code = "".join(line for line in cell["source"] if not line.startswith("%"))
        exec(compile(code, f"{notebook}, cell {i + 1}", "exec"), names)

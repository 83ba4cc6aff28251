"""Every example that needs no files runs."""

import importlib.util
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Those that start processes are run as scripts, below; real_images needs files, see
# test_image_examples.py; _*.py is what it has besides.
AS_SCRIPTS = {"resume_after_a_crash", "sweep_on_a_cluster"}
EXAMPLES = {p.stem: p for p in sorted((ROOT / "examples").glob("[!_]*.py"))}
HERE = sorted(EXAMPLES.keys() - AS_SCRIPTS - {"real_images"})


def loaded(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "name",
    # The page on comparing has nearly the same.
    [pytest.param(n, marks=pytest.mark.slow) if n == "compare_my_method" else n for n in HERE],
)
def test_example(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some write files
    results = loaded(EXAMPLES[name]).main(train_epochs=1)
    numbers = [value for value in results.values() if isinstance(value, float)]
    assert numbers
    assert all(math.isfinite(number) for number in numbers)


@pytest.mark.parametrize("path", EXAMPLES.values(), ids=lambda path: path.stem)
def test_an_example_is_short_and_says_how_to_run_it(path):
    text = path.read_text()
    assert len(text.splitlines()) < 60
    assert f"python examples/{path.name}" in text.split('"""')[1]
    assert 'if __name__ == "__main__":' in text


def as_script(name, folder):
    """What it prints, line by line."""
    command = [sys.executable, "-W", "error::UserWarning", str(EXAMPLES[name])]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return run.stdout.splitlines()


@pytest.mark.slow
def test_a_killed_run_is_resumed_to_the_same_bits(tmp_path):
    begun, ended, resumed, whole, differ = as_script("resume_after_a_crash", tmp_path)
    assert begun == whole == "begins with task 0"
    assert ended.startswith("the process ended with code -9")
    assert resumed == "begins with task 1"
    assert re.fullmatch(r"0 of \d{5,} weights differ", differ)


@pytest.mark.slow
def test_a_cluster_sweeps(tmp_path):
    lines = as_script("sweep_on_a_cluster", tmp_path)
    kept = [float(re.search(r"(\d+) bytes a task", line)[1]) for line in lines]
    assert kept == sorted(kept) and len(kept) == 3


def test_a_task_is_exported_to_onnx(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    monkeypatch.chdir(tmp_path)
    assert loaded(EXAMPLES["export_task"]).main()["ONNX"] < 1e-5


def test_the_worked_example_says_who_forgot(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shares = loaded(EXAMPLES["find_the_culprit"]).main(train_epochs=10)
    _, said, *_, repaired = capsys.readouterr().out.splitlines()
    before, after = map(float, re.findall(r"[\d.]+(?= to| %)", repaired))
    assert after > before + 20
    total = float(
        re.search(r"Task 0 fell from [\d.]+ to [\d.]+ % \(loss \+([\d.]+)", said).group(1)
    )
    assert total > 1  # Naive forgets
    assert len(shares) == 4 and sum(shares.values()) == pytest.approx(total, abs=0.01)
    assert "no longer" in said or "features" in said
    assert said in (tmp_path / "forgetting.html").read_text().replace("&#43;", "+")

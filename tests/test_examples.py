"""Every example that needs no files runs."""

import importlib.util
import math
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Those on data sets of images need files, see test_image_examples.py; _*.py is what they share.
ON_IMAGES = {"permuted_mnist", "split_cifar10", "split_cifar100", "split_mnist"}
EXAMPLES = [p for p in sorted((ROOT / "examples").glob("[!_]*.py")) if p.stem not in ON_IMAGES]


def loaded(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_example(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some write files
    results = loaded(path).main(train_epochs=2)
    numbers = [value for value in results.values() if isinstance(value, float)]
    assert numbers
    assert all(math.isfinite(number) for number in numbers)


def test_the_worked_example_says_who_forgot(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (path,) = (p for p in EXAMPLES if p.stem == "which_layer_forgot")
    shares = loaded(path).main(train_epochs=10)
    said = capsys.readouterr().out.splitlines()[1]
    total = float(
        re.search(r"Task 0 fell from [\d.]+ to [\d.]+ % \(loss \+([\d.]+)", said).group(1)
    )
    assert total > 1  # Naive forgets
    assert len(shares) == 4 and sum(shares.values()) == pytest.approx(total, abs=0.01)
    assert "no longer" in said or "features" in said
    assert said in (tmp_path / "forgetting.html").read_text().replace("&#43;", "+")

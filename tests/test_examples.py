"""Every example that needs no files runs, and so does the pipeline in the README."""

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


def test_the_pipelines_in_the_readme(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hsf, any_network, no_labels, resumed, of_their_own, faster = re.findall(
        r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL
    )
    assert "train_epochs=300" in hsf
    names = {}
    exec(hsf.replace("train_epochs=300", "train_epochs=2"), names)
    assert "StreamMSEForgetting/eval_phase/test_stream" in names["metrics"]
    assert "train_epochs=30" in any_network
    names = {}
    exec(any_network.replace("train_epochs=30", "train_epochs=5"), names)
    (accuracy,) = (v for k, v in names["metrics"].items() if "Top1_Acc_Stream" in k)
    assert accuracy > 0.8
    assert names["metrics"]["StreamForgetting/eval_phase/test_stream"] == 0
    names = {}
    exec(no_labels.replace("train_epochs=40", "train_epochs=8"), names)
    (accuracy,) = (v for k, v in names["metrics"].items() if "Top1_Acc_Stream" in k)
    assert accuracy > 0.6  # Naive: 0.2
    once, again = {}, {}
    exec(resumed.replace("train_epochs=30", "train_epochs=3"), once)
    exec(resumed.replace("train_epochs=30", "train_epochs=3"), again)
    assert (once["start"], again["start"]) == (0, 4)
    names = {}
    exec(of_their_own, names)
    assert set(names["frame"].learner) == {"mine", "ours"} and len(names["frame"]) == 2 * 2 * 15
    names = {}
    exec(faster, names)
    assert names["strategy"].model.encoder_sde.fast_tanh
    assert names["strategy"].optimizer.defaults["max_precondition_dim"] == 1024


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

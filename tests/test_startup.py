"""Names and ranges are known without torch, which takes seconds to import."""

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from avalanche_hsf.cli import _parsers
from avalanche_hsf.experiments.catalogue import PATH, catalogue, text_of
from avalanche_hsf.experiments.commands.beforehand import check_words
from avalanche_hsf.experiments.commands.write_catalogue import catalogue_of_registries
from avalanche_hsf.experiments.runs.place import check_place

COMPARE = ["compare", "--benchmark", "split-digits"]
MNIST = ["compare", "--benchmark", "split-mnist", "--data-root", "nowhere"]
LEARNER = ["diagnose", "--benchmark", "split-digits", "--learner"]

# What is wrong with a name or a value, by words that have nothing else wrong.
WRONG = {
    "benchmark": ["compare", "--benchmark", "split-mist"],
    "learner": [*COMPARE, "--strategies", "net-naive,networks,net-naiv"],
    "learner that is not compared": [*COMPARE, "--strategies", "LwF"],
    "learner for another target": [*COMPARE, "--strategies", "presets"],
    "tuning seed among the seeds": [*COMPARE, "--tuning-seed", "3"],
    "tuning seed below 0": [*COMPARE, "--tuning-seed=-3"],
    "network without a module": [*COMPARE, "--network", "mlp"],
    "criterion in no module": [*COMPARE, "--criterion", "nowhere:loss"],
    "address of a learner": [*COMPARE, "--strategies", "nowhere:build"],
    "address without a name": [*COMPARE, "--strategies", "json:"],
    "address without a module": ["compare", "--benchmark", ":make"],
    "preset": ["sweep", "--preset", "papr"],
    "benchmark of a sweep": ["sweep", "--benchmark", "nope"],
    "target of a sweep": ["sweep", "--benchmark", "split-digits"],
    "hyperparameter": ["sweep", "--vary", "bta=1"],
    "hyperparameter that a preset lacks": ["sweep", "--preset", "compact", "--vary", "beta"],
    "loss terms that a preset lacks": ["sweep", "--preset", "compact", "--vary", "loss-terms"],
    "negative weight": ["sweep", "--vary", "gamma=-1"],
    "broken number": ["sweep", "--vary", "latent_dim=2.5"],
    "epochs": ["sweep", "--vary", "epochs=0"],
    "preset of a diagnosis": ["diagnose", "--preset", "papr"],
    "hyperparameter of a diagnosis": ["diagnose", "--set", "epochs=1"],
    "value of a diagnosis": ["diagnose", "--set", "lr=-1"],
    "network of a preset": ["diagnose", "--network", "json:loads"],
    "search of a preset": ["diagnose", "--search", "grid"],
    "preset of a learner": [*LEARNER, "net-naive", "--preset", "paper"],
    "learner of a diagnosis": [*LEARNER, "net-naiv"],
    "group of a diagnosis": [*LEARNER, "networks"],
    "learner that forgets nothing": [*LEARNER, "net-joint"],
    "data set": MNIST,
}
# Not looked at by the commands' `check`.
WRONG_ELSEWHERE = [
    [*COMPARE, "--out", "/dev/null"],
    ["reproduce", "--out", "/dev/null/results"],
    ["reproduce", "--seeds=-1"],
    ["compare", "--config", "words.toml"],
    [*COMPARE, "--search", "gird"],
    ["list", "nope"],
    ["diagnose", "nowhere:train"],
    ["blame", "early.pt", "late.pt", "--model", "net", "--data", "nowhere:data"],
    ["blame", "early.pt", "late.pt", "--model", "nowhere:net", "--data", "nowhere:data"],
]
RIGHT = [["--version"], ["--help"], ["list"], *([name, "--help"] for name in _parsers()[1])]

IN_ONE_PROCESS = """
import json, sys
from avalanche_hsf.cli import main

for words in json.loads(sys.argv[1]):
    try:
        code = main(words)
    except SystemExit as ended:
        code = ended.code or 0
    heavy = {"torch", "avalanche", "sklearn", "matplotlib"} & set(sys.modules)
    print(json.dumps([words, code, sorted(heavy)]), file=sys.stderr)
"""


def test_the_catalogue_is_what_the_registries_hold():
    now = text_of(catalogue_of_registries())
    assert PATH.read_text(encoding="utf-8") == now, (
        "run python -m avalanche_hsf.experiments.commands.write_catalogue"
    )
    assert text_of(catalogue()) == now


def test_nothing_heavy_is_imported_for_a_wrong_word_or_for_help(tmp_path):
    (tmp_path / "words.toml").write_text('benchmrk = "digits"')
    wrong = [*WRONG.values(), *WRONG_ELSEWHERE]
    command = [sys.executable, "-c", IN_ONE_PROCESS, json.dumps([*wrong, *RIGHT])]
    there = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    ended = subprocess.run(
        command, env=there, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    answers = [json.loads(line) for line in ended.stderr.splitlines() if line.startswith("[")]
    assert answers == [[words, 2, []] for words in wrong] + [[words, 0, []] for words in RIGHT]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["words.toml"]


@pytest.mark.parametrize("what", WRONG)
def test_the_sentence_is_that_of_the_command(what, monkeypatch, tmp_path):
    monkeypatch.setenv("AVALANCHE_HSF_DATA", str(tmp_path))
    options = _parsers()[0].parse_args(WRONG[what])
    command = import_module(f"avalanche_hsf.experiments.commands.{options.command}")
    sentences = []
    for check in (check_words, command.check):
        with pytest.raises((OSError, TypeError, ValueError)) as caught:
            check(options)
        sentences.append((caught.type, str(caught.value)))
    assert sentences[0] == sentences[1]


def test_a_module_that_exists_is_not_imported_before_torch(monkeypatch, tmp_path):
    (tmp_path / "theirs.py").write_text("raise RuntimeError('imported')")
    monkeypatch.chdir(tmp_path)
    words = [*COMPARE, "--strategies", "theirs:build", "--network", "theirs:net"]
    check_words(_parsers()[0].parse_args(words))


def test_a_folder_is_looked_at_without_being_made(tmp_path):
    check_place(tmp_path / "a" / "b")
    assert not (tmp_path / "a").exists()

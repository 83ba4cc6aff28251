"""A damaged results file: one sentence, exit code 2, and the file stays as it is."""

import copy
import json
import math
import random

import pytest

from avalanche_hsf.cli import main
from avalanche_hsf.experiments import ResultsFile, compare
from avalanche_hsf.experiments.runs.text import runs_of_text, text_of_runs

N_RANDOM = 400


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """Of a sound file with two runs."""
    folder = tmp_path_factory.mktemp("sound")
    compare("synthetic", ["mlp-paper"], seeds=[1, 2], epochs=1, out=folder)
    return (folder / "results.json").read_text()


def changed(name, value):
    def change(content):
        content["runs"][1][name] = value

    return change


def without(name):
    def change(content):
        del content["runs"][1][name]

    return change


NUMBERS = ("seed", "epochs", "n_parameters", "floats_kept", "raw_samples")
DAMAGED = {
    "runs: an object": lambda content: content.update(runs={}),
    "runs: a text": lambda content: content.update(runs="none"),
    "runs: null": lambda content: content.update(runs=None),
    "runs: of numbers": lambda content: content.update(runs=[1, 2]),
    "runs: of lists": lambda content: content.update(runs=[[]]),
    "runs: missing": lambda content: content.pop("runs"),
    "versions: missing": lambda content: content.pop("versions"),
    "versions: a list": lambda content: content.update(versions=[]),
    "versions: of numbers": lambda content: content.update(versions={"torch": 2}),
    "versions: without torch": lambda content: content["versions"].pop("torch"),
    "versions: of another torch": lambda content: content["versions"].update(torch="1.0"),
    "a run twice": lambda content: content["runs"].append(content["runs"][0]),
    "a table more": lambda content: content.update(more=[]),
    "a field more": changed("more", 1),
    "bytes: negative": changed("bytes_kept", -1),
    "bytes: a text": changed("bytes_per_task", "many"),
    "a learner and a strategy": changed("strategy", "mlp-paper"),
    "matrix: of one row less": lambda content: content["runs"][1]["error_matrix"].pop(),
    "matrix: of one cell less": lambda content: content["runs"][1]["error_matrix"][2].pop(),
    "matrix: empty": lambda content: content["runs"][1].update(error_matrix=[], forgetting=[]),
    "matrix: flat": changed("error_matrix", [0.1] * 5),
    "matrix: of texts": changed("error_matrix", [["0.1"] * 5] * 5),
    "matrix: an object": changed("error_matrix", {}),
    **{f"{name}: missing": without(name) for name in ("learner", "error_matrix", *NUMBERS)},
    **{f"{name}: a text": changed(name, "1") for name in (*NUMBERS, "seconds")},
    **{f"{name}: a fraction": changed(name, 1.5) for name in NUMBERS},
    **{f"{name}: true": changed(name, True) for name in (*NUMBERS, "seconds")},
    **{f"{name}: huge": changed(name, 10**400) for name in (*NUMBERS, "seconds")},
    **{f"{name}: negative": changed(name, -1) for name in NUMBERS},
    **{
        f"{name}: {value}": changed(name, value)
        for name in ("learner", "benchmark", "network", "inputs", "diverged")
        for value in (1, None, [])
    },
    **{f"configuration: {value}": changed("configuration", value) for value in (1, None, [], "a")},
    **{
        f"findings: {value}": changed("findings", value)
        for value in (1, None, [], {"attribution": 1}, {"curves": {"a": [[1]]}})
    },
}


@pytest.mark.parametrize("name", DAMAGED)
def test_one_sentence_and_the_file_stays(name, text, tmp_path, capsys):
    content = json.loads(text)
    DAMAGED[name](content)
    check(json.dumps(content), tmp_path, capsys)


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        " ",
        "null",
        "[]",
        "0",
        '"runs"',
        "{}",
        "{",
        "[" * 100_000,
        '{"runs": ' * 50_000,
        '{"versions": {}, "versions": {}, "runs": []}',
        "\x00" * 100,
        "\ud800",
        "NaN",
        "1e999",
        "9" * 5000,
    ],
    ids=range(16),
)
def test_what_is_no_results_file_at_all(damaged, tmp_path, capsys):
    check(damaged, tmp_path, capsys)


def test_every_cut(text, tmp_path):
    """No beginning of a file is a file."""
    path = tmp_path / "results.json"
    for size in range(0, len(text) - 2, 37):
        path.write_text(text[:size])
        with pytest.raises(ValueError, match="not a results file") as error:
            ResultsFile(tmp_path)
        assert "\n" not in str(error.value)


def test_random_damage_is_read_or_refused_in_one_sentence(text):
    """Bytes flipped, values of other types, parts swapped: what is read can be written again."""
    chance = random.Random(0)
    refused = 0
    for i in range(N_RANDOM):
        damaged = flipped(text, chance) if i % 2 else mutated(text, chance)
        try:
            runs, versions = runs_of_text(damaged)
        except ValueError as error:
            assert "\n" not in str(error)
            refused += 1
        else:
            assert runs_of_text(text_of_runs(runs, versions))[1] == versions
            assert all(isinstance(run.matrix.sum().item(), float) and run.key for run in runs)
    assert N_RANDOM / 2 < refused < N_RANDOM


def flipped(text, chance):
    data = bytearray(text, "utf-8")
    for _ in range(chance.randint(1, 3)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(7)
    return data.decode("utf-8", "surrogateescape")


ODD = (None, True, -1, 0, 1.5, 1e308, 10**30, math.nan, "", "a", [], {}, [[]], {"a": None})


def mutated(text, chance):
    content = json.loads(text)
    place = content
    while isinstance(place, (dict, list)) and place:
        key = chance.choice(list(place) if isinstance(place, dict) else range(len(place)))
        inside = place[key]
        if not isinstance(inside, (dict, list)) or not inside or chance.random() < 0.3:
            place[key] = copy.deepcopy(chance.choice(ODD))
            break
        place = inside
    return json.dumps(content)


def test_no_regular_file(tmp_path, capsys):
    (tmp_path / "results.json").mkdir()
    with pytest.raises(SystemExit) as stop:
        main(["reproduce", "--seeds", "1", "--epochs", "1", "--out", str(tmp_path)])
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error.count("\n") == 1 and "is no regular file" in error


def check(damaged, folder, capsys):
    path = folder / "results.json"
    path.write_text(damaged, errors="surrogatepass")
    before = path.read_bytes()
    words = ["compare", "--benchmark", "synthetic", "--strategies", "mlp-paper", "--seeds", "1,2"]
    with pytest.raises(SystemExit) as stop:
        main([*words, "--epochs", "1", "--out", str(folder)])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and str(path) in error and "--fresh" in error
    assert path.read_bytes() == before

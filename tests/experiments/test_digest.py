"""No stale run is taken: each kind of input of a run changes its key."""

import json
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from avalanche_hsf.benchmarks import regression_benchmark
from avalanche_hsf.experiments import BENCHMARKS, LEARNERS, ResultsFile, compare
from avalanche_hsf.experiments.runs import results as results_module
from avalanche_hsf.experiments.runs.digest import canonical
from avalanche_hsf.experiments.runs.engines import in_process
from avalanche_hsf.experiments.runs.jobs import Job, make
from avalanche_hsf.training import PRESETS, CosineRestartPlugin

JOB = Job("synthetic", "hsf-isolated", 1, 1)


def preset(**changes):
    return lambda patch: patch.setitem(PRESETS, "isolated", replace(PRESETS["isolated"], **changes))


def learner(**changes):
    return lambda patch: patch.setitem(
        LEARNERS, "hsf-isolated", replace(LEARNERS["hsf-isolated"], **changes)
    )


def problem(**changes):
    return lambda patch: patch.setitem(
        BENCHMARKS, "synthetic", replace(BENCHMARKS["synthetic"], **changes)
    )


def other_default(patch):
    def init(self, warmup=30, *, restart=True):
        raise AssertionError("only its signature is read")

    patch.setattr(CosineRestartPlugin, "__init__", init)


def other_library(patch):
    known = results_module.version
    patch.setattr(
        results_module, "version", lambda n: "9" if n == "pytorch_optimizer" else known(n)
    )


ISOLATED = PRESETS["isolated"]
CHANGES = {
    "optimizer of the preset": preset(optimizer={**ISOLATED.optimizer, "lr": 0.01}),
    "model of the preset": preset(model={**ISOLATED.model, "encoder_steps": 5}),
    "hypernetwork of the preset": preset(
        hypernetwork={**ISOLATED.hypernetwork, "hypernetwork_options": {"embedding_dim": 8}}
    ),
    "argument of a plugin": preset(
        protections={**ISOLATED.protections, "WarmStartPlugin": {"n_samples": 10}}
    ),
    "default of a plugin": other_default,
    "grid of the learner": learner(grid=({"varied": {"lr": 0.1}},)),
    "code of the learner": learner(build=lambda setting, **arguments: None),
    "stream": problem(make=BENCHMARKS["random-5"].make),
    "argument of the stream": problem(make=partial(BENCHMARKS["random-5"].make, n_experiences=6)),
    "network": problem(make_network=BENCHMARKS["images-3"].make_network),
    "latent width": problem(latent_dim=3),
    "loss": problem(criterion=nn.L1Loss),
    "minibatches": problem(mb_size=10),
    "version of SOAP's library": other_library,
}


@pytest.mark.parametrize("change", CHANGES)
def test_each_kind_of_input_makes_new_runs(change, monkeypatch):
    before = JOB.key
    assert JOB.key == before
    CHANGES[change](monkeypatch)
    assert JOB.key.inputs != before.inputs
    assert JOB.key.without_inputs == before.without_inputs


def test_a_changed_preset_is_not_answered_from_the_file(tmp_path, monkeypatch):
    job = replace(JOB, epochs=3)  # SOAP's first step only prepares the next one
    (before,) = make(ResultsFile(tmp_path), [job], in_process)
    assert make(ResultsFile(tmp_path), [job], in_process) == [before]
    preset(optimizer={**ISOLATED.optimizer, "lr": 1e-4})(monkeypatch)
    (after,) = make(ResultsFile(tmp_path), [job], in_process)
    assert after.error_matrix != before.error_matrix
    assert len(ResultsFile(tmp_path).runs) == 2  # nothing is lost


def test_a_changed_array_or_closure_makes_new_runs():
    def build(weight):
        return lambda setting, **arguments: weight

    x = torch.randn(4, 2)
    same = [canonical(regression_benchmark([(x, x)])) for _ in range(2)]
    assert same[0] == same[1]
    assert canonical(regression_benchmark([(x, x + 1)])) != same[0]
    assert canonical(build(1)) != canonical(build(2))
    assert canonical(partial(torch.add, 1)) != canonical(partial(torch.add, 2))
    assert canonical({"b": 1, "a": {2, 3}}) == canonical({"a": {3, 2}, "b": 1})


def test_runs_of_an_older_file_are_read_with_one_sentence(tmp_path, capsys):
    (run,) = make(ResultsFile(tmp_path), [JOB], in_process)
    path = tmp_path / "results.json"
    content = json.loads(path.read_text())
    for name in ("pytorch_optimizer", "torchmetrics", "numpy", "scikit-learn"):
        del content["versions"][name]
    content["versions"]["python"] += ".99"  # a patch release, as older files have it
    (stored,) = content["runs"]
    stored["strategy"] = stored.pop("learner")
    del stored["network"], stored["inputs"]
    path.write_text(json.dumps(content))
    capsys.readouterr()
    results = ResultsFile(tmp_path)
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "1 runs are from before" in said
    assert make(results, [JOB], in_process) == [replace(run, inputs="")]


def test_a_user_is_not_asked_for_what_only_the_key_needs(tmp_path):
    runs = compare("split-digits", ["net-naive"], seeds=[1], epochs=1, out=tmp_path)
    again = compare("split-digits", ["net-naive"], seeds=[1], epochs=1, out=tmp_path)
    assert list(runs) == list(again)

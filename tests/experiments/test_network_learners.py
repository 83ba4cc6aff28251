"""The learners of main networks: each does what its name says, with what it may keep."""

import math
from dataclasses import replace

import pytest
import torch
from avalanche.training import Naive, SynapticIntelligence
from avalanche.training.plugins import EvaluationPlugin
from torch import nn

from avalanche_hsf.benchmarks import SplitDigits
from avalanche_hsf.cli import main
from avalanche_hsf.experiments import BENCHMARKS
from avalanche_hsf.experiments.commands.comparison import GROUPS, Comparison, check_fit
from avalanche_hsf.experiments.commands.tuning import tune
from avalanche_hsf.experiments.learners import LEARNERS
from avalanche_hsf.experiments.learners.mended import SynapticIntelligenceOnCPU
from avalanche_hsf.experiments.runs.engines import in_process
from avalanche_hsf.experiments.runs.problems import setting_for
from avalanche_hsf.experiments.runs.results import ResultsFile
from avalanche_hsf.experiments.runs.run import run
from avalanche_hsf.models import TaskConditional

NETWORK_LEARNERS = [
    name
    for name, learner in LEARNERS.items()
    if not learner.autoencodes and learner.group != "class-incremental"
]
CONFIGURATION = {"optimizer": "AdamW", "lr": 2e-3}


def configured(name):
    learner = LEARNERS[name]
    return {**CONFIGURATION, **learner.grid[0]} if learner.optimizers else {}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if k % 2 else name
        for k, name in enumerate(NETWORK_LEARNERS)
    ],
)
def test_each_learns_something_of_the_last_task(name):
    benchmark = "polynomials" if "published" in name else "split-digits"
    made = run(benchmark, name, seed=1, epochs=2, configuration=configured(name), progress=False)
    errors = [error for error in made.error_matrix[-1] if error is not None]
    assert all(map(math.isfinite, errors))
    if benchmark == "split-digits":
        assert errors[-1] < 0.5  # of two classes
    if name in ("net-replay", "net-replay-repaired", "net-gem"):
        assert made.raw_samples == 200
    elif name in ("net-cumulative", "net-joint"):
        assert made.raw_samples == 1437
    else:
        assert made.raw_samples == 0


def test_what_holds_old_tasks_does():
    for name in ("hn-isolated", "hn-compact"):
        made = run(
            "split-digits", name, seed=1, epochs=2, configuration=CONFIGURATION, progress=False
        )
        assert made.forgetting == [0.0] * 5


def network_of(name):
    problem = BENCHMARKS[name]
    return setting_for(problem, problem.make(1), epochs=1, seed=1).make_network()


def test_published_sizes():
    assert sum(p.numel() for p in network_of("polynomials").parameters()) == 141
    assert sum(p.numel() for p in network_of("images-10").parameters()) == 98_114


def test_the_learner_in_chunks_is_smaller_than_its_network_and_as_published_at_their_size():
    for name in ("split-digits", "images-3", "images-10"):
        problem = BENCHMARKS[name]
        setting = setting_for(problem, problem.make(1), epochs=1, seed=1)
        strategy = LEARNERS["hn-chunked"].build(setting, **configured("hn-chunked"))
        strategy.model.hypernetwork.begin(list(range(setting.n_tasks)))
        n_weights = sum(p.numel() for p in network_of(name).parameters())
        assert sum(p.numel() for p in strategy.model.hypernetwork.parameters()) < n_weights

    def published(_):
        return nn.Sequential(*(nn.Linear(*w) for w in ((784, 400), (400, 400), (400, 10))))

    setting = replace(setting, problem=replace(problem, make_network=published))
    strategy = LEARNERS["hn-chunked"].build(setting, **configured("hn-chunked"))
    hypernetwork = strategy.model.hypernetwork
    assert hypernetwork.chunk_embeddings.shape == (12, 96)
    assert hypernetwork.task_embedding.embedding_dim == 96
    assert hypernetwork.head.weight.shape == (42_000, 10)


def test_stock_synaptic_intelligence_is_blind_on_a_cpu_and_the_mended_one_is_not():
    importances = {}
    for mended in (False, True):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        common = {
            "model": model,
            "optimizer": torch.optim.SGD(model.parameters(), lr=0.1),
            "criterion": nn.CrossEntropyLoss(),
            "train_mb_size": 64,
            "evaluator": EvaluationPlugin(loggers=[]),
        }
        if mended:
            strategy = Naive(plugins=[SynapticIntelligenceOnCPU(1.0)], **common)
        else:
            strategy = SynapticIntelligence(si_lambda=1.0, **common)
        strategy.train(SplitDigits(5, seed=0).train_stream[0])
        plugin = next(p for p in strategy.plugins if hasattr(p, "ewc_data"))
        importances[mended] = sum(float(i.data.abs().sum()) for i in plugin.ewc_data[1].values())
    assert importances[False] == 0
    assert importances[True] > 0


def test_learners_and_streams_that_do_not_fit():
    with pytest.raises(ValueError, match=r"mlp-naive builds an autoencoder, but on split-digits"):
        check_fit(BENCHMARKS["split-digits"], {"mlp-naive": LEARNERS["mlp-naive"]})
    check_fit(BENCHMARKS["digits"], {"hn-isolated": LEARNERS["hn-isolated"]})


def test_a_network_learner_reconstructs_too():
    made = run("bottleneck", "hn-compact", seed=1, epochs=2, configuration=CONFIGURATION)
    assert made.forgetting == [0.0] * 5
    assert all(map(math.isfinite, made.error_matrix[-1]))


def searched(results, benchmark):
    comparison = Comparison.of(benchmark, ["net-naive"], seeds=[1], epochs=1)
    tune(comparison, results, in_process)


def test_the_search_keeps_to_the_problems_optimizers(tmp_path):
    results = ResultsFile(tmp_path)
    searched(results, "polynomials")
    assert {r.configuration["optimizer"] for r in results.runs} == {"AdamW", "SOAP"}
    assert {r.benchmark for r in results.runs} == {"polynomials-drawn"}  # not what is reported
    searched(results, "split-digits")
    of_digits = [r for r in results.runs if r.benchmark == "split-digits"]
    assert {r.configuration["optimizer"] for r in of_digits} == {"AdamW"}


def test_the_command(tmp_path, capsys):
    words = "compare --benchmark split-digits --strategies hn-compact,net-naive --epochs 1"
    assert main([*words.split(), "--seeds", "1,2", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "final mean accuracy, %" in out and "1 epoch per task, 2 seeds" in out
    assert (tmp_path / "comparison.csv").exists()


def test_every_network_fits_its_stream(data_root):
    for name, problem in BENCHMARKS.items():
        experience = problem.make(1).train_stream[0]
        x, y, t = experience.dataset[0]
        model = TaskConditional(network_of(name), seed=0)
        model.train().hypernetwork.begin([t])
        target = torch.as_tensor(y).unsqueeze(0)
        assert torch.isfinite(problem.criterion()(model(x.unsqueeze(0), t), target)), name
    assert set(GROUPS["networks"]) < set(NETWORK_LEARNERS)

"""What learners keep, against numbers computed by hand."""

import copy
import random
from collections import deque

import numpy as np
import pytest
import torch
from avalanche.benchmarks.utils import AvalancheDataset
from avalanche.core import SupervisedPlugin
from avalanche.training import Naive
from avalanche.training.plugins import EvaluationPlugin
from torch import nn
from torch.utils.data import TensorDataset

from avalanche_hsf.benchmarks import reconstruction_benchmark
from avalanche_hsf.experiments.learners import LEARNERS, Setting
from avalanche_hsf.experiments.runs.kept import floats_kept, raw_samples_kept
from avalanche_hsf.experiments.runs.named import BENCHMARKS

N, D, TASKS = 60, 3, 3
BOTTLENECK = BENCHMARKS["bottleneck"]
MEMORY = BOTTLENECK.memory_per_task
# in-64-64-2, 2-64-64-in: weights and biases
WEIGHTS = 2 * (D * 64 + 64 * 64 + 64 * 2)
P = WEIGHTS + 4 * 64 + 2 + D
P_TASK = P + 2 * TASKS * 64  # one-hot columns in encoder and decoder


def stream(n_tasks=TASKS):
    torch.manual_seed(0)
    random.seed(0)
    return reconstruction_benchmark([torch.randn(N, D) for _ in range(n_tasks)]).train_stream


def train(name, n_tasks=TASKS):
    torch.manual_seed(0)
    random.seed(0)
    peer = LEARNERS[name]
    setting = Setting(BOTTLENECK, (D,), D, n_tasks=TASKS, n_samples=N, epochs=3, seed=0)
    strategy = peer.build(
        setting,
        lr=1e-3,
        evaluator=EvaluationPlugin(loggers=[]),
        **peer.grid[0],
    )
    experiences = stream()[:n_tasks]
    for each in [experiences] if peer.jointly else experiences:
        strategy.train(each, shuffle=False)
    strategy.eval(experiences)
    return strategy


@pytest.mark.parametrize(
    ("name", "floats", "samples"),
    [
        ("mlp-naive", P, 0),
        ("mlp-task-naive", P_TASK, 0),
        ("mlp-ewc", P + TASKS * 2 * P, 0),
        ("mlp-task-ewc", P_TASK + TASKS * 2 * P_TASK, 0),
        ("mlp-online-ewc", P + 2 * P, 0),
        ("mlp-mas", P + 2 * P, 0),
        ("mlp-rwalk", P + 4 * P, 0),  # weights, importances, scores, penalties
        ("mlp-lfl", P + P, 0),
        ("mlp-replay", P + MEMORY * TASKS * D, MEMORY * TASKS),
        ("mlp-task-replay", P_TASK + MEMORY * TASKS * D, MEMORY * TASKS),
        ("mlp-agem", P + MEMORY * TASKS * D, MEMORY * TASKS),
        ("mlp-gem", P + MEMORY * TASKS * D, MEMORY * TASKS),
        ("mlp-cumulative", P + N * TASKS * D, N * TASKS),
        ("mlp-joint", P + N * TASKS * D, N * TASKS),
        ("mlp-from-scratch", P + P, 0),
        ("mlp-gdumb", P + P + MEMORY * TASKS * D, MEMORY * TASKS),
        ("mlp-separate", TASKS * P, 0),
        # Three masks of a byte a weight; an int and a state of three ints in each of 6 layers,
        # another state on top.
        ("mlp-packnet", P + 3 * WEIGHTS // 4 + 6 * 4 + 3, 0),
    ],
)
def test_against_hand_computed_numbers(name, floats, samples):
    strategy = train(name)
    assert floats_kept(strategy) == floats
    assert raw_samples_kept(strategy) == samples


@pytest.mark.parametrize(
    ("name", "floats", "samples"),
    [
        ("mlp-ewc", P + 2 * P, 0),
        ("mlp-replay", P + N * D, N),
        ("mlp-gem", P + MEMORY * D, MEMORY),
        ("mlp-lfl", P + P, 0),
        ("mlp-separate", P, 0),
    ],
)
def test_after_one_task(name, floats, samples):
    strategy = train(name, 1)
    assert floats_kept(strategy) == floats
    assert raw_samples_kept(strategy) == samples


def test_a_hypernetwork_in_chunks_keeps_less_than_its_network():
    network = Setting(BOTTLENECK, (D,), D, TASKS, N, epochs=3, seed=0).make_network()
    n_weights = sum(p.numel() for p in network.parameters())
    chunk = round(11 * 42_000 / 478_410 * n_weights / 11)
    n_chunks = -(-n_weights // chunk)
    shared = (8 * 10 + 10) + (10 * 10 + 10) + (10 * chunk + chunk) + 4 * n_chunks
    embeddings = 4 * (TASKS + 1)  # and the zero one of tasks never trained
    places = len(list(network.parameters()))  # of what is written, a number each
    kept = floats_kept(train("hn-chunked"))
    assert kept == shared + embeddings + places < n_weights
    assert kept - floats_kept(train("hn-chunked", 1)) == 4 * (TASKS - 1)


@pytest.mark.parametrize("name", ["mlp-gem", "mlp-agem", "mlp-rwalk"])
def test_what_is_not_counted_is_not_needed(name):
    """Spoiling the scratch attributes between tasks changes nothing."""
    weights = []
    for spoil in (False, True):
        strategy = train(name, 2)
        if spoil:
            for plugin in strategy.plugins:
                for attribute in ("G", "reference_gradients"):
                    if hasattr(plugin, attribute):
                        setattr(plugin, attribute, torch.full((1,), torch.nan))
                for attribute in ("params", "loss", "scores"):
                    for kept in getattr(plugin, f"checkpoint_{attribute}", {}).values():
                        kept.data.fill_(torch.nan)
                for attribute in ("iter_params", "iter_grad"):
                    for kept in getattr(plugin, attribute, {}).values():
                        kept.data.fill_(torch.nan)
        torch.manual_seed(1)
        strategy.train(stream()[2], shuffle=False)
        weights.append(nn.utils.parameters_to_vector(strategy.model.parameters()).detach())
    assert torch.equal(*weights) and weights[0].isfinite().all()


class Keeper(SupervisedPlugin):
    pass


def with_plugin(**attributes):
    plugin = Keeper()
    vars(plugin).update(attributes)
    model = nn.Linear(2, 3)
    return Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        plugins=[plugin],
        evaluator=None,
    )


BASE = 2 * 3 + 3


def test_types_count_by_their_size():
    assert floats_kept(with_plugin()) == BASE
    assert floats_kept(with_plugin(kept=torch.zeros(5))) == BASE + 5
    assert floats_kept(with_plugin(kept=torch.zeros(5, dtype=torch.float64))) == BASE + 10
    assert floats_kept(with_plugin(kept=torch.zeros(5, dtype=torch.int64))) == BASE + 10
    assert floats_kept(with_plugin(kept=torch.zeros(5, dtype=torch.int8))) == BASE + 2
    assert floats_kept(with_plugin(kept=np.zeros(5))) == BASE + 10
    assert floats_kept(with_plugin(kept=np.array(["ab", "c"]))) == BASE + 4  # four letters
    assert floats_kept(with_plugin(kept=deque([torch.zeros(5), np.zeros(5, "f4")]))) == BASE + 10
    assert floats_kept(with_plugin(kept=[1.0] * 9, text="abc")) == BASE


def test_shared_memory_counts_once():
    big = torch.zeros(4, 6)
    views = {"all": big, "rows": big[1:3], "columns": big.T, "again": [big, (big.view(-1),)]}
    assert floats_kept(with_plugin(**views)) == BASE + 24
    assert floats_kept(with_plugin(rows=big[1:3], row=big[2:4])) == BASE + 18
    assert floats_kept(with_plugin(kept=torch.zeros(1).expand(100))) == BASE + 1


def test_finds_tensors_wherever_they_are():
    class Anything:
        def __init__(self):
            self.inside = {"a": [torch.zeros(2), {3: (torch.zeros(3),)}]}
            self.itself = self

    module = nn.Linear(2, 3)
    module.beside = torch.zeros(7)
    assert floats_kept(with_plugin(kept=Anything(), module=module)) == BASE + 5 + BASE + 7


def test_what_does_not_count():
    strategy = with_plugin()
    plugin = strategy.plugins[0]
    plugin.strategy = strategy
    plugin.optimizer = torch.optim.AdamW(strategy.model.parameters())
    plugin.evaluator = EvaluationPlugin(loggers=[])
    plugin.evaluator.kept = torch.zeros(100)
    plugin.generator = torch.Generator()
    strategy.mb_output = torch.zeros(100)
    plugin.memory_x = {0: torch.randn(4, 2)}
    plugin.memory_y = {0: plugin.memory_x[0].clone()}
    plugin.memory_tid = {0: torch.zeros(4, dtype=torch.int64)}
    assert floats_kept(strategy) == BASE + 8
    plugin.memory_y[0] += 1  # no longer the input
    assert floats_kept(strategy) == BASE + 16
    assert raw_samples_kept(strategy) == 4


def test_a_data_set_counts_its_items_alone():
    x, y = torch.randn(9, 2), torch.randn(9, 5)
    same = AvalancheDataset([TensorDataset(x, x)])
    other = AvalancheDataset([TensorDataset(x, y)])
    assert floats_kept(with_plugin(kept=same.subset([1, 4]))) == BASE + 4
    assert floats_kept(with_plugin(kept=[same.subset([1, 4]), same.subset([4, 5])])) == BASE + 6
    assert floats_kept(with_plugin(kept=[same, other])) == BASE + 18 + 45
    assert raw_samples_kept(with_plugin(kept=[same, other, same.subset([0])])) == 9
    changed = same.replace_current_transform_group(lambda sample: sample * 2)
    assert floats_kept(with_plugin(kept=changed)) == BASE + 18 + 18  # x is made on the fly


def test_counting_changes_nothing():
    strategy = train("mlp-replay", 2)
    before = copy.deepcopy(strategy.model.state_dict())
    rng = torch.get_rng_state()
    assert floats_kept(strategy) == floats_kept(strategy)
    assert torch.equal(rng, torch.get_rng_state())
    assert all(torch.equal(before[k], v) for k, v in strategy.model.state_dict().items())

"""The bytes of a model are those that `compare` counts, and those of its tensors."""

import pytest
import torch
from avalanche.training import Naive
from avalanche.training.plugins import EvaluationPlugin
from torch import nn

from avalanche_hsf.benchmarks import SplitDigits
from avalanche_hsf.experiments.runs.kept import bytes_kept, floats_kept
from avalanche_hsf.models import HYPERNETWORKS, HypernetSDEFlow, TaskConditional, storage
from avalanche_hsf.models.tasks.slots import EmptySlot
from avalanche_hsf.training import CommitPlugin, HSFStrategy

OPTIONS = {"delta": {"adapter": "core", "size": 9, "bits": 12}}
TASKS = [0, 1, 2]


def network():
    """With statistics per task, and a layer that is not written."""
    return nn.Sequential(
        *(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 10))
    )


def conditional(kind):
    options = OPTIONS.get(kind)
    written = ["1.", "2."]
    model = TaskConditional(
        network(), hypernetwork=kind, hypernetwork_options=options, written=written, seed=0
    )
    return Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.01),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=100,
        plugins=[CommitPlugin()],
        evaluator=EvaluationPlugin(),
    )


def flow(kind):
    arguments = {"input_dim": 64, "train_mb_size": 100, "train_epochs": 1, "evaluator": None}
    model = {"hidden_dim": 8, "latent_dim": 4, "flow_layers": 1, "sde_hidden_dim": 4}
    options = {"hypernetwork": kind, "hypernetwork_options": OPTIONS.get(kind)}
    return HSFStrategy.from_preset(model_options={**model, **options}, seed=0, **arguments)


def trained(strategy):
    for experience in SplitDigits(3, shuffle=False).train_stream:
        strategy.train(experience, eval_streams=[])
    return strategy


@pytest.mark.parametrize(
    ("made", "kind"),
    [*((conditional, kind) for kind in HYPERNETWORKS), (flow, "isolated"), (flow, "delta")],
)
def test_it_is_what_compare_counts(made, kind):
    strategy = trained(made(kind))
    found = storage(strategy.model)
    assert list(found.per_task) == TASKS
    assert found.total == bytes_kept(strategy)
    assert -(-found.total // 4) == floats_kept(strategy)
    assert found.total == sum(map(size, tensors_of(strategy.model).values()))


def tensors_of(model):
    """Those of the state_dict, and buffers beside it: places, and a constant of the flow's."""
    state = model.state_dict(keep_vars=True)
    kept = {n: v for n, v in state.items() if not n.endswith("_extra_state")}
    return {id(v): v for v in (*kept.values(), *model.buffers())}


def size(tensor):
    """A place is a number that is repeated."""
    return tensor.element_size() if isinstance(tensor, EmptySlot) else tensor.nbytes


@pytest.mark.parametrize("kind", HYPERNETWORKS)
def test_a_task_more_adds_what_a_task_takes(kind):
    strategy, totals = conditional(kind), []
    for experience in SplitDigits(3, shuffle=False).train_stream:
        strategy.train(experience)
        totals.append(storage(strategy.model).total)
    found = storage(strategy.model)
    assert totals[2] - totals[1] == found.per_task[2]
    assert storage(strategy.model.hypernetwork).per_task.keys() == found.per_task.keys()


def test_by_hand():
    statistics = 2 * 8 * 4 + 8  # means, variances, and a count of 8 bytes
    written = (64 * 8 + 8 + 8 + 8) * 4
    found = storage(trained(conditional("isolated")).model)
    assert found.per_task == dict.fromkeys(TASKS, written + statistics)
    # The last layer, the statistics the module came with and those tasks start from, four places.
    assert found.shared == (8 * 10 + 10) * 4 + 2 * statistics + 4 * 4
    packed = storage(trained(conditional("delta")).model).per_task
    core, vectors, scales = 9, 3, 4  # one number for a vector: a sixteenth of a core, at least 1
    bits = (core + vectors) * 12
    assert packed == {0: statistics, **dict.fromkeys([1, 2], bits // 8 + 4 * scales + statistics)}


def test_before_any_task():
    model = TaskConditional(nn.Linear(63, 10), seed=0)
    assert storage(model).per_task == {} and storage(model).total == 4 * (640 + 2)
    with pytest.raises(TypeError, match=r"a hypernetwork, got .*Linear"):
        storage(nn.Linear(2, 2))


def test_an_empty_flow_has_what_it_was_made_with():
    model = HypernetSDEFlow(3)
    assert storage(model).shared == storage(model).total > 4 * 3 * 64

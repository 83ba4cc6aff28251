"""DeltaHyperNetwork; see also test_task_weights.py."""

import pytest
import torch

from avalanche_hsf.models import DeltaHyperNetwork, HypernetSDEFlow
from avalanche_hsf.models.hypernetworks.adapters import KINDS

INITIAL = {"weight": torch.randn(8, 6, generator=torch.Generator().manual_seed(0))}
INITIAL["bias"] = torch.ones(8)


def make(**options):
    return DeltaHyperNetwork(INITIAL, **{"size": 1, "seed": 0} | options)


def train(hypernetwork, task, optimizer):
    """Pulls the weights of a task to a target of its own, and at all others, as replay does."""
    hypernetwork.begin([task])
    known = {id(p) for group in optimizer.param_groups for p in group["params"]}
    new = [p for p in hypernetwork.parameters() if id(p) not in known]
    if new:
        optimizer.add_param_group({"params": new})
    for _ in range(5):
        optimizer.zero_grad()
        weights = hypernetwork([task])
        loss = sum((w - task - 2).square().sum() for w in weights.values())
        others = hypernetwork(hypernetwork.tasks)
        loss = loss + 0.1 * sum(w.square().sum() for w in others.values())
        loss.backward()
        optimizer.step()


def written(hypernetwork, task):
    return {name: w.detach().clone() for name, w in hypernetwork([task]).items()}


OPTIMIZERS = {
    "momentum": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, weight_decay=0.1),
    "adam": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_finished_tasks_are_bit_identical_after_others_were_trained(kind, size, optimizer):
    hypernetwork = make(adapter=kind, size=size)
    optimizer = OPTIMIZERS[optimizer](list(hypernetwork.parameters()))
    finished = {}
    for task in range(4):
        before = written(hypernetwork.eval(), task)
        train(hypernetwork.train(), task, optimizer)
        finished[task] = written(hypernetwork, task)
        moved = {name for name, w in finished[task].items() if not torch.equal(w, before[name])}
        assert moved == ({"bias"} if task > 0 and kind == "shift" else {"weight", "bias"})
        for old, weights in finished.items():
            for name, w in written(hypernetwork, old).items():
                assert torch.equal(w, weights[name])

    # A task that comes back moves alone, the first one too, though it has no code yet.
    for task in (2, 0):
        train(hypernetwork, task, optimizer)
        for old in range(4):
            now = written(hypernetwork, old)
            assert torch.equal(now["bias"], finished[old]["bias"]) == (old != task)
        finished[task] = written(hypernetwork, task)


def test_a_change_of_rank_r_has_rank_r():
    hypernetwork = make(adapter="low-rank", size=2)
    optimizer = torch.optim.SGD(hypernetwork.parameters(), lr=0.01)
    for task in (0, 1):
        train(hypernetwork, task, optimizer)
    change = (hypernetwork([1])["weight"] - hypernetwork([0])["weight"])[0]
    assert torch.linalg.matrix_rank(change, rtol=1e-4) == 2


def test_a_core_changes_a_tensor_between_bases_that_all_tasks_share():
    hypernetwork = make(adapter="core", size=4)
    optimizer = torch.optim.SGD(hypernetwork.parameters(), lr=0.01)
    for task in (0, 1, 2):
        train(hypernetwork, task, optimizer)
    theta = hypernetwork([0, 1, 2])
    one, two = (theta["weight"][k] - theta["weight"][0] for k in (1, 2))
    for change in (one, torch.cat((one, two)), torch.cat((one, two), dim=1)):
        assert torch.linalg.matrix_rank(change, rtol=1e-4) == 2  # a core of 2 x 2
    biases = theta["bias"][1:] - theta["bias"][0]
    assert torch.linalg.matrix_rank(biases, rtol=1e-4) == 1  # a quarter of 4 numbers


BIASES = 64 + 64 + 24 + 64 + 3


@pytest.mark.parametrize(
    ("latent_dim", "kind", "size", "length"),
    [
        # 64 x 64 and twice 64 x 24 by two factors; 64 x 3 entry by entry, 192 < 4 * 67, twice.
        (24, "low-rank", 4, 4 * 128 + 2 * 4 * 88 + 2 * 192 + BIASES),  # 1819
        (2, "low-rank", 4, 4 * 128 + 2 * 128 + 2 * 192 + BIASES - 22),  # 1349: 128 < 4 * 66
        (24, "low-rank", 1, 128 + 2 * 88 + 2 * 67 + BIASES),  # 657
        (2, "low-rank", 1, 128 + 2 * 66 + 2 * 67 + BIASES - 22),  # 591
        (24, "shift", 1, BIASES),
        (24, "scale", 1, 64 + 64 + 24 + 64 + 3 + BIASES),
        # Cores of 6 x 6, or 13 x 3 for 64 x 3; two numbers for a bias.
        (24, "core", 40, 3 * 36 + 2 * 39 + 5 * 2),
    ],
)
def test_the_length_of_a_code_by_hand(latent_dim, kind, size, length):
    options = {"adapter": kind, "size": size, "adapted": ("encoder.", "decoder.")}
    model = HypernetSDEFlow(
        3, latent_dim=latent_dim, hypernetwork="delta", hypernetwork_options=options
    )
    assert model.hypernetwork.code_size == length
    before = sum(p.numel() for p in model.parameters())
    model.hypernetwork.begin([0])
    assert sum(p.numel() for p in model.parameters()) == before  # the first trains the trunk
    for task in (1, 2):
        model.hypernetwork([0])
        model.hypernetwork.begin([task])
    kept = sum(code.kept.numel() for code in model.hypernetwork.codes.values())
    assert kept == length  # of task 1; task 2 is in training
    assert sum(p.numel() for p in model.parameters()) == before + length


def test_only_what_is_adapted_changes():
    hypernetwork = make(adapted=("bias",))
    optimizer = torch.optim.SGD(hypernetwork.parameters(), lr=0.01)
    for task in (0, 1):
        train(hypernetwork, task, optimizer)
    assert torch.equal(hypernetwork([1])["weight"], hypernetwork([0])["weight"])
    assert not torch.equal(hypernetwork([1])["bias"], hypernetwork([0])["bias"])


def test_the_trunk_stays_open_for_tasks_of_the_first_experience_only():
    hypernetwork = make()
    hypernetwork.begin([0, 1])
    assert all(p.requires_grad for p in hypernetwork.parameters())
    hypernetwork([0])
    hypernetwork.begin([1])
    trained = [name for name, p in hypernetwork.named_parameters() if p.requires_grad]
    trained = [name for name in trained if not name.endswith(".anchor")]
    assert trained and all(name.startswith("drafts.") and name.endswith(".1") for name in trained)


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({"size": -1}, ValueError, "size of the adapters must be at least 1"),
        ({"size": 0}, ValueError, "size of the adapters must be at least 1"),
        ({"size": 1.5}, TypeError, "integer"),
        ({"seed": -1}, ValueError, "seed must be at least 0"),
        (
            {"adapter": "x"},
            ValueError,
            "unknown adapter 'x'; choose from low-rank, core, scale, shift",
        ),
        (
            {"adapted": ("x.",)},
            ValueError,
            r"begins with \('x\.',\); the names are \['weight', 'bias'\]",
        ),
    ],
)
def test_bad_arguments(bad, error, message):
    with pytest.raises(error, match=message):
        make(**bad)

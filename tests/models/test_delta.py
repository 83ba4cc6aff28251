"""DeltaHyperNetwork; see also test_task_weights.py."""

import pytest
import torch

from avalanche_hsf.models import DeltaHyperNetwork, HypernetSDEFlow

INITIAL = {"weight": torch.randn(8, 6, generator=torch.Generator().manual_seed(0))}
INITIAL["bias"] = torch.ones(8)


def make(**options):
    return DeltaHyperNetwork(INITIAL, **{"rank": 1, "seed": 0} | options)


def train(hypernetwork, task, optimizer):
    """Pulls the weights of a task to a target of its own."""
    hypernetwork.begin([task])
    known = {id(p) for group in optimizer.param_groups for p in group["params"]}
    new = [p for p in hypernetwork.parameters() if id(p) not in known]
    if new:
        optimizer.add_param_group({"params": new})
    for _ in range(5):
        optimizer.zero_grad()
        weights = hypernetwork([task])
        sum((w - task - 2).square().sum() for w in weights.values()).backward()
        optimizer.step()


def written(hypernetwork, task):
    return {name: w.detach().clone() for name, w in hypernetwork([task]).items()}


OPTIMIZERS = {
    "momentum": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, weight_decay=0.1),
    "adam": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
}


@pytest.mark.parametrize("rank", [0, 1, 4])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_finished_tasks_are_bit_identical_after_others_were_trained(rank, optimizer):
    hypernetwork = make(rank=rank)
    optimizer = OPTIMIZERS[optimizer](list(hypernetwork.parameters()))
    finished = {}
    for task in range(4):
        before = written(hypernetwork.eval(), task)
        train(hypernetwork.train(), task, optimizer)
        finished[task] = written(hypernetwork, task)
        moved = {name for name, w in finished[task].items() if not torch.equal(w, before[name])}
        assert moved == ({"bias"} if task > 0 and rank == 0 else {"weight", "bias"})
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
    hypernetwork = make(rank=2)
    optimizer = torch.optim.SGD(hypernetwork.parameters(), lr=0.01)
    for task in (0, 1):
        train(hypernetwork, task, optimizer)
    change = (hypernetwork([1])["weight"] - hypernetwork([0])["weight"])[0]
    assert torch.linalg.matrix_rank(change, rtol=1e-4) == 2


@pytest.mark.parametrize(
    ("latent_dim", "rank", "size"),
    [
        # Rank 4, latent 24: 4 (64 + 64) + 2 * 4 (64 + 24) for three matrices, those of 64 x 3
        # entry by entry (192 < 4 * 67), and 64 + 64 + 24 + 64 + 3 for the biases.
        (24, 4, 512 + 704 + 384 + 219),
        (2, 4, 512 + 256 + 384 + 197),  # 64 x 2: 128 entries, not 4 * 66
        (24, 1, 128 + 176 + 134 + 219),
        (2, 1, 128 + 132 + 134 + 197),
        (24, 0, 219),
    ],
)
def test_the_length_of_a_code_by_hand(latent_dim, rank, size):
    adapted = ("encoder.", "decoder.")
    model = HypernetSDEFlow(
        3,
        latent_dim=latent_dim,
        hypernetwork="delta",
        hypernetwork_options={"rank": rank, "adapted": adapted},
    )
    assert model.hypernetwork.code_size == size
    before = sum(p.numel() for p in model.parameters())
    for task in (0, 1, 2):
        model.hypernetwork.begin([task])
    assert sum(p.numel() for p in model.parameters()) == before + 2 * size


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
    assert trained and all(name.startswith("codes.1") for name in trained)


@pytest.mark.parametrize("bad", [{"rank": -1}, {"seed": -1}])
def test_bad_arguments(bad):
    with pytest.raises(ValueError, match="at least 0"):
        make(**bad)
    with pytest.raises(TypeError, match="integer"):
        make(rank=1.5)

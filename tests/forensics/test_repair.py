"""Repair: what was moved is mended, within what the new task may lose, and nothing else changes."""

import copy

import pytest
import torch
from torch import nn

from avalanche_hsf.analysis import Attribution, attribute_forgetting, errors_on
from avalanche_hsf.forensics import blamed, choose_components, repair
from avalanche_hsf.forensics.findings import accuracy_on

CENTRES = 1.2 * torch.randn(4, 20, generator=torch.Generator().manual_seed(7))


class Net(nn.Module):
    """A normalized layer, another one and a head."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(20, 32)
        self.norm = nn.BatchNorm1d(32)
        self.second = nn.Linear(32, 16)
        self.head = nn.Linear(16, 4)

    def forward(self, x):
        x = torch.relu(self.norm(self.first(x)))
        return self.head(torch.relu(self.second(x)))


def samples(seed, n=60, classes=(0, 1, 2, 3)):
    generator = torch.Generator().manual_seed(seed)
    y = torch.tensor(classes)[torch.randint(len(classes), (n,), generator=generator)]
    return CENTRES[y] + 0.8 * torch.randn(n, 20, generator=generator), y


@pytest.fixture(scope="module")
def early():
    torch.manual_seed(0)
    model = Net()
    x, y = samples(0, 300)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(100):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model.eval()


@pytest.fixture
def late(early):
    """The same model, whose head has mistaken the classes."""
    model = copy.deepcopy(early)
    with torch.no_grad():
        model.head.weight.copy_(model.head.weight.roll(1, 0))
    return model


def state(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def changed(before, model):
    return {name for name, tensor in model.state_dict().items() if not before[name].equal(tensor)}


def test_a_moved_head_is_blamed_and_put_back(early, late):
    attribution = attribute_forgetting(
        early, late, errors_on(samples(1)), components=choose_components(late)
    )
    assert blamed([attribution]) == ("head",)
    mended = repair(late, blamed([attribution]), [samples(1)], early=early, steps=0)
    assert (mended.how, mended.components, mended.new) == ("put back", ("head",), None)
    assert not changed(state(early), mended.model)


def test_a_moved_head_is_fitted(early, late):
    before, lost = (accuracy_on(model, samples(2)) for model in (early, late))
    mended = repair(late, ["head"], [samples(1)], lr=1e-2)
    assert mended.how == "fitted" and mended.old[1] < mended.old[0]
    assert lost < 50 and accuracy_on(mended.model, samples(2)) > before - 5


def test_the_better_of_the_two_is_taken(early, late):
    other = copy.deepcopy(early)
    with torch.no_grad():
        other.head.weight.zero_()
    assert repair(late, ["head"], [samples(1)], early=other, lr=1e-2).how == "fitted"
    assert repair(late, ["head"], [samples(1)], early=early, lr=1e-6).how == "put back"


@pytest.mark.parametrize("how", ["fitted", "put back"])
def test_nothing_else_changes(early, late, how):
    late.train().first.requires_grad_(False)
    given = state(late)
    options = {"lr": 1e-2} if how == "fitted" else {"early": early, "steps": 0}
    mended = repair(late, ["head"], [samples(1)], **options)
    assert mended.how == how
    assert not changed(given, late) and late.training and not mended.model.training
    assert all(p.grad is None for p in late.parameters())
    frozen = {name for name, p in mended.model.named_parameters() if not p.requires_grad}
    assert frozen == {"first.weight", "first.bias"}
    assert frozen == {name for name, p in late.named_parameters() if not p.requires_grad}
    assert changed(given, mended.model) <= {"head.weight", "head.bias"}


def test_running_statistics_do_not_move(late):
    given = state(late)
    layers = [name for name in choose_components(late) if "statistics" not in name]
    mended = repair(late.train(), layers, [samples(1)], lr=1e-2)
    moved = changed(given, mended.model)
    assert mended.how == "fitted" and "norm.weight" in moved
    assert not {name for name in moved if "running" in name or "num_batches" in name}


@pytest.mark.parametrize("may_lose", [0.0, 0.01, 0.1])
def test_the_guard_holds(late, may_lose):
    # The new task's classes are those that the moved head gives out.
    x, _ = samples(3)
    new = x, late(x).argmax(dim=1).detach()
    mended = repair(late, ["head"], [samples(1)], new=new, may_lose=may_lose, lr=1e-2)
    assert mended.new[1] <= mended.new[0] + may_lose
    assert mended.old[1] <= mended.old[0]


def test_what_would_harm_the_new_task_is_not_put_back(early, late):
    x, _ = samples(3)
    new = x, late(x).argmax(dim=1).detach()
    mended = repair(late, ["head"], [samples(1)], new=new, early=early, steps=0)
    assert (mended.how, mended.components) == ("left", ())
    assert mended.old[0] == mended.old[1] and mended.new[0] == mended.new[1]
    assert not changed(state(late), mended.model)


def test_left_if_nothing_helps(early):
    mended = repair(early, ["head"], [samples(0, 300)], early=copy.deepcopy(early), steps=0)
    assert mended.how == "left"


def test_the_same_twice_and_another_order_with_another_seed(late):
    one = repair(late, ["head"], [samples(1)], seed=5)
    torch.manual_seed(4)
    drawn = torch.random.get_rng_state()
    two = repair(late, ["head"], [samples(1)], seed=5)
    other = repair(late, ["head"], [samples(1)], seed=6)
    assert one.old == two.old and not changed(state(one.model), two.model)
    assert changed(state(one.model), other.model)
    assert torch.random.get_rng_state().equal(drawn)


def test_task_labels_and_several_tasks(late):
    tasks = [
        [(*samples(k, classes=pair), torch.full((60,), k))]
        for k, pair in enumerate([(0, 1), (2, 3)])
    ]
    mended = repair(late, ["head"], tasks, new=tasks[1], lr=1e-2)
    assert mended.how == "fitted" and mended.old[1] < mended.old[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"components": ["tail"]}, r"no component tail; choose from first, norm, second, head"),
        ({"components": []}, "no component was given"),
        ({"old": []}, "at least one task"),
        ({"old": [(torch.zeros(0, 20), torch.zeros(0).long())]}, "no samples"),
        ({"components": ["normalization statistics"]}, "no parameters to fit: give early="),
        ({"steps": 0}, "nothing is fitted: give early="),
        ({"steps": -1}, "steps"),
        ({"lr": 0.0}, "lr"),
        ({"may_lose": -1.0}, "may_lose"),
        ({"mb_size": 0}, "mb_size"),
    ],
)
def test_what_is_refused(late, arguments, message):
    options = {"components": ["head"], "old": [samples(1)]} | arguments
    with pytest.raises((TypeError, ValueError), match=message):
        repair(late, options.pop("components"), options.pop("old"), **options)


def test_statistics_can_be_put_back(early):
    late = copy.deepcopy(early)
    late.norm.running_mean += 5
    mended = repair(late, ["normalization statistics"], [samples(1)], early=early)
    assert mended.how == "put back" and not changed(state(early), mended.model)


def attribution(**shapley):
    return Attribution(0.0, 1.0, {}, {}, shapley, {}, 1)


def test_the_fewest_that_have_the_share():
    of_tasks = [attribution(a=0.1, b=0.5, c=-0.2), attribution(a=0.5, b=0.9, c=0.0)]
    assert blamed(of_tasks) == ("b",)
    assert blamed(of_tasks, share=0.9) == ("b", "a")
    assert blamed(of_tasks, share=1) == ("b", "a")
    assert blamed([attribution(a=-1.0, b=0.0)]) == ()
    for share in (0.0, 1.5):
        with pytest.raises(ValueError, match="share"):
            blamed(of_tasks, share=share)

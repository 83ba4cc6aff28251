"""Culprits that were planted are found, and no other is."""

import copy

import pytest
import torch
from torch import nn

from avalanche_hsf.forensics import examine, give_verdict
from avalanche_hsf.forensics.parts import is_embedding

SEEDS = [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3, 4))]
WIDTH = 16


class Net(nn.Module):
    """An embedding, a normalized layer, two more layers and a head."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(2, 20)
        self.first = nn.Linear(20, 32)
        self.norm = nn.BatchNorm1d(32)
        self.second = nn.Linear(32, WIDTH)
        self.features = nn.Linear(WIDTH, WIDTH)
        self.head = nn.Linear(WIDTH, 4)

    def forward(self, x):
        x = x + self.embedding(torch.zeros(len(x), dtype=torch.long))
        x = torch.relu(self.norm(self.first(x)))
        return self.head(self.features(torch.relu(self.second(x))))


def samples(seed, n):
    generator = torch.Generator().manual_seed(seed)
    centres = 1.2 * torch.randn(4, 20, generator=torch.Generator().manual_seed(seed // 100))
    y = torch.randint(4, (n,), generator=generator)
    return centres[y] + 0.8 * torch.randn(n, 20, generator=generator), y


def trained(seed, model):
    torch.manual_seed(seed)
    model = model()
    x, y = samples(100 * seed, 200)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model.eval()


def rotation(generator):
    return torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=generator)).Q


def head(model, generator):
    model.head.weight.copy_(model.head.weight.roll(1, 0))


def one_layer(model, generator):
    model.first.weight += torch.randn(model.first.weight.shape, generator=generator)


def features_rotated(model, generator):
    Q = rotation(generator)
    model.features.weight.copy_(Q @ model.features.weight)
    model.features.bias.copy_(Q @ model.features.bias)


def statistics(model, generator):
    model.norm.running_mean += 8 * torch.randn(32, generator=generator)
    model.norm.running_var *= 0.02


def embeddings(model, generator):
    model.embedding.weight += 4 * torch.randn(2, 20, generator=generator)


PLANTED = {
    "head": (head, "head", "head", {"intact"}),
    "one layer": (one_layer, "first", "layer", {"intact", "turned", "lost"}),
    "features rotated": (features_rotated, "features", "layer", {"turned"}),
    "statistics": (
        statistics,
        "normalization statistics",
        "normalization statistics",
        {"intact", "turned", "lost"},
    ),
    "embeddings": (embeddings, "embedding", "embeddings", {"intact", "turned", "lost"}),
}


def planted(early, plant, seed):
    late = copy.deepcopy(early)
    with torch.no_grad():
        plant(late, torch.Generator().manual_seed(1000 + seed))
    return late


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_culprit_is_found(name, seed):
    plant, culprit, kind, features = PLANTED[name]
    early = trained(seed, Net)
    found = examine(early, planted(early, plant, seed), samples(100 * seed + 1, 200))
    verdict = give_verdict(found)
    assert verdict.culprits == (culprit,), verdict.sentence
    assert verdict.kind == kind
    assert verdict.features in features
    assert culprit in verdict.sentence and "fell from" in verdict.sentence and verdict.cure


@pytest.mark.parametrize("seed", SEEDS)
def test_two_components_that_cancel(seed):
    """Units of a layer that swap places change nothing, though both layers around them moved."""

    def swap(model, generator):
        order = torch.randperm(WIDTH, generator=generator)
        model.second.weight.copy_(model.second.weight[order])
        model.second.bias.copy_(model.second.bias[order])
        model.features.weight.copy_(model.features.weight[:, order])

    early = trained(seed, Net)
    data = samples(100 * seed + 1, 200)
    verdict = give_verdict(examine(early, planted(early, swap, seed), data))
    assert (verdict.kind, verdict.culprits) == ("none", ())
    assert verdict.cancelling == (("features", "second"),) or verdict.cancelling == (
        ("second", "features"),
    )
    assert "cancel" in verdict.sentence

    def swap_and_head(model, generator):
        swap(model, generator)
        head(model, generator)

    verdict = give_verdict(examine(early, planted(early, swap_and_head, seed), data))
    assert verdict.culprits == ("head",), verdict.sentence


@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_without_forgetting_is_given_no_culprit(seed):
    def nothing(model, generator):
        pass

    def hardly(model, generator):
        for p in model.parameters():
            p += 1e-3 * torch.randn(p.shape, generator=generator)

    early = trained(seed, Net)
    for plant in (nothing, hardly):
        found = examine(early, planted(early, plant, seed), samples(100 * seed + 1, 200))
        verdict = give_verdict(found)
        assert (verdict.kind, verdict.culprits, verdict.cure) == ("none", (), "")
        assert "lost nothing" in verdict.sentence


def test_the_same_task_learned_on_is_not_forgotten():
    early = trained(0, Net)
    late = copy.deepcopy(early).train()
    x, y = samples(2, 200)
    optimizer = torch.optim.Adam(late.parameters(), 1e-3)
    for _ in range(50):
        optimizer.zero_grad()
        nn.functional.cross_entropy(late(x), y).backward()
        optimizer.step()
    assert give_verdict(examine(early, late.eval(), samples(1, 200))).kind == "none"


def test_few_samples_do_not_support_a_verdict():
    early = trained(0, Net)

    def everywhere(model, generator):
        for p in model.parameters():
            p += 0.5 * torch.randn(p.shape, generator=generator)

    x, y = samples(1, 200)
    found = examine(early, planted(early, everywhere, 0), (x[:6], y[:6]))
    verdict = give_verdict(found)
    assert verdict.kind in {"unclear", "spread", "none", "together"}
    assert verdict.culprits == () or verdict.kind == "together"


def test_regression_has_no_probe_and_says_so():
    torch.manual_seed(0)
    early = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 3))
    late = copy.deepcopy(early)
    with torch.no_grad():
        late[2].bias += 3
    x = torch.randn(100, 3)
    y = early(x).detach() + 0.01 * torch.randn(100, 3)
    found = examine(early, late, (x, y), criterion=nn.MSELoss())
    verdict = give_verdict(found)
    assert found.accuracy is None and found.probe is None
    assert verdict.culprits == ("2 (Linear)",) and "error rose" in verdict.sentence
    assert verdict.features == "unknown"


class Difference(nn.Module):
    """Its output is too large where `up` moves, and less so where `down` moves after it."""

    def __init__(self, up, down, *others):
        super().__init__()
        self.up = nn.Parameter(torch.tensor(up))
        self.down = nn.Parameter(torch.tensor(down))
        self.others = nn.ParameterList(torch.tensor(other) for other in others)

    def forward(self, x):
        return torch.cat([x + self.up - self.down, *(x + other for other in self.others)], dim=1)


def difference(before, after):
    data = torch.zeros(50, 1), torch.zeros(50, len(before) - 1)
    return examine(
        Difference(*before),
        Difference(*after),
        data,
        criterion=lambda output, y: (output - y).relu().sum(dim=1).mean(),
        components=["up", "down", *(f"others.{i}" for i in range(len(before) - 2))],
    )


def test_a_part_whose_harm_another_takes_back_is_to_blame_if_it_wins_all_back():
    findings = difference((0.0, 0.0), (3.0, 2.5))
    assert findings.attribution.shares["up"] > 2
    verdict = give_verdict(findings)
    assert verdict.culprits == ("up",)
    assert (
        "up adds" in verdict.sentence and "up alone, put back, wins back 100 %" in verdict.sentence
    )


def test_where_no_part_wins_it_back_none_is_to_blame():
    verdict = give_verdict(difference((0.0, 0.0, 0.0, 0.0), (3.0, 2.9, 0.25, 0.15)))
    assert (verdict.kind, verdict.culprits) == ("opposed", ())
    assert "up adds" in verdict.sentence and "down takes" in verdict.sentence


class Product(nn.Module):
    def __init__(self, *factors):
        super().__init__()
        self.factors = nn.ParameterList(torch.tensor(factor) for factor in factors)

    def forward(self, x):
        return x * self.factors[0] * self.factors[1] + 0.1 * self.factors[2]


def test_two_parts_of_nearly_one_share_are_to_blame_together():
    data = torch.ones(50, 1), torch.ones(50, 1)
    findings = examine(
        Product(1.0, 1.0, 0.0),
        Product(2.2, 2.0, 0.1),
        data,
        criterion=nn.MSELoss(),
        components=[f"factors.{i}" for i in range(3)],
    )
    verdict = give_verdict(findings)
    assert set(verdict.culprits) == {"factors.0", "factors.1"}


def test_features_of_dead_units_are_not_to_be_put_back():
    early = trained(0, Net)
    late = copy.deepcopy(early)
    with torch.no_grad():
        late.second.bias -= 100.0
    verdict = give_verdict(examine(early, late, samples(1, 200)))
    assert "the same for every sample" in verdict.sentence and "put" not in verdict.cure


def with_wrong_labels():
    x, y = samples(1, 200)
    return x, torch.where(torch.arange(200) < 30, (y + 1) % 4, y)


def test_a_classifier_that_is_less_sure_has_forgotten_nothing():
    early = trained(0, Net)
    late = copy.deepcopy(early)
    with torch.no_grad():
        late.head.weight *= 10
        late.head.bias *= 10  # no answer changes
    findings = examine(early, late, with_wrong_labels())
    verdict = give_verdict(findings)
    assert findings.attribution.forgetting > 0.1
    assert (verdict.kind, verdict.culprits) == ("none", ())
    assert "kept its accuracy" in verdict.sentence and "by head" in verdict.sentence


def test_errors_that_the_loss_does_not_show_are_not_denied():
    early = trained(0, Net)
    late = copy.deepcopy(early)
    with torch.no_grad():
        early.head.weight *= 50  # sure of its few errors
        head(late, None)
        late.head.weight *= 0.01
        late.head.bias *= 0.01
    findings = examine(early, late, with_wrong_labels())
    assert findings.attribution.forgetting < 0
    verdict = give_verdict(findings)
    assert verdict.kind == "unclear" and "its loss did not rise" in verdict.sentence


@pytest.mark.parametrize("n", [1, 2, 9])
def test_a_handful_of_samples_names_no_culprit(n):
    early = trained(0, Net)
    late = copy.deepcopy(early)
    with torch.no_grad():
        late.head.weight.copy_(-late.head.weight)
    verdict = give_verdict(examine(early, late, samples(1, n)))
    assert verdict.culprits == () and f"{n} samples are too few" in verdict.sentence


class Scaled(nn.Module):
    """Scales and shifts scores, as BiC does."""

    def __init__(self):
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(4)), nn.Parameter(torch.zeros(4))

    def forward(self, scores):
        return self.scale * scores + self.shift


class Projected(Net):
    """A layer that runs after the head, and is no part of the output."""

    def __init__(self):
        super().__init__()
        self.projector = nn.Linear(4, 8)

    def forward(self, x):
        scores = super().forward(x)
        self.projector(scores)
        return scores


class Cosine(Net):
    """A head that is no module."""

    def __init__(self):
        super().__init__()
        self.head = nn.Identity()
        self.prototypes = nn.Parameter(torch.randn(4, WIDTH))

    def forward(self, x):
        return super().forward(x) @ self.prototypes.T


def with_weight_norm():
    model = Net()
    model.head = nn.utils.parametrizations.weight_norm(model.head)
    return model


def with_a_scale():
    model = Net()
    model.head = nn.Sequential(model.head, Scaled())
    return model


@pytest.mark.parametrize("make", [with_weight_norm, with_a_scale, Projected])
def test_heads_of_any_make_are_known_as_such(make):
    early = trained(0, make)
    late = copy.deepcopy(early)
    with torch.no_grad():
        for p in late.head.parameters():
            if p.dim() == 2:
                p.copy_(p.roll(1, 0))
    verdict = give_verdict(examine(early, late, samples(1, 200)))
    assert verdict.kind == "head" and "the features are intact" in verdict.sentence


def test_a_head_that_is_no_module_is_not_mistaken():
    early = trained(0, Cosine)
    late = copy.deepcopy(early)
    with torch.no_grad():
        late.prototypes.copy_(late.prototypes.roll(1, 0))
    findings = examine(early, late, samples(1, 200))
    assert findings.probe is None and give_verdict(findings).features == "unknown"


def test_a_layer_that_is_called_an_embedding_is_none():
    class Model(nn.Module):
        pass

    model = Model()
    model.patch_embedding = nn.Linear(3, 3)
    model.embedding = nn.EmbeddingBag(3, 3)
    model.task_embeddings = nn.ParameterList([torch.zeros(2)])
    model.position_embedding = nn.Parameter(torch.zeros(2))
    found = [name for name, _ in model.named_parameters() if is_embedding(model, name)]
    assert found == ["position_embedding", "embedding.weight", "task_embeddings.0"]

"""HypernetSDEFlow; what holds for each kind of hypernetwork is in test_task_weights.py."""

import copy
import inspect

import pytest
import torch
from torch import nn

from avalanche_hsf.models import (
    HYPERNETWORKS,
    HypernetSDEFlow,
    HyperNetwork,
    IsolatedHyperNetwork,
    MLPAutoencoder,
)
from avalanche_hsf.training import get_preset

PAPER = get_preset("paper").hsf
NO_NOISE = {"sde_options": {"diffusion_scale": 1e-30}}


def make(*tasks, **options):
    """The paper's model."""
    model = HypernetSDEFlow(3, **{**PAPER, **options})
    for task in tasks:
        model.hypernetwork.add_task(task)
    return model


def test_the_papers_model(tmp_path):
    model = make(0, 4)
    x, labels = torch.randn(6, 3), torch.tensor([0, 4, 4, 0, 0, 4])

    # shapes
    out = model.forward_with_latents(x, labels)
    u, log_det = model.flow_of(out.z0, labels)
    assert out.reconstruction.shape == (6, 3)
    assert u.shape == out.z0.shape == out.z_T.shape == (6, 24)
    assert log_det.shape == (6,)

    # a gradient in every parameter
    loss = out.reconstruction.square().mean() + u.square().mean() - log_det.mean()
    loss.backward()
    for name, parameter in model.named_parameters():
        if name.endswith(".anchor"):
            continue
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name

    # save and load, into a model that knows no task yet; the noise goes on where it was
    torch.save(model.state_dict(), tmp_path / "model.pt")
    other = make(seed=9)
    other.load_state_dict(torch.load(tmp_path / "model.pt"))
    expected = model(x, labels)
    assert torch.equal(other(x, labels), expected)

    # a copy is independent
    twin = copy.deepcopy(model)
    assert torch.equal(twin(x, labels), model(x, labels))


def test_size_of_the_papers_model():
    # "About 4.94 M parameters, 4.2 M of them for the 64 x 64 layer", and one embedding a task.
    model = make(0, 1, 2, 3, 4)
    count = sum(p.numel() for p in model.parameters())
    assert count == 4_944_677
    position = list(model.hypernetwork.shapes).index("encoder.hidden_2.weight")
    largest = sum(p.numel() for p in model.hypernetwork.generators[position].parameters())
    assert largest == 16 * 1028 + 1028 + 1028 * 4096 + 4096


def test_the_papers_hypernetwork_writes_three_layers():
    layers = {"encoder.hidden_1": (64, 3), "encoder.hidden_2": (64, 64), "decoder.hidden": (64, 24)}
    assert make().hypernetwork.shapes == {
        f"{layer}.{name}": shape if name == "weight" else (64,)
        for layer, shape in layers.items()
        for name in ("weight", "bias")
    }


def test_a_mixed_batch_equals_its_tasks_one_by_one():
    model = make(0, 1, 2, **NO_NOISE)
    x, labels = torch.randn(30, 3), torch.randint(0, 3, (30,))
    mixed = model.forward_with_latents(x, labels)
    for task in range(3):
        alone = model.forward_with_latents(x[labels == task], task)
        for name in ("reconstruction", "z0", "z_T"):
            together = getattr(mixed, name)[labels == task]
            assert torch.allclose(together, getattr(alone, name), atol=1e-5), name


@pytest.mark.parametrize("kind", HYPERNETWORKS)
def test_weights_are_written_once_per_distinct_task(kind):
    model = HypernetSDEFlow(3, hypernetwork=kind)
    model.hypernetwork.begin([0, 1, 2])
    written = []
    model.hypernetwork.register_forward_hook(lambda module, args, out: written.append(len(args[0])))
    model(torch.randn(300, 3), torch.zeros(300, dtype=torch.long))
    model(torch.randn(300, 3), torch.arange(300) % 3)
    assert written == [1, 3]


def test_tasks_get_different_weights():
    model = make(0, 1, hypernetwork_options={"embedding_std": 1.0}, **NO_NOISE)
    x = torch.randn(5, 3)
    assert not torch.allclose(model(x, 0), model(x, 1), atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 8, 8), (64,), (4, 16)])
def test_inputs_of_any_shape_come_back_in_their_shape(shape):
    model = HypernetSDEFlow(64)
    model.hypernetwork.add_task(0)
    x = torch.randn(5, *shape)
    assert model(x, 0).shape == x.shape
    assert model.forward_with_latents(x, 0).reconstruction.shape == x.shape
    assert model.encode(x, 0).shape == (5, 24)
    assert MLPAutoencoder(64)(x).shape == x.shape


def test_no_task_label_gives_every_trained_task():
    model = make()
    model.load_state_dict(make(0, 3).state_dict())
    outputs = model(torch.randn(5, 3), None)
    assert sorted(outputs) == [0, 3]
    assert outputs[3].shape == (5, 3)


def test_an_untrained_task_is_evaluated_with_the_zero_embedding():
    model = make(0, **NO_NOISE).eval()
    x = torch.randn(5, 3)
    out = model(x, 12)
    assert torch.isfinite(out).all()
    assert torch.equal(out, model(x, 99))
    zero = model.hypernetwork.write(torch.zeros(1, 16))
    for name, w in model.hypernetwork([12]).items():
        assert torch.equal(w, zero[name])
    assert model.hypernetwork.tasks == [0]
    with pytest.raises(ValueError, match="no embedding"):
        model.train()(x, 12)


def test_log_prob_is_the_likelihood_term():
    model = make(0)
    x = torch.randn(7, 3)
    u, log_det = model.flow_of(model.encode(x, 0), 0)
    base = torch.distributions.Normal(0.0, 1.0).log_prob(u).sum(dim=1)
    assert torch.allclose(model.log_prob(x, 0), base + log_det, atol=1e-4)


def test_log_prob_is_a_density_of_the_latents_whatever_their_spread():
    # The whitening is part of the map: the density of z0 integrates to one in two dimensions.
    model = HypernetSDEFlow(3, latent_dim=2)
    model.hypernetwork.add_task(0)
    model.whitening.set_task(0, torch.tensor([3.0, -1.0]) + 0.1 * torch.randn(100, 2))
    axis = torch.linspace(-1.5, 1.5, 301)
    z0 = torch.cartesian_prod(3 + axis, axis - 1)
    u, log_det = model.flow_of(z0, 0)
    log_p = model.flow.base.log_prob(u) + log_det
    assert abs(float(log_p.detach().exp().sum()) * 0.01**2 - 1) < 1e-2


def test_sampling_goes_back_through_the_flow():
    model = make(0, 1, **NO_NOISE)
    model.density.by_flow.update({0, 1})
    drawn = model.sample(9, 1, generator=torch.Generator().manual_seed(0))
    assert drawn.shape == (9, 3)
    z0 = model.flow.sample(9, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(drawn, model.decode(model.evolve(z0, 1), 1), atol=1e-5)
    assert model.sample(2, torch.tensor([0, 1])).shape == (2, 3)


def test_samples_of_written_flows_belong_to_their_tasks():
    # Each task with a flow and a whitening of its own; z0 of a sample is likely under its task.
    model = HypernetSDEFlow(3, latent_dim=2)
    model.hypernetwork.begin([0, 1])
    model.density.by_flow.update({0, 1})
    for task, centre in ((0, -50.0), (1, 50.0)):
        model.whitening.set_task(task, centre + torch.randn(100, 2))
    decoded = []
    model.decode = lambda z_T, task_labels: decoded.append(z_T)
    model.sample(200, torch.tensor([0, 1]).repeat(100))
    assert (decoded[0][::2] < -30).all() and (decoded[0][1::2] > 30).all()


def test_evaluation_noise_is_drawn_anew_each_time():
    model = make(0).eval()
    x = torch.randn(5, 3)
    assert not torch.equal(model(x, 0), model(x, 0))


def test_a_hypernetwork_of_ones_own():
    class Twice(HyperNetwork):
        def write(self, e, prefix=""):
            return {name: 2 * w for name, w in super().write(e, prefix).items()}

    model = make(0, hypernetwork=Twice)
    assert isinstance(model.hypernetwork, Twice)
    assert model(torch.randn(5, 3), 0).shape == (5, 3)


def test_the_seed_reaches_what_the_hypernetwork_draws():
    embeddings = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed + len(embeddings))
        model = HypernetSDEFlow(3, hypernetwork="paper", seed=seed)
        model.hypernetwork.begin([0])
        embeddings.append(model.hypernetwork.task_embedding([0]))
    first, second, third = embeddings
    assert torch.equal(first, second) and not torch.equal(first, third)


def test_it_moves_to_another_dtype_with_what_is_written():
    model = HypernetSDEFlow(3).double()
    model.hypernetwork.begin([0])
    x = torch.randn(5, 3, dtype=torch.float64)
    assert model(x, 0).dtype == torch.float64
    model.hypernetwork.begin([1])
    for task in (0, 1):
        model.density.fit_task(task, torch.randn(50, 24, dtype=torch.float64))
    assert model.log_prob(x, 0).dtype == torch.float64
    assert model.sample(4, torch.tensor([0, 1, 1, 0])).dtype == torch.float64


@pytest.mark.parametrize(
    ("x", "labels", "error", "message"),
    [
        (torch.zeros(5, 4), 0, ValueError, "3 features per sample"),
        (torch.zeros(5), 0, ValueError, "3 features per sample"),
        (torch.zeros(5, 3).long(), 0, TypeError, "floating-point"),
        (torch.zeros(5, 3).double(), 0, TypeError, "must be torch.float32"),
        (torch.zeros(0, 3), 0, ValueError, "at least one sample"),
        (torch.zeros(5, 3), -1, ValueError, "at least 0"),
        (torch.zeros(5, 3), 0.0, TypeError, "integer"),
        (torch.zeros(5, 3), torch.zeros(5), TypeError, "integers"),
        (torch.zeros(5, 3), torch.zeros(4, dtype=torch.long), ValueError, "one per sample"),
    ],
)
def test_bad_input(x, labels, error, message):
    model = HypernetSDEFlow(3)
    model.hypernetwork.add_task(0)
    with pytest.raises(error, match=message):
        model(x, labels)


def test_the_mlp_names_a_wrong_width():
    with pytest.raises(ValueError, match="3 features per sample"):
        MLPAutoencoder(3)(torch.zeros(5, 4))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"hidden_dim": 0}, ValueError, "hidden_dim must be at least 1"),
        ({"latent_dim": 1}, ValueError, "latent_dim must be at least 2"),
        (
            {"hypernetwork": "paper", "hypernetwork_options": {"embedding_dim": 0}},
            ValueError,
            "embedding_dim",
        ),
        (
            {"hypernetwork": "paper", "hypernetwork_options": {"embedding_std": -0.1}},
            ValueError,
            "std must be a finite number of at least 0",
        ),
        (
            {"hypernetwork": "delta", "hypernetwork_options": {"size": -1}},
            ValueError,
            "size of the adapters must be at least 1",
        ),
        ({"encoder_steps": 0}, ValueError, "n_steps must be at least 1"),
        ({"decoder_steps": 0}, ValueError, "n_steps must be at least 1"),
        ({"encoder_horizon": 0.0}, ValueError, "horizon must be above 0"),
        ({"sde_options": {"diffusion_floor": -1.0}}, ValueError, "diffusion_floor"),
        ({"seed": -1}, ValueError, "seed must be at least 0"),
        ({"hidden_dim": 6.5}, TypeError, "hidden_dim must be an integer"),
        (
            {"generated": "x"},
            ValueError,
            "unknown generated 'x'; choose from paper, autoencoder, all-but-sdes, all",
        ),
        (
            {"hypernetwork": "x"},
            ValueError,
            "unknown hypernetwork 'x'; choose from paper, mlp, chunked, isolated, delta",
        ),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        HypernetSDEFlow(3, **arguments)


def test_defaults_are_shared_by_no_two_models():
    default = inspect.signature(HypernetSDEFlow).parameters["sde_options"].default
    before = dict(default)
    model = HypernetSDEFlow(3, sde_options={"diffusion_floor": 0.5})
    assert dict(default) == before
    assert model.encoder_sde.diffusion_floor == model.decoder_sde.diffusion_floor == 0.5
    assert HypernetSDEFlow(3).encoder_sde.diffusion_floor == 0.0
    assert isinstance(HypernetSDEFlow(3).hypernetwork, IsolatedHyperNetwork)
    assert not isinstance(HypernetSDEFlow(3).encoder.hidden_1.weight, nn.Parameter)

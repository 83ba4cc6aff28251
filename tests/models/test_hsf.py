"""HypernetSDEFlow and MLPAutoencoder."""

import copy

import pytest
import torch

from avalanche_hsf.models import HypernetSDEFlow, MLPAutoencoder


def make(*tasks, **options):
    model = HypernetSDEFlow(3, **options)
    for task in tasks:
        model.task_embedding.add_task(task)
    return model


def without_noise(model):
    """Both diffusions at sigmoid(-100), which is 0 in single precision."""
    with torch.no_grad():
        for sde in (model.encoder_sde, model.decoder_sde):
            sde.diffusion[-1].weight.zero_()
            sde.diffusion[-1].bias.fill_(-100)
    return model


def test_model(tmp_path):
    model = make(0, 4)
    x, labels = torch.randn(6, 3), torch.tensor([0, 4, 4, 0, 0, 4])

    # shapes
    out = model.forward_with_latents(x, labels)
    assert out.reconstruction.shape == (6, 3)
    assert out.u.shape == out.z0.shape == out.z_T.shape == (6, 24)
    assert out.log_det.shape == (6,)

    # a gradient in every parameter
    loss = out.reconstruction.square().mean() + out.u.square().mean() - out.log_det.mean()
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name

    # save and load, into a model that knows no task yet; the noise goes on where it was
    torch.save(model.state_dict(), tmp_path / "model.pt")
    other = HypernetSDEFlow(3, seed=9)
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
    largest = sum(p.numel() for p in model.hypernetwork.generators[2].parameters())
    assert largest == 16 * 1028 + 1028 + 1028 * 4096 + 4096


def test_a_mixed_batch_equals_its_tasks_one_by_one():
    model = without_noise(make(0, 1, 2))
    x, labels = torch.randn(30, 3), torch.randint(0, 3, (30,))
    mixed = model.forward_with_latents(x, labels)
    for task in range(3):
        alone = model.forward_with_latents(x[labels == task], task)
        for name, together, single in zip(mixed._fields, mixed, alone, strict=True):
            assert torch.allclose(together[labels == task], single, atol=1e-5), name


def test_weights_are_written_once_per_distinct_task():
    model = make(0, 1, 2)
    written = []
    model.hypernetwork.register_forward_hook(lambda module, args, out: written.append(len(args[0])))
    model(torch.randn(300, 3), torch.zeros(300, dtype=torch.long))
    model(torch.randn(300, 3), torch.arange(300) % 3)
    assert written == [1, 3]


def test_tasks_get_different_weights():
    model = without_noise(make(0, 1, embedding_std=1.0))
    x = torch.randn(5, 3)
    assert not torch.allclose(model(x, 0), model(x, 1), atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 8, 8), (64,), (4, 16)])
def test_inputs_of_any_shape_come_back_in_their_shape(shape):
    model = HypernetSDEFlow(64)
    model.task_embedding.add_task(0)
    x = torch.randn(5, *shape)
    assert model(x, 0).shape == x.shape
    assert model.forward_with_latents(x, 0).reconstruction.shape == x.shape
    assert model.encode(x, 0).shape == (5, 24)
    assert MLPAutoencoder(64)(x).shape == x.shape


def test_no_task_label_gives_every_trained_task():
    model = HypernetSDEFlow(3)
    model.load_state_dict(make(0, 3).state_dict())
    outputs = model(torch.randn(5, 3), None)
    assert sorted(outputs) == [0, 3]
    assert outputs[3].shape == (5, 3)


def test_an_untrained_task_is_evaluated_with_the_zero_embedding():
    model = without_noise(make(0)).eval()
    x = torch.randn(5, 3)
    out = model(x, 12)
    assert torch.isfinite(out).all()
    assert torch.equal(out, model(x, 99))
    assert model.task_embedding.tasks == [0]
    with pytest.raises(ValueError, match="no embedding"):
        model.train()(x, 12)


def test_log_prob_is_the_likelihood_term():
    model = make(0)
    x = torch.randn(7, 3)
    out = model.forward_with_latents(x, 0)
    base = torch.distributions.Normal(0.0, 1.0).log_prob(out.u).sum(dim=1)
    assert torch.allclose(model.log_prob(x, 0), base + out.log_det, atol=1e-4)


def test_sampling_goes_back_through_the_flow():
    model = without_noise(make(0, 1))
    drawn = model.sample(9, 1, generator=torch.Generator().manual_seed(0))
    assert drawn.shape == (9, 3)
    z0 = model.flow.sample(9, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(drawn, model.decode(model.evolve(z0), 1), atol=1e-5)
    assert model.sample(2, torch.tensor([0, 1])).shape == (2, 3)


def test_evaluation_noise_is_drawn_anew_each_time():
    model = make(0).eval()
    x = torch.randn(5, 3)
    assert not torch.equal(model(x, 0), model(x, 0))


@pytest.mark.parametrize(
    ("x", "labels", "error", "message"),
    [
        (torch.zeros(5, 4), 0, ValueError, "3 features a sample"),
        (torch.zeros(5), 0, ValueError, "3 features a sample"),
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
    with pytest.raises(error, match=message):
        make(0)(x, labels)


def test_the_mlp_names_a_wrong_width():
    with pytest.raises(ValueError, match="3 features a sample"):
        MLPAutoencoder(3)(torch.zeros(5, 4))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"hidden_dim": 0}, ValueError),
        ({"latent_dim": 1}, ValueError),
        ({"task_embedding_dim": 0}, ValueError),
        ({"embedding_std": -0.1}, ValueError),
        ({"solver_steps": 0}, ValueError),
        ({"encoder_horizon": 0.0}, ValueError),
        ({"seed": -1}, ValueError),
        ({"hidden_dim": 6.5}, TypeError),
    ],
)
def test_bad_arguments(arguments, error):
    with pytest.raises(error):
        HypernetSDEFlow(3, **arguments)

"""DiffusionFloorPlugin."""

import pytest
import torch
from under_naive import naive, small, stream

from avalanche_hsf.training import DiffusionFloorPlugin


def diffusion(model):
    z = torch.randn(50, 4)
    return torch.cat(
        [sde.bounded(sde.diffusion(z)) for sde in (model.encoder_sde, model.decoder_sde)]
    )


@pytest.mark.parametrize("floor", [0.1, 0.5])
def test_the_diffusion_cannot_fall_below(floor):
    model = small(sde_options={"diffusion_bias": -20.0})
    assert diffusion(model).max() < 1e-6
    strategy = naive(DiffusionFloorPlugin(floor), model=model, train_epochs=3)
    strategy.train(stream()[:2])
    assert diffusion(model).min() >= floor
    x = torch.zeros(200, 3)
    assert float(model(x, 0).detach().std(dim=0).min()) > 0.01 * floor  # it reaches the output


def test_the_floor_goes_where_the_model_goes():
    model = small()
    naive(DiffusionFloorPlugin(0.3), model=model).train(stream()[0])
    other = small()
    other.load_state_dict(model.state_dict())
    assert other.encoder_sde.diffusion_floor == other.decoder_sde.diffusion_floor == 0.3
    x = torch.randn(5, 3)
    assert torch.equal(other.eval()(x, 0), model.eval()(x, 0))


def test_a_negative_floor():
    with pytest.raises(ValueError, match="floor must be a finite number of at least 0"):
        DiffusionFloorPlugin(-0.1)

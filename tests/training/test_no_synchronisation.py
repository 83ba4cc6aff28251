"""A training step asks its device for no value but those that the guard needs.

Tensors on torch's meta device have no values: whatever reads one raises. `DivergencePlugin` alone
takes that for an answer; it reads whether the data of a step are finite, and whether the loss and
the gradients are, so a GPU is waited for twice in a step.
"""

import pytest
import torch
from avalanche.core import SupervisedPlugin

from avalanche_hsf.benchmarks import SyntheticManifolds
from avalanche_hsf.models import SeededNoise
from avalanche_hsf.training import PRESETS, HSFStrategy, WarmStartPlugin

META = torch.device("meta")
# All parts of the network, with a step of the solver more than one.
SMALL = {
    "hidden_dim": 8,
    "latent_dim": 4,
    "flow_layers": 2,
    "flow_hidden_dim": 8,
    "sde_hidden_dim": 8,
    "encoder_steps": 2,
    "decoder_steps": 2,
}


class EndOfSteps(Exception):
    """What comes after the steps of a task may read: it commits and stores."""


class StopAfterSteps(SupervisedPlugin):
    def after_training_epoch(self, strategy, **kwargs):
        if strategy.device == META and strategy.clock.train_exp_epochs == 5:
            raise EndOfSteps


def no_generator(self, device):
    return None


@pytest.fixture
def strategy(preset):
    """One that has learned a task and will train the next without values."""
    torch.manual_seed(0)
    strategy = HSFStrategy.from_preset(
        preset,
        input_dim=3,
        seed=0,
        model_options=SMALL,
        # No fused kernel takes them, and SOAP's first step computes eigenvectors, which waits.
        optimizer_options={"name": "AdamW", "lr": 1e-3},
        train_epochs=6,
        plugins=[StopAfterSteps()],
        evaluator=None,
    )
    strategy.train(SyntheticManifolds(20).train_stream[0])
    strategy.model.hypernetwork.begin([1])
    # Chooses by the losses, before the first step.
    strategy.plugins = [p for p in strategy.plugins if not isinstance(p, WarmStartPlugin)]
    strategy.model.to(META)
    strategy.device = META
    return strategy


@pytest.mark.parametrize("preset", PRESETS)
def test_no_step_reads_from_its_device(strategy, monkeypatch):
    monkeypatch.setattr(SeededNoise, "generator", no_generator)  # there is none for this device
    with pytest.raises(EndOfSteps):
        strategy.train(SyntheticManifolds(20).train_stream[1])
    assert strategy.loss.device == META


@pytest.mark.parametrize("preset", ["paper"])
def test_whatever_does_read_is_noticed(strategy, monkeypatch):
    class Reads(SupervisedPlugin):
        def before_backward(self, strategy, **kwargs):
            float(strategy.loss)

    monkeypatch.setattr(SeededNoise, "generator", no_generator)
    strategy.plugins.append(Reads())
    with pytest.raises(RuntimeError, match="meta tensors"):
        strategy.train(SyntheticManifolds(20).train_stream[1])

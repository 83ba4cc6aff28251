"""The rival of benchmarks/speed.py computes what we compute."""

import math
import sys
from pathlib import Path

import pytest
import torch
from avalanche.core import SupervisedPlugin

from avalanche_hsf.benchmarks import SyntheticManifolds
from avalanche_hsf.training import HSFStrategy

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from author_way import AuthorWay


@pytest.mark.slow
@pytest.mark.parametrize("fast_tanh", [False, True])
def test_losses_are_equal_step_by_step(fast_tanh):
    # Three tasks under one optimizer; replay, which draws other samples on each side, left out.
    losses = []

    class Beside(SupervisedPlugin):
        rival = None

        def before_training_exp(self, strategy, **kwargs):
            task = strategy.experience.task_label
            if self.rival is None:
                self.rival = AuthorWay(strategy.model, tasks=[1, 2])
            theirs, ours = (
                m.hypernetwork.task_embedding for m in (self.rival.model, strategy.model)
            )
            with torch.no_grad():  # the new task starts from the same row
                theirs.embeddings[task].copy_(ours.embeddings[task])
            self.x = torch.stack([item[0] for item in strategy.experience.dataset])

        def after_training_epoch(self, strategy, **kwargs):
            task, epoch = strategy.experience.task_label, strategy.clock.train_exp_epochs
            ours = float(strategy.loss.detach())
            losses.append((ours, self.rival.step(self.x, task, epoch)))

    strategy = HSFStrategy.from_preset(
        "paper",
        input_dim=3,
        gamma=0,
        model_options={"sde_options": {"fast_tanh": fast_tanh}},
        train_epochs=12,
        train_mb_size=60,
        plugins=[Beside()],
        evaluator=None,
    )
    strategy.train(SyntheticManifolds(60).train_stream[:3], shuffle=False)
    assert len(losses) == 36
    assert all(math.isclose(ours, rival, rel_tol=2e-6) for ours, rival in losses), losses

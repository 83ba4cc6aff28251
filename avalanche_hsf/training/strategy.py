"""The paper's learner as an Avalanche strategy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from avalanche.core import BasePlugin
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.templates import SupervisedTemplate
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from avalanche_hsf.checks import check_int, check_non_negative, check_samples
from avalanche_hsf.evaluation import default_evaluator
from avalanche_hsf.models import HSFOutput, HypernetSDEFlow
from avalanche_hsf.training.in_memory import in_memory
from avalanche_hsf.training.losses import BetaSchedule, negative_log_likelihood
from avalanche_hsf.training.plugins import (
    EmbeddingTablePlugin,
    LatentReplayPlugin,
    SeparationPlugin,
)
from avalanche_hsf.training.presets import get_preset


class HSFStrategy(SupervisedTemplate):
    r"""Trains a `HypernetSDEFlow` with L = recon + beta * nll + gamma * replay + delta * sep.

    recon is the criterion between reconstruction and input, whatever the benchmark's y is, so
    the strategy runs on classification benchmarks too: `mb_y`, the target every plugin and
    metric sees, is the input. In evaluation the loss is recon alone, so that Avalanche's loss
    metrics report the plain MSE. replay and sep are plugins (`LatentReplayPlugin`,
    `SeparationPlugin`) that are added when their weight is above 0.

    The training loop is Avalanche's; every hook of every plugin fires.

    Source: section 2.5, equation (3) of the paper. The default weights are its final ones.

    Args:
        model: A `HypernetSDEFlow`.
        optimizer: An optimizer of the model's parameters; the paper uses one `AdamW` for all
            experiences. New embeddings are added to it, it keeps its state.
        criterion: Of reconstruction and input. Default: the mean over samples and features.
        beta: Schedule of the weight of nll over the epochs of an experience, or a constant.
        gamma: Weight of replay, at least 0.
        delta: Weight of sep, at least 0.
        embedding_table: Optimize new task embeddings as rows of a fixed table, as the author
            did, see `EmbeddingTablePlugin`. False: each from its own first step.
        train_mb_size: Samples a training minibatch.
        train_epochs: Epochs an experience.
        eval_mb_size: Samples an evaluation minibatch; default: as in training.
        device: Where to run.
        plugins: Further plugins.
        evaluator: Metrics and loggers. Default: the MSE in the terminal, see
            `default_evaluator`; None: nothing.
        eval_every: As in Avalanche: -1 never, 0 after each experience, n every n epochs.
        in_memory: Cut minibatches from tensors where that changes nothing but the time, see
            `avalanche_hsf.training.in_memory`.
        replay_seed: Seed of the replay memory's draws, see `LatentReplayPlugin`.
        **base_kwargs: Further arguments of Avalanche's `SupervisedTemplate`.

    Raises:
        TypeError: The model is no `HypernetSDEFlow`, or an argument has the wrong type.
        ValueError: An argument is out of its range, or replay or sep would count twice.

    Example:
        >>> from avalanche_hsf.benchmarks import SyntheticManifolds
        >>> strategy = HSFStrategy.from_preset("paper", input_dim=3, train_epochs=1, evaluator=None)
        >>> benchmark = SyntheticManifolds(n_samples=20)
        >>> for experience in benchmark.train_stream:
        ...     _ = strategy.train(experience)
        >>> strategy.model.task_embedding.tasks
        [0, 1, 2, 3, 4]
    """

    def __init__(
        self,
        *,
        model: HypernetSDEFlow,
        optimizer: Optimizer,
        criterion: Callable[[Tensor, Tensor], Tensor] | None = None,
        beta: BetaSchedule | float | None = None,
        gamma: float = 2.0,
        delta: float = 1.5,
        embedding_table: bool = True,
        train_mb_size: int = 300,
        train_epochs: int = 300,
        eval_mb_size: int | None = None,
        device: str | torch.device = "cpu",
        plugins: Sequence[BasePlugin] | None = None,
        evaluator: EvaluationPlugin | Callable[[], EvaluationPlugin] | None = default_evaluator,
        eval_every: int = -1,
        in_memory: bool = True,
        replay_seed: int | None = None,
        **base_kwargs: Any,
    ) -> None:
        if not isinstance(model, HypernetSDEFlow):
            raise TypeError(f"model must be a HypernetSDEFlow, got {type(model).__name__}")
        check_int("train_mb_size", train_mb_size, at_least=1)
        check_int("train_epochs", train_epochs, at_least=1)
        if eval_mb_size is not None:
            check_int("eval_mb_size", eval_mb_size, at_least=1)
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer must be a torch Optimizer, got {type(optimizer).__name__}")
        if criterion is not None and not callable(criterion):
            raise TypeError(f"criterion must be callable, got {criterion!r}")
        if beta is None:
            beta = BetaSchedule()
        elif not isinstance(beta, BetaSchedule):
            beta = BetaSchedule(scale=check_non_negative("beta", beta), start=1.0)
        self.beta: BetaSchedule = beta
        self.gamma = check_non_negative("gamma", gamma)
        self.delta = check_non_negative("delta", delta)
        plugins = list(plugins or [])
        terms = {
            "gamma": LatentReplayPlugin(self.gamma, seed=replay_seed),
            "delta": SeparationPlugin(self.delta),
        }
        for weight, term in terms.items():
            if getattr(self, weight) == 0:
                continue
            if any(isinstance(plugin, type(term)) for plugin in plugins):
                raise ValueError(
                    f"{type(term).__name__} is among the plugins and {weight} is above 0: "
                    f"it would count twice; set {weight}=0 to use your own"
                )
            plugins.append(term)
        if embedding_table:
            plugins.append(EmbeddingTablePlugin())
        self.in_memory = in_memory
        self._output: HSFOutput | None = None
        super().__init__(
            model=model,
            optimizer=optimizer,
            criterion=criterion or nn.MSELoss(),
            train_mb_size=train_mb_size,
            train_epochs=train_epochs,
            eval_mb_size=eval_mb_size,
            device=device,
            plugins=plugins,
            evaluator=evaluator,
            eval_every=eval_every,
            **base_kwargs,
        )

    @classmethod
    def from_preset(
        cls, name: str, *, input_dim: int, seed: int | None = None, **overrides: Any
    ) -> HSFStrategy:
        """Model, optimizer and strategy of a named configuration.

        Args:
            name: A name in `PRESETS`, such as "paper".
            input_dim: Number of features of one sample.
            seed: Seed of the SDE's noise, new task embeddings and the replay memory's draws; if
                None it is drawn from torch's global generator, whence the initial weights come.
            **overrides: Arguments of this class that replace the preset's.

        Raises:
            ValueError: There is no such preset; the message lists those there are.
        """
        preset = get_preset(name)
        model = HypernetSDEFlow(input_dim, seed=seed, **preset.model)
        arguments: dict[str, Any] = {
            "model": model,
            "optimizer": AdamW(model.parameters(), **preset.optimizer),
            "beta": preset.beta,
            "gamma": preset.gamma,
            "delta": preset.delta,
            "embedding_table": preset.embedding_table,
            "train_mb_size": preset.train_mb_size,
            "train_epochs": preset.train_epochs,
            "replay_seed": seed,
        }
        return cls(**(arguments | overrides))

    def _before_training_exp(self, **kwargs: Any) -> None:
        if len(self.experience.dataset) == 0:
            raise ValueError(f"experience {self.experience.current_experience} has no samples")
        super()._before_training_exp(**kwargs)

    def make_train_dataloader(self, **kwargs: Any) -> None:
        """Avalanche's loader, made faster where its samples are plain tensors."""
        super().make_train_dataloader(**kwargs)
        if self.in_memory:
            self.dataloader: Any = in_memory(self.dataloader)

    def eval(self, exp_list: Any, **kwargs: Any) -> Any:
        """Avalanche's evaluation, kept from changing what is learned afterwards.

        Its data loaders draw from torch's global generator, which shuffles the training data.
        """
        with torch.random.fork_rng(devices=[]):
            return super().eval(exp_list, **kwargs)

    def _unpack_minibatch(self) -> None:
        check_samples("a minibatch", self.mbatch[0])
        super()._unpack_minibatch()

    @property
    def mb_y(self) -> Tensor:
        """The target of the current minibatch: its input."""
        return self.mb_x

    def forward(self) -> Tensor:
        """The reconstruction; in training the latents are kept for the likelihood term."""
        if not self.is_training:
            return super().forward()
        self._output = self.model.forward_with_latents(self.mb_x, self.mb_task_id)
        return self._output.reconstruction

    def criterion(self) -> Tensor:
        """recon + beta * nll in training, recon in evaluation."""
        recon = self._criterion(self.mb_output, self.mb_y)
        if not self.is_training or self._output is None:
            return recon
        beta = self.beta(self.clock.train_exp_epochs)
        return recon + beta * negative_log_likelihood(self._output.u, self._output.log_det)

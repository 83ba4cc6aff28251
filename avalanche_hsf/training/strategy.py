"""The HSF strategy: the paper's learner under Avalanche."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from avalanche.core import BasePlugin
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.plugins.evaluation import (
    default_evaluator as default_classification_evaluator,
)
from avalanche.training.templates import SupervisedTemplate
from torch import Tensor, nn
from torch.optim import Optimizer

from avalanche_hsf.checks import (
    check_bool,
    check_criterion_type,
    check_int,
    check_mapping,
    check_non_negative,
    check_options,
    check_samples,
    check_size,
)
from avalanche_hsf.evaluation import default_evaluator
from avalanche_hsf.models import HSFOutput, HypernetSDEFlow
from avalanche_hsf.training.arguments import (
    as_device,
    as_evaluator,
    as_plugins,
    check_model_and_optimizer,
)
from avalanche_hsf.training.fit import check_criterion
from avalanche_hsf.training.losses import BetaSchedule, negative_log_likelihood
from avalanche_hsf.training.optimizers import make_optimizer
from avalanche_hsf.training.plugins import (
    CommitPlugin,
    DivergencePlugin,
    EmbeddingTablePlugin,
    InMemoryLoadingPlugin,
    LatentReplayPlugin,
    SeparationPlugin,
)
from avalanche_hsf.training.presets import DEFAULT, get_preset
from avalanche_hsf.training.protections import make_protections
from avalanche_hsf.training.terms import note_term


class HSFStrategy(SupervisedTemplate):
    r"""Trains a `HypernetSDEFlow` with L = recon + beta * nll + gamma * replay + delta * sep.

    recon is the criterion between reconstruction and input, whatever the benchmark's y is:
    `mb_y`, the target every plugin and metric sees, is the input. A model with an `output_dim`
    classifies or regresses instead: the target is the benchmark's y. In evaluation the loss is
    recon alone, so that Avalanche's loss metrics report the plain criterion.

    By default it trains on recon alone, with no protection against forgetting and Avalanche's
    minibatches of 1 and single epoch; `from_preset` makes the named configurations. replay and
    sep are plugins (`LatentReplayPlugin`, `SeparationPlugin`) that are added when their weight is
    above 0. A `CommitPlugin` is always added, so that a task's weights are final when its
    experience ends, and a `DivergencePlugin`, which stops training at what is not finite. The
    training loop is Avalanche's; every hook of every plugin fires.

    Source: section 2.5, equation (3) of the paper.

    Args:
        model: A `HypernetSDEFlow`.
        optimizer: An optimizer of the model's parameters. Parameters of new tasks are added to it.
        criterion: Of reconstruction and input, or output and y. Default: the mean squared error,
            or, for a model with an `output_dim`, the cross entropy of class scores.
        beta: Schedule of the weight of nll over the epochs of an experience, or a constant. The
            gradient reaches the encoder, unlike that of `DetachedLikelihoodPlugin`.
        gamma: Weight of replay, at least 0.
        delta: Weight of sep, at least 0.
        embedding_table: Optimize new task embeddings as rows of a fixed table, as the author
            did, see `EmbeddingTablePlugin`.
        protections: Plugins that hold old tasks or steer the training.
        train_mb_size, eval_mb_size: Samples per minibatch; in evaluation by default as in training.
        train_epochs: Epochs per experience.
        device, plugins: As in Avalanche.
        evaluator: Metrics and loggers. Default: `default_evaluator`, the MSE in the terminal, or,
            with the cross entropy, Avalanche's own default, accuracy and loss; None: nothing.
        eval_every: As in Avalanche: -1 never, 0 after each experience, n every n epochs.
        in_memory: Add an `InMemoryLoadingPlugin`, which changes nothing but the time.
        replay_seed: Seed of the replay memory's draws, see `LatentReplayPlugin`.
        **base_kwargs: Further arguments of Avalanche's `SupervisedTemplate`.

    Attributes:
        mb_latents: The `HSFOutput` of the current training minibatch.
        loss_terms: See `avalanche_hsf.training.terms`.

    Raises:
        TypeError: The model is no `HypernetSDEFlow`, or an argument has the wrong type.
        ValueError: An argument is out of its range, or a term would count twice.

    Example:
        >>> from avalanche_hsf.benchmarks import SyntheticManifolds
        >>> strategy = HSFStrategy.from_preset(input_dim=3, train_epochs=1, evaluator=None)
        >>> benchmark = SyntheticManifolds(n_samples=20)
        >>> for experience in benchmark.train_stream:
        ...     _ = strategy.train(experience)
        >>> strategy.model.hypernetwork.tasks
        [0, 1, 2, 3, 4]
    """

    transient = ("mb_latents", "loss_terms")  # of a minibatch, no part of checkpoints

    def __init__(
        self,
        *,
        model: HypernetSDEFlow,
        optimizer: Optimizer,
        criterion: Callable[[Tensor, Tensor], Tensor] | None = None,
        beta: BetaSchedule | float = 0.0,
        gamma: float = 0.0,
        delta: float = 0.0,
        embedding_table: bool = False,
        protections: Sequence[BasePlugin] = (),
        train_mb_size: int = 1,
        train_epochs: int = 1,
        eval_mb_size: int | None = None,
        device: str | torch.device = "cpu",
        plugins: Sequence[BasePlugin] | None = None,
        evaluator: EvaluationPlugin | Callable[[], EvaluationPlugin] | None = default_evaluator,
        eval_every: int = -1,
        in_memory: bool = True,
        replay_seed: int | None = None,
        **base_kwargs: Any,
    ) -> None:
        check_model_and_optimizer(model, optimizer)
        check_criterion_type("criterion", criterion)
        device = as_device(device)
        train_mb_size = check_size("train_mb_size", train_mb_size)
        train_epochs = check_size("train_epochs", train_epochs)
        eval_every = check_int("eval_every", eval_every, at_least=-1)
        if eval_mb_size is not None:
            eval_mb_size = check_size("eval_mb_size", eval_mb_size)
        if criterion is None:
            criterion = nn.MSELoss() if model.reconstructs else nn.CrossEntropyLoss()
        if evaluator is default_evaluator and isinstance(criterion, nn.CrossEntropyLoss):
            evaluator = default_classification_evaluator
        if not isinstance(beta, BetaSchedule):
            beta = BetaSchedule(scale=check_non_negative("beta", beta), start=1.0)
        self.beta: BetaSchedule = beta
        self.gamma = check_non_negative("gamma", gamma)
        self.delta = check_non_negative("delta", delta)
        given = as_plugins("plugins", [] if plugins is None else plugins)
        plugins = [*given, *as_plugins("protections", protections)]
        self._add_terms(plugins, replay_seed)
        if check_bool("embedding_table", embedding_table):
            plugins.append(EmbeddingTablePlugin())
        _add_missing(plugins, CommitPlugin)
        _add_missing(plugins, DivergencePlugin)
        if check_bool("in_memory", in_memory):
            _add_missing(plugins, InMemoryLoadingPlugin)
        self.mb_latents: HSFOutput | None = None
        self.loss_terms: dict[str, Tensor] | None = None
        super().__init__(
            model=model,
            optimizer=optimizer,
            criterion=criterion,
            train_mb_size=train_mb_size,
            train_epochs=train_epochs,
            eval_mb_size=eval_mb_size,
            device=device,
            plugins=plugins,
            evaluator=as_evaluator(evaluator),
            eval_every=eval_every,
            **base_kwargs,
        )

    @classmethod
    def from_preset(
        cls,
        name: str = DEFAULT,
        *,
        input_dim: int,
        seed: int | None = None,
        model_options: Mapping[str, Any] | None = None,
        optimizer_options: Mapping[str, Any] | None = None,
        **overrides: Any,
    ) -> HSFStrategy:
        """Model, optimizer and strategy of a named configuration.

        Args:
            name: A name in `PRESETS`.
            input_dim: Number of features of one sample.
            seed: Seed of the SDE's noise, of the weights of new tasks and of the replay memory;
                None: drawn from torch's global generator, as the initial weights always are.
            model_options: Arguments of `HypernetSDEFlow` that replace the preset's, those among
                `sde_options` one by one; another `hypernetwork` comes with its own
                `hypernetwork_options`.
            optimizer_options: Arguments of the optimizer that replace the preset's; with a
                `name`, all of them.
            **overrides: Arguments of this class that replace the preset's; None leaves its own.

        Raises:
            ValueError: The preset is unknown; the message lists the valid names.
        """
        preset = get_preset(name)
        model_options = check_mapping("model_options", model_options)
        check_options("HypernetSDEFlow", model_options, HypernetSDEFlow)
        optimizer_options = check_mapping("optimizer_options", optimizer_options)
        defaults = preset.strategy_arguments()
        overrides = {
            key: value
            for key, value in overrides.items()
            if value is not None or key not in {*defaults, "protections"}
        }
        model_arguments = {"seed": seed, **preset.model_arguments(model_options)}
        model = HypernetSDEFlow(input_dim, **model_arguments)
        optimizer = make_optimizer(
            model.parameters(), preset.optimizer_arguments(optimizer_options)
        )
        if "protections" not in overrides:
            overrides["protections"] = make_protections(preset.all_protections)
        arguments: dict[str, Any] = {"model": model, "optimizer": optimizer, "replay_seed": seed}
        return cls(**{**arguments, **defaults, **overrides})

    def _add_terms(self, plugins: list[BasePlugin], replay_seed: int | None) -> None:
        """Adds the plugins of the loss terms whose weight is above 0."""
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

    @property
    def reconstructs(self) -> bool:
        """Whether the target is the input, not the benchmark's y."""
        return bool(self.model.reconstructs)

    def _before_training_exp(self, **kwargs: Any) -> None:
        if len(self.experience.dataset) == 0:
            raise ValueError(f"experience {self.experience.current_experience} has no samples")
        check_criterion(
            self._criterion,
            self.experience.dataset,
            output_dim=None if self.reconstructs else self.model.output_dim,
        )
        super()._before_training_exp(**kwargs)

    def make_optimizer(self, remove_params: bool = True, **kwargs: Any) -> None:
        """As Avalanche's, but drops parameters that the model has dropped."""
        super().make_optimizer(remove_params=remove_params, **kwargs)

    def eval(self, exp_list: Any, **kwargs: Any) -> Any:
        """As Avalanche's, but without effect on the generator that shuffles the training data."""
        with torch.random.fork_rng(devices=[]):
            return super().eval(exp_list, **kwargs)

    def _unpack_minibatch(self) -> None:
        # In training a DivergencePlugin looks for NaN, and says where.
        check_samples("a minibatch", self.mbatch[0], finite=not self.is_training)
        labels = self.mbatch[-1]
        super()._unpack_minibatch()
        # Labels stay on the host: reading them from a GPU to choose weights would synchronise.
        self.mbatch[-1] = labels
        if self.reconstructs:
            self.mbatch[1] = self.mbatch[0]  # stays the clean input if a plugin adds noise

    def _train_cleanup(self) -> None:
        super()._train_cleanup()
        self.mb_latents = None  # it has a graph, which cannot be copied

    def forward(self) -> Tensor:
        """The model's output; in training the latents are kept for the likelihood term."""
        if not self.is_training:
            return super().forward()
        self.mb_latents = self.model.forward_with_latents(self.mb_x, self.mb_task_id)
        return self.mb_latents.reconstruction

    def criterion(self) -> Tensor:
        """recon + beta * nll in training, recon in evaluation."""
        recon = self._criterion(self.mb_output, self.mb_y)
        if not self.is_training or self.mb_latents is None or self.beta.scale == 0:
            return recon
        beta = self.beta(self.clock.train_exp_epochs)
        u, log_det = self.model.flow_of(self.mb_latents.z0, self.mb_latents.written)
        return recon + note_term(self, "nll", beta * negative_log_likelihood(u, log_det))


def _add_missing(plugins: list[BasePlugin], kind: type[BasePlugin]) -> None:
    if not any(isinstance(plugin, kind) for plugin in plugins):
        plugins.append(kind())

"""The paper's learner as an Avalanche strategy."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
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
from torch.utils.data import default_collate

from avalanche_hsf.checks import check_int, check_non_negative, check_samples
from avalanche_hsf.evaluation import default_evaluator
from avalanche_hsf.models import HSFOutput, HypernetSDEFlow
from avalanche_hsf.training.in_memory import in_memory
from avalanche_hsf.training.losses import BetaSchedule, negative_log_likelihood
from avalanche_hsf.training.optimizers import make_optimizer
from avalanche_hsf.training.plugins import (
    CommitPlugin,
    DetachedLikelihoodPlugin,
    EmbeddingTablePlugin,
    LatentReplayPlugin,
    SeparationPlugin,
)
from avalanche_hsf.training.presets import DEFAULT, get_preset
from avalanche_hsf.training.protections import make_protections


class HSFStrategy(SupervisedTemplate):
    r"""Trains a `HypernetSDEFlow` with L = recon + beta * nll + gamma * replay + delta * sep.

    recon is the criterion between reconstruction and input, whatever the benchmark's y is, so
    the strategy runs on classification benchmarks too: `mb_y`, the target every plugin and
    metric sees, is the input. A model with an `output_dim` classifies or regresses instead: the
    target is the benchmark's y, and recon the criterion between output and y. In evaluation the
    loss is recon alone, so that Avalanche's loss metrics report the plain criterion.

    The weights and the protections against forgetting are those of a preset unless given. replay
    and sep are plugins (`LatentReplayPlugin`, `SeparationPlugin`) that are added when their
    weight is above 0; protections are plugins too.

    The training loop is Avalanche's; every hook of every plugin fires.

    Source: section 2.5, equation (3) of the paper; `PRESETS` for the weights.

    Args:
        model: A `HypernetSDEFlow`.
        optimizer: An optimizer of the model's parameters. Parameters of new tasks are added to it.
        criterion: Of reconstruction and input, or output and y. Default: the mean squared error,
            or, for a model with an `output_dim`, the cross entropy of class scores.
        preset: A name in `PRESETS`: what arguments that are None are taken from.
        beta: Schedule of the weight of nll over the epochs of an experience, or a constant. This
            is the paper's nll, which reaches the encoder; for the other kind see
            `DetachedLikelihoodPlugin`.
        gamma: Weight of replay, at least 0.
        delta: Weight of sep, at least 0.
        embedding_table: Optimize new task embeddings as rows of a fixed table, as the author
            did, see `EmbeddingTablePlugin`. False: each from its own first step.
        protections: The plugins that hold old tasks or steer the training.
        train_mb_size: Samples a training minibatch.
        train_epochs: Epochs an experience.
        eval_mb_size: Samples an evaluation minibatch; default: as in training.
        device: Where to run.
        plugins: Further plugins.
        evaluator: Metrics and loggers. Default: the MSE in the terminal, see
            `default_evaluator`, or, with the cross entropy, Avalanche's own default, accuracy and
            loss; None: nothing.
        eval_every: As in Avalanche: -1 never, 0 after each experience, n every n epochs.
        in_memory: Cut minibatches from tensors where that changes nothing but the time, see
            `avalanche_hsf.training.in_memory`.
        replay_seed: Seed of the replay memory's draws, see `LatentReplayPlugin`.
        **base_kwargs: Further arguments of Avalanche's `SupervisedTemplate`.

    Attributes:
        mb_latents: The `HSFOutput` of the current training minibatch.
        loss_terms: The terms added to the criterion in the current minibatch, weights included,
            by name; None unless somebody watches, see `avalanche_hsf.analysis.LossTerms`.

    Raises:
        TypeError: The model is no `HypernetSDEFlow`, or an argument has the wrong type.
        ValueError: An argument is out of its range, there is no such preset, a term would count
            twice, or two protections contradict each other.

    Example:
        >>> from avalanche_hsf.benchmarks import SyntheticManifolds
        >>> strategy = HSFStrategy.from_preset(input_dim=3, train_epochs=1, evaluator=None)
        >>> benchmark = SyntheticManifolds(n_samples=20)
        >>> for experience in benchmark.train_stream:
        ...     _ = strategy.train(experience)
        >>> strategy.model.hypernetwork.tasks
        [0, 1, 2, 3, 4]
    """

    def __init__(
        self,
        *,
        model: HypernetSDEFlow,
        optimizer: Optimizer,
        criterion: Callable[[Tensor, Tensor], Tensor] | None = None,
        preset: str = DEFAULT,
        beta: BetaSchedule | float | None = None,
        gamma: float | None = None,
        delta: float | None = None,
        embedding_table: bool | None = None,
        protections: Sequence[BasePlugin] | None = None,
        train_mb_size: int | None = None,
        train_epochs: int | None = None,
        eval_mb_size: int | None = None,
        device: str | torch.device = "cpu",
        plugins: Sequence[BasePlugin] | None = None,
        evaluator: EvaluationPlugin | Callable[[], EvaluationPlugin] | None = default_evaluator,
        eval_every: int = -1,
        in_memory: bool = True,
        replay_seed: int | None = None,
        **base_kwargs: Any,
    ) -> None:
        given = get_preset(preset)
        if not isinstance(model, HypernetSDEFlow):
            raise TypeError(f"model must be a HypernetSDEFlow, got {type(model).__name__}")
        train_mb_size = given.train_mb_size if train_mb_size is None else train_mb_size
        train_epochs = given.train_epochs if train_epochs is None else train_epochs
        check_int("train_mb_size", train_mb_size, at_least=1)
        check_int("train_epochs", train_epochs, at_least=1)
        if eval_mb_size is not None:
            check_int("eval_mb_size", eval_mb_size, at_least=1)
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer must be a torch Optimizer, got {type(optimizer).__name__}")
        if criterion is not None and not callable(criterion):
            raise TypeError(f"criterion must be callable, got {criterion!r}")
        if criterion is None:
            criterion = nn.MSELoss() if model.reconstructs else nn.CrossEntropyLoss()
        if evaluator is default_evaluator and isinstance(criterion, nn.CrossEntropyLoss):
            evaluator = default_classification_evaluator
        beta = given.beta if beta is None else beta
        if not isinstance(beta, BetaSchedule):
            beta = BetaSchedule(scale=check_non_negative("beta", beta), start=1.0)
        self.beta: BetaSchedule = beta
        self.gamma = check_non_negative("gamma", given.gamma if gamma is None else gamma)
        self.delta = check_non_negative("delta", given.delta if delta is None else delta)
        if protections is None:
            # First those of the HSF: the likelihood looks at a flow before it is frozen.
            protections = make_protections(
                {**given.hsf_protections, **given.protections, **given.hsf_protections}
            )
        plugins = [*(plugins or []), *protections]
        self._add_terms(plugins, replay_seed)
        if given.embedding_table if embedding_table is None else embedding_table:
            plugins.append(EmbeddingTablePlugin())
        if not any(isinstance(plugin, CommitPlugin) for plugin in plugins):
            plugins.append(CommitPlugin())
        self.in_memory = in_memory
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
            evaluator=evaluator,
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
            seed: Seed of the SDE's noise, what is drawn for new tasks and the replay memory's
                draws; if None it is drawn from torch's global generator, whence the initial
                weights come.
            model_options: Arguments of `HypernetSDEFlow` that replace the preset's, those among
                `sde_options` one by one; another `hypernetwork` comes with its own
                `hypernetwork_options`.
            optimizer_options: Arguments of the optimizer that replace the preset's; with a
                `name`, all of them.
            **overrides: Arguments of this class that replace the preset's.

        Raises:
            ValueError: There is no such preset; the message lists those there are.
        """
        preset = get_preset(name)
        of_model, of_optimizer = preset.hsf, dict(preset.optimizer)
        model_options, optimizer_options = dict(model_options or {}), dict(optimizer_options or {})
        # What belongs to one kind of hypernetwork, or to one optimizer, does not fit another.
        if "hypernetwork" in model_options:
            of_model.pop("hypernetwork_options", None)
        if "name" in optimizer_options:
            of_optimizer = {}
        # Half of a gentle SDE is not one.
        of_sde = {**of_model.pop("sde_options"), **model_options.pop("sde_options", {})}
        model = HypernetSDEFlow(
            input_dim, **{"seed": seed, **of_model, **model_options, "sde_options": of_sde}
        )
        optimizer = make_optimizer(model.parameters(), {**of_optimizer, **optimizer_options})
        arguments: dict[str, Any] = {
            "model": model,
            "optimizer": optimizer,
            "preset": name,
            "replay_seed": seed,
        }
        return cls(**(arguments | overrides))

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
        if self.beta.scale > 0 and any(isinstance(p, DetachedLikelihoodPlugin) for p in plugins):
            raise ValueError(
                "DetachedLikelihoodPlugin and a beta above 0 contradict each other: that one "
                "reaches the encoder; set beta=0 or protections without it"
            )

    @property
    def reconstructs(self) -> bool:
        """Whether the target is the input, not the benchmark's y."""
        return bool(self.model.reconstructs)

    def _before_training_exp(self, **kwargs: Any) -> None:
        if len(self.experience.dataset) == 0:
            raise ValueError(f"experience {self.experience.current_experience} has no samples")
        self._check_criterion()
        super()._before_training_exp(**kwargs)

    def _check_criterion(self) -> None:
        """Raises ValueError if the criterion does not take the model's output and the target."""
        dataset = self.experience.dataset
        targets = () if self.reconstructs else getattr(dataset, "targets", ())
        classes = [int(y) if isinstance(y, Integral) else -1 for y in targets]
        largest = max(range(len(classes)), key=classes.__getitem__, default=0)
        x, y = default_collate([dataset[largest]])[:2]
        if not (isinstance(x, Tensor) and x.is_floating_point()):
            return  # no fault of the criterion: the first minibatch says what is wrong
        target = x if self.reconstructs else y
        output = torch.zeros_like(x) if self.reconstructs else x.new_zeros(1, self.model.output_dim)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # MSELoss only warns, and broadcasts
                self._criterion(output, target)
        except (RuntimeError, IndexError, UserWarning) as error:
            raise ValueError(
                f"the criterion {self._criterion} does not fit: a sample has an output of shape "
                f"{tuple(output.shape[1:])} and a target of shape {tuple(target.shape[1:])}, "
                f"{target.dtype}. CrossEntropyLoss takes classes below output_dim, MSELoss a "
                f"target in the shape of the output. It said: {error}"
            ) from error

    def make_optimizer(self, remove_params: bool = True, **kwargs: Any) -> None:
        """Avalanche's, letting go of parameters that the model has let go of."""
        super().make_optimizer(remove_params=remove_params, **kwargs)

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
        labels = self.mbatch[-1]
        super()._unpack_minibatch()
        # They are read to choose weights, and to read them from a GPU is to wait for it.
        self.mbatch[-1] = labels
        if self.reconstructs:
            self.mbatch[1] = self.mbatch[0]  # whatever becomes of the input

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
        nll = beta * negative_log_likelihood(u, log_det)
        if self.loss_terms is not None:
            self.loss_terms["nll"] = nll
        return recon + nll

"""The learners ours is compared with: Avalanche's own strategies, on autoencoders of one size.

Every strategy of Avalanche 0.6 is either in `PEERS`, where it does what its name says on streams
whose target is the input, or in `UNSOUND`, with what stands against it. All are the stock classes
and plugins. Where a stock default does not fit vector targets or full batches, the line that
changes it says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from typing import Any

from avalanche.core import SupervisedPlugin
from avalanche.models.base_model import BaseModel
from avalanche.models.packnet import PackNetModel, PackNetPlugin, WeightAndBiasPackNetModule
from avalanche.training import (
    AGEM,
    EWC,
    GEM,
    LFL,
    MAS,
    Cumulative,
    FromScratchTraining,
    JointTraining,
    Naive,
    Replay,
)
from avalanche.training.plugins import GDumbPlugin, RWalkPlugin
from avalanche.training.storage_policy import ExperienceBalancedBuffer
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from avalanche_hsf.experiments.learners.base import Learner, Setting, regularizers
from avalanche_hsf.models.baselines.mlp import MLPAutoencoder
from avalanche_hsf.models.baselines.separate import SeparateMLPAutoencoders
from avalanche_hsf.models.baselines.task_aware import TaskAwareMLPAutoencoder
from avalanche_hsf.training.optimizers import make_optimizer
from avalanche_hsf.training.plugins import (
    CosineRestartPlugin,
    InMemoryLoadingPlugin,
    WarmStartPlugin,
)


def _grid(name: str, *values: float) -> tuple[Mapping[str, float], ...]:
    return tuple({name: value} for value in values)


def _optimizer(parameters: Iterable[nn.Parameter], name: str, lr: float) -> Optimizer:
    options: dict[str, Any] = {"name": name, "lr": lr, "betas": (0.9, 0.95), "weight_decay": 1e-2}
    # The same numbers as the other implementations, faster; SOAP as in our own presets.
    extra: dict[str, dict[str, Any]] = {
        "AdamW": {"fused": True},
        "SOAP": {"precondition_frequency": 2},
    }
    return make_optimizer(parameters, options | extra[name])


def _plain(setting: Setting) -> nn.Module:
    return MLPAutoencoder(setting.input_dim, latent_dim=setting.latent_dim)


def _task_aware(setting: Setting) -> nn.Module:
    return TaskAwareMLPAutoencoder(
        setting.input_dim, setting.n_tasks, latent_dim=setting.latent_dim
    )


def _separate(setting: Setting) -> nn.Module:
    return SeparateMLPAutoencoders(setting.input_dim, latent_dim=setting.latent_dim)


def make_strategy(
    strategy: Callable[..., Any],
    setting: Setting,
    model: nn.Module,
    *,
    lr: float,
    optimizer: str = "AdamW",
    make_optimizer: Callable[[Iterable[nn.Parameter], str, float], Optimizer] = _optimizer,
    plugins: Iterable[Any] | None = None,
    first: Iterable[Any] = (),
    last: Iterable[Any] = (),
    tasks_at_once: int = 1,
    regularized: Mapping[str, float] | None = None,
    **arguments: Any,
) -> Any:
    """A strategy with what all have in common; `first` and `last` stand around the plugins."""
    main = setting.main
    if main is not None:  # an epoch over all tasks has as many minibatches as one over each
        tasks_at_once = 1
    return strategy(
        model=model,
        optimizer=make_optimizer(model.parameters(), optimizer, lr),
        criterion=nn.MSELoss() if main is None else main.criterion(),
        # At least as many as there can be, so that there is one minibatch an epoch: Avalanche
        # divides this evenly among the tasks in the data.
        train_mb_size=setting.n_samples * setting.n_tasks if main is None else main.mb_size,
        train_epochs=setting.steps * tasks_at_once,
        # A list of its own: Avalanche's strategies append to the one they are given.
        plugins=[
            *first,
            *(plugins or ()),
            CosineRestartPlugin(),
            *last,
            *regularizers(**(regularized or {})),
            InMemoryLoadingPlugin(),
        ],
        **({"eval_mb_size": None} | arguments),
    )


Make = Callable[..., Any]
"""`make(setting, model, **arguments)`: one strategy, whatever the model."""


def naive(setting: Setting, model: nn.Module, **arguments: Any) -> Any:
    return make_strategy(Naive, setting, model, **arguments)


def replay(setting: Setting, model: nn.Module, **arguments: Any) -> Any:
    # The memory is divided among the tasks seen so far. All of it is in each minibatch.
    return make_strategy(Replay, setting, model, mem_size=setting.memory, **arguments)


class _PerSampleImportance(SupervisedPlugin):
    """Importances from gradients of single samples, as the papers of EWC and MAS define them.

    Avalanche takes the batch size of its importance pass from `train_mb_size`. With a full batch
    EWC's is then the square of the mean gradient, not the mean of the squares: a thousandth of
    it, and noise, since the mean gradient vanishes where training ends.
    """

    def __init__(self) -> None:
        super().__init__()
        self._train_mb_size: int | None = None

    def before_training(self, strategy: Any, **kwargs: Any) -> None:
        if self._train_mb_size is not None:
            strategy.train_mb_size = self._train_mb_size

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        self._train_mb_size = strategy.train_mb_size
        strategy.train_mb_size = 1


def ewc(setting: Setting, model: nn.Module, **arguments: Any) -> Any:
    return make_strategy(EWC, setting, model, last=[_PerSampleImportance()], **arguments)


def _online_ewc(setting: Setting, model: nn.Module, **arguments: Any) -> Any:
    return ewc(setting, model, mode="online", decay_factor=0.9, **arguments)


def _mas(setting: Setting, model: nn.Module, **arguments: Any) -> Any:
    return make_strategy(MAS, setting, model, last=[_PerSampleImportance()], **arguments)


def _rwalk(setting: Setting, model: nn.Module, *, ewc_lambda: float, **arguments: Any) -> Any:
    # Avalanche has the plugin alone. Without a score in a task it divides zero by zero, so
    # delta_t, 10 by default, is at most the number of steps.
    rwalk = RWalkPlugin(ewc_lambda=ewc_lambda, delta_t=min(10, setting.steps))
    return make_strategy(Naive, setting, model, last=[rwalk], **arguments)


class _FeatureMLPAutoencoder(MLPAutoencoder, BaseModel):
    """What LFL asks for: the features that its frozen last layer reads."""

    def get_features(self, x: Tensor) -> Tensor:
        return self.decoder[:-1](self.encoder(x.flatten(1)))


def _lfl(setting: Setting, **arguments: Any) -> Any:
    model = _FeatureMLPAutoencoder(setting.input_dim, latent_dim=setting.latent_dim)
    return make_strategy(LFL, setting, model, **arguments)


def _agem(setting: Setting, model: nn.Module, **arguments: Any) -> Any:
    # The reference gradient is that of the whole memory, as the step's is that of all data.
    return make_strategy(
        AGEM,
        setting,
        model,
        patterns_per_exp=setting.memory // setting.n_tasks,
        sample_size=setting.memory,
        **arguments,
    )


def gem(setting: Setting, model: nn.Module, **arguments: Any) -> Any:
    if find_spec("quadprog") is None:
        raise ImportError("GEM needs quadprog: pip install 'avalanche-hsf[gem]'")
    patterns_per_exp = setting.memory // setting.n_tasks
    return make_strategy(GEM, setting, model, patterns_per_exp=patterns_per_exp, **arguments)


def cumulative(setting: Setting, model: nn.Module, **arguments: Any) -> Any:
    return make_strategy(Cumulative, setting, model, **arguments)


def joint(setting: Setting, model: nn.Module, **arguments: Any) -> Any:
    return make_strategy(JointTraining, setting, model, tasks_at_once=setting.n_tasks, **arguments)


def _from_scratch(setting: Setting, model: nn.Module, **arguments: Any) -> Any:
    return make_strategy(FromScratchTraining, setting, model, **arguments)


def _gdumb(setting: Setting, model: nn.Module, **arguments: Any) -> Any:
    # GDumb's own buffer is balanced over classes, which a reconstruction stream has not; where
    # each experience is one class, as here, balanced over experiences is the same.
    gdumb = GDumbPlugin(mem_size=setting.memory)
    gdumb.storage_policy = ExperienceBalancedBuffer(max_size=gdumb.mem_size)
    return make_strategy(Naive, setting, model, last=[gdumb], **arguments)


class _PackNetAutoencoder(PackNetModel):
    """PackNet's wrapper without the class labels that Avalanche's `adaptation` looks for."""

    def adaptation(self, experience: Any) -> None:
        """Raises ValueError if a training task is not the next of 0, 1, 2, ..."""
        if self.training:
            labels = sorted({int(label) for label in getattr(experience, "task_labels", ())})
            if labels != [self.task_count]:
                raise ValueError(
                    f"PackNet takes task {self.task_count} next, one task an experience and each "
                    f"once, got task labels {labels}"
                )

    def __setstate__(self, state: Any) -> None:
        """A copy needs the hooks that hold frozen weights; copying a parameter drops them."""
        super().__setstate__(state)
        for module in self.modules():
            if isinstance(module, WeightAndBiasPackNetModule):
                module.wrappee.weight.register_hook(module._remove_gradient_hook)


def _packnet(setting: Setting, *, post_prune: float, **arguments: Any) -> Any:
    n = setting.n_tasks
    pruning = PackNetPlugin(
        post_prune_epochs=max(1, min(setting.steps - 1, round(post_prune * setting.steps))),
        prune_proportion=[(n - 1 - i) / (n - i) for i in range(n)],  # equal shares of the weights
    )
    return make_strategy(
        # Avalanche's PackNet loses the plugins that it is given: it nests them in its own list.
        Naive,
        setting,
        _PackNetAutoencoder(_plain(setting)),
        # It makes a new optimizer for each task: before plugins that look for the optimizer.
        first=[pruning],
        # No weight decay, which would shrink frozen weights: they have a gradient, of zero.
        make_optimizer=lambda parameters, _, lr: Adam(parameters, lr=lr, betas=(0.9, 0.95)),
        **arguments,
    )


def _separate_networks(setting: Setting, **arguments: Any) -> Any:
    # A network starts from the best old one, as our own hypernetworks do.
    return make_strategy(Naive, setting, _separate(setting), last=[WarmStartPlugin()], **arguments)


def _both_forms(
    name: str, make: Make, grid: tuple[Mapping[str, float], ...] = ({},), *, jointly: bool = False
) -> dict[str, Learner]:
    def form(model: Callable[[Setting], nn.Module]) -> Learner:
        def build(setting: Setting, **arguments: Any) -> Any:
            return make(setting, model(setting), **arguments)

        return Learner(build, grid, jointly=jointly)

    return {f"mlp-{name}": form(_plain), f"mlp-task-{name}": form(_task_aware)}


PEERS: dict[str, Learner] = {
    **_both_forms("naive", naive),
    **_both_forms("replay", replay),
    **_both_forms("ewc", ewc, _grid("ewc_lambda", 3e4, 3e5, 3e6)),
    **_both_forms("online-ewc", _online_ewc, _grid("ewc_lambda", 3e4, 3e5, 3e6)),
    **_both_forms("mas", _mas, _grid("lambda_reg", 0.1, 1, 10)),
    **_both_forms("rwalk", _rwalk, _grid("ewc_lambda", 0.1, 1, 10)),
    "mlp-lfl": Learner(_lfl, _grid("lambda_e", 0.1, 1, 10)),
    **_both_forms("agem", _agem),
    **_both_forms("gem", gem),
    **_both_forms("cumulative", cumulative),
    **_both_forms("joint", joint, jointly=True),
    **_both_forms("from-scratch", _from_scratch),
    **_both_forms("gdumb", _gdumb),
    "mlp-packnet": Learner(
        # SOAP mixes the gradients of a matrix, and would move its frozen entries.
        _packnet,
        _grid("post_prune", 0.5, 0.8),
        optimizers=("AdamW",),
    ),
    "mlp-separate": Learner(_separate_networks),
}
"""Learners by name: `mlp-<s>` knows no tasks, `mlp-task-<s>` is told the task."""

UNSOUND: dict[str, str] = {
    "AETraining": "0.6.0 asks the model for a feature_module and compares its sigmoid: raises",
    "AR1": "0.6.0 is built on a pretrained MobileNet for images, which it downloads",
    "BiC": "0.6.0 corrects the bias of class scores and reads class targets: raises",
    "CWRStar": "0.6.0 consolidates one output row per class and reads class targets: raises",
    "CoPE": "0.6.0 keeps one prototype per class: raises on vector targets",
    "DER": "0.6.0 has cross entropy built in and reads class targets: raises",
    "ER_ACE": "0.6.0 has cross entropy built in and a class-balanced memory: raises",
    "ER_AML": "0.6.0 has cross entropy built in and a class-balanced memory: raises",
    "ExpertGateStrategy": "0.6.0 wants its own model of AlexNet experts for images",
    "FeatureReplay": "0.6.0 has cross entropy built in and a class-balanced memory: raises",
    "GSS_greedy": "0.6.0 keeps targets as one integer each: raises on vector targets",
    "GenerativeReplay": "0.6.0 labels replayed samples with an argmax: raises on vector targets",
    "ICaRL": "0.6.0 classifies by nearest class means and asks for class lists: raises",
    "LaMAML": "0.6.0 keeps targets as one integer each: raises on vector targets",
    "LearningToPrompt": "0.6.0 learns prompts of a pretrained vision transformer",
    "LwF": "0.6.0 distils a softmax over the classes seen and reads class targets: raises",
    "MER": "0.6.0 keeps targets as one integer each: raises on vector targets",
    "MIR": "0.6.0 has a class-balanced memory: raises; and sorts a loss that it takes for 1-d",
    "PNNStrategy": "0.6.0 wants a PNN, which grows class heads: raises without classes",
    "SCR": "0.6.0 contrasts classes and wants its own model: raises",
    "StreamingLDA": "0.6.0 updates one mean per class on fixed features",
    "SynapticIntelligence": "0.6.0 has importances of exactly 0 on a CPU, so it is Naive: its "
    "copy of the weights from before a step is a view of them",
    "VAETraining": "0.6.0 is Naive with the loss of a variational autoencoder: raises on others",
    "mlp-task-lfl": "0.6.0 gives get_features no task labels, which the task-aware form needs",
}
"""Avalanche's other strategies, and one form of a peer: what stands against them here."""

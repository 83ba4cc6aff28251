"""One learner on one stream, trained and measured."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from avalanche.benchmarks import CLScenario
from avalanche.core import SupervisedPlugin
from avalanche.evaluation import PluginMetric
from avalanche.logging import BaseLogger
from avalanche.models import avalanche_forward
from avalanche.training.determinism.rng_manager import RNGManager
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.templates.base import BaseTemplate
from torch import Tensor, nn

from avalanche_hsf.divergence import DivergedError
from avalanche_hsf.evaluation import ErrorMatrix
from avalanche_hsf.experiments.learners import LEARNERS, Setting
from avalanche_hsf.experiments.runs.doors import Named, find_learner, find_problem, label_of
from avalanche_hsf.experiments.runs.kept import (
    BYTES_PER_FLOAT,
    bytes_kept,
    floats_kept,
    raw_samples_kept,
)
from avalanche_hsf.experiments.runs.problems import setting_for
from avalanche_hsf.experiments.runs.progress import inner_bar
from avalanche_hsf.experiments.runs.record import Run
from avalanche_hsf.experiments.runs.unfinished import Unfinished
from avalanche_hsf.models import HypernetSDEFlow
from avalanche_hsf.training import DivergencePlugin
from avalanche_hsf.training.loading.in_memory import collected

EVAL_MB_SIZE = 1024
"""Samples per minibatch where nothing is trained."""

N_PATHS = 16
"""Outputs of a stochastic model that its mean path is the mean of."""


def run(
    benchmark: Named,
    learner: Named,
    *,
    seed: int,
    epochs: int | None = None,
    configuration: Mapping[str, Any] | None = None,
    name: str = "",
    progress: bool = True,
    plugins: Sequence[SupervisedPlugin] = (),
    metrics: Callable[[CLScenario], Sequence[PluginMetric[Any]]] | None = None,
    logger: BaseLogger | None = None,
    unfinished: Unfinished | None = None,
) -> Run:
    """Trains one learner on one stream, evaluating the whole test stream after each experience.

    Args:
        benchmark: What is learned, see `find_problem`.
        learner: Who learns it, see `find_learner`.
        seed: At least 0; every global generator is seeded with it before the model is made.
        epochs: Epochs per experience, at least 1. Default: the problem's.
        configuration: Arguments of the learner.
        name: Of the learner in the run. Default: as it is called.
        progress: Whether to show a progress bar, on a terminal.
        plugins: Further plugins, to watch the run.
        metrics: Makes further metrics for the stream.
        logger: Where these go.
        unfinished: Where checkpoints are kept, and an earlier attempt is gone on with; None:
            nowhere.

    Returns:
        The run with its matrix R. Bit-identical when repeated on the same machine.

        One that diverged stops there, keeps the rows of R before, and says so.

    Raises:
        TypeError, ValueError: The learner builds no strategy, or one without its evaluator.
    """
    problem, builder = find_problem(benchmark), find_learner(learner)
    epochs, configuration = epochs or problem.epochs, dict(configuration or {})
    name = name or label_of(learner)
    stream = problem.make(seed)
    setting = setting_for(problem, stream, epochs=epochs, seed=seed)
    loading = {"shuffle": problem.shuffle, "drop_last": problem.drop_last}
    RNGManager.set_random_seeds(seed)
    matrix = problem.matrix()
    watched = metrics(stream) if metrics else ()
    evaluator = EvaluationPlugin(matrix, *watched, loggers=[logger or _Silent()])
    account = _Account()
    n_tasks = setting.n_tasks
    n_epochs, title = epochs * n_tasks, f"{name}, seed {seed}"
    diverged, error_of_mean_path = "", None
    with inner_bar(title, n_epochs, "epoch", shown=progress) as bar:
        watchers = [DivergencePlugin(), account, _Progress(bar), *plugins]
        if unfinished is not None:
            watchers.insert(0, unfinished.plugin())
        common = {"evaluator": evaluator, "plugins": watchers}
        strategy = builder.build(setting, **configuration, eval_mb_size=EVAL_MB_SIZE, **common)
        _check_strategy(strategy, matrix)
        is_ours = any(builder.build is learner.build for learner in LEARNERS.values())
        has_its_own = is_ours or builder.jointly
        budget = "" if has_its_own else _other_budget(strategy, setting, configuration)
        kept, in_bytes, n_trained = account.kept, account.in_bytes, 0
        if unfinished is not None:
            n_trained = unfinished.resume(strategy, stream)
        whole = stream.train_stream
        try:
            for part in [whole] if builder.jointly else islice(whole, n_trained, None):
                strategy.train(part, **loading)
                strategy.eval(stream.test_stream)
                kept.append(floats_kept(strategy))
                in_bytes.append(bytes_kept(strategy, problem.bytes_per_input))
                _check_errors(matrix.result()[-1], n_tasks if builder.jointly else len(kept))
            error_of_mean_path = _mse_of_mean_path(strategy.model, stream)
        except DivergedError as error:
            diverged = str(error)
    state = strategy.model.state_dict().values()
    n_parameters = sum(value.numel() for value in state if isinstance(value, Tensor))
    R = torch.full((n_tasks, n_tasks), float("nan"), dtype=torch.float64)
    if kept:
        first = n_tasks - 1 if builder.jointly else 0
        R[first : first + len(kept)] = matrix.result()[: len(kept)]
    else:
        kept.append(floats_kept(strategy))
        in_bytes.append(bytes_kept(strategy, problem.bytes_per_input))
    of_model = sum(value.nbytes for value in state if isinstance(value, Tensor))
    return Run.from_matrix(
        R,
        benchmark=problem.name,
        learner=name,
        seed=seed,
        epochs=epochs,
        configuration=configuration,
        final_mean_error_of_mean_path=error_of_mean_path,
        seconds=account.seconds,
        n_parameters=n_parameters,
        floats_kept=kept[-1],
        floats_per_task=_per_task(kept, of_model / BYTES_PER_FLOAT, n_tasks),
        raw_samples=raw_samples_kept(strategy),
        bytes_kept=in_bytes[-1],
        bytes_per_task=_per_task(in_bytes, of_model, n_tasks),
        budget=budget,
        diverged=diverged,
    )


def silence_avalanche() -> None:
    """Silences Avalanche's warnings of what a user cannot change, in this process from now on.

    Version 0.6 warns of strategies without loggers, such as those made to check a preset's values,
    and of calls between its own parts that it means to rename.
    """
    warnings.filterwarnings("ignore", message="No loggers specified")
    warnings.filterwarnings("ignore", category=DeprecationWarning, module="avalanche")


def _check_strategy(strategy: Any, matrix: ErrorMatrix) -> None:
    if not isinstance(strategy, BaseTemplate):
        raise TypeError(
            "a learner must build an Avalanche strategy (a SupervisedTemplate), got "
            f"{type(strategy).__name__}"
        )
    metrics = getattr(getattr(strategy, "evaluator", None), "metrics", ())
    if not any(metric is matrix for metric in metrics):
        raise ValueError(
            f"the {type(strategy).__name__} that was built lacks the evaluator it was given, so "
            "nothing is measured: pass the further arguments of the function on, as **arguments"
        )


def _other_budget(strategy: Any, setting: Setting, configuration: Mapping[str, Any]) -> str:
    """Epochs and minibatches that are neither the comparison's nor in the configuration."""
    budget = {"train_epochs": setting.epochs, "train_mb_size": setting.mb_size}
    is_full = not setting.problem.mb_size  # any minibatch that holds all samples will do
    if is_full and getattr(strategy, "train_mb_size", 0) >= setting.n_samples:
        del budget["train_mb_size"]
    others = {
        argument: (getattr(strategy, argument, expected), expected)
        for argument, expected in budget.items()
        if argument not in configuration
    }
    return ", ".join(
        f"{argument} {got}, not {expected}"
        for argument, (got, expected) in others.items()
        if got != expected
    )


def _per_task(kept: Sequence[int], of_model: float, n_tasks: int) -> float:
    """What a task adds, or its share of what is kept beside the model, where that is more."""
    n_later = max(len(kept) - 1, 1)
    return max((kept[-1] - kept[0]) / n_later, (kept[-1] - of_model) / n_tasks)


def _check_errors(errors: Tensor, n_seen: int) -> None:
    """Raises DivergedError unless the errors on all tasks seen are finite."""
    for task, error in enumerate(errors[:n_seen].tolist()):
        if not math.isfinite(error):
            raise DivergedError(f"the error on task {task} after task {n_seen - 1} is {error}")


@torch.no_grad()
def _mse_of_mean_path(model: nn.Module, stream: CLScenario) -> float | None:
    """Final mean MSE when the mean of `N_PATHS` passes is the output; None for other models."""
    if not isinstance(model, HypernetSDEFlow):
        return None
    model.eval()
    errors = []
    for experience in stream.test_stream:
        x, *_, labels = collected(experience.dataset, range(len(experience.dataset)))
        paths = [avalanche_forward(model, x, labels) for _ in range(N_PATHS)]
        errors.append(float((torch.stack(paths).mean(dim=0) - x).double().square().mean()))
    return sum(errors) / len(errors)


class _Account(SupervisedPlugin):
    """What a run needs of all its attempts: what was kept after each task, and the time."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[int] = []
        self.in_bytes: list[int] = []
        self._before = 0.0
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        return self._before + time.perf_counter() - self._start

    def state_dict(self) -> dict[str, Any]:
        kept = {"kept": list(self.kept), "in_bytes": list(self.in_bytes)}
        return {**kept, "seconds": self.seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.kept[:], self.in_bytes[:] = state["kept"], state["in_bytes"]
        self._before, self._start = state["seconds"], time.perf_counter()


class _Progress(SupervisedPlugin):
    """One step of a progress bar per training epoch, with the task and the loss."""

    def __init__(self, bar: Any) -> None:
        super().__init__()
        self._bar = bar

    def state_dict(self) -> dict[str, Any]:
        return {"epochs": self._bar.n}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._bar.update(state["epochs"] - self._bar.n)

    def after_training_epoch(self, strategy: Any, **kwargs: Any) -> None:
        self._bar.update()
        if strategy.clock.train_exp_epochs % 10 == 0:
            task = f"T{strategy.experience.current_experience}"
            shown = {"task": task}
            if strategy.optimizer is not None:  # else the loss is nothing that is trained by
                shown["loss"] = f"{float(strategy.loss.detach()):.3g}"
            self._bar.set_postfix(shown)


class _Silent(BaseLogger):
    """Avalanche warns when it has no logger."""

    def log_single_metric(self, name: str, value: Any, x_plot: int) -> None:
        """Does nothing."""

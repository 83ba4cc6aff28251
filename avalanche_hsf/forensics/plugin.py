"""Why did my model forget: a page after any run of Avalanche."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from avalanche.core import SupervisedPlugin
from torch import Tensor, nn

from avalanche_hsf._private.avalanche import criterion_of
from avalanche_hsf.analysis import ModelRecorderPlugin
from avalanche_hsf.analysis.components import Components, check_components, parameters_of
from avalanche_hsf.analysis.errors import Criterion
from avalanche_hsf.checks import check_criterion_type, check_int, check_path
from avalanche_hsf.extras import require
from avalanche_hsf.forensics.parts import choose_components
from avalanche_hsf.forensics.run import RunFindings, examine_run
from avalanche_hsf.forensics.samples import SamplesOfTasks
from avalanche_hsf.generators import generators_kept
from avalanche_hsf.report import circumstances
from avalanche_hsf.whole import check_writable


class ForensicsPlugin(SupervisedPlugin):
    """Watches a run, and says afterwards which part of the model forgot, on one HTML page.

    For any strategy with experiences, and any model that can be copied. All copies stay in memory,
    one for each experience. The page is written after the last experience of the stream, or when
    `write` is called. A checkpoint has the copies and all that was measured, but no samples: a
    resumed run finds these again, see `stream`.

    Args:
        report: Where the page is written, which needs the extra `report`; None: nowhere,
            `findings` has it all.
        stream: Experiences to measure on, by their index. Default: the test stream of the
            benchmark in training; samples that were trained on, with a note, if it has none for a
            task or its streams do not know it, as those of `benchmark_from_datasets`. Needed for
            findings after a resume that trains nothing more.
        components: See `avalanche_hsf.analysis.find_components`. Default: layers, see
            `choose_components`.
        criterion: Of output and target. Default: the strategy's.
        n_points: Measurements in each experience of the losses on old tasks and of the drift,
            dense at its beginning, where dips are.
        n_samples: Samples of each old task that those are measured on.

    Raises:
        MissingExtraError: A page is asked for, and what writes it is not installed.

    Example:
        >>> from avalanche_hsf.benchmarks import SplitDigits
        >>> from avalanche.training import Naive
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        >>> forensics = ForensicsPlugin(report=None)
        >>> strategy = Naive(model=model, optimizer=torch.optim.SGD(model.parameters(), 0.1),
        ...     criterion=nn.CrossEntropyLoss(), plugins=[forensics], evaluator=None)
        >>> _ = strategy.train(SplitDigits(5, seed=0).train_stream[:2])
        >>> [task.task for task in forensics.findings().tasks]
        ['task 0']
    """

    transient = ("report",)  # a resumed run may write elsewhere

    def __init__(
        self,
        report: str | Path | None = "forgetting.html",
        *,
        stream: Sequence[Any] | None = None,
        components: Components | None = None,
        criterion: Criterion | None = None,
        n_points: int = 10,
        n_samples: int = 32,
    ) -> None:
        super().__init__()
        check_components(components)
        self.report = None if report is None else check_path("report", report)
        if report is not None:  # no run is trained for a page that cannot be made
            require("The page of ForensicsPlugin", "jinja2", "tabulate", extra="report")
        self.components = components
        self.criterion = check_criterion_type("criterion", criterion)
        self.recorder = ModelRecorderPlugin()
        self.n_points = check_int("n_points", n_points, at_least=1)
        self.n_samples = check_int("n_samples", n_samples, at_least=1)
        self._samples = SamplesOfTasks(stream, self.n_samples)
        self._notes: list[str] = []
        self._about: dict[str, str] = {}
        self._start: dict[str, tuple[list[nn.Parameter], Tensor]] = {}
        self._due: set[int] = set()
        self._old_losses: dict[str, list[tuple[float, float]]] = {}
        self._drift: dict[str, list[tuple[float, float]]] = {}
        self._begins: list[int] = []

    def before_training(self, strategy: Any, **kwargs: Any) -> None:
        """Raises OSError if the page cannot be written where it is to be."""
        self._in_this_call, self._is_over = 0, False
        if self.report is not None and not self._begins:
            check_writable(self.report)
        self._about = {"strategy": _described(strategy)}

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Raises ValueError after a resume if the samples of earlier tasks are not found again."""
        self._samples.find(strategy.experience)
        self._begins.append(strategy.clock.train_iterations)
        self._due = set()

    def before_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        if not self._due:  # by now model and loader are adapted to the experience
            steps = max(1, strategy.train_epochs * len(strategy.dataloader))
            self._due = {round(steps ** (k / self.n_points)) for k in range(self.n_points + 1)}
            components = self.components or choose_components(strategy.model)
            self._start = {
                name: (list(parameters.values()), _flat(parameters.values()))
                for name, parameters in parameters_of(strategy.model, components).items()
                if parameters
            }

    @torch.no_grad()
    def after_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        x = strategy.clock.train_iterations + 1
        if x - self._begins[-1] not in self._due:
            return
        criterion = self.criterion or criterion_of(strategy)
        for task, value in enumerate(self._samples.old.losses(strategy.model, criterion)):
            self._old_losses.setdefault(f"task {task}", []).append((x, value))
        for name, (parameters, start) in self._start.items():
            moved, size = float((_flat(parameters) - start).norm()), float(start.norm())
            drift = moved / size if size else float(moved > 0)
            self._drift.setdefault(name, []).append((x, drift))

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        self.recorder.after_training_exp(strategy)
        if not self._samples.add(strategy.experience):
            task = len(self._samples.tasks) - 1
            self._notes.append(
                f"Task {task} is measured on samples it was trained on, as no others were found: "
                "give stream=benchmark.test_stream."
            )
        self._start = {}
        self._in_this_call += 1
        self._is_over = _is_last(strategy.experience)

    def after_training(self, strategy: Any, **kwargs: Any) -> None:
        if self.report is not None and (self._is_over or self._in_this_call > 1):
            try:
                self.write()
            except (OSError, ValueError) as error:  # what was trained is worth more than a page
                warnings.warn(
                    f"no page was written: {error}; write(path) tries again", stacklevel=2
                )

    def findings(self) -> RunFindings:
        """What is found out about the experiences trained so far.

        Raises:
            ValueError: None was trained, it cannot be attributed, see `attribute_forgetting`, or
                after a resume the samples are not found again, see `stream`.
        """
        self.recorder.model_after(-1)
        with generators_kept():
            return examine_run(
                [deepcopy(model) for model in self.recorder.models],
                self._samples.data,
                criterion=self.criterion or self.recorder.criterion,
                components=self.components,
                old_losses=self._old_losses,
                drift=self._drift,
                begins=self._begins,
                notes=self._notes,
            )

    def write(self, path: str | Path | None = None) -> Path:
        """Writes the page, by default to `report`, and says so.

        Raises:
            ValueError: As `findings`, or no path is known.
            OSError: It cannot be written.
        """
        path = self.report if path is None else check_path("path", path)
        if path is None:
            raise ValueError("give a path: the plugin has no report")
        from avalanche_hsf.forensics.page import forensics_report  # needs an extra

        about = self._about | circumstances()
        written = forensics_report(self.findings(), about=about).write_html(path)
        print(f"why it forgot: {written}")
        return written


def _described(strategy: Any) -> str:
    """The strategy, its optimizer and how long it trains, in words."""
    said = [type(strategy).__name__]
    optimizer = getattr(strategy, "optimizer", None)
    if isinstance(optimizer, torch.optim.Optimizer):
        said.append(f"{type(optimizer).__name__} at {optimizer.param_groups[0].get('lr')}")
    for name, what in (("train_epochs", "epochs"), ("train_mb_size", "samples a minibatch")):
        if hasattr(strategy, name):
            said.append(f"{getattr(strategy, name)} {what}")
    return ", ".join(said)


def _flat(parameters: Iterable[Tensor]) -> Tensor:
    return torch.cat([p.detach().flatten() for p in parameters])


def _is_last(experience: Any) -> bool:
    """Whether no experience of its stream follows."""
    stream = experience.origin_stream
    try:
        last = stream[len(stream) - 1]
    except TypeError:  # a stream that is made while it is read
        return False
    return bool(last.current_experience == experience.current_experience)

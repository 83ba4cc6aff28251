"""Which tasks a strategy trains."""

from __future__ import annotations

from typing import Any

from avalanche.benchmarks import OnlineCLExperience

from avalanche_hsf._private.avalanche import experiences_in_training


def current_tasks(strategy: Any) -> set[int]:
    """The labels of the tasks in training."""
    return set().union(*map(tasks_of, experiences_in_training(strategy)))


def tasks_of(experience: Any) -> set[int]:
    """The labels of an experience's tasks."""
    # The parts that `split_online_stream` makes of an experience have lost its `task_labels`.
    uniques = experience.dataset.targets_task_labels.uniques
    return set(map(int, getattr(experience, "task_labels", uniques)))


def is_whole(experience: Any) -> bool:
    """Whether an experience is no part of an online one, as `split_online_stream` makes them."""
    return not isinstance(experience, OnlineCLExperience)


def whole_of(experience: Any) -> Any:
    """The experience that a part of an online one was split from; itself where it is whole.

    None for a part of several. For checks and counts: a learner may not know it, so the part hides
    it (`access_task_boundaries`).
    """
    return experience if is_whole(experience) else experience.logging().origin_experience

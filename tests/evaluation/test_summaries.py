"""Numbers taken from the matrix R: errors and accuracies tell the same story."""

import pytest
import torch

from avalanche_hsf.evaluation import (
    average_incremental_accuracy,
    forgetting,
    forward_transfer,
    intransigence,
    learning_accuracy,
    worst_since_learned,
)

A = torch.tensor(  # accuracies of four tasks, in exact binary fractions
    [
        [1.0, 0.25, 0.25, 0.25],
        [0.5, 0.75, 0.5, 0.25],
        [0.25, 0.5, 1.0, 0.125],
        [0.75, 0.5, 0.75, 0.5],
    ]
)
UNTRAINED = torch.tensor([0.25, 0.25, 0.25, 0.25])


def test_accuracies_by_hand():
    assert learning_accuracy(A) == (1 + 0.75 + 1 + 0.5) / 4
    so_far = [1, 1.25 / 2, 1.75 / 3, 2.5 / 4]
    assert average_incremental_accuracy(A) == pytest.approx(sum(so_far) / 4)
    assert forgetting(A, higher_is_better=True).tolist() == [0.25, 0.25, 0.25, 0]
    assert worst_since_learned(A, higher_is_better=True).tolist() == [0.25, 0.5, 0.75, 0.5]
    transfer = forward_transfer(A, UNTRAINED, higher_is_better=True)
    assert transfer.tolist() == [0, 0.25, -0.125]
    alone = torch.tensor([1.0, 1.0, 1.0, 0.25])
    assert intransigence(A, alone, higher_is_better=True).tolist() == [0, 0.25, 0, -0.25]


@pytest.mark.parametrize("summary", [forgetting, forward_transfer, intransigence])
def test_errors_have_the_signs_of_accuracies(summary):
    more = () if summary is forgetting else (UNTRAINED,)
    errors = () if summary is forgetting else (1 - UNTRAINED,)
    assert torch.equal(summary(1 - A, *errors), summary(A, *more, higher_is_better=True))


def test_the_worst_error_is_that_of_the_worst_accuracy():
    assert torch.equal(
        worst_since_learned(1 - A), 1 - worst_since_learned(A, higher_is_better=True)
    )


@pytest.mark.parametrize("of", [learning_accuracy, forgetting, worst_since_learned])
def test_a_matrix_that_is_not_square(of):
    with pytest.raises(ValueError, match=r"a row and a column of R per task.*\(2, 3\)"):
        of(torch.zeros(2, 3))


def test_a_reference_of_another_length():
    with pytest.raises(ValueError, match=r"for each of 4 tasks, got \(3,\)"):
        intransigence(A, UNTRAINED[:3])
    with pytest.raises(ValueError, match=r"for each of 4 tasks, got \(3,\)"):
        forward_transfer(A, UNTRAINED[:3])

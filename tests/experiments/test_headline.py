"""One sentence of what was found does not say more than the seeds do."""

import pytest
import torch

from avalanche_hsf.experiments import BENCHMARKS, Run, Runs
from avalanche_hsf.experiments.commands.headline import of_comparison, of_sweep

FIELDS = {
    **{"benchmark": "synthetic", "epochs": 3, "configuration": {}, "seconds": 1.0},
    **{"final_mean_error_of_mean_path": None, "n_parameters": 1, "floats_kept": 1},
    **{"floats_per_task": 1.0, "raw_samples": 0},
}


def runs_of(learner, *errors, at_once=False):
    """A run for each error, of two tasks; NaN: it diverged."""
    matrices = [torch.full((2, 2), error, dtype=torch.float64) for error in errors]
    if at_once:
        for R in matrices:
            R[0] = float("nan")
    return [Run.from_matrix(R, learner=learner, seed=i, **FIELDS) for i, R in enumerate(matrices)]


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ([1e-3, 3e-3, 2e-3], "2.0e-06, next b with 2.0e-03 (p = "),
        ([2e-6, 1e-6, 4e-6], "next b with 2.3e-06, which these seeds do not tell apart (p = 0."),
        ([1e-6, 2e-6, 3e-6], "which these seeds do not tell apart (p = 1)."),
    ],
)
def test_the_lowest_error_and_whether_it_is_told_apart(others, said):
    runs = Runs([*runs_of("a", 1e-6, 2e-6, 3e-6), *runs_of("b", *others)])
    sentence = of_comparison(BENCHMARKS["synthetic"], runs)
    assert sentence.startswith(
        "a has the lowest final mean MSE of 2 learners on synthetic, 3 seeds"
    )
    assert said in sentence and sentence.endswith(".")


def test_who_is_not_ranked():
    nan = float("nan")
    runs = [
        *runs_of("a", 2.0, 3.0),
        *runs_of("b", 1.0, nan),
        *runs_of("all", 0.1, 0.1, at_once=True),
    ]
    alone = of_comparison(BENCHMARKS["synthetic"], Runs(runs))
    assert alone == "a on synthetic, 2 seeds: a final mean MSE of 2.5e+00."
    three = of_comparison(BENCHMARKS["synthetic"], Runs([*runs, *runs_of("c", 4.0, 5.0)]))
    assert three.startswith("a has the lowest final mean MSE of the 2 sequential learners with all")
    assert of_comparison(BENCHMARKS["synthetic"], Runs(runs_of("b", nan))) == ""


def test_classifiers_have_accuracies_and_one_seed_tells_nothing():
    runs = Runs([*runs_of("a", 0.1), *runs_of("b", 0.02)])
    said = of_comparison(BENCHMARKS["split-digits"], runs)
    assert said == (
        "b has the highest final mean accuracy of 2 learners on synthetic, 1 seed: 98.00 %, next a "
        "with 90.00 % (one seed tells nothing of chance)."
    )


def test_a_sweep_is_compared_with_no_change():
    as_it_is, better = runs_of("p", 1.0, 2.0), runs_of("p", 0.1, 0.2)
    said = of_sweep("paper", {"as it is": as_it_is, "beta 0": better}, 2)
    assert said.startswith("Of 1 change of paper on synthetic, 2 seeds, beta 0 leaves the lowest")
    assert "where paper as it is has 1.5e+00 (p = " in said
    said = of_sweep("paper", {"as it is": better, "beta 0": as_it_is}, 2)
    assert said.startswith("None of 1 change of paper") and "the 1.5e-01 that it has" in said
    assert of_sweep("paper", {"as it is": better}, 2) == ""

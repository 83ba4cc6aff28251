"""Several runs of one configuration, and what they say together."""

import math
from dataclasses import replace

import pytest
import torch
from scipy.stats import t as student
from torch import nn

from avalanche_hsf.analysis import attribute_forgetting, errors_on
from avalanche_hsf.forensics import RunFindings, TaskFindings, give_verdict, pooled
from avalanche_hsf.forensics.verdict import WIDTH


def one_run(seed, moved="2", by=1.0):
    """A regression that loses its task as one layer moves, more or less of it by the seed."""
    torch.manual_seed(seed)
    x = torch.randn(40, 3)
    early = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    y = early(x).detach() + 0.1 * torch.randn(40, 2)
    late = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    late.load_state_dict(early.state_dict())
    for name, p in late.named_parameters():
        scale = by if name.startswith(moved) else 0.02
        p.data += scale * torch.randn_like(p)
    attribution = attribute_forgetting(early, late, errors_on((x, y), nn.MSELoss()))
    return RunFindings(tasks=[TaskFindings("task 0", attribution, {"0": "layer", "2": "layer"})])


def shapley(runs, name):
    return torch.tensor([run.tasks[0].attribution.shapley[name] for run in runs]).double()


def test_shares_sum_to_the_mean_forgetting_and_intervals_are_students():
    runs = [one_run(seed) for seed in range(5)]
    found = pooled(runs).tasks[0].attribution
    assert found.forgetting == pytest.approx(
        sum(run.tasks[0].attribution.forgetting for run in runs) / 5
    )
    assert sum(found.shapley.values()) == pytest.approx(found.forgetting)
    half = student.ppf(0.975, 4) * float(shapley(runs, "2").std()) / math.sqrt(5)
    assert WIDTH * found.shapley_error["2"] == pytest.approx(half)


def test_a_culprit_of_all_seeds_is_found_and_none_where_they_disagree():
    agreed = pooled([one_run(seed) for seed in range(5)])
    verdict = give_verdict(agreed.tasks[0])
    assert verdict.culprits == ("2",) and agreed.n_runs == 5
    split = pooled([one_run(seed, moved=moved) for seed, moved in enumerate("0202")])
    verdict = give_verdict(split.tasks[0])
    assert verdict.culprits != ("2",) and verdict.culprits != ("0",)


def test_two_seeds_that_differ_tell_nothing():
    verdict = give_verdict(pooled([one_run(0, "0"), one_run(1, "2")]).tasks[0])
    assert verdict.kind in ("unclear", "none")
    if verdict.kind == "unclear":
        assert "the seeds do not tell" in verdict.sentence


def test_one_run_is_given_back_and_others_must_be_alike():
    run = one_run(0)
    assert pooled([run]) is run
    with pytest.raises(ValueError, match="no run was given"):
        pooled([])
    attribution = replace(run.tasks[0].attribution, shapley={"other": 1.0})
    other = RunFindings(tasks=[replace(run.tasks[0], attribution=attribution)])
    with pytest.raises(ValueError, match="different components"):
        pooled([run, other])
    with pytest.raises(ValueError):
        pooled([run, RunFindings(tasks=[])])

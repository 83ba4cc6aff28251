"""Five curves in three dimensions, learned one after the other, and what was forgotten.

    python examples/quick_start.py

After 33 s of CPU time, on points between those of training (an evaluation draws noise):

    MSE, test stream
          task   just learned         now   forgotten
             0       1.42e-06    1.39e-06   -2.68e-08
             1       1.04e-05    1.04e-05   +9.10e-09
             2       1.18e-06    1.20e-06   +1.59e-08
             3       1.25e-06    1.25e-06   +3.08e-09
             4       1.78e-06    1.78e-06           -
          mean       3.21e-06    3.21e-06   +3.34e-10
"""

from __future__ import annotations

import torch

from avalanche_hsf.benchmarks import SyntheticManifolds
from avalanche_hsf.evaluation import mse_metrics, quiet_evaluator, summary
from avalanche_hsf.training import HSFStrategy


def main(train_epochs: int = 100) -> dict[str, float]:
    """Trains and prints; returns two means of the table's columns."""
    torch.manual_seed(0)
    benchmark = SyntheticManifolds(test="midpoints")
    evaluator = quiet_evaluator(mse_metrics(experience=True))
    strategy = HSFStrategy.from_preset(
        input_dim=3, seed=0, train_epochs=train_epochs, evaluator=evaluator
    )
    for experience in benchmark.train_stream:
        strategy.train(experience)
        strategy.eval(benchmark.test_stream)
    print(found := summary(strategy))
    return {"MSE now": found.mean.now or 0.0, "forgotten": found.mean.forgotten or 0.0}


if __name__ == "__main__":
    main()

"""Class-incremental learning without a task label at test time, and without a stored sample.

    python examples/no_task_ids.py

Five tasks of two digits. A model per task knows how its digits look (a Hypernet-SDE-Flow, which
reconstructs them), another tells the two apart. The first says which task an image belongs to.
After 50 s of CPU time, shortened:

    experience   just learned         now   forgotten
             0         100.00       98.61       +1.39
          mean          98.05       97.77       +0.35
    tasks recognized: 0.978
"""

from __future__ import annotations

import torch
from avalanche.evaluation.metrics import accuracy_metrics
from avalanche.training import Naive
from torch import nn

from avalanche_hsf.benchmarks import SplitDigits
from avalanche_hsf.evaluation import TaskConfusion, quiet_evaluator, summary
from avalanche_hsf.inference import TaskRecognizer
from avalanche_hsf.models import TaskConditional
from avalanche_hsf.training import CommitPlugin, HSFStrategy, TaskInferencePlugin


def main(train_epochs: int = 40) -> dict[str, float]:
    """Trains and prints; returns Avalanche's last metrics by name."""
    torch.manual_seed(0)
    benchmark = SplitDigits(5, return_task_id=False, seed=0)  # all task labels are 0
    hsf = HSFStrategy.from_preset(
        input_dim=64, seed=0, train_mb_size=64, train_epochs=train_epochs, evaluator=None
    )
    inference = TaskInferencePlugin(TaskRecognizer(hsf.model), hsf, new_task="experience")
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 10))
    model = TaskConditional(network, masking=True, seed=0)
    confusion = TaskConfusion(inference)
    strategy = Naive(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=1e-3),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=32,
        train_epochs=train_epochs,
        eval_mb_size=256,
        plugins=[CommitPlugin(), inference],
        evaluator=quiet_evaluator(accuracy_metrics(experience=True), confusion),
    )
    for n_seen, experience in enumerate(benchmark.train_stream, start=1):
        strategy.train(experience, eval_streams=[])
        results = strategy.eval(benchmark.test_stream[:n_seen])
    print(summary(strategy))
    print(f"tasks recognized: {confusion.accuracy():.3f}\n{confusion.result()}")
    return results


if __name__ == "__main__":
    main()

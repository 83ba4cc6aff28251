"""HSFStrategy in an Avalanche pipeline: model, optimizer, plugins, metrics and loggers one by one.

    python examples/plug_in_hsf.py

After 21 s of CPU time, of five such blocks the last:

    Training on experience 4 ended after 100 epochs.
        MSE_Epoch/train_phase/train_stream/Task004 = 1.047e-05
    Evaluation on the test stream ended.
        MSE_Stream/eval_phase/test_stream/Task004 = 6.842e-05
        StreamMSEForgetting/eval_phase/test_stream = 9.667e-08
"""

from __future__ import annotations

import torch
from avalanche.training.plugins import EvaluationPlugin

from avalanche_hsf.benchmarks import SyntheticManifolds
from avalanche_hsf.evaluation import mse_forgetting_metrics, mse_metrics
from avalanche_hsf.logging import CompactLogger
from avalanche_hsf.models import HypernetSDEFlow
from avalanche_hsf.training import HSFStrategy, get_preset, make_protections


def main(train_epochs: int = 100) -> dict[str, float]:
    """Trains on the paper's stream; returns Avalanche's last metrics by name."""
    torch.manual_seed(42)
    benchmark = SyntheticManifolds(test="midpoints")
    model = HypernetSDEFlow(input_dim=3)
    evaluator = EvaluationPlugin(
        mse_metrics(epoch=True, stream=True),
        mse_forgetting_metrics(stream=True),
        loggers=[CompactLogger()],  # any logger of Avalanche's goes here
    )
    strategy = HSFStrategy(
        model=model,
        optimizer=torch.optim.AdamW(model.parameters(), lr=8e-3, betas=(0.9, 0.95), fused=True),
        protections=make_protections(get_preset("isolated").all_protections),
        train_mb_size=300,
        train_epochs=train_epochs,
        evaluator=evaluator,
    )
    for experience in benchmark.train_stream:
        strategy.train(experience)
        metrics = strategy.eval(benchmark.test_stream)
    return metrics


if __name__ == "__main__":
    main()

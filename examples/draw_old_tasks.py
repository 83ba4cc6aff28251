"""Samples of every task from one model that has learned them one after the other, as a picture.

A Hypernet-SDE-Flow learns two digits per task. After the last task it draws samples of each, in
the right half; on the left are images that it learned from.

python examples/draw_old_tasks.py [--data-root DIR with MNIST] [--train-epochs 40]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from matplotlib.figure import Figure

from avalanche_hsf.benchmarks import SplitDigits, SplitMNIST
from avalanche_hsf.training import HSFStrategy

SHOWN = 10


def main(
    train_epochs: int = 40, data_root: str | None = None, out: str = "samples.png"
) -> dict[str, float]:
    """Trains, draws into `out`; returns the mean log p of each task's latents, in nats."""
    torch.manual_seed(0)
    if data_root is None:
        benchmark = SplitDigits(5, shuffle=False)
    else:
        benchmark = SplitMNIST(5, shuffle=False, dataset_root=data_root)
    x = benchmark.train_stream[0].dataset[0][0]
    strategy = HSFStrategy.from_preset(
        input_dim=x.numel(),
        seed=0,
        model_options={"hidden_dim": 64 if data_root is None else 400, "latent_dim": 16},
        optimizer_options={"name": "AdamW", "lr": 2e-3, "betas": (0.9, 0.95)},
        train_mb_size=64 if data_root is None else 128,
        train_epochs=train_epochs,
        evaluator=None,
    )
    model, densities = strategy.model, {}
    for experience in benchmark.train_stream:
        strategy.train(experience, eval_streams=[])
    figure = Figure(figsize=(2 * SHOWN * 0.5 + 0.5, 5 * 0.5))
    panels = figure.subplots(5, 2 * SHOWN + 1)
    model.eval()
    for task, (experience, row) in enumerate(zip(benchmark.train_stream, panels, strict=True)):
        every = len(experience.dataset) // SHOWN
        real = torch.stack([experience.dataset[i * every][0] for i in range(SHOWN)])
        drawn = model.sample(SHOWN, task).view(-1, *x.shape).clamp(0, 1)
        densities[f"log p, task {task}"] = float(model.log_prob(real, task).mean())
        images = [*real, None, *drawn]
        for panel, image in zip(row, images, strict=True):
            panel.axis("off")
            if image is not None:
                panel.imshow(image[0], cmap="gray_r", vmin=0, vmax=1)
    figure.subplots_adjust(0, 0, 1, 1, 0.05, 0.05)
    figure.savefig(Path(out), dpi=150)
    print(f"{out}: images on the left, samples on the right, a row for each task")
    return densities


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--train-epochs", type=int, default=40)
    parser.add_argument("--data-root")
    parser.add_argument("--out", default="samples.png")
    try:
        main(**vars(parser.parse_args()))
    except FileNotFoundError as error:
        parser.exit(2, f"{error}\n")

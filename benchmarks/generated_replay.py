"""Generated against raw replay in as many bytes, on class-incremental Split MNIST.

    AVALANCHE_HSF_DATA=FOLDER python benchmarks/generated_replay.py --seeds 1,2
    AVALANCHE_HSF_DATA=FOLDER python benchmarks/generated_replay.py --validation 0.1

A plain MLP is told no task. It learns by itself, with Avalanche's `ReplayPlugin`, and with
`GeneratedReplayPlugin`. The images of the raw memory are as many as fit into the bytes of the
generator, everything counted that is kept between two experiences, at 784 bytes an image. Choose
options with `--validation`, whose images are not trained on. A line for each run: accuracy over all
test images, and by experience. On one thread some four minutes a seed.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
warnings.filterwarnings("ignore", message="No loggers specified|Call to deprecated")

import torch
from avalanche.training import Naive
from avalanche.training.plugins import EvaluationPlugin, ReplayPlugin
from torch import Tensor, nn

from avalanche_hsf.benchmarks import SplitMNIST
from avalanche_hsf.experiments.runs.kept import BYTES_PER_FLOAT, floats_kept
from avalanche_hsf.training import GeneratedReplayPlugin, HSFStrategy, InMemoryLoadingPlugin

BYTES_PER_IMAGE = 784
MB_SIZE = 128


def learner(plugins: list[Any], epochs: int) -> Any:
    model = nn.Sequential(
        *(nn.Flatten(), nn.Linear(784, 400), nn.ReLU()),
        *(nn.Linear(400, 400), nn.ReLU(), nn.Linear(400, 10)),
    )
    return Naive(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), 1e-3),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=MB_SIZE,
        train_epochs=epochs,
        plugins=[*plugins, InMemoryLoadingPlugin()],
        evaluator=EvaluationPlugin(loggers=[]),
    )


def generated(seed: int, options: argparse.Namespace) -> GeneratedReplayPlugin:
    strategy = HSFStrategy.from_preset(
        input_dim=784,
        seed=seed,
        train_epochs=options.generator_epochs,
        train_mb_size=MB_SIZE,
        model_options={"hidden_dim": 256, "latent_dim": 16},
        optimizer_options={"name": "AdamW", "lr": 1e-3, "fused": True},
        evaluator=None,
    )
    return GeneratedReplayPlugin(
        strategy.model,
        strategy,
        new_task="experience",
        confidence=options.confidence,
        targets=options.targets,
        seed=seed,
    )


@torch.no_grad()
def correct(model: nn.Module, experience: Any) -> Tensor:
    items = [experience.dataset[i] for i in range(len(experience.dataset))]
    x, y = torch.stack([item[0] for item in items]), torch.tensor([item[1] for item in items])
    return (model.eval()(x).argmax(dim=1) == y).float()


def go(name: str, seed: int, plugins: list[Any], options: argparse.Namespace) -> int:
    """Trains, prints a line and returns the bytes kept besides the learner."""
    stream = SplitMNIST(shuffle=False, return_task_id=False, validation=options.validation)
    torch.manual_seed(seed)
    strategy = learner(plugins, options.epochs)
    began = time.perf_counter()
    for experience in stream.train_stream:
        strategy.train(experience)
    seconds = time.perf_counter() - began
    right = [correct(strategy.model, experience) for experience in stream.test_stream]
    own = sum(p.numel() for p in strategy.model.parameters())
    n_bytes = 0 if name == "raw" else BYTES_PER_FLOAT * (floats_kept(strategy) - own)
    of_each = " ".join(f"{100 * float(part.mean()):5.1f}" for part in right)
    mean = 100 * float(torch.cat(right).mean())
    print(f"{name:10} seed {seed}  {mean:5.2f}  ({of_each})  {seconds:4.0f} s", flush=True)
    return n_bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", default="1", help="separated by commas")
    parser.add_argument("--epochs", type=int, default=4, help="of the learner, per experience")
    parser.add_argument("--generator-epochs", type=int, default=10)
    parser.add_argument("--confidence", type=float, default=0.8)
    parser.add_argument("--targets", default="soft")
    parser.add_argument("--validation", type=float, default=0.0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for seed in map(int, options.seeds.split(",")):
        n_bytes = go("generated", seed, [generated(seed, options)], options)
        n_images = n_bytes // BYTES_PER_IMAGE
        print(f"the generator has {n_bytes:,} bytes, as many as {n_images:,} images")
        raw = ReplayPlugin(n_images, batch_size=MB_SIZE, batch_size_mem=MB_SIZE)
        go("raw", seed, [raw], options)
        go("none", seed, [], options)


if __name__ == "__main__":
    main()

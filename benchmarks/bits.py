"""Whether a change of the code moves a bit of any result.

    python benchmarks/bits.py write before.json     # in the checkout as it was
    python benchmarks/bits.py check before.json     # in the checkout as it is

Each case is a digest of numbers: losses of every step, outputs, densities and samples, gradients of
a batch that mixes tasks, training that goes on from a saved state, and matrices R of learners. Two
checkouts are compared on one machine; another processor has other last digits. It takes some two
minutes, on one thread.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
warnings.filterwarnings(
    "ignore", message="no QP solver found|No loggers specified|Call to deprecated"
)

import torch
from avalanche.core import SupervisedPlugin
from avalanche.training import JointTraining, Naive
from avalanche.training.determinism.rng_manager import RNGManager
from torch import Tensor, nn

from avalanche_hsf.benchmarks import SplitDigits, SyntheticManifolds, as_reconstruction
from avalanche_hsf.experiments import run
from avalanche_hsf.models import TaskConditional
from avalanche_hsf.training import (
    PRESETS,
    HSFStrategy,
    InMemoryLoadingPlugin,
    get_preset,
    make_optimizer,
    make_protections,
)

SEEDS = (1, 2, 3)
EPOCHS = 6
STREAMS = {
    "curves": (3, lambda seed: SyntheticManifolds(n_samples=60)),
    "digits": (64, lambda seed: as_reconstruction(SplitDigits(5, seed=seed))),
}
TUNED = {"optimizer": "AdamW", "lr": 2e-3}
LEARNERS: dict[str, tuple[str, dict[str, Any]]] = {
    "mlp-paper": ("synthetic", {}),
    "hsf-paper": ("synthetic", {}),
    "hsf-repaired-floor": ("bottleneck", {}),
    "hsf-low-rank-4": ("random-5", {}),
    "mlp-replay": ("bottleneck", TUNED),
    "mlp-task-ewc": ("bottleneck", {**TUNED, "ewc_lambda": 3e4}),
    "mlp-joint": ("bottleneck", TUNED),
    "mlp-separate": ("digits", {**TUNED, "regularized": {"noise": 0.1}}),
    "hn-isolated": ("split-digits", TUNED),
    "hn-compact": ("polynomials", TUNED),
    "hn-published": ("polynomials", {}),
    "net-replay": ("split-digits", TUNED),
    "net-lwf": ("split-digits", {**TUNED, "alpha": 1.0}),
}


class Digest(SupervisedPlugin):
    """A hash of everything it is shown; as a plugin, of every loss."""

    def __init__(self) -> None:
        super().__init__()
        self._hash = hashlib.sha256()

    def add(self, *tensors: Tensor) -> None:
        for tensor in tensors:
            self._hash.update(tensor.detach().cpu().contiguous().numpy().tobytes())

    def after_backward(self, strategy: Any, **kwargs: Any) -> None:
        self.add(strategy.loss)

    def __str__(self) -> str:
        return self._hash.hexdigest()[:16]


def outputs(digest: Digest, model: nn.Module, stream: Any) -> None:
    """Everything that a model answers about a stream, task by task and mixed."""
    model.eval()
    x = torch.cat([torch.stack([item[0] for item in e.dataset])[:7] for e in stream])
    labels = torch.tensor([t for t in range(len(stream)) for _ in range(7)])
    for order in (torch.arange(len(x)), torch.randperm(len(x), generator=generator())):
        digest.add(model(x[order], labels[order]))
    for task in range(len(stream)):
        own = x[labels == task]
        digest.add(model(own, task), *model.hypernetwork([task]).values())
        if hasattr(model, "log_prob"):
            digest.add(model.log_prob(own, task), model.sample(5, task))
            digest.add(model.diffusion_of(model.encode(own, task), task))
    if hasattr(model, "log_prob"):
        digest.add(model.log_prob(x, labels))


def gradients(digest: Digest, model: nn.Module, stream: Any) -> None:
    """Those of a batch that mixes all tasks, sorted, so that names do not matter."""
    model.train()
    model.hypernetwork.begin(list(range(len(stream))))
    x = torch.cat([torch.stack([item[0] for item in e.dataset])[:9] for e in stream])
    labels = torch.tensor([t for t in range(len(stream)) for _ in range(9)])
    order = torch.randperm(len(x), generator=generator())
    out = model(x[order], labels[order])
    out.square().mean().backward()
    for p in model.parameters():
        p.requires_grad_(True)
    found = [p.grad.numpy().tobytes() for p in model.parameters() if p.grad is not None]
    for part in sorted(hashlib.sha256(each).digest() for each in found):
        digest._hash.update(part)
    model.zero_grad()


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def hsf(preset: str, stream: str, seed: int) -> Iterator[tuple[str, Digest]]:
    """A preset on a stream: trained, asked, saved, loaded, trained on."""
    input_dim, make = STREAMS[stream]
    benchmark = make(seed)
    RNGManager.set_random_seeds(seed)
    digest = Digest()
    options = {"train_epochs": EPOCHS, "train_mb_size": 64, "evaluator": None}
    strategy = HSFStrategy.from_preset(
        preset, input_dim=input_dim, seed=seed, plugins=[digest], **options
    )
    for experience in benchmark.train_stream[:3]:
        strategy.train(experience)
    outputs(digest, strategy.model, benchmark.train_stream[:3])
    yield "trained", digest
    file = io.BytesIO()
    torch.save(strategy.model.state_dict(), file)
    file.seek(0)
    digest = Digest()
    resumed = HSFStrategy.from_preset(
        preset, input_dim=input_dim, seed=seed + 1, plugins=[digest], **options
    )
    resumed.model.load_state_dict(torch.load(file, weights_only=False))
    outputs(digest, resumed.model, benchmark.train_stream[:3])
    resumed.train(benchmark.train_stream[3])
    outputs(digest, resumed.model, benchmark.train_stream[:4])
    yield "resumed", digest
    digest = Digest()
    gradients(digest, resumed.model, benchmark.train_stream[:4])
    yield "mixed", digest


def conditional(kind: str, seed: int) -> Iterator[tuple[str, Digest]]:
    """A CNN with batch statistics in a `TaskConditional`, under stock strategies."""
    benchmark = SplitDigits(5, seed=seed)
    for norm in (False, True):
        RNGManager.set_random_seeds(seed)
        preset = get_preset(kind if kind in PRESETS else "repaired")
        cnn = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8) if norm else nn.Identity(),
            nn.ReLU(),
            nn.MaxPool2d(4),
            nn.Flatten(),
            nn.Linear(32, 10),
        )
        which = preset.hypernetwork if kind in PRESETS else {"hypernetwork": kind}
        model = TaskConditional(cnn, **which, masking=True, seed=seed)
        digest = Digest()
        common = {
            "model": model,
            "optimizer": make_optimizer(model.parameters(), {"name": "AdamW", "lr": 2e-3}),
            "criterion": nn.CrossEntropyLoss(),
            "train_mb_size": 64,
            "train_epochs": 2,
            "evaluator": None,
        }
        strategy = Naive(
            **common,
            plugins=[*make_protections(preset.protections), InMemoryLoadingPlugin(), digest],
        )
        for experience in benchmark.train_stream[:3]:
            strategy.train(experience)
        outputs(digest, model, benchmark.train_stream[:3])
        yield f"norm={norm}", digest
        digest = Digest()
        joint = JointTraining(**common, plugins=[digest])
        joint.train(benchmark.train_stream[3:])
        outputs(digest, model, benchmark.train_stream)
        yield f"norm={norm}, joint", digest


def cases() -> Iterator[tuple[str, str]]:
    for seed in SEEDS:
        for preset in PRESETS:
            for stream in STREAMS:
                for part, digest in hsf(preset, stream, seed):
                    yield f"{preset} on {stream}, seed {seed}, {part}", str(digest)
        for kind in ("isolated", "compact", "paper", "mlp"):
            for part, digest in conditional(kind, seed):
                yield f"conditional {kind}, seed {seed}, {part}", str(digest)
    for learner, (stream, configuration) in LEARNERS.items():
        made = run(stream, learner, seed=1, epochs=4, configuration=configuration, progress=False)
        numbers = json.dumps([made.error_matrix, made.final_mean_error_of_mean_path])
        yield f"R of {learner} on {stream}", hashlib.sha256(numbers.encode()).hexdigest()[:16]
        costs = [made.n_parameters, made.floats_kept, made.floats_per_task, made.raw_samples]
        yield f"costs of {learner} on {stream}", str(costs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["write", "check"])
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.what == "write":
        options.file.write_text(json.dumps(dict(cases()), indent=1) + "\n")
        return 0
    before, n_moved = json.loads(options.file.read_text()), 0
    for case, now in cases():
        if before[case] != now:
            n_moved += 1
            print(f"moved: {case}: {before[case]} -> {now}")
    print(f"{len(before)} cases, {n_moved} moved")
    return 1 if n_moved else 0


if __name__ == "__main__":
    sys.exit(main())

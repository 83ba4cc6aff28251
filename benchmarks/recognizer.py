"""What a recognizer of tasks is worth on Split MNIST, beside the accuracy that `compare` measures.

    python benchmarks/recognizer.py --data-root DIR [--learner ids-hsf] [--seeds 1,2,3,4,5]

For each seed the learner is trained as `compare --benchmark split-mnist-class` trains it. Then:

- recognized: share of test images whose task is told, one image at a time, and in groups of ten;
- moved: the largest change of any reconstruction, and of any class score, from right after a task
  to the end of the stream;
- new: AUROC of the digits of a task against those of the four others, which alone are asked (a task
  that comes later may have started from the weights of the one left out; the last one's four others
  never saw it); of Fashion-MNIST against the test images;
- drawn: share of 2,000 samples of each task that a classifier of real images assigns to one of its
  two digits;
- seconds to tell the tasks of the 10,000 test images.

Lines go into --out as they come; seeds that are there are not run again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
warnings.filterwarnings("ignore", message="No loggers specified|Call to deprecated")

import torch
from avalanche.training.determinism.rng_manager import RNGManager
from avalanche.training.plugins import EvaluationPlugin
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from avalanche_hsf.benchmarks import SplitFMNIST, SplitMNIST
from avalanche_hsf.experiments import BENCHMARKS, LEARNERS
from avalanche_hsf.experiments.runs.problems import setting_for
from avalanche_hsf.inference import TaskRecognizer
from avalanche_hsf.inference.evaluating import evaluating
from avalanche_hsf.models import HypernetSDEFlow
from avalanche_hsf.training import TaskInferencePlugin

N_TASKS = 5
N_DRAWN = 2000


def images_of(stream: Any) -> tuple[Tensor, Tensor]:
    """All images of a stream and the experience of each."""
    parts = [torch.stack([item[0] for item in experience.dataset]) for experience in stream]
    sizes = torch.tensor(list(map(len, parts)))
    return torch.cat(parts), torch.arange(len(parts)).repeat_interleave(sizes)


def referee(stream: Any) -> nn.Module:
    """A classifier of real images, trained on all of them at once."""
    torch.manual_seed(0)
    x, _ = images_of(stream)
    y = torch.cat([torch.as_tensor(list(experience.dataset.targets)) for experience in stream])
    network = nn.Sequential(
        *(nn.Flatten(), nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 400), nn.ReLU()),
        nn.Linear(400, 10),
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    for _ in range(6):
        for rows in torch.randperm(len(x)).split(128):
            optimizer.zero_grad()
            noisy = x[rows] + 0.3 * torch.randn_like(x[rows])
            nn.functional.cross_entropy(network(noisy), y[rows]).backward()
            optimizer.step()
    return network.eval()


def auroc(new: Tensor, known: Tensor) -> float:
    truth = [1] * len(new) + [0] * len(known)
    return float(roc_auc_score(truth, torch.cat((new, known)).tolist()))


@torch.no_grad()
def outputs(strategy: Any, recognizer: TaskRecognizer, x: Tensor, task: int) -> list[Tensor]:
    """Class scores and reconstructions, without noise."""
    with evaluating(strategy.model), evaluating(recognizer.model):
        return [strategy.model(x, task), recognizer.model(x, task)]


def novelty_without(recognizer: TaskRecognizer, s: Tensor, task: int, *, relative: bool) -> Tensor:
    """`TaskRecognizer.novelty` of scores, were the task not known."""
    others = [k for k in range(s.shape[1]) if k != task]
    best, which = s[:, others].max(dim=1)
    if relative:
        return (s[:, others].sum(dim=1) - best) / (len(others) - 1) - best
    deviations = recognizer.calibration.standardized(s, recognizer.tasks)[:, others]
    return -deviations.gather(1, which.unsqueeze(1))[:, 0]


def measure(learner: str, seed: int, root: str, epochs: int | None, judge: nn.Module) -> dict:
    problem = BENCHMARKS["split-mnist-class"]
    stream = SplitMNIST(N_TASKS, shuffle=False, return_task_id=False, dataset_root=root)
    setting = setting_for(problem, stream, epochs=epochs or problem.epochs, seed=seed)
    RNGManager.set_random_seeds(seed)
    strategy = LEARNERS[learner].build(
        setting,
        optimizer="AdamW",
        lr=1e-3,
        eval_mb_size=1024,
        evaluator=EvaluationPlugin(loggers=[]),
        plugins=[],
    )
    inference = next(p for p in strategy.plugins if isinstance(p, TaskInferencePlugin))
    recognizer = inference.recognizer
    x, truth = images_of(stream.test_stream)
    before = []
    for task, experience in enumerate(stream.train_stream):
        strategy.train(experience, eval_streams=[])
        before.append(outputs(strategy, recognizer, x[truth == task], task))
    after = [outputs(strategy, recognizer, x[truth == task], task) for task in range(N_TASKS)]
    moved = [
        max(float((a - b).abs().max()) for a, b in zip(pair[0], pair[1], strict=True))
        for pair in (([p[k] for p in before], [p[k] for p in after]) for k in range(2))
    ]
    start = time.perf_counter()
    s = recognizer.scores(x)
    seconds = time.perf_counter() - start
    groups = torch.cat(
        [recognizer.infer_tasks(x[truth == t], group_size=10) for t in range(N_TASKS)]
    )
    fashion, _ = images_of(
        SplitFMNIST(N_TASKS, shuffle=False, return_task_id=False, dataset_root=root).test_stream
    )
    found: dict[str, Any] = {
        "learner": learner,
        "seed": seed,
        "recognized": float((s.argmax(dim=1) == truth).float().mean()),
        "recognized_in_tens": float((groups == truth).float().mean()),
        "scores_moved": moved[0],
        "reconstructions_moved": moved[1],
        "seconds_for_10000": seconds,
    }
    for name, relative in (("", False), ("_relative", True)):
        found[f"fashion_auroc{name}"] = auroc(
            recognizer.novelty(fashion, relative=relative), recognizer.novelty(x, relative=relative)
        )
        left_out = []
        for task in range(N_TASKS):
            new = novelty_without(recognizer, s, task, relative=relative)
            left_out.append(auroc(new[truth == task], new[truth != task]))
        found[f"left_out_auroc{name}"] = left_out
    if isinstance(recognizer.model, HypernetSDEFlow):
        recognizer.model.eval()
        shares = []
        for task in range(N_TASKS):
            drawn = recognizer.model.sample(N_DRAWN, task)
            with torch.no_grad():
                digits = judge(drawn).argmax(dim=1)
            shares.append(float((digits // 2 == task).float().mean()))
        found["drawn"] = shares
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data-root", required=True)
    parser.add_argument("--learner", default="ids-hsf")
    parser.add_argument("--seeds", default="1,2,3,4,5")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--out", type=Path, default=Path("recognizer.jsonl"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    lines = given.out.read_text().splitlines() if given.out.exists() else []
    there = {(found["learner"], found["seed"]) for found in map(json.loads, lines)}
    stream = SplitMNIST(N_TASKS, shuffle=False, return_task_id=False, dataset_root=given.data_root)
    judge = referee(stream.train_stream)
    for seed in map(int, given.seeds.split(",")):
        if (given.learner, seed) not in there:
            found = measure(given.learner, seed, given.data_root, given.epochs, judge)
            with given.out.open("a") as file:
                file.write(json.dumps(found) + "\n")
            print(json.dumps(found, indent=1), flush=True)


if __name__ == "__main__":
    main()

"""One task's network out of a trained model, to run where neither this package nor Avalanche is.

pip install onnx onnxscript onnxruntime  # for ONNX; without them that part is left out
python examples/export_task.py

After 15 s of CPU time:

    largest difference: {'torch.export': 0.0, 'ONNX': 2.2351741790771484e-08}
"""

from __future__ import annotations

from importlib.util import find_spec

import torch
from avalanche.training import Naive
from torch import nn

from avalanche_hsf.benchmarks import SplitDigits
from avalanche_hsf.evaluation import quiet_evaluator
from avalanche_hsf.models import TaskConditional, export_task
from avalanche_hsf.training import CommitPlugin


def main(train_epochs: int = 1) -> dict[str, float]:
    """Returns the largest difference from the model's own output, by format."""
    torch.manual_seed(0)
    cnn = nn.Sequential(
        *(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        nn.Linear(128, 10),
    )
    model = TaskConditional(cnn, masking=True)
    Naive(
        model=model,
        optimizer=torch.optim.Adam(model.parameters()),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=32,
        train_epochs=train_epochs,
        plugins=[CommitPlugin()],
        evaluator=quiet_evaluator(),
    ).train(SplitDigits(5).train_stream)
    network, x, outputs = export_task(model, 3), torch.rand(4, 1, 8, 8), {}
    program = torch.export.export(network, (x,), dynamic_shapes=({0: torch.export.Dim("n")},))
    torch.export.save(program, "task_3.pt2")
    outputs["torch.export"] = torch.export.load("task_3.pt2").module()(x)
    if find_spec("onnxscript") and find_spec("onnxruntime"):
        import onnxruntime

        torch.onnx.export(program, verbose=False).save("task_3.onnx")
        run = onnxruntime.InferenceSession("task_3.onnx").run
        outputs["ONNX"] = torch.from_numpy(run(None, {"x": x.numpy()})[0])
    expected = model.eval()(x, 3)
    differences = {name: float((y - expected).detach().abs().max()) for name, y in outputs.items()}
    print("largest difference:", differences)
    return differences


if __name__ == "__main__":
    main()

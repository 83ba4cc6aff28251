"""Imports point one way: a layer knows only the layers below it."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "avalanche_hsf"
# Each layer may import itself and what is listed.
BELOW = {
    "_home": set(),
    "addresses": set(),
    "_private": set(),
    "checks": set(),
    "extras": set(),
    "divergence": {"_private"},
    "whole": set(),
    "generators": set(),
    "seeds": {"checks"},
    "hyperparameters": {"checks"},
    "benchmarks": {"_home", "checks", "seeds"},
    "models": {"_private", "checks", "divergence", "extras", "generators", "seeds"},
    "inference": {"_private", "checks", "models"},
    "evaluation": {"_private", "checks", "logging", "seeds"},
    "logging": {"checks", "extras"},
    "training": {
        "_private",
        "checks",
        "hyperparameters",
        "divergence",
        "extras",
        "generators",
        "seeds",
        "benchmarks",
        "models",
        "inference",
        "evaluation",
    },
    "checkpoints": {"_private", "checks", "divergence", "generators", "seeds", "models", "whole"},
    "analysis": {"_private", "checks", "seeds", "models", "evaluation", "training"},
    "report": {"checks", "extras", "whole"},
    "forensics": {
        "_private",
        "addresses",
        "checks",
        "analysis",
        "extras",
        "generators",
        "models",
        "report",
        "whole",
    },
    "experiments": {
        "addresses",
        "_private",
        "checks",
        "divergence",
        "extras",
        "hyperparameters",
        "seeds",
        "terminal",
        "whole",
        "checkpoints",
        "benchmarks",
        "models",
        "inference",
        "evaluation",
        "training",
        "analysis",
        "report",
        "forensics",
    },
    "option_types": set(),
    "options": {"option_types"},
    "orphans": set(),
    "terminal": set(),
    "cli": {
        "addresses",
        "benchmarks",
        "extras",
        "options",
        "terminal",
        "report",
        "experiments",
        "forensics",
    },
}
# The wings of a layer, and the files beside them, from the lowest up: each imports what is below.
WINGS = {
    "models": [
        {"memory", "noise"},
        {"tasks", "sde", "flow"},
        {"hypernetworks", "baselines"},
        {"written"},
        {"output"},
        {"conditional", "hsf"},
        {"hsf_network"},
        {"export", "footprint"},
    ],
    "experiments": [{"catalogue", "learners"}, {"asked"}, {"runs"}, {"commands"}],
}
# The one file that may name a library whose traps should stay in one place.
ONLY = {
    "nflows": "models/flow.py",
    "torchsde": "models/sde.py",
    "pytorch_optimizer": "training/soap.py",
}


# Private attributes of libraries that only _private/ names; a subclass may use its own.
DOORS = {
    "_at_task_boundary",
    "_buffers",
    "_criterion",
    "_data_attributes",
    "_datasets",
    "_experiences",
    "_flat_data",
    "_frozen_transform_groups",
    "_get_loader",
    "_indices",
    "_modules",
    "_orig_mod",
    "_parameters",
    "_remove_gradient_hook",
    "_transform_groups",
    "_unpack_minibatch",
    "_version",
}


DOORED = {path.name for path in PACKAGE.iterdir() if path.is_dir()} - {"_private"}


LINES = 300
"""Of a file at most: a longer one has a second idea."""


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_imports(path):
    where = path.relative_to(PACKAGE)
    layer = where.parts[0].removesuffix(".py")
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "avalanche_hsf" and len(parts) > 1 and layer != "__init__":
            assert parts[1] == layer or parts[1] in BELOW[layer], f"{where} imports {name}"
            if layer in WINGS and parts[1] == layer:
                check_wing(where, name)
        if parts[0] in ONLY:
            assert str(where) == ONLY[parts[0]], f"{where} imports {name}"
        if parts[0] == "avalanche" and layer == "models":
            assert name == "avalanche.models", f"{where} imports {name}"


def test_a_file_is_one_idea():
    lines = {path: len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py")}
    assert [path for path, n in lines.items() if n > LINES] == []


def check_wing(where, name):
    wing, _, imported = where.parts[1].removesuffix(".py"), *name.split(".")[1:3]
    if wing == "__init__":
        return
    floor = {each: level for level, wings in enumerate(WINGS[where.parts[0]]) for each in wings}
    below = floor[imported] < floor[wing]
    assert imported == wing or below, f"{where} imports {name}"


@pytest.mark.parametrize("layer", sorted(DOORED))
def test_private_doors_are_in_one_place(layer):
    for path in sorted((PACKAGE / layer).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and not is_own(node.value):
                assert node.attr not in DOORS, f"{path}:{node.lineno} names {node.attr}"
            elif isinstance(node, ast.Constant):
                assert node.value not in DOORS, f"{path}:{node.lineno} names {node.value}"
            elif isinstance(node, ast.ImportFrom) and node.module.split(".")[0] != "avalanche_hsf":
                private = [alias.name for alias in node.names if alias.name.startswith("_")]
                assert not private, f"{path}:{node.lineno} imports {private}"


def is_own(value):
    """Whether it is `self` or `super()`."""
    if isinstance(value, ast.Call):
        value = value.func
    return isinstance(value, ast.Name) and value.id in {"self", "super"}

"""What is installed: the packages that are declared, and the files that are shipped."""

import ast
import configparser
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from avalanche_hsf import __version__

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "avalanche_hsf"
DEVELOPERS = {"test", "docs"}
"""Extras that no user needs."""
BROUGHT = {"filelock", "jinja2", "markupsafe", "pydantic"}
"""Torch and Avalanche need these themselves; of this package only extras do."""

HSF, REPORT, DASK = (f"pip install 'avalanche-hsf[{e}]'" for e in ("hsf", "report", "dask"))
EXPERIMENTS = (
    "avalanche_hsf.experiments needs filelock, pydantic, tomli_w, jinja2, tabulate, torchsde, "
    "nflows and pytorch_optimizer: pip install 'avalanche-hsf[experiments]'"
)


def refused(sentence):
    """How a command ends: its exit code, and one line."""
    return [2, f"avalanche-hsf: error: {sentence} (see avalanche-hsf --help)\n"]


SENTENCES = {
    "model": f"HypernetSDEFlow needs torchsde and nflows: {HSF}",
    "sde": f"NeuralSDE needs torchsde: {HSF}",
    "flow": f"ManifoldNormalizingFlow needs nflows: {HSF}",
    "preset": f"HypernetSDEFlow needs torchsde and nflows: {HSF}",
    "optimizer": f"SOAP needs pytorch_optimizer: {HSF}",
    "page": f"The page of ForensicsPlugin needs jinja2 and tabulate: {REPORT}",
    "blame": refused(f"avalanche-hsf blame needs jinja2 and tabulate: {REPORT}"),
    "table": f"Table needs tabulate: {REPORT}",
    "mlflow": "MLflowLogger needs mlflow: pip install 'avalanche-hsf[mlflow]'",
    "experiments": EXPERIMENTS,
    "list": refused(EXPERIMENTS),
    "compare": refused(EXPERIMENTS),
    "config": refused(EXPERIMENTS),
    "version": [0, ""],
    "jobs": refused(f"--jobs 2 needs distributed: {DASK}"),
    "scheduler": refused(f"--scheduler needs distributed: {DASK}"),
    "engine": f"jobs=2 needs distributed: {DASK}",
    "frame": "to_frame needs pandas: pip install 'avalanche-hsf[frame]'",
}


@pytest.fixture(scope="module")
def extras():
    """The requirements of each extra, and "" for what everyone installs."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    return {
        "": distributions(setup["options"]["install_requires"]),
        **{name: distributions(text) for name, text in setup["options.extras_require"].items()},
    }


def distributions(text):
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert not [line for line in lines if "avalanche-hsf" in line and line[-1] != "]"]
    return [re.match(r"avalanche-hsf\[.*\]|[\w.-]+", line).group() for line in lines]


def brought_by(extra, extras):
    """Distributions of an extra, and of those that it names."""
    found = set()
    for name in extras[extra]:
        if name.startswith("avalanche-hsf["):
            for other in name[len("avalanche-hsf[") : -1].split(","):
                found |= brought_by(other, extras)
        else:
            found.add(normalized(name))
    return found


def normalized(distribution):
    return re.sub(r"[-_.]+", "-", distribution).lower()


@cache
def installed():
    """The distributions of each package that is installed."""
    return {
        package: {normalized(name) for name in names}
        for package, names in packages_distributions().items()
    }


def installed_as(package):
    """Distributions that a package may come with."""
    return installed().get(package, {normalized(package)})


def imported():
    """Every package that is imported somewhere, with the file."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module]
            for name in {name.partition(".")[0] for name in names}:
                if name not in {*sys.stdlib_module_names, "avalanche_hsf"}:
                    yield name, path


def required():
    """What is passed to each call of `require`: packages and extra."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "require":
                words = [c.value for a in node.args[1:] for c in ast.walk(a) if is_name(c)]
                (extra,) = (keyword.value.value for keyword in node.keywords)
                yield words, extra, path


def is_name(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def test_every_package_that_is_imported_is_declared(extras):
    users = set(extras) - DEVELOPERS
    declared = set().union(*(brought_by(extra, extras) for extra in users))
    declared |= {"wandb"}  # of Avalanche's own loggers; ours says what to install
    declared |= {"dask"}  # of distributed
    for name, path in imported():
        assert installed_as(name) & declared, f"{path} imports {name}"


def test_what_is_missing_is_in_the_extra_that_is_named(extras):
    calls = list(required())
    named = {extra for _, extra, _ in calls}
    assert named == {"dask", "experiments", "frame", "hsf", "mlflow", "report"}
    for packages, extra, path in calls:
        for package in packages:
            assert installed_as(package) & brought_by(extra, extras), f"{path}: {package}"


def test_experiments_ask_for_all_that_they_bring(extras):
    (packages,) = (p for p, extra, _ in required() if extra == "experiments")
    asked = set().union(*map(installed_as, packages))
    assert asked | {"markupsafe"} >= brought_by("experiments", extras)  # of jinja2


def test_all_brings_every_extra(extras):
    users = set(extras) - DEVELOPERS - {"", "all"}
    every = set().union(*(brought_by(extra, extras) for extra in users))
    assert brought_by("all", extras) == every
    assert brought_by("test", extras) > every


def test_a_network_is_trained_without_any_extra_and_the_rest_says_which(extras, tmp_path):
    lacking = brought_by("all", extras)
    packages = {package for package, found in installed().items() if found & lacking}
    assert {"torchsde", "nflows", "pytorch_optimizer", "pydantic", "tabulate"} <= packages
    words = [" ".join(packages - BROUGHT), " ".join(packages & BROUGHT)]
    command = [sys.executable, Path(__file__).with_name("without_extras.py"), *words]
    there = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        command, env=there, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    answers = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
    assert {**answers[0], **answers[1]} == SENTENCES
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoints"]


def test_the_citation_is_of_this_version():
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_the_command_that_an_issue_asks_for_prints_the_versions(capsys):
    template = (ROOT / ".github" / "ISSUE_TEMPLATE" / "bug.yml").read_text()
    exec(re.search(r'python -c "(.*)"', template).group(1))
    assert "'torch': " in capsys.readouterr().out


def test_what_is_built_holds_every_file_of_the_package(tmp_path):
    build = (
        "import sys; from setuptools import build_meta; folder = sys.argv[1]; "
        "build_meta.build_sdist(folder); build_meta.build_wheel(folder)"
    )
    source = tmp_path / "source"
    for path in [*files(), *(ROOT / name for name in ("README.md", "LICENSE", "MANIFEST.in"))]:
        copy(path, source)
    for name in ("setup.cfg", "pyproject.toml"):
        copy(ROOT / name, source)
    subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=source, capture_output=True, check=True
    )
    (wheel,), (sdist,) = tmp_path.glob("*.whl"), tmp_path.glob("*.tar.gz")
    expected = {path.relative_to(ROOT).as_posix() for path in files()}
    assert {path for path in expected if not path.endswith(".py")} > {"avalanche_hsf/py.typed"}
    assert expected <= set(zipfile.ZipFile(wheel).namelist())
    with tarfile.open(sdist) as archive:
        assert expected <= {name.partition("/")[2] for name in archive.getnames()}


def files():
    return [
        path
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix != ".pyc" and not path.name.startswith(".")
    ]


def copy(path, folder):
    there = folder / path.relative_to(ROOT)
    there.parent.mkdir(parents=True, exist_ok=True)
    there.write_bytes(path.read_bytes())

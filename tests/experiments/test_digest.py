"""No stale run is taken: each kind of input of a run changes its key."""

import importlib
import json
import os
import subprocess
import sys
from collections import defaultdict
from dataclasses import InitVar, dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.transforms import Normalize

from avalanche_hsf.benchmarks import SplitDigits, regression_benchmark
from avalanche_hsf.experiments import BENCHMARKS, LEARNERS, ResultsFile, compare
from avalanche_hsf.experiments.runs import results as results_module
from avalanche_hsf.experiments.runs import sources
from avalanche_hsf.experiments.runs.canonical import canonical
from avalanche_hsf.experiments.runs.engines import in_process
from avalanche_hsf.experiments.runs.jobs import Job, make
from avalanche_hsf.training import PRESETS, CosineRestartPlugin

JOB = Job("synthetic", "hsf-isolated", 1, 1)


def preset(**changes):
    return lambda patch: patch.setitem(PRESETS, "isolated", replace(PRESETS["isolated"], **changes))


def learner(**changes):
    return lambda patch: patch.setitem(
        LEARNERS, "hsf-isolated", replace(LEARNERS["hsf-isolated"], **changes)
    )


def problem(**changes):
    return lambda patch: patch.setitem(
        BENCHMARKS, "synthetic", replace(BENCHMARKS["synthetic"], **changes)
    )


def other_default(patch):
    def init(self, warmup=30, *, restart=True):
        raise AssertionError("only its signature is read")

    patch.setattr(CosineRestartPlugin, "__init__", init)


def other_library(patch):
    known = results_module.version
    patch.setattr(
        results_module, "version", lambda n: "9" if n == "pytorch_optimizer" else known(n)
    )


ISOLATED = PRESETS["isolated"]
CHANGES = {
    "optimizer of the preset": preset(optimizer={**ISOLATED.optimizer, "lr": 0.01}),
    "model of the preset": preset(model={**ISOLATED.model, "encoder_steps": 5}),
    "hypernetwork of the preset": preset(
        hypernetwork={**ISOLATED.hypernetwork, "hypernetwork_options": {"seed": 8}}
    ),
    "argument of a plugin": preset(
        protections={**ISOLATED.protections, "WarmStartPlugin": {"n_samples": 10}}
    ),
    "default of a plugin": other_default,
    "grid of the learner": learner(grid=({"varied": {"lr": 0.1}},)),
    "code of the learner": learner(build=lambda setting, **arguments: None),
    "stream": problem(make=BENCHMARKS["random-5"].make),
    "argument of the stream": problem(make=partial(BENCHMARKS["random-5"].make, n_experiences=6)),
    "network": problem(make_network=BENCHMARKS["images-3"].make_network),
    "latent width": problem(latent_dim=3),
    "loss": problem(criterion=nn.L1Loss),
    "minibatches": problem(mb_size=10),
    "version of SOAP's library": other_library,
}


@pytest.mark.parametrize("change", CHANGES)
def test_each_kind_of_input_makes_new_runs(change, monkeypatch):
    before = JOB.key
    assert JOB.key == before
    CHANGES[change](monkeypatch)
    assert JOB.key.inputs != before.inputs
    assert JOB.key.without_inputs == before.without_inputs


def test_a_changed_preset_is_not_answered_from_the_file(tmp_path, monkeypatch):
    job = replace(JOB, epochs=3)  # SOAP's first step only prepares the next one
    (before,) = make(ResultsFile(tmp_path), [job], in_process)
    assert make(ResultsFile(tmp_path), [job], in_process) == [before]
    preset(optimizer={**ISOLATED.optimizer, "lr": 1e-4})(monkeypatch)
    (after,) = make(ResultsFile(tmp_path), [job], in_process)
    assert after.error_matrix != before.error_matrix
    assert len(ResultsFile(tmp_path).runs) == 2  # nothing is lost


BUILD = "def build(setting, lr):\n    import lazy\n"
FILES = {
    "the module": ("mine.py", BUILD, f"{BUILD}    return lr\n", "mine"),
    "a constant of a helper": ("helper.py", "import deeper\nWIDTH = 1\n", "WIDTH = 2\n", "mine"),
    "a helper of a helper": ("deeper.py", "A = 1\n", "A = 2\n", "mine"),
    "an import within a function": ("lazy.py", "A = 1\n", "A = 2\n", "mine"),
    "a sibling folder": ("pack/data/load.py", "A = 1\n", "A = 2\n", "pack.models.net"),
    "the package above": ("pack/__init__.py", "A = 1\n", "A = 2\n", "pack.models.net"),
    "a relative import": ("pack/models/blocks.py", "A = 1\n", "A = 2\n", "pack.models.net"),
    "a literal import_module": ("late.py", "A = 1\n", "A = 2\n", "mine"),
    "a text that no Python reads": ("old.py", "A = (\n", "A = ((\n", "mine"),
    "a folder without __init__": ("space/tools.py", "A = 1\n", "A = 2\n", "mine"),
}


@pytest.mark.parametrize("what", FILES)
def test_a_changed_file_that_is_imported_makes_new_runs(what, tmp_path, monkeypatch):
    changed, before, after, name = FILES[what]
    files = {
        "mine.py": f"from helper import WIDTH\nimport space.tools\n{BUILD}"
        "    import importlib\n    importlib.import_module('late')\n"
        "try:\n    import old\nexcept SyntaxError:\n    pass\n",
        "helper.py": "import deeper\nWIDTH = 1\n",
        "pack/models/__init__.py": "",
        "pack/models/net.py": f"from . import blocks\nfrom ..data.load import A\n{BUILD}",
        "unrelated.py": "",
    }
    files |= {file: "A = WIDTH = 1\n" for file, *_ in FILES.values() if file not in files}
    monkeypatch.syspath_prepend(tmp_path)

    def digest():
        tops = {Path(file).parts[0].removesuffix(".py") for file in files}
        for module in [m for m in sys.modules if m.partition(".")[0] in tops]:
            monkeypatch.delitem(sys.modules, module)
        importlib.invalidate_caches()
        return canonical(importlib.import_module(name).build)

    for file, text in (files | {changed: before}).items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    first = digest()
    (tmp_path / "unrelated.py").write_text("A = 2\n")
    assert digest() == first
    (tmp_path / changed).write_text(after + " " * len(before))  # by size, not only by time
    assert digest() != first


def typed(text):
    """What a prompt or a notebook makes of some text: code without a file."""
    scope = {"__name__": "typed", "torch": torch, "nn": nn}
    torch.manual_seed(0)
    exec(text, scope)
    return scope["build"]


TYPED = {
    "a number": ("A = 1\ndef build(): return A", "A = 2\ndef build(): return A"),
    "a constant": ("def build(): return 1", "def build(): return 2"),
    "a function": (
        "def f(): return 1\ndef build(): return [f() for _ in range(3)]",
        "def f(): return 2\ndef build(): return [f() for _ in range(3)]",
    ),
    "a method": (
        "class A:\n def f(self): return 1\nbuild = lambda: A()",
        "class A:\n def f(self): return 2\nbuild = lambda: A()",
    ),
    "a method of a base": (
        "class A:\n def f(self): return 1\nclass B(A): pass\nbuild = lambda: B()",
        "class A:\n def f(self): return 2\nclass B(A): pass\nbuild = lambda: B()",
    ),
    "a closure": (
        "def make(a):\n class B:\n  def f(self): return a\n return B\nbuild = make(1)",
        "def make(a):\n class B:\n  def f(self): return a\n return B\nbuild = make(2)",
    ),
    "a class attribute": ("class build:\n a = 1", "class build:\n a = 2"),
    "a property": (
        "class build:\n @property\n def a(self): return 1",
        "class build:\n @property\n def a(self): return 2",
    ),
    "what a decorator hides": (
        "import functools\n@functools.lru_cache\ndef build(): return 1",
        "import functools\n@functools.lru_cache\ndef build(): return 2",
    ),
    "a default": ("def build(a=1): ...", "def build(a=2): ..."),
    "a large default": (
        "def build(a=torch.zeros(5000)): ...",
        "x = torch.zeros(5000)\nx[2500] = 1\ndef build(a=x): ...",
    ),
    "a wrapper's default": (
        "import functools\ndef f(): ...\n@functools.wraps(f)\ndef build(a=1): ...",
        "import functools\ndef f(): ...\n@functools.wraps(f)\ndef build(a=2): ...",
    ),
    "a decorator with a state": (
        "import functools\nclass D:\n def __init__(s, f, a):\n  functools.update_wrapper(s, f)\n"
        "  s.a = a\ndef f(): ...\nbuild = D(f, 1)",
        "import functools\nclass D:\n def __init__(s, f, a):\n  functools.update_wrapper(s, f)\n"
        "  s.a = a\ndef f(): ...\nbuild = D(f, 2)",
    ),
    "the name of another function": (
        "import functools\n@functools.wraps(torch.nn.functional.cross_entropy)\n"
        "def build(): return 1",
        "import functools\n@functools.wraps(torch.nn.functional.cross_entropy)\n"
        "def build(): return 2",
    ),
    "the kind of an argument": ("def build(a): ...", "def build(*a): ..."),
    "an operator of a class": (
        "import functools\nclass build:\n @functools.lru_cache\n def __len__(s): return 1",
        "import functools\nclass build:\n @functools.lru_cache\n def __len__(s): return 2",
    ),
    "an order": (
        "L = {'a': nn.ReLU, 'b': nn.Tanh}\ndef build(): return L",
        "L = {'b': nn.Tanh, 'a': nn.ReLU}\ndef build(): return L",
    ),
    "a layer under torch's parametrization": (
        "class A(nn.Linear):\n def forward(s, x): return x\n"
        "build = nn.utils.parametrizations.weight_norm(A(1, 1)).__class__",
        "class A(nn.Linear):\n def forward(s, x): return 2 * x\n"
        "build = nn.utils.parametrizations.weight_norm(A(1, 1)).__class__",
    ),
    "a class made at run time": (
        "import dataclasses\nbuild = dataclasses.make_dataclass('A', ['x'], namespace={'f': 1})",
        "import dataclasses\nbuild = dataclasses.make_dataclass('A', ['x'], namespace={'f': 2})",
    ),
    "a keyword's default": ("def build(*, a=(1,)): ...", "def build(*, a=(2,)): ..."),
}


@pytest.mark.parametrize("what", TYPED)
def test_changed_code_without_a_file_makes_new_runs(what):
    before, after = TYPED[what]
    assert canonical(typed(before)) == canonical(typed(before))
    assert canonical(typed(before)) != canonical(typed(after))


def test_a_script_that_sets_its_globals_makes_new_runs(monkeypatch):
    before = canonical(reads_a_global)
    monkeypatch.setattr(ARGUMENTS, "width", 2)
    assert canonical(reads_a_global) != before


ARGUMENTS = SimpleNamespace(width=1)


def reads_a_global(setting):
    return ARGUMENTS.width


def state_of(seed):
    return np.random.default_rng(seed)


class Config(dict):
    """Gives what it holds by attribute, as many configurations do."""

    __getattr__ = dict.__getitem__


def configured(lr):
    config = Config(a=1)
    config.__dict__["lr"] = lr
    return config


@dataclass
class Rate:
    lr: InitVar[float]

    def __post_init__(self, lr):
        self._lr = lr


class Slotted:
    __slots__ = ("a",)

    def __init__(self, a):
        self.a = a


x = torch.linspace(0, 1, 4000)[:, None]
late = x.clone()
late[2000] = 9
OBJECTS = {
    "arguments": (lambda: partial(torch.add, 1), lambda: partial(torch.add, 2)),
    "function of torch": (lambda: partial(torch.add, 1), lambda: partial(torch.sub, 1)),
    "loss": (nn.CrossEntropyLoss, lambda: nn.CrossEntropyLoss(label_smoothing=0.1)),
    "network": (lambda: nn.BatchNorm1d(2), lambda: nn.BatchNorm1d(2, momentum=0.2)),
    "tensor": (lambda: x, lambda: late),
    "bfloat16": (lambda: x.bfloat16(), lambda: late.bfloat16()),
    "sparse": (lambda: x[:4].to_sparse(), lambda: x[1:5].to_sparse()),
    "frozen": (lambda: torch.ones(1), lambda: torch.ones(1, requires_grad=True)),
    "array of objects": (lambda: np.array([1, "a"], object), lambda: np.array([1, "b"], object)),
    "scalar of numpy": (lambda: np.float32(1), lambda: np.float64(1)),
    "generator": (lambda: state_of(1), lambda: state_of(2)),
    "slots": (lambda: Slotted(1), lambda: Slotted(2)),
    "attribute of a dictionary": (lambda: configured(1), lambda: configured(2)),
    "state of a dataclass": (lambda: Rate(1), lambda: Rate(2)),
    "complex": (lambda: torch.tensor([1j]).conj(), lambda: torch.tensor([1j])),
    "lazy": (lambda: nn.LazyLinear(2), lambda: nn.LazyLinear(3)),
    "kind of a sequence": (lambda: [1], lambda: (1,)),
    "default factory": (lambda: defaultdict(int), lambda: defaultdict(list)),
    "set": (lambda: {"a", "b", ("c", "d")}, lambda: {"a", "b", ("c", "e")}),
    "transformation": (lambda: Normalize((0.1,), (1.0,)), lambda: Normalize((0.2,), (1.0,))),
    "stream": (lambda: regression_benchmark([(x, x)]), lambda: regression_benchmark([(x, late)])),
    "labels": (
        lambda: SplitDigits(5, seed=1),
        lambda: SplitDigits(5, seed=1, return_task_id=False),
    ),
}


@pytest.mark.parametrize("what", OBJECTS)
def test_a_changed_object_makes_new_runs(what):
    before, after = OBJECTS[what]
    assert canonical(before()) == canonical(before())
    assert canonical(before()) != canonical(after())


def test_a_stream_is_the_same_after_its_use():
    benchmark = SplitDigits(5, seed=1)
    before = canonical(benchmark)
    for experience in benchmark.train_stream:
        assert experience.dataset[0]
        assert experience.dataset.targets.uniques
    assert canonical(benchmark) == before


def test_objects_that_hold_themselves_are_read():
    loop = [1]
    loop.append(loop)
    assert canonical(loop) != canonical([1, 2])
    assert canonical({"a": {2, 3}}) == canonical({"a": {3, 2}})

    class Endless:
        def __reduce__(self):
            return Endless, (), {"more": Endless()}

    assert canonical(Endless()) != canonical(Endless())


def test_what_is_looked_up_where_it_runs_makes_new_runs(monkeypatch):
    def of_environment():
        return os.environ["AVALANCHE_HSF_TEST"]

    def of_the_command_line():
        return sys.argv[1]

    before = canonical(of_environment), canonical(of_the_command_line)
    assert before == (canonical(of_environment), canonical(of_the_command_line))
    monkeypatch.setenv("AVALANCHE_HSF_TEST", "1")
    monkeypatch.setattr(sys, "argv", ["", "2"])
    after = canonical(of_environment), canonical(of_the_command_line)
    assert before[0] != after[0] and before[1] != after[1]


def test_another_default_type_makes_new_runs():
    before = JOB.key.inputs
    try:
        torch.set_default_dtype(torch.float64)
        assert JOB.key.inputs != before
    finally:
        torch.set_default_dtype(torch.float32)


def test_text_edited_since_it_was_imported_is_of_this_process_alone(tmp_path, monkeypatch):
    (tmp_path / "edited.py").write_text("def build(): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    canonical(importlib.import_module("edited").build)
    (tmp_path / "edited.py").write_text("def build(): return 1\n")
    live = canonical(sys.modules["edited"].build)  # which still runs the old text
    importlib.invalidate_caches()
    importlib.reload(sys.modules["edited"])
    new = canonical(sys.modules["edited"].build)
    monkeypatch.setattr(sources, "_PROCESS", "another")
    assert canonical(sys.modules["edited"].build) == new != live


def test_text_from_standard_input_has_no_file(monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "__file__", "<stdin>")
    assert canonical(reads_a_global)


@pytest.mark.slow
def test_the_digest_is_the_same_in_another_process():
    code = (
        "from avalanche_hsf.benchmarks import SplitDigits\n"
        "from avalanche_hsf.experiments.runs.canonical import canonical\n"
        f"from {__name__.rpartition('.')[2]} import JOB\n"
        "print(JOB.key.inputs, canonical(SplitDigits(5, seed=1)))"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": str(Path(__file__).parent)}
    said = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    here = [JOB.key.inputs, canonical(SplitDigits(5, seed=1))]
    assert said.stdout.split(maxsplit=1) == [here[0], here[1] + "\n"]


def test_runs_of_an_older_file_are_read_with_one_sentence(tmp_path, capsys):
    (run,) = make(ResultsFile(tmp_path), [JOB], in_process)
    path = tmp_path / "results.json"
    content = json.loads(path.read_text())
    for name in ("pytorch_optimizer", "torchmetrics", "numpy", "scikit-learn"):
        del content["versions"][name]
    content["versions"]["python"] += ".99"  # a patch release, as older files have it
    (stored,) = content["runs"]
    stored["strategy"] = stored.pop("learner")
    del stored["network"], stored["inputs"]
    path.write_text(json.dumps(content))
    capsys.readouterr()
    results = ResultsFile(tmp_path)
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "1 runs are from before" in said
    assert make(results, [JOB], in_process) == [replace(run, inputs="")]


def test_a_user_is_not_asked_for_what_only_the_key_needs(tmp_path):
    runs = compare("split-digits", ["net-naive"], seeds=[1], epochs=1, out=tmp_path)
    again = compare("split-digits", ["net-naive"], seeds=[1], epochs=1, out=tmp_path)
    assert list(runs) == list(again)

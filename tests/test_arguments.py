"""Whatever a public constructor is given, it takes it or says in a sentence why not."""

import inspect
import linecache
import math
import traceback
from importlib import import_module

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from avalanche_hsf import (
    analysis,
    benchmarks,
    checkpoints,
    evaluation,
    inference,
    models,
    training,
)
from avalanche_hsf.cli import _parsers
from avalanche_hsf.experiments.commands.beforehand import check_words
from avalanche_hsf.training.hyperparameters import arguments_for

STREAM = benchmarks.SyntheticManifolds(4).train_stream
SMALL = {"hidden_dim": 4, "latent_dim": 2, "flow_hidden_dim": 4, "sde_hidden_dim": 4}
GENERATOR = models.HypernetSDEFlow(3, seed=0, **SMALL)


def initial():
    return {"weight": torch.zeros(4, 3), "bias": torch.zeros(4)}


def linear():
    return nn.Linear(3, 3)


def strategy(**arguments):
    model = models.HypernetSDEFlow(3, seed=0, **SMALL)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return training.HSFStrategy(**{"model": model, "optimizer": optimizer, **arguments})


def of_preset(**hyperparameters):
    return training.HSFStrategy.from_preset(
        "paper", input_dim=3, evaluator=None, **arguments_for("paper", hyperparameters)
    )


def optimizer(**arguments):
    return training.make_optimizer(**{"parameters": linear().parameters(), **arguments})


def defaults_of(function):
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


# What is called, what is needed besides the defaults, and what replaces a default that is slow.
CALLS = {
    "HypernetSDEFlow": (models.HypernetSDEFlow, {"input_dim": 3, "sde_options": {}, **SMALL}),
    "TaskConditional": (models.TaskConditional, {"module": linear}),
    "NeuralSDE": (models.NeuralSDE, {"dim": 3}),
    "ManifoldNormalizingFlow": (models.ManifoldNormalizingFlow, {"dim": 4}),
    "MLPAutoencoder": (models.MLPAutoencoder, {"input_dim": 3}),
    "TaskEmbedding": (models.TaskEmbedding, {"embedding_dim": 4}),
    "TaskWhitening": (models.TaskWhitening, {"dim": 4}),
    "TaskStatistics": (models.TaskStatistics, {"module": linear}),
    "SeededNoise": (models.SeededNoise, {}),
    **{
        kind: (make, {"initial": initial, "embedding_dim": 4})
        for kind, make in models.HYPERNETWORKS.items()
        if kind not in ("isolated", "delta")
    },
    **{kind: (models.HYPERNETWORKS[kind], {"initial": initial}) for kind in ("isolated", "delta")},
    "HSFStrategy": (strategy, {**defaults_of(training.HSFStrategy.__init__), "evaluator": None}),
    "HSFStrategy.from_preset": (
        training.HSFStrategy.from_preset,
        {"input_dim": 3, "evaluator": None},
    ),
    "hyperparameters": (
        of_preset,
        {"beta": 1.0, "lr": 0.1, "solver_steps": 2, "embedding_dim": 4, "latent_dim": 4},
    ),
    "BetaSchedule": (training.BetaSchedule, {}),
    "make_optimizer": (optimizer, {"options": {"name": "AdamW", "lr": 0.1}}),
    "make_protections": (training.make_protections, {"arguments": {}}),
    "get_preset": (training.get_preset, {"name": "paper"}),
    "SyntheticManifolds": (benchmarks.SyntheticManifolds, {"n_samples": 4}),
    "RandomManifolds": (benchmarks.RandomManifolds, {"n_experiences": 2, "n_samples": 4}),
    "SplitDigits": (benchmarks.SplitDigits, {}),
    "SyntheticImages": (
        benchmarks.SyntheticImages,
        {"n_experiences": 1, "n_classes": 2, "n_train": 4, "n_test": 4, "size": 12},
    ),
    "PolynomialRegression": (benchmarks.PolynomialRegression, {}),
    "reconstruction_benchmark": (
        benchmarks.reconstruction_benchmark,
        {"train": [torch.zeros(4, 3)]},
    ),
    "regression_benchmark": (
        benchmarks.regression_benchmark,
        {"train": [(torch.zeros(4, 3), torch.zeros(4, 1))]},
    ),
    "as_reconstruction": (benchmarks.as_reconstruction, {"benchmark": None}),
    "Measurement": (evaluation.Measurement, {"measure": nn.L1Loss()}),
    "measure_metrics": (evaluation.measure_metrics, {"measure": nn.L1Loss()}),
    "forgetting": (evaluation.forgetting, {"matrix": torch.zeros(2, 2)}),
    "LossTerms": (analysis.LossTerms, {}),
    "Drift": (analysis.Drift, {}),
    "GradientConflict": (analysis.GradientConflict, {"stream": STREAM}),
    "find_components": (analysis.find_components, {"model": linear}),
    "error_on": (analysis.error_on, {"data": STREAM[0]}),
    "errors_on": (analysis.errors_on, {"data": STREAM[0]}),
    "loss_on": (analysis.loss_on, {"data": STREAM[0]}),
    **{name: (getattr(training, name), {}) for name in training.plugins.__all__},
    "TaskInferencePlugin": (
        training.TaskInferencePlugin,
        {"recognizer": inference.TaskRecognizer(GENERATOR)},
    ),
    **{name: (getattr(inference, name), {}) for name in inference.__all__ if "Score" in name},
    "AgreementScore": (inference.AgreementScore, {"classifier": GENERATOR}),
    "TaskRecognizer": (inference.TaskRecognizer, {"model": GENERATOR}),
    "ClassIncremental": (
        inference.ClassIncremental,
        {"recognizer": inference.TaskRecognizer(GENERATOR), "classifier": GENERATOR},
    ),
    "GeneratedReplayPlugin": (training.GeneratedReplayPlugin, {"generator": GENERATOR}),
    "CheckpointPlugin": (checkpoints.CheckpointPlugin, {"folder": "checkpoints"}),
    "resume": (checkpoints.resume, {"strategy": None, "checkpoint": None}),
    "save": (checkpoints.save, {"strategy": None, "folder": None}),
}
COMMANDS = ("reproduce", "compare", "diagnose", "sweep")

ARRAYS = [
    np.array([1, 2]),
    torch.tensor(2),
    torch.tensor([1.0, 2.0]),
    torch.zeros(3, 3),
    torch.zeros(3, 3, device="meta"),
    torch.zeros(3, 3).to_sparse(),
]
OBJECTS = [
    *(None, True, False, b"x", 1j, object(), object, lambda *arguments: None),
    *(torch.float16, torch.int64, "float32", nn.ReLU, nn.MSELoss, nn.MSELoss(), nn.Linear(3, 1)),
    *(training.CommitPlugin, training.CommitPlugin()),
]
NUMBERS = [
    *(2.9, 1e30, 10**30, 2**62, -(2**62), math.inf, -math.inf, math.nan),
    *(np.int64(2), np.int64(-1), np.float32(2.0), np.float64(math.nan), np.bool_(True)),
]
ONE = st.one_of(
    st.sampled_from(NUMBERS),
    st.sampled_from(OBJECTS),
    st.sampled_from(ARRAYS),
    st.integers(-3, 9),
    st.floats(),
    st.text(max_size=4),
)
WILD = st.one_of(
    ONE,
    st.lists(ONE, max_size=2),
    st.tuples(ONE),
    st.dictionaries(st.one_of(st.text(max_size=3), st.integers(0, 2)), ONE, max_size=1),
)


def call(name, argument, value):
    function, needed = CALLS[name]
    arguments = {k: v() if v is linear or v is initial else v for k, v in needed.items()}
    return function(**{**arguments, argument: value})


def check_refusal(error):
    """It is ours: raised by a statement of the package, and one sentence."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    line = linecache.getline(last.filename, last.lineno).strip()
    assert "avalanche_hsf" in last.filename and line.startswith("raise"), f"{error!r} at {line}"
    assert str(error) and "\n" not in str(error), f"{error!r}"


def check_taken(before, value):
    """Numbers and truth values are taken for nothing but their like."""
    if isinstance(before, bool):
        assert isinstance(value, (bool, np.bool_))
    elif isinstance(before, int):
        assert isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    elif isinstance(before, float):
        assert isinstance(value, (int, float, np.number)) and math.isfinite(value)
        assert not isinstance(value, bool)


def arguments_of(name):
    function, needed = CALLS[name]
    return {**defaults_of(function), **needed}


def bounded(n_examples, *, derandomize=True):
    return settings(
        max_examples=n_examples,
        deadline=None,
        database=None,
        derandomize=derandomize,
        suppress_health_check=list(HealthCheck),
    )


def hunt_in(name, limits):
    arguments = arguments_of(name)

    @limits
    @given(st.sampled_from(sorted(arguments)), WILD)
    def hunt(argument, value):
        try:
            call(name, argument, value)
        except (TypeError, ValueError) as error:
            check_refusal(error)
        else:
            if value is not None or (name, argument) not in OR_NONE:
                check_taken(arguments[argument], value)

    hunt()


# Where None is no number but says something: all tasks, or the preset's own.
OR_NONE = {
    ("WarmStartPlugin", "n_tasks"),
    *(("hyperparameters", a) for a in arguments_of("hyperparameters")),
}
NAMES = [name for name in CALLS if arguments_of(name)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_a_wild_value_is_taken_or_refused_in_a_sentence(name):
    hunt_in(name, bounded(40))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_many_wild_values(name):
    hunt_in(name, bounded(max(60, 2700 // len(NAMES)), derandomize=False))


def words_of(command):
    """Options of a command that take a value, but for those that name files and clusters."""
    actions = _parsers()[1][command]._actions
    left_out = {"--config", "--scheduler", "--help"}
    options = [a.option_strings[0] for a in actions if a.option_strings and a.nargs != 0]
    return [option for option in options if option not in left_out]


WORDS = st.one_of(
    st.sampled_from(["", "-1", "0", "1", "2.9", "1e30", "nan", "inf", "1,1", "1,2", ",", "=", "a"]),
    st.sampled_from(["paper", "compact", "synthetic", "bottleneck", "hsf-paper", "mlp-naive"]),
    st.sampled_from(["lr=0.1", "lr", "epochs=2.5", "latent_dim=4,5", "beta=", "gamma=nan"]),
    st.sampled_from(
        ["os:system", "json:loads", "nowhere:at_all", "torch.nn:MSELoss", ":", "a:b:c"]
    ),
    st.text(max_size=6),
)


def refusal(check, chosen):
    try:
        check(chosen)
    except (TypeError, ValueError) as error:
        return str(error)
    return None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "command", [pytest.param(c, marks=pytest.mark.slow) if c == "sweep" else c for c in COMMANDS]
)
@pytest.mark.parametrize("n", [25, pytest.param(100, marks=pytest.mark.slow)], ids=["few", "many"])
def test_wild_words_of_a_command_are_taken_or_refused_in_a_line(command, n, capsys):
    check = import_module(f"avalanche_hsf.experiments.commands.{command}").check
    needed = ["--benchmark", "synthetic"] if command == "compare" else []

    @bounded(n)
    @given(st.sampled_from(words_of(command)), WORDS)
    def hunt(option, word):
        try:
            chosen = _parsers()[0].parse_args([command, *needed, option, word])
        except SystemExit as ended:
            assert ended.code == 2
            assert capsys.readouterr().err.count("\n") == 1
            return
        said = refusal(check, chosen)
        assert said != ""
        # What is said before torch is imported is what the command would say.
        assert refusal(check_words, chosen) in (None, said)

    hunt()


@pytest.mark.parametrize(
    ("name", "argument", "value", "message"),
    [
        ("HypernetSDEFlow", "latent_dim", 2.9, "latent_dim must be an integer, got 2.9"),
        ("HypernetSDEFlow", "latent_dim", 10**30, "latent_dim must be at most"),
        ("HypernetSDEFlow", "latent_dim", 2**30, "would need .* GiB"),
        ("HypernetSDEFlow", "latent_dim", math.inf, "latent_dim must be an integer, got inf"),
        ("HypernetSDEFlow", "hypernetwork", None, "unknown hypernetwork None; choose from"),
        ("HypernetSDEFlow", "sde_options", {"h": 1}, "an SDE has no option 'h'; choose from dim"),
        ("TaskConditional", "module", None, "module must be a torch module, got None"),
        ("TaskConditional", "module", len, "module must be a torch module, got <built-in"),
        ("TaskConditional", "module", nn.Linear(3, 0), r"weight has no entries, .* \(0, 3\)"),
        ("TaskConditional", "written", [1], "written must be a list of names, but holds 1"),
        ("TaskConditional", "hypernetwork_options", {"x": 1}, "unexpected keyword argument 'x'"),
        ("HSFStrategy", "protections", "x", "protections must be a list of plugins, got 'x'"),
        ("HSFStrategy", "protections", [None], "protections must .* but holds None"),
        ("HSFStrategy", "plugins", [training.CommitPlugin], r"give CommitPlugin\(\)"),
        ("HSFStrategy", "criterion", nn.MSELoss, r"got the class MSELoss; give MSELoss\(\)"),
        ("HSFStrategy", "device", "gpu", "device must be one of torch, as \"cpu\", got 'gpu'"),
        ("make_protections", "arguments", {"CommitPlugin": {"x": 1}}, "CommitPlugin has no option"),
        ("reconstruction_benchmark", "dtype", "float32", "floating-point type, got 'float32'"),
        ("reconstruction_benchmark", "train", [ARRAYS[-1]], r"must be a dense tensor.*to_dense"),
        ("reconstruction_benchmark", "train", [ARRAYS[-2]], "is on the device meta"),
        ("SyntheticImages", "n_train", 2**30, "the images would need"),
    ],
)
def test_what_is_said(name, argument, value, message):
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        call(name, argument, value)
    check_refusal(caught.value)


def test_integers_of_numpy_are_integers():
    strategy = training.HSFStrategy.from_preset(
        "compact",
        input_dim=np.int64(3),
        model_options={name: np.int32(value) for name, value in SMALL.items()},
        train_mb_size=np.int64(2),
        train_epochs=np.int64(1),
        eval_mb_size=np.int64(2),
        eval_every=np.int64(-1),
        seed=np.int64(0),
        evaluator=None,
    )
    for experience in benchmarks.RandomManifolds(np.int64(2), n_samples=np.int64(4)).train_stream:
        strategy.train(experience)
    assert strategy.clock.train_iterations == 4
    assert strategy.eval(STREAM) is not None

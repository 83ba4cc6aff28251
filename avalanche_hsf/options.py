"""The options of the command line. Nothing here imports torch, so that help is quick."""

from __future__ import annotations

import argparse

from avalanche_hsf.option_types import (
    assignment,
    integer,
    numbered_seeds,
    positive,
    seconds,
    variation,
    words,
)


def reproduce(parser: argparse.ArgumentParser) -> None:
    """The paper's experiment."""
    _seeds_and_epochs(parser, seeds="42", note=", the paper's")


def compare(parser: argparse.ArgumentParser) -> None:
    """Learners, side by side."""
    parser.add_argument(
        "--benchmark",
        required=True,
        metavar="NAME",
        help="a stream, see avalanche-hsf list benchmarks, or module:name of yours",
    )
    parser.add_argument(
        "--network",
        metavar="MODULE:NAME",
        help="a function that makes the network of one task (default: the benchmark's own)",
    )
    parser.add_argument(
        "--criterion",
        metavar="MODULE:NAME",
        help="a function that makes the loss, such as torch.nn:BCEWithLogitsLoss (default: the "
        "cross entropy for classes, the MSE for vectors)",
    )
    help = "samples per minibatch (default: the benchmark's own, or 32)"
    parser.add_argument("--mb-size", type=positive, metavar="N", help=help)
    parser.add_argument(
        "--strategies",
        type=words,
        metavar="A,B,...",
        help="learners, groups of them (presets, frontier, peers, networks, class-incremental) or "
        "module:name of yours; the others are tested against the first (default: hsf-isolated,"
        "presets,peers where full batches are reconstructed, else hn-isolated,networks)",
    )
    help = "seed of the search, not reported (default: %(default)s)"
    parser.add_argument("--tuning-seed", type=integer, default=100, metavar="N", help=help)
    _search(parser, "halving")
    _seeds_and_epochs(parser, epochs=None)
    _data(parser)


def diagnose(parser: argparse.ArgumentParser) -> None:
    """Why a preset forgets, or what a user's own function trains."""
    parser.add_argument(
        "run",
        nargs="?",
        metavar="MODULE:NAME",
        help="a function of yours that trains, called with plugins=, a list to hand to its "
        "strategy; then no other option but --out counts (default: a preset)",
    )
    parser.add_argument(
        "--learner",
        metavar="NAME",
        help="a learner of compare instead of a preset, tuned as there, or module:name of yours",
    )
    parser.add_argument(
        "--network",
        metavar="MODULE:NAME",
        help="with --learner: a function that makes the network of one task (default: the "
        "benchmark's own)",
    )
    _search(parser, None, "with --learner: ")
    _preset_runs(parser, preset=None, epochs=None)
    parser.add_argument(
        "--set",
        action="append",
        type=assignment,
        metavar="NAME=VALUE",
        help="set a hyperparameter of the preset, repeatable, such as beta=0; the names are those "
        "of sweep --vary",
    )


def blame(parser: argparse.ArgumentParser) -> None:
    """Two checkpoints."""
    parser.add_argument("early", help="the model when it had learned the old task: a state dict")
    parser.add_argument("late", help="the same model later")
    parser.add_argument(
        "--model",
        required=True,
        metavar="MODULE:NAME",
        help="a function that makes the model",
    )
    parser.add_argument(
        "--data",
        required=True,
        metavar="MODULE:NAME",
        help="a function that returns samples of the old task: a DataLoader, a Dataset or x, y",
    )
    parser.add_argument(
        "--criterion",
        metavar="MODULE:NAME",
        help="a function that makes the loss, such as torch.nn:MSELoss (default: the cross "
        "entropy, for classes)",
    )
    parser.add_argument(
        "--components",
        type=words,
        metavar="A,B,...",
        help="names of modules or parameters that may be blamed (default: layers)",
    )
    parser.add_argument(
        "--task",
        default="the old task",
        metavar="NAME",
        help="what the page calls it (default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        default="results/blame",
        metavar="DIR",
        help="folder for the page, tables and figures (default: %(default)s)",
    )


def sweep(parser: argparse.ArgumentParser) -> None:
    """A preset with one thing changed at a time."""
    _preset_runs(parser)
    parser.add_argument(
        "--vary",
        action="append",
        type=variation,
        metavar="NAME[=A,B,...]",
        help="what to change, repeatable: loss-terms (each left out, each alone, replay and sep "
        "at 2, 5 and 10 times), or beta, gamma, delta, lr, epochs, solver_steps, diffusion_scale, "
        "embedding_dim, latent_dim with the values to try; without values, multiples of the "
        "preset's own (default: all that the preset has)",
    )


def engine(parser: argparse.ArgumentParser, out: str) -> None:
    """Where runs are kept and made: the options of every command that trains."""
    parser.add_argument(
        "--out",
        default=out,
        metavar="DIR",
        help="folder for results.json, tables and figures; the runs that results.json holds are "
        "not run again (default: %(default)s)",
    )
    parser.add_argument(
        "--fresh", action="store_true", help="run everything anew and replace results.json"
    )
    parser.add_argument(
        "--checkpoint-every",
        type=seconds,
        default=60.0,
        metavar="SECONDS",
        help="how often a run saves its state into DIR/checkpoints, from where the same command "
        "goes on within it; 0: never (default: 60)",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--jobs",
        type=positive,
        default=1,
        metavar="N",
        help="runs at a time, in processes of one thread each (default: 1)",
    )
    where.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="run on the workers of the Dask cluster there, such as tcp://10.0.0.1:8786. Who "
        "reaches a tcp:// cluster can run any code on it and read the runs: Dask asks for no "
        "password and unpickles what it is sent. On a network with others use tls:// and Dask's "
        "setting distributed.comm.tls, see https://distributed.dask.org/en/stable/tls.html",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="read options from a TOML file, such as the one that each command writes into --out; "
        "those of the command line take precedence",
    )


def _search(parser: argparse.ArgumentParser, default: str | None, note: str = "") -> None:
    """How learners are tuned."""
    help = (
        f"{note}how configurations are searched: halving runs of four or more only the better half "
        "after a tenth of the epochs to the end; grid runs all (default: halving)"
    )
    parser.add_argument("--search", choices=("halving", "grid"), default=default, help=help)


def _data(parser: argparse.ArgumentParser) -> None:
    """Where data sets lie that are not part of the package."""
    parser.add_argument(
        "--data-root",
        metavar="DIR",
        help="folder with MNIST/raw and FashionMNIST/raw, for the benchmarks that need them "
        "(default: the environment variable AVALANCHE_HSF_DATA, else Avalanche's folder)",
    )
    parser.add_argument(
        "--download",
        action="store_true",
        help="download the data set of the benchmark if it is missing; without this, nothing is",
    )


def _seeds_and_epochs(
    parser: argparse.ArgumentParser,
    *,
    seeds: str = "1,2,3,4,5",
    epochs: int | None = 300,
    of_none: str = "the benchmark's own, or 10",
    note: str = "",
) -> None:
    help = f"seeds, separated by commas (default: %(default)s{note})"
    parser.add_argument("--seeds", type=numbered_seeds, default=seeds, metavar="A,B,...", help=help)
    default = f"%(default)s{note}" if epochs else of_none
    help = f"training epochs per task (default: {default})"
    parser.add_argument("--epochs", type=positive, default=epochs, metavar="N", help=help)


def _preset_runs(
    parser: argparse.ArgumentParser, *, preset: str | None = "paper", epochs: int | None = 300
) -> None:
    """A preset on a stream, with several seeds."""
    help = "a preset (default: paper)"
    parser.add_argument("--preset", default=preset, metavar="NAME", help=help)
    parser.add_argument(
        "--benchmark",
        default="synthetic",
        metavar="NAME",
        help="a stream, for a preset one whose input is to be reconstructed, or module:name of "
        "yours (default: %(default)s, the paper's)",
    )
    of_none = "300 for a preset, the benchmark's own for a learner"
    _seeds_and_epochs(parser, epochs=epochs, of_none=of_none)
    _data(parser)

"""The command `avalanche-hsf`."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from avalanche_hsf import __version__

if TYPE_CHECKING:
    from avalanche_hsf.experiments import ResultsFile
    from avalanche_hsf.experiments.runs.jobs import Engine


class _Parser(argparse.ArgumentParser):
    """Bad input ends with one line and exit code 2, not with a page of usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        arguments: Command-line words; default: those of the process.

    Returns:
        0. Bad input exits with 2 and one line on standard error.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        options.command(options)
    except KeyboardInterrupt:
        print("\nstopped; finished runs are kept, the same command goes on", file=sys.stderr)
        return 130
    return 0


def _parser() -> _Parser:
    parser = _Parser(
        prog="avalanche-hsf",
        description="Hypernet-SDE-Flow for Avalanche: reproduce a published failure to remember.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    reproduce = commands.add_parser(
        "reproduce",
        help="run the paper's experiment and print its tables beside the published ones",
        description="Runs the paper's experiment: five synthetic tasks, the MLP autoencoder under "
        "Avalanche's Naive and the Hypernet-SDE-Flow under HSFStrategy.",
    )
    reproduce.add_argument(
        "--seeds",
        type=_seeds,
        default=[42],
        metavar="A,B,...",
        help="seeds to run, separated by commas (default: 42, the paper's)",
    )
    reproduce.add_argument(
        "--epochs",
        type=_positive,
        default=300,
        metavar="N",
        help="training epochs a task (default: 300, the paper's)",
    )
    reproduce.add_argument(
        "--out",
        default="results",
        metavar="DIR",
        help="folder for results.json, summary.md and the figures; runs that its results.json "
        "holds already are not run again (default: results)",
    )
    _add_engine(reproduce)
    reproduce.set_defaults(command=_reproduce, parser=reproduce)
    _add_compare(commands)
    _add_diagnose(commands)
    _add_sweep(commands)
    return parser


def _add_engine(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--fresh", action="store_true", help="run everything anew and replace results.json"
    )
    where = command.add_mutually_exclusive_group()
    where.add_argument(
        "--jobs",
        type=_positive,
        default=1,
        metavar="N",
        help="runs at a time, in processes of one thread each (default: 1)",
    )
    where.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="run on the workers of the Dask cluster there, such as tcp://10.0.0.1:8786",
    )


def _add_preset_runs(command: argparse.ArgumentParser) -> None:
    """A preset on a stream, with several seeds."""
    command.add_argument(
        "--preset", default="paper", metavar="NAME", help="a preset (default: paper)"
    )
    command.add_argument(
        "--benchmark",
        default="synthetic",
        metavar="NAME",
        help="a stream for autoencoders, see compare (default: synthetic, the paper's)",
    )
    command.add_argument(
        "--seeds",
        type=_seeds,
        default=[1, 2, 3, 4, 5],
        metavar="A,B,...",
        help="seeds, separated by commas (default: 1,2,3,4,5)",
    )
    command.add_argument(
        "--epochs",
        type=_positive,
        default=300,
        metavar="N",
        help="training epochs a task (default: 300)",
    )


def _add_compare(commands: Any) -> None:
    compare = commands.add_parser(
        "compare",
        help="run our presets beside Avalanche's strategies, tuned alike, and print one table",
        description="Runs learners on one stream, each for the same number of full-batch steps or "
        "of epochs a task. Optimizer, learning rate and strength of the mlp-*, net-* and hn-* are "
        "searched on a seed of its own; the hsf-* run as their presets say.",
    )
    compare.add_argument(
        "--benchmark",
        required=True,
        metavar="NAME",
        help="for autoencoders synthetic, bottleneck, random-5, random-20 or digits; for main "
        "networks polynomials, split-digits or images-10",
    )
    compare.add_argument(
        "--strategies",
        type=lambda text: text.split(","),
        metavar="A,B,...",
        help="learners or groups of them (presets, frontier, peers; networks), the first is what "
        "the others are tested against (default: hsf-isolated,presets,peers; of main networks "
        "hn-isolated,networks); an unknown name lists all",
    )
    compare.add_argument(
        "--seeds",
        type=_seeds,
        default=[1, 2, 3, 4, 5],
        metavar="A,B,...",
        help="seeds to report, separated by commas (default: 1,2,3,4,5)",
    )
    compare.add_argument(
        "--tuning-seed",
        type=_integer,
        default=100,
        metavar="N",
        help="seed of the search, not reported (default: 100)",
    )
    compare.add_argument(
        "--epochs",
        type=_positive,
        metavar="N",
        help="full-batch epochs a task, that is optimizer steps, for every learner (default: 300); "
        "of main networks, epochs in minibatches (default: the benchmark's own)",
    )
    compare.add_argument(
        "--out",
        default="results",
        metavar="DIR",
        help="folder for results.json, comparison.md, comparison.csv and frontier.png; runs that "
        "its results.json holds already are not run again (default: results)",
    )
    _add_engine(compare)
    compare.set_defaults(command=_compare, parser=compare)


def _add_diagnose(commands: Any) -> None:
    diagnose = commands.add_parser(
        "diagnose",
        help="say which part of a preset forgot, how it drifted, and what its loss terms did",
        description="Runs a preset and the paper's MLP on a stream and attributes what "
        "was forgotten to their components. Attribution and sharpness come after training, in "
        "some minutes a seed without a sign of progress, whatever the epochs.",
    )
    _add_preset_runs(diagnose)
    diagnose.add_argument(
        "--set",
        action="append",
        type=_assignment,
        metavar="NAME=VALUE",
        help="set a hyperparameter of the preset otherwise, again for more, such as beta=0; the "
        "names are those of sweep --vary",
    )
    diagnose.add_argument(
        "--out",
        default="results/diagnosis",
        metavar="DIR",
        help="folder for results.json and, for each learner, tables and figures; runs that its "
        "results.json holds with findings are not run again (default: results/diagnosis)",
    )
    _add_engine(diagnose)
    diagnose.set_defaults(command=_diagnose, parser=diagnose)


def _add_sweep(commands: Any) -> None:
    sweep = commands.add_parser(
        "sweep",
        help="change a preset's loss terms and hyperparameters, one at a time",
        description="Runs a preset as it is and with one thing changed at a time: the paper's "
        "debugging experiments and its hyperparameters.",
    )
    _add_preset_runs(sweep)
    sweep.add_argument(
        "--vary",
        action="append",
        type=_varied,
        metavar="NAME[=A,B,...]",
        help="what to change, again for more: loss-terms (each left out, each alone, replay and "
        "sep at 2, 5 and 10 times), or beta, gamma, delta, lr, epochs, solver_steps, "
        "diffusion_scale, embedding_dim, latent_dim with the values to try; without values, "
        "multiples of the preset's own (default: all that the preset has)",
    )
    sweep.add_argument(
        "--out",
        default="results/sweep",
        metavar="DIR",
        help="folder for results.json, sweep.md and sweep.png; runs that its results.json holds "
        "already are not run again (default: results/sweep)",
    )
    _add_engine(sweep)
    sweep.set_defaults(command=_sweep, parser=sweep)


def _reproduce(options: argparse.Namespace) -> None:
    _quiet()
    from avalanche_hsf.experiments.commands.reproduce import (
        reproduce,
        tables,
        verdict,
        write_figures,
    )

    results = _results_file(options)
    with _engine(options) as engine:
        runs = reproduce(results, seeds=options.seeds, epochs=options.epochs, engine=engine)
    if not runs:
        options.parser.exit(1, "no run was finished\n")
    made = tables(runs)
    said = verdict(runs)
    summary = results.folder / "summary.md"
    paragraphs = [table.markdown() for table in made] + ["\n".join(f"- {line}" for line in said)]
    summary.write_text("\n\n".join(paragraphs) + "\n")
    figures = write_figures(results, runs)
    print("\n\n".join(["", *(table.text() for table in made), "\n".join(said), ""]))
    print("written:", ", ".join([str(results.path), str(summary), *figures]))


def _compare(options: argparse.Namespace) -> None:
    _quiet()
    from avalanche_hsf.experiments import BENCHMARKS
    from avalanche_hsf.experiments.commands.compare import check_fit, compare, expand
    from avalanche_hsf.experiments.commands.compare_report import NOTES, frontier, tables, write_csv

    _check_benchmark(options)
    of_networks = BENCHMARKS[options.benchmark].main is not None
    default = ["hn-isolated", "networks"] if of_networks else ["hsf-isolated", "presets", "peers"]
    try:
        strategies = expand(options.strategies or default)
        check_fit(options.benchmark, strategies)
    except ValueError as error:
        options.parser.error(str(error))
    if options.tuning_seed in options.seeds:
        options.parser.error(
            f"--tuning-seed {options.tuning_seed} is among --seeds: what is reported must be "
            "measured with others"
        )
    results = _results_file(options)
    with _engine(options) as engine:
        runs = compare(
            results,
            options.benchmark,
            strategies,
            seeds=options.seeds,
            engine=engine,
            epochs=options.epochs,
            tuning_seed=options.tuning_seed,
        )
    if not runs:
        options.parser.exit(1, "no run was finished\n")
    made = tables(runs)
    written = [
        results.folder / name for name in ("comparison.md", "comparison.csv", "frontier.png")
    ]
    notes = "\n".join(f"- {note}" for note in NOTES)
    written[0].write_text("\n\n".join([*(table.markdown() for table in made), notes]) + "\n")
    write_csv(written[1], runs)
    frontier(runs).savefig(written[2], dpi=150)
    print("\n\n".join(["", *(table.text() for table in made), notes, ""]))
    print("written:", ", ".join(str(path) for path in [results.path, *written]))


def _diagnose(options: argparse.Namespace) -> None:
    _quiet()
    from avalanche_hsf.experiments.commands.compare import check_fit
    from avalanche_hsf.experiments.commands.diagnose import (
        diagnose,
        tables,
        write_figures,
        write_tables,
    )
    from avalanche_hsf.training.hyperparameters import check_values

    varied = dict(options.set or ())
    _check_benchmark(options)
    try:
        check_values(options.preset, varied)
        check_fit(options.benchmark, [f"hsf-{options.preset}"])
    except (ValueError, TypeError) as error:
        options.parser.error(str(error))
    results = _results_file(options)
    learners = [
        (f"hsf-{options.preset}", {"varied": varied} if varied else {}),
        ("mlp-paper", {}),
    ]
    with _engine(options) as engine:
        runs = diagnose(
            results,
            learners,
            benchmark=options.benchmark,
            seeds=options.seeds,
            epochs=options.epochs,
            engine=engine,
        )
    if not runs:
        options.parser.exit(1, "no run was finished\n")
    written = [*write_tables(results, runs), *write_figures(results, runs)]
    print("\n\n".join(["", *(table.text() for table in tables(runs)), ""]))
    print("written:", ", ".join([str(results.path), *written]))


def _sweep(options: argparse.Namespace) -> None:
    _quiet()
    from avalanche_hsf.experiments.commands.compare import check_fit
    from avalanche_hsf.experiments.commands.sweep import (
        everything,
        figure,
        sweep,
        table,
        variations,
    )
    from avalanche_hsf.training import get_preset
    from avalanche_hsf.training.hyperparameters import check_values

    _check_benchmark(options)
    try:
        get_preset(options.preset)
        check_fit(options.benchmark, [f"hsf-{options.preset}"])
        vary = dict(options.vary or everything(options.preset))
        chosen = variations(
            options.preset, vary, benchmark=options.benchmark, epochs=options.epochs
        )
        for each in chosen:
            check_values(options.preset, each.varied)
    except (ValueError, TypeError) as error:
        options.parser.error(str(error))
    results = _results_file(options)
    with _engine(options) as engine:
        by_label = sweep(
            results,
            options.preset,
            chosen,
            benchmark=options.benchmark,
            seeds=options.seeds,
            engine=engine,
        )
    if not by_label:
        options.parser.exit(1, "no run was finished\n")
    made = table(options.preset, by_label)
    written = [results.folder / name for name in ("sweep.md", "sweep.png")]
    written[0].write_text(made.markdown() + "\n")
    figure(options.preset, by_label).savefig(written[1], dpi=130)
    print("\n\n".join(["", made.text(), ""]))
    print("written:", ", ".join(str(path) for path in [results.path, *written]))


def _quiet() -> None:
    # Avalanche warns that no QP solver is installed, which only GEM would need, of strategies
    # without loggers, as those made to see whether a preset takes some values, and of calls
    # between its own parts that it means to rename.
    warnings.filterwarnings("ignore", message="no QP solver found|No loggers specified")
    warnings.filterwarnings("ignore", category=DeprecationWarning, module="avalanche")
    import torch

    # Matrices this small only lose time to a second thread.
    torch.set_num_threads(1)


def _check_benchmark(options: argparse.Namespace) -> None:
    from avalanche_hsf.experiments import BENCHMARKS

    if options.benchmark not in BENCHMARKS:
        there_are = ", ".join(BENCHMARKS)
        options.parser.error(f"there is no benchmark {options.benchmark!r}; there are {there_are}")


def _results_file(options: argparse.Namespace) -> ResultsFile:
    from avalanche_hsf.experiments import ResultsFile

    parser: _Parser = options.parser
    try:
        return ResultsFile(options.out, fresh=options.fresh)
    except OSError as error:
        parser.error(f"cannot write to --out {options.out}: {error.strerror or error}")
    except ValueError as error:
        parser.error(str(error))


@contextmanager
def _engine(options: argparse.Namespace) -> Iterator[Engine]:
    """What makes the runs; a cluster that does not answer ends with one line."""
    from avalanche_hsf.experiments.runs.engines import make_engine

    try:
        yield make_engine(options.jobs, options.scheduler)
    except (ImportError, OSError) as error:
        if options.scheduler is None:
            raise
        options.parser.error(f"--scheduler {options.scheduler}: {error}")


def _positive(text: str) -> int:
    number = _integer(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


def _varied(text: str) -> tuple[str, list[float]]:
    name, given, values = text.partition("=")
    try:
        return name, [float(word) for word in values.split(",")] if given else []
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be NAME or NAME=A,B,... with numbers, got {text!r}"
        ) from None


def _assignment(text: str) -> tuple[str, float]:
    name, values = _varied(text)
    if len(values) != 1:
        raise argparse.ArgumentTypeError(f"must be NAME=VALUE with a number, got {text!r}")
    from avalanche_hsf.training.hyperparameters import INTEGERS

    return name, int(values[0]) if name in INTEGERS else values[0]


def _seeds(text: str) -> list[int]:
    seeds = [_integer(word) for word in text.split(",")]
    for seed in seeds:
        if not 0 <= seed < 2**32:
            raise argparse.ArgumentTypeError(f"a seed must be from 0 to 2^32 - 1, got {seed}")
    if len(set(seeds)) < len(seeds):
        raise argparse.ArgumentTypeError(f"a seed is given twice in {text!r}")
    return seeds


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be an integer, got {text!r}") from None


if __name__ == "__main__":
    sys.exit(main())

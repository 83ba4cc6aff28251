"""The command `avalanche-hsf`."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from avalanche_hsf import __version__, options
from avalanche_hsf.addresses import check_address
from avalanche_hsf.extras import MissingExtraError
from avalanche_hsf.terminal import Ended, signals_end, streams_survive

COMMANDS = {
    "reproduce": (
        options.reproduce,
        "results",
        "run the paper's experiment and print its tables beside the published ones",
        "Runs the paper's experiment: five synthetic tasks, the MLP autoencoder under Avalanche's "
        "Naive and the Hypernet-SDE-Flow under HSFStrategy.",
    ),
    "compare": (
        options.compare,
        "results",
        "run our presets beside Avalanche's strategies, or yours, tuned alike: one table",
        "Runs learners on one stream, each for the same number of epochs per task. Optimizer, "
        "learning rate and strength are searched on a seed of its own; the hsf-* run as their "
        "presets say.",
    ),
    "diagnose": (
        options.diagnose,
        "results/diagnosis",
        "say which part of a preset, or of any learner, forgot",
        "Runs a preset and the paper's MLP on a stream and attributes what was forgotten to their "
        "components; how they drifted, what the loss terms did, and how sharp the minima are. Or a "
        "learner of compare, or your own function that trains: the page of ForensicsPlugin.",
    ),
    "sweep": (
        options.sweep,
        "results/sweep",
        "change a preset's loss terms and hyperparameters, one at a time",
        "Runs a preset as it is and with one thing changed at a time: the paper's debugging "
        "experiments and its hyperparameters.",
    ),
}
"""By name: what adds its options, its default --out, help and description."""


class _Parser(argparse.ArgumentParser):
    """Bad input ends with one line and exit code 2 instead of a page of usage."""

    def error(self, message: str) -> NoReturn:
        message = " ".join(message.split())
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        arguments: Command-line words; default: those of the process.

    Returns:
        0; 1 if a run failed or diverged, or something could not be written. Bad input exits with
        2 and one line on standard error; a signal ends with 128 and its number, and one line.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    with streams_survive() as out:
        try:
            with signals_end():
                code = _carry_out(words)
        except KeyboardInterrupt as ended:
            print("\nstopped; finished runs are kept, the same command goes on", file=sys.stderr)
            code = ended.exit_code if isinstance(ended, Ended) else 130
        out.flush()
        if out.failure is not None:
            print(f"cannot write to standard output: {out.failure.strerror}", file=sys.stderr)
            code = code or 1
        return code


def _carry_out(words: list[str]) -> int:
    parser, commands = _parsers()
    try:
        chosen = parser.parse_args(_with_config(words, commands))
        chosen.words = words
        chosen.typed = shlex.join(["avalanche-hsf", *words])
        return int(chosen.carry_out(chosen))
    except MissingExtraError as error:
        parser.error(str(error))


def _parsers() -> tuple[_Parser, dict[str, _Parser]]:
    parser = _Parser(
        prog="avalanche-hsf",
        description="Hypernet-SDE-Flow for Avalanche: reproduce a published failure to remember.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(
        title="commands", required=True, metavar="COMMAND", dest="command"
    )
    parsers: dict[str, _Parser] = {}
    for name, (add_options, out, help, description) in COMMANDS.items():
        command = commands.add_parser(name, help=help, description=description, allow_abbrev=False)
        add_options(command)
        options.engine(command, out)
        command.set_defaults(parser=command, carry_out=_run)
        parsers[name] = command
    names = commands.add_parser("list", help="list every benchmark, learner, preset and metric")
    names.add_argument("kind", nargs="?", help="benchmarks, learners, groups, presets or metrics")
    names.set_defaults(parser=names, carry_out=_list)
    two = commands.add_parser(
        "blame",
        help="say which part of a model forgot, from two checkpoints and old samples",
        description="Attributes what was forgotten between two checkpoints of any torch model to "
        "its parts, and writes one HTML page. How it was trained does not matter.",
        allow_abbrev=False,
    )
    options.blame(two)
    two.set_defaults(parser=two, carry_out=_blame)
    parsers["diagnose"].set_defaults(carry_out=_diagnose)
    return parser, parsers


def _with_config(words: list[str], commands: dict[str, _Parser]) -> list[str]:
    """The words with those of the file that --config names put before them."""
    if not words or words[0] not in commands:
        return words
    name, *given = words
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--config")
    path = finder.parse_known_args(given)[0].config
    if path is None:
        return words
    from avalanche_hsf.experiments.commands.config import words_of

    try:
        return [name, *words_of(path, name, commands[name], given), *given]
    except ValueError as error:
        commands[name].error(str(error))


def _blame(chosen: argparse.Namespace) -> int:
    from avalanche_hsf.forensics.command import blame_checkpoints

    return _try(blame_checkpoints, chosen)


def _diagnose(chosen: argparse.Namespace) -> int:
    """A preset, or the user's own function that trains."""
    if chosen.run is None:
        return _run(chosen)
    with _refusals(chosen):
        check_address(chosen.run)
    given = {word.partition("=")[0] for word in chosen.words if word.startswith("--")}
    if ignored := sorted(given - {"--out", "--config"}):
        chosen.parser.error(f"{', '.join(ignored)} would be ignored with {chosen.run}")
    _quiet()
    from avalanche_hsf.forensics.command import diagnose_function

    return _try(diagnose_function, chosen)


def _try(command: Callable[[argparse.Namespace], None], chosen: argparse.Namespace) -> int:
    with _refusals(chosen):
        command(chosen)
    return 0


@contextmanager
def _refusals(chosen: argparse.Namespace) -> Iterator[None]:
    """Bad input ends the command."""
    try:
        yield
    except (OSError, TypeError, ValueError) as error:
        chosen.parser.error(str(error))


@contextmanager
def _refusals_of_out(chosen: argparse.Namespace) -> Iterator[None]:
    """A folder that cannot be written ends the command."""
    with _refusals(chosen):
        try:
            yield
        except OSError as error:
            why = error.strerror or error
            raise ValueError(f"cannot write to --out {chosen.out}: {why}") from error


def _run(chosen: argparse.Namespace) -> int:
    from avalanche_hsf.benchmarks.files import data_at
    from avalanche_hsf.experiments.commands.beforehand import check_words
    from avalanche_hsf.experiments.runs.place import check_place

    with data_at(getattr(chosen, "data_root", None)):  # processes that are started inherit it
        with _refusals(chosen):
            check_words(chosen)
        with _refusals_of_out(chosen):
            check_place(Path(chosen.out))
        _quiet()
        return _make(chosen)


def _make(chosen: argparse.Namespace) -> int:
    from avalanche_hsf.experiments import ResultsFile
    from avalanche_hsf.experiments.commands.config import resolved
    from avalanche_hsf.experiments.runs.engines import make_engine
    from avalanche_hsf.experiments.runs.files import download
    from avalanche_hsf.report import circumstances

    started = time.monotonic()
    command: Any = import_module(f"avalanche_hsf.experiments.commands.{chosen.command}")
    with _refusals(chosen):
        if getattr(chosen, "download", False):
            download(chosen.benchmark)
        checked = command.check(chosen)
    with _refusals_of_out(chosen):
        results = ResultsFile(
            chosen.out, fresh=chosen.fresh, checkpoint_every=chosen.checkpoint_every
        )
    try:
        with make_engine(chosen.jobs, chosen.scheduler) as engine:
            report = command.report(checked, results, engine)
    except (ImportError, OSError, RuntimeError) as error:
        if chosen.scheduler is None and chosen.jobs == 1:
            raise
        results.close()
        where = f"--scheduler {chosen.scheduler}" if chosen.scheduler else f"--jobs {chosen.jobs}"
        chosen.parser.error(f"{where}: {error}")
    except KeyboardInterrupt:
        results.close()
        raise
    if report is None:
        results.close()
        chosen.parser.exit(1, "no run was finished\n")
    options_file = resolved(chosen.command, chosen)
    about = circumstances(
        command=chosen.typed,
        configuration=options_file,
        seeds=chosen.seeds,
        seconds=time.monotonic() - started,
    )
    contents = replace(report, about=about).contents()
    contents[f"{chosen.command}.toml"] = options_file.encode()
    places = [results.write_beside(name, content) for name, content in contents.items()]
    written = [place for place in (results.close(), *places) if place is not None]
    print(f"\n{report.text()}\n")
    print("written:", ", ".join(map(str, written)))
    if report.lacks:
        print(f"the tables are incomplete: {report.lacks}", file=sys.stderr)
    return 1 if report.lacks or results.is_misplaced else 0


def _list(chosen: argparse.Namespace) -> int:
    from avalanche_hsf.experiments.commands.list import text

    with _refusals(chosen):
        print(text(chosen.kind))
    return 0


def _quiet() -> None:
    warnings.filterwarnings("ignore", message="no QP solver found")  # only GEM needs one
    from avalanche_hsf.experiments.runs.run import silence_avalanche

    silence_avalanche()
    import torch

    # Matrices this small only lose time to a second thread.
    torch.set_num_threads(1)


if __name__ == "__main__":
    sys.exit(main())

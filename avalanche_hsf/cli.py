"""The command `avalanche-hsf`."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

from avalanche_hsf import __version__


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
        print("\nstopped; the runs that were finished are in the results file", file=sys.stderr)
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
    reproduce.add_argument(
        "--fresh", action="store_true", help="run everything anew and replace results.json"
    )
    reproduce.set_defaults(command=_reproduce, parser=reproduce)
    return parser


def _reproduce(options: argparse.Namespace) -> None:
    # Importing Avalanche warns that no QP solver is installed; only GEM would need one.
    warnings.filterwarnings("ignore", message="no QP solver found")
    import torch

    from avalanche_hsf.experiments import ResultsFile
    from avalanche_hsf.experiments.reproduce import reproduce, tables, verdict, write_figures

    try:
        results = ResultsFile(options.out, fresh=options.fresh)
    except OSError as error:
        options.parser.error(f"cannot write to --out {options.out}: {error.strerror or error}")
    except ValueError as error:
        options.parser.error(str(error))
    # Matrices this small only lose time to a second thread.
    torch.set_num_threads(1)
    runs = reproduce(results, seeds=options.seeds, epochs=options.epochs)
    made = tables(runs)
    said = verdict(runs)
    summary = results.folder / "summary.md"
    paragraphs = [table.markdown() for table in made] + ["\n".join(f"- {line}" for line in said)]
    summary.write_text("\n\n".join(paragraphs) + "\n")
    figures = write_figures(results, runs)
    print("\n\n".join(["", *(table.text() for table in made), "\n".join(said), ""]))
    print("written:", ", ".join([str(results.path), str(summary), *figures]))


def _positive(text: str) -> int:
    number = _integer(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


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

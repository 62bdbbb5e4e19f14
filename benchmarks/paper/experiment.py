"""What an experiment of the papers is, and how one is run: options in, a result file and a figure out."""

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import torch
from matplotlib.figure import Figure

from benchmarks.paper.plots import write
from deis.files import output_folder
from deis.study.record import versions, write_json
from deis.text import columns

RESULTS: Final = Path(__file__).parent / "results"

Found = Mapping[str, Any]
"""What was measured, as JSON holds it."""

Table = Sequence[Sequence[str]]
"""Rows of cells, the first of them the head."""


@attrs.frozen
class Experiment:
    """One figure or table of a paper.

    :param about: what is measured, in words.
    :param options: everything that the numbers depend on.
    :param quick: options that differ in a run of seconds, which shows that the script works and nothing else.
    :param measure: the numbers, from the options.
    :param figure: how they look.
    :param tables: how they read, by name; the pages of the documentation hold these tables.
    """

    about: str
    options: Mapping[str, Any]
    quick: Mapping[str, Any]
    measure: Callable[..., dict[str, Any]]
    figure: Callable[[Found], Figure]
    tables: Callable[[Found], Mapping[str, Table]]


def main(experiment: Experiment, script: str) -> None:
    """Run an experiment from the command line: ``script`` is the path of its file, which names the results."""
    name = Path(script).stem
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.paper.{name}",
        description=experiment.about,
        epilog=f"example: python -m benchmarks.paper.{name} --quick --outdir try",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    chosen = parsed(parser)
    run(experiment, name, chosen.outdir, quick=chosen.quick)


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse the command line, with the options that every script takes."""
    parser.add_argument("--outdir", type=Path, default=RESULTS, help="folder for results and figures")
    parser.add_argument("--quick", action="store_true", help="a few samples only, to see that it works")
    chosen = parser.parse_args()
    if chosen.quick and chosen.outdir.resolve() == RESULTS:
        parser.error("a quick run does not replace the results of a whole one; name another folder by --outdir")
    return chosen


def run(experiment: Experiment, name: str, outdir: Path, *, quick: bool = False) -> None:
    """Measure, write ``name``.json and ``name``.png, and print the tables."""
    output_folder(outdir, [f"{name}.json", f"{name}.png"], force=True)
    torch.set_num_threads(1)
    options = {**experiment.options, **(experiment.quick if quick else {})}
    began = time.process_time()  # one thread: the same on a busy machine
    found = experiment.measure(**options)
    seconds = round(time.process_time() - began, 1)
    found = json.loads(json.dumps(found))  # figures and tables see what a later reader of the file sees
    write(outdir / f"{name}.png", experiment.figure(found))
    record = {
        "experiment": name,
        "quick": quick,
        "options": options,
        "versions": versions(),
        "processor_seconds": seconds,
    }
    write_json(outdir / f"{name}.json", {**record, "found": found})
    for title, table in experiment.tables(found).items():
        print(f"\n{title}\n" + "\n".join(columns(table, "l" + "r" * (len(table[0]) - 1))))

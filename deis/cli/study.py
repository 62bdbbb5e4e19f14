"""``deis study``: many cells at once, from a file."""

from importlib import resources
from pathlib import Path
from typing import Final

import click

from deis.cli.options import Folder
from deis.cli.study_report import report
from deis.errors import OutputError
from deis.files import write_text
from deis.study.outcomes import Outcomes, read_outcomes
from deis.study.ranking import leaders, merit
from deis.study.runner import run as run_study
from deis.study.tables import heading

_DEFAULT: Final = resources.files("deis.study").joinpath("data", "default.toml")


@click.command(epilog="\b\nExample:\n  deis study run study.toml --outdir results --jobs 2")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@click.option(
    "--outdir",
    type=Folder(file_okay=False, path_type=Path),
    default="deis-results/study",
    show_default=True,
    help="Taken up again where it holds this study.",
)
@click.option("--jobs", type=click.IntRange(1, 1024), default=1, show_default=True, help="Processes.")
@click.option("--force", is_flag=True, help="Remove the results in the folder first.")
def run(file: Path | None, outdir: Path, jobs: int, force: bool) -> None:
    """Run the study in FILE, or the default study.

    Every cell (model, integrator, grid, budget) is written when it is finished. After an interruption the same command
    computes what is missing. Results do not depend on the number of processes.
    """
    with resources.as_file(_DEFAULT) as default:
        run_study(file or default, outdir, jobs=jobs, force=force, say=click.echo)
    lines = _best(read_outcomes(outdir))
    click.echo("\n".join([f"Results: {outdir}", *lines, f"Report: deis study report {outdir}"]))


@click.command(epilog="\b\nExample:\n  deis study init study.toml")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), default="study.toml")
@click.option("--force", is_flag=True, help="Replace a file that exists.")
def init(file: Path, force: bool) -> None:
    """Write the default study to FILE (study.toml), with comments on every key."""
    if file.exists() and not force:
        raise OutputError(f"{file} exists already; choose another name, or use --force")
    write_text(file, _DEFAULT.read_text(encoding="utf-8"))
    click.echo(f"Study: {file}\nRun it: deis study run {file}")


@click.group(commands=[init, run, report], epilog="\b\nExample:\n  deis study init && deis study run study.toml")
def study() -> None:
    """Run many integrators on many models and problems, and report on them."""


def _best(outcomes: Outcomes) -> list[str]:
    """A line for each target and budget."""
    lines = []
    for target in outcomes.targets:
        cells = outcomes.of(target)
        metric = merit(cells)
        if metric is None:
            lines.append(f"Nothing could be measured on {target}; the cells say why.")
            continue
        lines.append(f"{heading(metric)} on {target}, the best of each budget:")
        for budget, leader in leaders(cells, metric).items():
            best = leader.best
            where = f"{best.cell.label} on {best.cell.grid}"
            lines.append(f"  {budget:>4} calls: {where}, {best.metrics[metric].value:.3g}")
    return lines

"""``deis study report``: the page, CSV and LaTeX of a study."""

from pathlib import Path

import click

from deis.cli.options import Folder, usage
from deis.study import report as write_report


@click.command(epilog="\b\nExample:\n  deis study report deis-results/study")
@click.argument("folder", metavar="DIR", type=Folder(file_okay=False, path_type=Path))
def report(folder: Path) -> None:
    """Write the report of the study in DIR.

    Makes report.html, one page that needs no network and no other file, results.csv and results.tex from what
    deis study run has finished so far; older reports are replaced. The study may still be running.
    """
    with usage():
        page = write_report(folder)
    click.echo(f"Report: {page}\nTables: {page.with_name('results.csv')}, {page.with_name('results.tex')}")

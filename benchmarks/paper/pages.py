"""Draw the figures and write the tables of the documentation's pages again, from the result files.

    python -m benchmarks.paper.pages

A page holds a table between ``<!-- table NAME -->`` and ``<!-- end -->``; what stands between them is replaced.
"""

import importlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.paper.__main__ import ROOT, SCRIPTS
from benchmarks.paper.experiment import RESULTS, Experiment
from benchmarks.paper.plots import write
from benchmarks.paper.tables import markdown
from deis.files import write_text

PAGES: Final = ROOT / "docs" / "experiments"
TABLE: Final = re.compile(r"(<!-- table (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def page(script: str) -> Path:
    """The page of a script."""
    return PAGES / f"{script.replace('_', '-')}.md"


def record(script: str) -> Mapping[str, Any]:
    """The committed results of a script."""
    found: Mapping[str, Any] = json.loads((RESULTS / f"{script}.json").read_text())
    return found


def experiment(script: str) -> Experiment:
    """The experiment that a script holds."""
    found: Experiment = importlib.import_module(f"benchmarks.paper.{script}").EXPERIMENT
    return found


def filled(script: str) -> str:
    """The text of a script's page, with its tables from the result file."""
    tables = experiment(script).tables(record(script)["found"])
    return TABLE.sub(lambda match: match[1] + markdown(tables[match[2]]) + "\n" + match[3], page(script).read_text())


def main() -> None:
    """Draw all figures and write all pages."""
    for script in SCRIPTS:
        write(RESULTS / f"{script}.png", experiment(script).figure(record(script)["found"]))
        write_text(page(script), filled(script))


if __name__ == "__main__":
    main()

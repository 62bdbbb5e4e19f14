"""The directive ``results-table``: committed results of ``deis compare``, the best of each budget in bold."""

import json
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from tables import table

MEASURES = ("geometric_rmse", "rmse", "frechet", "seconds")


def cells(results: list[dict[str, Any]], measure: str) -> tuple[list[int], dict[str, list[str]]]:
    """The budgets, and for each integrator one cell a budget; a cell names the calls made where they are fewer."""
    budgets = sorted({row["budget"] for row in results})
    found = {(row["integrator"], row["budget"]): row for row in results}
    least = {
        budget: min(row[measure] for row in results if row["budget"] == budget and row[measure] is not None)
        for budget in budgets
    }

    def cell(name: str, budget: int) -> str:
        row = found.get((name, budget))
        if row is None or row[measure] is None:
            return "-"
        text = f"{row[measure]:.2g}"
        text = f"**{text}**" if row[measure] == least[budget] else text
        return text if row["nfe"] == budget else f"{text} ({row['nfe']})"

    names = dict.fromkeys(row["integrator"] for row in results)
    return budgets, {name: [cell(name, budget) for budget in budgets] for name in names}


class ResultsTable(SphinxDirective):
    """``{results-table} path/of/compare.json``, with ``:measure:`` one of the fields of a result."""

    required_arguments = 1
    option_spec: ClassVar = {"measure": lambda text: directives.choice(text, MEASURES)}

    def run(self) -> list[nodes.Node]:
        _, path = self.env.relfn2path(self.arguments[0])
        self.env.note_dependency(path)
        results = json.loads(Path(path).read_text())["results"]
        budgets, rows = cells(results, self.options.get("measure", "geometric_rmse"))
        head = ["integrator", *(f"{budget} calls" for budget in budgets)]
        return [table(self, head, [[f"``{name}``", *row] for name, row in rows.items()])]


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_directive("results-table", ResultsTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

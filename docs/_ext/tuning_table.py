"""The directive ``tuning-table``: committed results of ``benchmarks.tuning.measure``, all models of a folder."""

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from tables import table
from tuning_rows import HEAD, rows


class TuningTable(SphinxDirective):
    """``{tuning-table} path/of/folder``; files that hold something else are passed over."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        _, folder = self.env.relfn2path(self.arguments[0])
        found: list[list[str]] = []
        for path in sorted(Path(folder).glob("*.json")):
            self.env.note_dependency(str(path))
            content = json.loads(path.read_text())
            found += rows(content) if "budgets" in content else []
        whole = table(self, HEAD, found)
        whole["classes"][-1] = "numbers"  # whose first column is narrow
        return [whole]


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_directive("tuning-table", TuningTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

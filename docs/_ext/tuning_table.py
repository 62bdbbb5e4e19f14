"""The directive ``tuning-table``: committed results of ``benchmarks.tuning.measure``, a heading for each model."""

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from tables import table
from tuning_rows import HEAD, rows


class TuningTable(SphinxDirective):
    """``{tuning-table} path/of/model.json path/of/other.json``."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        found: list[list[str]] = []
        for name in self.arguments[0].split():
            _, path = self.env.relfn2path(name)
            self.env.note_dependency(path)
            found += rows(json.loads(Path(path).read_text()))
        return [table(self, HEAD, found)]


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_directive("tuning-table", TuningTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

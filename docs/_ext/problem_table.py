"""The directive ``problem-table``: every registered problem, from the registry."""

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from tables import table

from deis import PROBLEMS, DiagonalODE, Problem

HEAD = ("name", "equation", "L", "state", "reference", "take", "kept")


def linear_part(problem: Problem) -> str:
    """What the linear part is, in a word or two."""
    ode = problem.ode
    matrix = getattr(ode, "matrix", None)
    kind = "diagonal" if isinstance(ode, DiagonalODE) else "dense"
    if matrix is None or matrix.dim() == 0:
        kind = "number"
    if matrix is None or not matrix.is_complex():
        return kind
    return f"{kind}, imaginary" if not matrix.real.any() else f"{kind}, complex"


def cells(name: str) -> list[str]:
    """The row of one problem."""
    problem = PROBLEMS.create(name)
    shape = " x ".join(map(str, problem.initial.shape)) or "number"
    exact = problem.exact(problem.ode.domain[0]) is not None
    take, converged = problem.recommended, problem.converged
    return [
        f"{{py:obj}}`{name} <deis.{type(problem).__name__}>`",
        PROBLEMS[name].summary(),
        linear_part(problem),
        shape,
        "exact" if exact else f"`{converged.integrator}`, {converged.intervals} steps",
        f"`{take.integrator}`, {take.intervals}" + ("" if take.grid == "t" else f" on `{take.grid}`"),
        ", ".join(problem.invariants) or "-",
    ]


class ProblemTable(SphinxDirective):
    """``{problem-table}``."""

    def run(self) -> list[nodes.Node]:
        whole = table(self, HEAD, [cells(name) for name in sorted(PROBLEMS)])
        whole["classes"].remove("generated")  # whose lines do not break
        return [whole]


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_directive("problem-table", ProblemTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

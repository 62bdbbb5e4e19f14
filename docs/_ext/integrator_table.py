"""The directive ``integrator-table``: every registered integrator, with what was measured when the page was built."""

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from docutils import nodes
from measurements import CALLS, error_constant, history, sampling_error
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from tables import table

from deis import INTEGRATORS

HEAD = ("name", "order", "NFE per step", "history", "noise", "constant", "two modes")
_NONE = "-"


def cells(text: str) -> list[str]:
    """The row of the integrator that ``text`` describes."""
    integrator = INTEGRATORS.create(text)
    constant, sampled, kept = error_constant(integrator), sampling_error(integrator), history(integrator)
    return [
        f"{{py:obj}}`{text} <deis.{type(integrator).__name__}>`",
        str(integrator.order),
        str(integrator.evaluations_per_step),
        _NONE if kept is None else str(kept),
        "yes" if integrator.stochastic else "no",
        _NONE if constant is None else f"{constant:.2g}",
        _NONE if sampled is None else f"{sampled[0]:.2g}" + ("" if sampled[1] == CALLS else f" ({sampled[1]})"),
    ]


def ordered() -> list[str]:
    """The registered names, those of one class side by side."""
    classes = list(dict.fromkeys(INTEGRATORS[name].cls for name in INTEGRATORS))
    return sorted(INTEGRATORS, key=lambda name: (classes.index(INTEGRATORS[name].cls), name))


def linked(source: str) -> str:
    """A source with links to its papers."""
    return re.sub(r"arXiv (\d{4}\.\d{4,5})", r"[arXiv \1](https://arxiv.org/abs/\1)", source)


def rows(texts: Iterable[str]) -> Iterator[list[str]]:
    """A heading for each class, with its source, and a row for each integrator."""
    for cls, members in groupby(texts, key=lambda text: type(INTEGRATORS.create(text))):
        yield [f"{{py:obj}}`~deis.{cls.__name__}`: {linked(getattr(cls, 'source', ''))}"]
        yield from map(cells, members)


class IntegratorTable(SphinxDirective):
    """``{integrator-table}``; lines of content are further integrators, written as on the command line."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        further = [line for line in self.content if line.strip()]
        return [table(self, HEAD, list(rows([*ordered(), *further])))]


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_directive("integrator-table", IntegratorTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

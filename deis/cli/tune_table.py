"""The table of ``deis tune``."""

from typing import Final

from deis.study.tune_record import Row, TunedBudget
from deis.text import columns

_BEST: Final = 8  # rows that are shown
_WIDTH: Final = 30  # of titles and grids


def table(budget: TunedBudget) -> list[str]:
    """The best samplers on the held-out samples, the plan with a star."""
    shown = [row for n, row in enumerate(budget.rows) if n < _BEST or row in (budget.row, budget.best)]
    frechet = any(row.frechet for row in shown)
    head = ["", "role", "sampler", "grid", "NFE", "error (95 %)", "to best published"]
    rows = [["*" if row is budget.row else "", *_cells(row, frechet)] for row in shown]
    return columns([[*head, *(["Frechet"] if frechet else [])], *rows], "llllrrrr"[: len(rows[0])])


def _cells(row: Row, frechet: bool) -> list[str]:
    cells = [row.role, _short(row.title), _short(row.grid), str(row.nfe), str(row.error), str(row.to_best)]
    return [*cells, *([f"{row.frechet.value:.3g}" if row.frechet else "-"] if frechet else [])]


def _short(text: str) -> str:
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"

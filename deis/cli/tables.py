"""What the tables of ``deis compare`` share."""

import csv
import io
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import attrs

from deis.files import write_text
from deis.text import columns, listed


def write_csv(path: Path, rows: Sequence[Any]) -> None:
    """Write values of one attrs class as CSV, a row each."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in attrs.fields(type(rows[0]))], lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(attrs.asdict, rows))
    write_text(path, text.getvalue())


def blocks(rows: Sequence[Sequence[str]], right: str, budgets: Sequence[int | None]) -> list[str]:
    """Lines of a table, a block a budget; the first row is the head, and those beyond the budgets end it."""
    lines = columns(rows, right)
    ends = [n for n in range(1, len(budgets)) if budgets[n] != budgets[n - 1]]
    for end in [len(budgets), *reversed(ends), 0]:
        lines.insert(end + 1, "")
    return lines


def cell(value: float | None) -> str:
    """A measured number."""
    return "-" if value is None else f"{value:#.3g}"


def wins(leading: Mapping[int, str]) -> str:
    """Which integrator is best at each budget.

    >>> wins({5: "a", 10: "a", 20: "b"})
    'a at NFE 5 and 10; b at NFE 20'
    """
    groups = groupby(leading, key=lambda budget: leading[budget])
    return "; ".join(f"{name} at NFE {listed([str(budget) for budget in budgets])}" for name, budgets in groups)

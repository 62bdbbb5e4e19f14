"""How numbers read in tables."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.paper.experiment import Table
from deis.text import number


def by_budget(
    rows: Sequence[Mapping[str, Any]], value: str, names: Sequence[str] = ("integrator",), head: Sequence[str] = ()
) -> Table:
    """A row a method, a column a budget, the least of each budget in bold.

    Where an error is too small to be measured there is a dash, and no least. Fewer calls than the budget stand in
    parentheses.

    :param names: what tells the rows apart.
    :param head: what ``names`` are called; themselves, if nothing.
    """
    budgets = sorted({row["budget"] for row in rows})
    columns = {budget: [row[value] for row in rows if row["budget"] == budget] for budget in budgets}
    least = {budget: None if None in values else min(values) for budget, values in columns.items()}
    found = {(*(row[name] for name in names), row["budget"]): row for row in rows}

    def cell(row: Mapping[str, Any] | None) -> str:
        if row is None or row[value] is None:
            return "-"
        text = number(row[value])
        text = f"**{text}**" if row[value] == least[row["budget"]] else text
        return text if row["nfe"] == row["budget"] else f"{text} ({row['nfe']})"

    keys = dict.fromkeys(tuple(row[name] for name in names) for row in rows)
    title = [*(head or names), *(f"{budget} calls" for budget in budgets)]
    return [title, *([*key, *(cell(found.get((*key, budget))) for budget in budgets)] for key in keys)]


def plus_minus(of: Mapping[str, Any]) -> str:
    """Mean and standard deviation."""
    return f"{number(of['mean'])} ± {number(of['deviation'], 1)}"


def markdown(table: Table) -> str:
    """A table in Markdown.

    >>> print(markdown([["a", "b"], ["x", "1"]]))
    | a | b |
    |---|---|
    | x | 1 |
    """
    head, *rows = table
    return "\n".join([_line(head), "|" + "---|" * len(head), *map(_line, rows)])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"

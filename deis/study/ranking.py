"""Which cell of each budget is the best, and which cannot be told from it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import attrs

from deis.study.outcomes import Outcome

_HIGHER: Final = frozenset({"precision", "recall", "density", "coverage"})  # more is better
_MERITS: Final = ("error", "error_rms", "error_max", "rmse", "frechet")


@attrs.frozen
class Leader:
    """The best cell of a budget, and those whose 95 % intervals overlap with its own."""

    best: Outcome
    rivals: tuple[Outcome, ...]


def merit(outcomes: Iterable[Outcome]) -> str | None:
    """The metric by which cells are ranked: an error, else the Frechet distance, else the first that was measured."""
    names = metrics(outcomes)
    return next((name for name in (*_MERITS, *names) if name in names), None)


def metrics(outcomes: Iterable[Outcome]) -> tuple[str, ...]:
    """The metrics that were measured, in the order of the cells."""
    return tuple(dict.fromkeys(name for outcome in outcomes for name in outcome.metrics))


def budgets(outcomes: Iterable[Outcome]) -> tuple[int | None, ...]:
    """The budgets, rising; None, of methods that choose their calls themselves, is the last."""
    given = {outcome.cell.budget for outcome in outcomes}
    return (*sorted(budget for budget in given if budget is not None), *([None] if None in given else []))


def ranked(outcomes: Iterable[Outcome], metric: str) -> list[Outcome]:
    """The cells that have this metric, the best first."""
    sign = -1 if metric in _HIGHER else 1
    measured = [outcome for outcome in outcomes if metric in outcome.metrics]
    return sorted(measured, key=lambda outcome: sign * outcome.metrics[metric].value)


def leaders(outcomes: Sequence[Outcome], metric: str) -> Mapping[int, Leader]:
    """The leader of each budget at which something was measured."""
    found = {}
    for budget in budgets(outcomes):
        order = ranked([outcome for outcome in outcomes if outcome.cell.budget == budget], metric)
        if budget is not None and order:
            first, *others = order
            rivals = [other for other in others if other.metrics[metric].overlaps(first.metrics[metric])]
            found[budget] = Leader(first, tuple(rivals))
    return found


def best_cells(outcomes: Sequence[Outcome]) -> frozenset[tuple[str, str]]:
    """The cell and metric of every value that is the best of its budget; equal values share the honour."""
    best = set()
    for metric in metrics(outcomes):
        for leader in leaders(outcomes, metric).values():
            top = leader.best.metrics[metric].value
            equal = [other for other in leader.rivals if other.metrics[metric].value == top]
            best |= {(outcome.id, metric) for outcome in (leader.best, *equal)}
    return frozenset(best)

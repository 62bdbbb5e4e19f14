"""Drawings of tuned plans, as SVG inside a page."""

import math
from collections.abc import Sequence
from typing import Any, Final

from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from deis.study.figures import CALLS, Curve, Point, svg, work_precision
from deis.study.plots import Plot
from deis.study.tune_record import Row, TunedBudget

TUNED: Final = "tuned plan"
_ERROR: Final = "error per sample"
_FRECHET: Final = "Frechet distance to the digits"
_WIDTH: Final = 4.6  # inches


def published_names(budgets: Sequence[TunedBudget]) -> list[str]:
    """The published samplers that are best at a budget."""
    return list(dict.fromkeys(budget.best.title for budget in budgets))


def curves(budgets: Sequence[TunedBudget]) -> list[Plot]:
    """Error and Frechet distance over network calls: the plans, then the samplers of :func:`published_names`."""
    lines = [[budget.row for budget in budgets]]
    for name in published_names(budgets):
        lines.append([row for budget in budgets for row in budget.published if row.title == name])
    calls = sorted({row.nfe for line in lines for row in line})
    drawn = [_panel([[_error(row) for row in line] for line in lines], _ERROR, calls)]
    if all(budget.row.frechet for budget in budgets):
        level = budgets[0].converged
        points = [[_frechet(row) for row in line] for line in lines]
        drawn.append(_panel(points, _FRECHET, calls, level.value if level else None))
    return drawn


def times(budget: TunedBudget) -> Plot:
    """The grid of the plan beside others, a row each, the start at the left."""
    rows = {TUNED: budget.plan.times, **budget.grids}
    figure = Figure(figsize=(_WIDTH, 0.5 + 0.4 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(rows.values()):
        axes.plot(row, [-place] * len(row), marker="o", linewidth=0.8, color=f"C{place}", markersize=5)
    axes.set_yticks([-place for place in range(len(rows))], list(rows))
    axes.set_ylim(0.6 - len(rows), 0.4)
    if min(map(min, rows.values())) > 0:
        axes.set_xscale("log")
    if budget.plan.times[0] > budget.plan.times[-1]:
        axes.invert_xaxis()
    return _finished(axes, figure, "time, from noise to data", f"Grid of {budget.nfe} network calls")


def history(budget: TunedBudget) -> Plot | None:
    """Errors that are learnt from, and those of the pairs set apart, over iterations; None without learning."""
    if not budget.history:
        return None
    figure = Figure(figsize=(_WIDTH, 2.6), layout="constrained")
    axes = figure.subplots()
    steps, *logs = zip(*budget.history, strict=True)
    for values, name in zip(logs, ("learnt from", "set apart"), strict=True):
        axes.plot(steps, [math.exp(value) for value in values], marker=".", linewidth=1.2, label=name)
    axes.set(yscale="log", ylabel=_ERROR)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.legend(frameon=False, fontsize=8)
    return _finished(axes, figure, "iterations", f"Learning of {budget.nfe} network calls")


def _finished(axes: Any, figure: Figure, xlabel: str, caption: str) -> Plot:
    axes.set_xlabel(xlabel)
    axes.spines[["top", "right"]].set_visible(False)
    return Plot(Markup(svg(figure, caption)), caption, timing=False)


def _panel(
    lines: Sequence[Sequence[Point | None]], what: str, calls: Sequence[int], level: float | None = None
) -> Plot:
    kept = [tuple(point for point in line if point is not None) for line in lines]
    drawn = [Curve(look, points) for look, points in enumerate(kept) if points]
    figure = work_precision(drawn, CALLS, what, level, calls)
    return Plot(Markup(svg(figure, f"tune {what}")), f"{what.capitalize()} against {CALLS}", timing=False)


def _error(row: Row) -> Point | None:
    error = row.error
    return Point(row.nfe, error.value, error.low, error.high) if math.isfinite(error.high) and error.low > 0 else None


def _frechet(row: Row) -> Point | None:
    found = row.frechet
    return Point(row.nfe, found.value, found.low, found.high) if found and found.value > 0 else None

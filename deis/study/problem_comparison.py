"""Integrators compared on a problem, at equal budgets of evaluations."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from matplotlib.figure import Figure

from deis.analysis import Reference, WorkPoint, work_precision
from deis.errors import CapabilityError
from deis.grids import GridFamily
from deis.integrators.base import Integrator, least_intervals, need_steps
from deis.problems import Problem
from deis.study.figures import Curve, Point, add_legend, panel, panels_with_legend
from deis.study.solving import Setup, value_rmse

_CALLS: Final = "evaluations of N"
_SECONDS: Final = "seconds"
_ERROR: Final = "error (rms)"

_Work = tuple[str, Callable[[WorkPoint], float | None]]


def check(problem: Problem, methods: Mapping[str, Integrator], grid: GridFamily) -> None:
    """Refuse what cannot be compared, before any evaluation of N.

    :raises ArgumentError: for methods that add noise.
    :raises CapabilityError: if the problem's ODE lacks something that a method needs, and for methods that keep neither
        a budget nor tolerances.
    """
    for method in methods.values():
        Setup(problem, method, grid, least_intervals(method), problem.initial.dtype)
        need_steps(method)


def fitting(problem: Problem, methods: Mapping[str, Integrator], grid: GridFamily) -> dict[str, Integrator]:
    """Those of the methods for which the problem's ODE has everything that they need."""
    found = {}
    for name, method in methods.items():
        try:
            check(problem, {name: method}, grid)
        except CapabilityError:
            continue
        found[name] = method
    return found


def compare_on(
    problem: Problem,
    methods: Mapping[str, Integrator],
    budgets: Sequence[int],
    grid: GridFamily,
    reference: Reference,
) -> list[WorkPoint]:
    """Every method at every budget, budget by budget; at the end those that choose their own steps.

    Errors are root mean squares of what states stand for.
    """
    found = work_precision(problem, methods, budgets, grid=grid, norm=value_rmse(problem), reference=reference)
    return sorted(found.rows, key=lambda row: (row.budget is None, row.budget or 0))


def leaders(rows: Sequence[WorkPoint]) -> dict[int, WorkPoint]:
    """The row of least error at each budget."""
    found: dict[int, WorkPoint] = {}
    for row in rows:
        if row.budget is None or row.error is None:
            continue
        leader = found.get(row.budget)
        if leader is None or leader.error is None or row.error < leader.error:
            found[row.budget] = row
    return found


def seconds(row: WorkPoint) -> float | None:
    """Time of one solve, in N and in the solver."""
    if row.seconds_in_solver is None or row.seconds_in_network is None:
        return None
    return row.seconds_in_solver + row.seconds_in_network


def work_figure(rows: Sequence[WorkPoint], title: str, level: float) -> Figure:
    """Error against evaluations and against seconds, one line an integrator.

    :param level: uncertainty of the reference; 0 for an exact one.
    """
    names = list(dict.fromkeys(row.integrator for row in rows))
    measured = [row for row in rows if row.error]
    figure, panels = panels_with_legend(2 if measured else 0, len(names))
    handles: dict[str, Any] = {}
    works: tuple[_Work, ...] = ((_CALLS, lambda row: row.nfe), (_SECONDS, seconds))
    for axes, (label, work) in zip(panels, works, strict=False):
        curves = {name: Curve(look, _points(measured, name, work)) for look, name in enumerate(names)}
        curves = {name: curve for name, curve in curves.items() if curve.points}
        drawn = panel(axes, list(curves.values()), label, _ERROR, level)
        handles |= dict(zip(curves, drawn, strict=True))
        if level:
            handles["reference"] = axes.get_lines()[-1]
    add_legend(figure, title, [*names, "reference"], handles)
    return figure


def _points(rows: Sequence[WorkPoint], name: str, work: Callable[[WorkPoint], float | None]) -> tuple[Point, ...]:
    pairs = [(work(row), row.error) for row in rows if row.integrator == name]  # budget by budget
    return tuple(Point(float(x), error) for x, error in pairs if x and error)

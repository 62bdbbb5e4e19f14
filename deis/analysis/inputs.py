"""What studies are given: integrators, whole numbers, grids and references, checked before any work."""

import math
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any

from deis.analysis.reference import Reference
from deis.errors import ArgumentError
from deis.fields import as_integer, is_integer, need
from deis.grids import GridFamily, TimeGrid, Times, make_grid
from deis.integrators.base import Integrator, as_integrator
from deis.odes.base import SemilinearODE

Grid = GridFamily | str | Callable[[tuple[float, float], int], Times]
"""A family of grids, its name, or a function from a domain and a number of intervals to times."""


def labelled(values: Any) -> dict[str, Integrator]:
    """Deterministic integrators by label: those given by name or in a table keep it, the others have their ``repr``.

    :raises UnknownNameError: for a name that is not registered.
    :raises ArgumentError: if there are none, or one is no integrator or adds noise.
    """
    try:
        given = [values] if isinstance(values, str | Integrator) else list(values)
    except TypeError:  # no row of anything
        given = [values]
    if not given:
        raise ArgumentError("integrators", "must hold at least one", given, "for example ['tab3']")
    table = values if isinstance(values, Mapping) else {v if isinstance(v, str) else repr(v): v for v in given}
    methods = {label: as_integrator(value) for label, value in table.items()}
    for method in methods.values():
        if method.stochastic:
            raise ArgumentError("integrators", "must not add noise", method, "its solutions are not those of the ODE")
    return methods


def whole_numbers(name: str, values: Iterable[int], *, rising: bool = False) -> tuple[int, ...]:
    """Whole numbers of at least 1, in rising order if so asked.

    :raises ArgumentError: if they are not, or there are none.
    """
    try:
        numbers = tuple(map(as_integer, values))
    except TypeError:  # no row of anything
        numbers = ()
    whole = bool(numbers) and all(is_integer(n) and n >= 1 for n in numbers)
    if not whole or (rising and any(b <= a for a, b in pairwise(numbers))):
        rule = f"must be whole numbers of at least 1{', rising' if rising else ''}"
        raise ArgumentError(name, rule, numbers or values, "for example (8, 16, 32)")
    return numbers


def make_times(ode: SemilinearODE, grid: Grid, intervals: int) -> TimeGrid:
    """The grid of a family, a name or a function; it must start where the problem does.

    :raises ArgumentError: if it starts elsewhere, or has another number of intervals.
    """
    if isinstance(grid, str | GridFamily) or not callable(grid):
        return make_grid(grid)(ode, intervals)
    times = grid(ode.domain, intervals)
    points = times if isinstance(times, TimeGrid) else TimeGrid(times)
    points.check_inside(ode.domain)
    if points.times[0] != ode.domain[0]:
        raise ArgumentError("grid", f"must start at {ode.domain[0]:g}, where the initial state is", points.times[0])
    if points.intervals != intervals:
        raise ArgumentError("grid", f"must have the {intervals} intervals asked for", points.intervals)
    return points


def check_end(target: Reference, times: TimeGrid) -> None:
    """Refuse a reference that ends elsewhere than the grid.

    :raises ArgumentError: if it does, or is none.
    """
    need("reference", target, Reference, "make it by deis.analysis.reference(problem, times)")
    if not math.isclose(target.times[-1], times.times[-1], rel_tol=1e-12, abs_tol=1e-12):
        rule = f"must end at {times.times[-1]:g}, where the grids do"
        raise ArgumentError("reference", rule, target.times[-1], "make it by deis.analysis.reference(problem, times)")

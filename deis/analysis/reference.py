"""Solutions to measure against, with what is known about their own error."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Final

import attrs
import torch
from torch import Tensor

from deis.analysis.metrics import rmse
from deis.analysis.store import fingerprint, load, save
from deis.errors import ArgumentError, DeisError
from deis.fields import is_integer, need
from deis.grids import GridFamily, TimeGrid, Times, make_grid
from deis.integrators.base import BlackBox, Integrator, as_integrator, need_steps
from deis.odes.base import SemilinearODE
from deis.problems import Problem
from deis.solve import solve

Norm = Callable[[Tensor, Tensor], float]
"""A distance of a state from a reference."""

FIFTH_ORDER: Final = "polynomial:steps=4:corrector=true:start=runge-kutta"
"""In the clock t, which every ODE has."""
INDEPENDENT: Final = "dop853:rtol=1e-10:atol=1e-10"
"""A solver that shares nothing with the exponential methods; with ``:form=rho`` it is fast on diffusion ODEs."""

MARGIN: Final = 10.0
"""A solver is compared with references that are at least so many times more accurate."""


class CoarseReferenceError(DeisError, ArithmeticError):
    """A solver is too accurate to be judged by the reference at hand."""


@attrs.frozen(eq=False)
class Reference:
    """What :func:`reference` returns."""

    times: tuple[float, ...]
    states: Tensor
    """States at all ``times``, float64 or complex128, shape ``(len(times), *state)``."""
    check: Tensor | None
    """A second solution at the same times; None where ``states`` are exact."""
    nfe: int
    """Evaluations that ``states`` took."""
    method: str
    """How both solutions were found."""

    @property
    def x(self) -> Tensor:
        """State at the end."""
        return self.states[-1]

    def uncertainty(self, norm: Norm = rmse) -> float:
        """Distance of the second solution from the first at the end, which bounds the error once both converge.

        :param norm: the distance, as it is asked of a solver.
        """
        return 0.0 if self.check is None else norm(self.check[-1], self.x)

    def error(self, x: Tensor, norm: Norm = rmse) -> float:
        """Distance of a solver's result from the reference.

        :param x: state at the end, of the reference's shape.
        :param norm: the distance.
        :raises CoarseReferenceError: if it is not 10 times above the reference's own uncertainty in the same norm.
        """
        x = x.to(self.states.device)
        error, own = norm(x, self.x), self.uncertainty(norm)
        if error < MARGIN * own:
            raise CoarseReferenceError(
                f"the error {error:.1e} is less than {MARGIN:g} times the uncertainty {own:.1e} of the reference "
                f"({self.method}); ask for a finer reference (nfe above {self.nfe})"
            )
        return error


def reference(
    problem: Problem,
    times: Times | None = None,
    *,
    nfe: int = 240,
    integrator: Integrator | str = FIFTH_ORDER,
    check: Integrator | str | None = None,
    grid: GridFamily | str | None = None,
    store: Path | str | None = None,
) -> Reference:
    """The exact solution where the problem knows it; otherwise two solutions of high accuracy, without gradients.

    :param problem: an ODE with its initial state; :class:`~deis.InitialValueProblem` makes one of any.
    :param times: where states are wanted, from the start of the domain on; None for the start and the end.
    :param nfe: most evaluations of ``integrator``.
    :param integrator: a method of high order.
    :param check: the method of the second solution; None for the same with half the evaluations. ``INDEPENDENT``
        shares no code with the first.
    :param grid: a grid family, or its name, for the steps where no ``times`` are given; None for ``vp-t2`` where the
        ODE has the clock ``vp_t``, else ``t``. Between given times the steps are equal.
    :param store: folder in which solutions are kept under a hash of everything that they depend on (values of L, G
        and N at probes among it), so that they are computed once.
    :raises ArgumentError: if ``nfe`` is too small for two solutions with a step between any two times, ``times`` do not
        begin where the domain begins, or ``integrator`` chooses its own steps and there is no ``check``.
    :raises OutputError: if the store cannot be written.

    >>> from deis import Bernoulli, InitialValueProblem
    >>> problem = Bernoulli()
    >>> reference(problem).method
    'exact'
    >>> solution = reference(InitialValueProblem(problem.ode, problem.initial))
    >>> abs(float(solution.x - problem.exact(1.0))) < solution.uncertainty() < 1e-8
    True
    """
    need("problem", problem, Problem, "for example InitialValueProblem(ode, x0)")
    points, method = _points(problem.ode, times), as_integrator(integrator)
    exact = [state for state in map(problem.exact, points) if state is not None]
    if len(exact) == len(points):
        return Reference(points, torch.stack(exact), None, 0, "exact")
    second, budget = _second(method, nfe, check, len(points) - 1)
    spacing = _spacing(problem.ode, grid) if times is None else None
    if store is None:
        return _solved_twice(problem, points, spacing, (method, nfe), (second, budget))
    store = Path(store)
    key = fingerprint(problem, points, [repr(part) for part in (method, nfe, second, budget, spacing)])
    kept = load(store, key)
    if kept is not None:
        return Reference(points, *kept)
    found = _solved_twice(problem, points, spacing, (method, nfe), (second, budget))
    assert found.check is not None
    save(store, key, found.states, found.check, found.nfe, found.method)
    return found


def _second(method: Integrator, nfe: int, check: Integrator | str | None, intervals: int) -> tuple[Integrator, int]:
    """The method of the second solution, and its budget, which must suffice for a step in each interval."""
    if check is None and isinstance(method, BlackBox):
        raise ArgumentError("check", f"must be given with {method!r}, which has no number of evaluations", check)
    second, solves = (method, 2) if check is None else (as_integrator(check), 1)
    for one in (method, second):
        need_steps(one)
    least = max([2, *(solves * m.nfe(intervals) for m in (method, second) if not isinstance(m, BlackBox))])
    if not is_integer(nfe) or nfe < least:
        rule = f"must be a whole number of at least {least}, for two solutions on {intervals} intervals"
        raise ArgumentError("nfe", rule, nfe)
    return second, nfe // solves


def _spacing(ode: SemilinearODE, grid: GridFamily | str | None) -> GridFamily:
    return make_grid(("vp-t2" if "vp_t" in ode.clocks else "t") if grid is None else grid)


def _solved_twice(
    problem: Problem,
    points: tuple[float, ...],
    spacing: GridFamily | None,
    first: tuple[Integrator, int],
    second: tuple[Integrator, int],
) -> Reference:
    states, nfe = _solution(problem, points, spacing, *first)
    check, calls = _solution(problem, points, spacing, *second)
    other = "itself" if second[0] == first[0] else repr(second[0])
    method = f"{first[0]!r} with {nfe} evaluations, against {other} with {calls}"
    return Reference(points, states, check, nfe, method)


def _points(ode: SemilinearODE, times: Times | None) -> tuple[float, ...]:
    if times is None:
        return ode.domain
    points = (times if isinstance(times, TimeGrid) else TimeGrid(times)).times
    if points[0] != ode.domain[0]:
        raise ArgumentError("times", f"must begin at {ode.domain[0]:g}, where the initial state is", points[0])
    return points


def _solution(
    problem: Problem, points: tuple[float, ...], spacing: GridFamily | None, method: Integrator, nfe: int
) -> tuple[Tensor, int]:
    """States at the points, and the evaluations they took; steps end at every point."""
    ode, pieces = problem.ode, 1
    if isinstance(method, BlackBox):
        grid = TimeGrid(points)
    elif spacing is not None:
        grid = spacing(ode, method.most_intervals(nfe))
        pieces = grid.intervals
    else:
        pieces = method.most_intervals(nfe) // (len(points) - 1)
        grid = TimeGrid([a + (b - a) * i / pieces for a, b in pairwise(points) for i in range(pieces)] + [points[-1]])
    with torch.no_grad():
        solution = solve(ode, problem.initial, grid, method, keep_states=True)
    assert solution.states is not None
    return torch.stack(solution.states[::pieces]), solution.nfe

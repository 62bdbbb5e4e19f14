"""One problem solved by one integrator, and what can be said about the solution."""

from collections.abc import Callable
from typing import Final

import attrs
import numpy as np
import torch
from torch import Tensor

from deis.analysis import ErrorCurve, Reference, convergence, rmse
from deis.analysis.reference import MARGIN, Norm
from deis.errors import ArgumentError
from deis.grids import GridFamily
from deis.integrators.base import BlackBox, Integrator, least_intervals
from deis.odes.base import SemilinearODE
from deis.problems import Problem, Recipe
from deis.solve import Solution, prepare, solve
from deis.study.batches import ticking

Tick = Callable[[], object]

_HALVINGS: Final = 3  # of the step, which give an order an interval
_FEW: Final = 8  # intervals, which are not halved themselves


@attrs.frozen(eq=False)
class Watched(Problem):
    """The same problem, whose ODE calls ``tick`` after every evaluation of N."""

    problem: Problem
    tick: Tick

    @property
    def ode(self) -> SemilinearODE:
        return ticking(self.problem.ode, self.tick, "function")

    @property
    def initial(self) -> Tensor:
        return self.problem.initial

    @property
    def converged(self) -> Recipe:
        return self.problem.converged

    def exact(self, t: float) -> Tensor | None:
        return self.problem.exact(t)


@attrs.frozen(eq=False)
class Setup:
    """How a problem is solved; what does not fit is refused at once, before any evaluation of N.

    :param grid: for methods that bring none of their own.
    :param intervals: steps; for a method that chooses its own, of times at which its states are wanted.
    :param dtype: of the state.
    :raises ArgumentError: for methods that add noise, and real states of a problem with complex ones or the reverse.
    :raises CapabilityError: if the problem's ODE lacks something that the method needs.
    """

    problem: Problem
    method: Integrator
    grid: GridFamily
    intervals: int
    dtype: torch.dtype

    def __attrs_post_init__(self) -> None:
        ode, wanted = self.problem.ode, self.problem.initial.dtype
        if self.method.stochastic:
            raise ArgumentError("integrator", "must not add noise", self.method, "a problem's solution has none")
        if self.dtype.is_complex != wanted.is_complex:
            kind, fix = ("complex", "complex64") if wanted.is_complex else ("real", "float32")
            name = str(self.dtype).removeprefix("torch.")
            raise ArgumentError(
                "dtype", f"must be {kind}, as the states of this problem are", name, f"for example {fix}"
            )
        if isinstance(self.method, BlackBox):
            self.method.form_of(ode)
        else:
            times = self._family(ode, least_intervals(self.method))
            prepare(ode, self.problem.initial.to(self.dtype), times, self.method, None)
        self._family(ode, self.intervals)

    @property
    def _family(self) -> GridFamily:
        return self.method.own_grid or self.grid

    @property
    def calls(self) -> int | None:
        """Evaluations of N; None where the method chooses them."""
        return None if isinstance(self.method, BlackBox) else self.method.nfe(self.intervals)

    def solve(self, tick: Tick = lambda: None) -> Solution:
        """The solution with all its states; ``tick`` is called after every evaluation of N."""
        ode = ticking(self.problem.ode, tick, "function")
        with torch.no_grad():
            times = self._family(ode, self.intervals)
            return solve(ode, self.problem.initial.to(self.dtype), times, self.method, keep_states=True)

    def convergence(self, reference: Reference) -> ErrorCurve | None:
        """Errors at a few numbers of intervals around that of the setup, in double precision, and their order.

        None for a method that chooses its own steps, and for plans.
        """
        if isinstance(self.method, BlackBox) or self.method.own_grid:
            return None
        first = self.intervals // 4 if self.intervals >= _FEW else self.intervals
        counts = [first * 2**k for k in range(_HALVINGS + 1)]
        return convergence(self.problem, self.method, counts, grid=self.grid, reference=reference).curve(self.method)


@attrs.frozen(eq=False)
class Frames:
    """States along a solution, and what they stand for."""

    times: tuple[float, ...]
    states: Tensor
    """Shape (times, *state)."""
    values: Tensor
    """Shape (times, ...), in double precision."""


def frames(problem: Problem, solution: Solution, most: int) -> Frames:
    """At most so many states of a solution, spread evenly over its steps, the first and the last among them."""
    assert solution.states is not None
    kept = spread(len(solution.states), most)
    states = torch.stack([solution.states[i] for i in kept])
    return Frames(tuple(solution.times[i] for i in kept), states, problem.values(doubled(states)))


def spread(count: int, most: int) -> list[int]:
    """At most so many of the numbers below ``count``, evenly spread, the first and the last among them.

    >>> spread(11, 3), spread(2, 3)
    ([0, 5, 10], [0, 1])
    """
    chosen: list[int] = np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(int)).tolist()
    return chosen


def doubled(x: Tensor) -> Tensor:
    """The tensor in double precision."""
    return x.to(torch.promote_types(x.dtype, torch.float64))


@attrs.frozen
class Drift:
    """What becomes of a quantity that the exact solution keeps."""

    start: float
    end: float
    largest: float
    """Largest distance from the start along the way."""


def drifts(problem: Problem, solution: Solution) -> dict[str, Drift]:
    """The drift of each invariant of a problem, over all states of a solution."""
    assert solution.states is not None
    found = {}
    for name, invariant in problem.invariants.items():
        course = torch.stack([invariant(doubled(state)) for state in solution.states])
        found[name] = Drift(float(course[0]), float(course[-1]), float((course - course[0]).abs().max()))
    return found


@attrs.frozen
class EndError:
    """Distance from a reference at the end, in what states stand for."""

    largest: float
    rms: float
    """Root mean square."""
    relative: float
    """That over the root mean square of the reference."""
    uncertainty: float
    """Of the reference, in ``rms``."""
    reference: str
    """How it was found."""

    @property
    def resolved(self) -> bool:
        """Whether the reference is at least ten times better than the solution."""
        return self.rms >= MARGIN * self.uncertainty


def value_rmse(problem: Problem) -> Norm:
    """The distance of two states as the root mean square of the difference of what they stand for."""

    def error(x: Tensor, reference: Tensor) -> float:
        return rmse(problem.values(doubled(x)), problem.values(doubled(reference)))

    return error


def end_error(problem: Problem, x: Tensor, reference: Reference) -> EndError:
    """The error of a state at the end."""
    norm, target = value_rmse(problem), problem.values(doubled(reference.x))
    largest = float((problem.values(doubled(x)) - target).abs().max())
    distance, size = norm(x, reference.x), rmse(target, torch.zeros_like(target))
    uncertainty = reference.uncertainty(norm)
    return EndError(largest, distance, distance / (size or 1.0), uncertainty, reference.method)

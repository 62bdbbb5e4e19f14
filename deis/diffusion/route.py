"""How a probability-flow ODE is solved: a method, and a grid for a budget of network calls."""

from collections.abc import Iterable
from typing import Any, Final

import attrs
import torch
from torch import Tensor

from deis.errors import ArgumentError, DeisError
from deis.fields import as_integer
from deis.grids import GridFamily, TimeGrid, make_grid
from deis.integrators.base import BlackBox, Integrator, as_integrator, need_steps, usual_nfe
from deis.integrators.denoised import Denoised
from deis.odes.base import SemilinearODE
from deis.solve import Solution, solve

_NFE: Final = 10
_BROUGHT: Final = "must be left out with a plan, which brings its own times"


@attrs.frozen
class Route:
    """A method, its times from noise to data, and its network calls."""

    method: Integrator
    times: TimeGrid
    calls: int | None
    """None where the method chooses it."""

    def reversed(self) -> "Route":
        """The same from data to noise."""
        return attrs.evolve(self, times=self.times.reversed())

    def solve(self, ode: SemilinearODE, start: Tensor, **options: Any) -> Solution:
        """One solve, whose network calls are as many as were promised.

        :raises DeisError: if they are not.
        """
        solution = solve(ode, start, self.times, self.method, **options)
        if self.calls is not None and solution.nfe != self.calls:
            raise DeisError(f"{self.method!r} made {solution.nfe} network calls where {self.calls} were asked for")
        return solution


def plan_route(ode: Any, nfe: Any, integrator: Any, grid: Any, default: int = _NFE, *, denoise: bool = False) -> Route:
    """The route that the arguments of :func:`sample` describe; ``default`` stands for None as ``nfe``.

    A ready plan brings its own times, and one that is alone its own number of calls.

    :raises ArgumentError: if they do not fit one another, or ``ode`` is none.
    """
    _check_ode(ode)
    method = as_integrator(integrator)
    method = Denoised(method) if denoise else method
    return Route(method, *_times(ode, method, as_integer(nfe), grid, default))


def deterministic_route(ode: Any, nfe: Any, integrator: Any, grid: Any, default: int = _NFE) -> Route:
    """As :func:`plan_route`, for uses in which every state has one image.

    :raises ArgumentError: also for stochastic methods.
    """
    route = plan_route(ode, nfe, integrator, grid, default)
    if route.method.stochastic:
        rule = "must be deterministic: fresh noise has no inverse and no density of its own"
        raise ArgumentError("integrator", rule, route.method, "for example tab3, ddim or rhork-kutta3")
    return route


def _check_ode(ode: Any) -> None:
    if isinstance(ode, SemilinearODE):
        ode.marginal(torch.tensor(ode.domain[0], dtype=torch.float64))  # says more of what lacks levels than a grid can
        return
    fix = ""
    if isinstance(ode, str):
        fix = f"pass deis.zoo.load({ode!r}).ode(label)"
    elif hasattr(ode, "ode"):
        fix = "pass model.ode(label) of a model, mixture.ode(schedule) of a mixture"
    elif callable(ode):
        fix = "pass ProbabilityFlowODE(schedule, network)"
    got = ode if ode is None or isinstance(ode, str) else type(ode).__name__  # the repr of a network can fill pages
    raise ArgumentError("ode", "must be a ProbabilityFlowODE", got, fix)


def _family(method: Integrator, grid: Any) -> GridFamily:
    """The grid family, which for a plan is its own times."""
    if method.own_grid is None:
        return make_grid(grid)
    if grid not in ("default", method.own_grid):
        raise ArgumentError("grid", _BROUGHT, grid)
    return method.own_grid


def _times(ode: SemilinearODE, method: Integrator, nfe: Any, grid: Any, default: int) -> tuple[TimeGrid, int | None]:
    """The times, and the number of network calls that they take; None where the method chooses it."""
    chooses = isinstance(method, BlackBox)
    need_steps(method)
    if chooses and nfe is not None:
        raise ArgumentError("nfe", f"must be None for {method!r}, which chooses its own steps", nfe)
    if isinstance(grid, str | GridFamily) or not isinstance(grid, Iterable):
        calls = usual_nfe(method, default) if nfe is None else nfe
        return _family(method, grid)(ode, 1 if calls is None else method.intervals_for(calls)), calls
    times = grid if isinstance(grid, TimeGrid) else TimeGrid(grid)
    if method.own_grid and not method.own_grid.holds(times):
        raise ArgumentError("grid", _BROUGHT, times.times, f"its times are {method.own_grid.grids[0].times}")
    if (times.times[0] < times.times[-1]) != (ode.domain[0] < ode.domain[1]):
        raise ArgumentError("grid", "must run from noise to data", times.times, "reverse it")
    calls = None if chooses else method.nfe(times.intervals)
    if nfe is not None and nfe != calls:
        rule = f"must be {calls}, which is what {method!r} makes on these {times.intervals} intervals"
        raise ArgumentError("nfe", rule, nfe, "or leave it out")
    return times, calls

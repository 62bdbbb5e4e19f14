"""odeint: the solvers with the arguments and the results of torchdiffeq."""

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from deis.errors import ArgumentError, DeisError, UnknownNameError
from deis.grids import TimeGrid, Times
from deis.integrators.base import Integrator
from deis.ivp.initial import as_function, as_state
from deis.ivp.linear import as_linear
from deis.ivp.methods import DEFAULT, as_method, chooses_steps, with_tolerances
from deis.ivp.names import renamed
from deis.solve import solve

_ROUNDING = 1e-9  # of a step: what does not make another one


def odeint(
    func: Callable[[Tensor, Tensor], Tensor],
    y0: Any,
    t: Times,
    *,
    rtol: float = 1e-7,
    atol: float = 1e-9,
    method: Integrator | str | None = None,
    linear: Any = None,
    options: Mapping[str, Any] | None = None,
) -> Tensor:
    """Solve y' = L y + func(t, y), with the arguments of ``torchdiffeq.odeint``.

    :param func: N(t, y), or the whole right-hand side where ``linear`` is left out; t is a tensor without axes.
    :param y0: state at ``t[0]``: one tensor of any shape; floating point or complex.
    :param t: strictly monotone times, in either direction. Methods with fixed steps make one from each to the next.
    :param rtol: relative tolerance; methods with fixed steps have no use for it.
    :param atol: absolute tolerance, likewise.
    :param method: as in :func:`solve_ivp`; None for its default.
    :param linear: L, as in :func:`solve_ivp`.
    :param options: ``{"step_size": h}`` divides the interval between two times into the fewest equal steps that are no
        longer than h.
    :returns: states at all times, shape ``(T, *y0.shape)``. Gradients pass to ``y0`` and to what ``func`` uses.
    :raises ArgumentError: for arguments that break a rule, which is named.

    >>> import torch
    >>> y0 = torch.ones(2, requires_grad=True)
    >>> y = odeint(lambda t, y: -(y**2), y0, torch.linspace(0, 1, 11), method="krogstad", linear=-1.0)
    >>> y.shape, y.requires_grad
    (torch.Size([11, 2]), True)
    """
    state, chosen = as_state(y0), as_method(DEFAULT if method is None else method)
    if isinstance(t, Tensor) and t.requires_grad:
        raise ArgumentError("t", "must not require a gradient, which is not known for it", t, "pass t.detach()")
    with renamed(x0="y0", times="t", fun="func"):
        times = TimeGrid(t).times
        function = as_function(_with_tensor_time(func), ())
        ode = as_linear(linear).make(function, (times[0], times[-1]))
        if chooses_steps(chosen):
            chosen = with_tolerances(chosen, rtol, atol)
        grid = _refined(times, _step_size(chosen, options))
        solution = solve(ode, state, grid, chosen, keep_states=True)
    if solution.diagnosis:
        raise DeisError(f"{chosen!r} {solution.diagnosis}")
    assert solution.states is not None, "they were asked for"
    at = dict(zip(solution.times, solution.states, strict=True))
    return torch.stack([at[time] for time in times])


def _with_tensor_time(func: Callable[[Tensor, Tensor], Tensor]) -> Callable[[float, Tensor], Tensor]:
    if not callable(func):
        raise ArgumentError("func", "must be a function of t and y", func)

    def function(t: float, y: Tensor) -> Tensor:
        return func(torch.tensor(t, dtype=y.dtype.to_real(), device=y.device), y)

    return function


def _step_size(method: Integrator, options: Mapping[str, Any] | None) -> float | None:
    given = {} if options is None else dict(options)
    step_size: Any = given.pop("step_size", None)
    for unknown in given:
        raise UnknownNameError("option", unknown, ["step_size"])
    if step_size is None:
        return None
    if chooses_steps(method):
        fix = "leave it out and set rtol and atol"
        raise ArgumentError("step_size", f"must be left out for {method!r}, which chooses its steps", step_size, fix)
    if not isinstance(step_size, int | float) or not 0 < step_size < math.inf:
        raise ArgumentError("step_size", "must be a number above 0", step_size)
    return float(step_size)


def _refined(times: tuple[float, ...], step_size: float | None) -> TimeGrid:
    """The times, and equal steps between them that are no longer than ``step_size``."""
    if step_size is None:
        return TimeGrid(times)
    grid = [times[0]]
    for a, b in pairwise(times):
        count = max(1, math.ceil(abs(b - a) / step_size * (1 - _ROUNDING)))
        grid += [a + (b - a) * i / count for i in range(1, count)] + [b]
    return TimeGrid(grid)

"""What the user hands over: the state at the start, the function, times; turned into what the solver takes."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deis.errors import ArgumentError
from deis.fields import is_integer
from deis.grids import Times
from deis.integrators.base import Integrator, Stepping
from deis.ivp.methods import chooses_steps
from deis.odes.constant import Nonlinearity

_ROUNDING = 1e-12  # of the span: times that close are one


def as_state(y0: Any) -> Tensor:
    """A floating point or complex tensor from a tensor, an array, a list or a number.

    :raises ArgumentError: for whole numbers, and for tuples and lists of tensors.

    >>> as_state([1.0, 0.5])
    tensor([1.0000, 0.5000], dtype=torch.float64)
    """
    if isinstance(y0, tuple | list) and any(isinstance(entry, Tensor) for entry in y0):
        fix = "join them, for example by torch.cat or torch.stack, and take them apart in fun"
        raise ArgumentError("y0", "must be one tensor, not several", f"{len(y0)} tensors", fix)
    try:
        state = y0 if isinstance(y0, Tensor) else torch.as_tensor(np.array(y0))
    except (TypeError, ValueError, RuntimeError):
        raise ArgumentError("y0", "must be a tensor or numbers", y0) from None
    if not (state.is_floating_point() or state.is_complex()):
        fix = "write y0.double()" if isinstance(y0, Tensor) else "write its numbers with a point, as 1.0"
        raise ArgumentError("y0", "must be floating point or complex", state.dtype, fix)
    return state


def as_function(fun: Any, args: tuple[Any, ...]) -> Nonlinearity:
    """N(t, y) of a function with further arguments, which may return a list of components as scipy's may.

    :raises ArgumentError: if it cannot be called, or the arguments are no tuple.
    """
    if not callable(fun):
        raise ArgumentError("fun", "must be a function of t and y", fun)
    if not isinstance(args, tuple):
        raise ArgumentError("args", "must be a tuple", args, "write (value,) for a single one")

    def function(t: float, y: Tensor) -> Tensor:
        value = fun(t, y, *args)
        return _stacked(value, y) if isinstance(value, list | tuple) else value

    return function


def _stacked(components: Any, y: Tensor) -> Tensor:
    tensors = [c if isinstance(c, Tensor) else torch.tensor(c, dtype=y.dtype, device=y.device) for c in components]
    return torch.stack([c.expand(y.shape[1:]) for c in tensors])


def as_span(t_span: Any) -> tuple[float, float]:
    """Two different finite times.

    :raises ArgumentError: if they are not.
    """
    try:
        start, end = map(float, t_span)
    except (TypeError, ValueError, RuntimeError):
        raise ArgumentError("t_span", "must be two times", t_span) from None
    if not (math.isfinite(start) and math.isfinite(end)) or start == end:
        raise ArgumentError("t_span", "must be two different finite times", t_span)
    return start, end


def as_evaluation_times(t_eval: Times, span: tuple[float, float]) -> list[float]:
    """Strictly monotone times inside a span, in its direction; those within rounding of an end are that end.

    :raises ArgumentError: if they are not.
    """
    given = t_eval.tolist() if isinstance(t_eval, Tensor | np.ndarray) else list(t_eval)
    if not given:
        raise ArgumentError("t_eval", "must hold at least one time", given, "leave it out for the times of the steps")
    try:
        times = list(map(float, given))
    except (TypeError, ValueError, RuntimeError):
        raise ArgumentError("t_eval", "must be numbers", t_eval) from None
    low, high = min(span), max(span)
    margin = _ROUNDING * (high - low)
    times = [next((end for end in span if abs(t - end) <= margin), t) for t in times]
    for t in times:
        if not low <= t <= high:
            raise ArgumentError("t_eval", f"must lie between {low:g} and {high:g}, as t_span does", t)
    sign = 1 if span[1] > span[0] else -1
    for before, after in pairwise(times):
        if not sign * before < sign * after:
            rule = f"must run strictly from {span[0]:g} towards {span[1]:g}, but {before!r} is followed by {after!r}"
            raise ArgumentError("t_eval", rule, times)
    return times


def grid_of(
    method: Integrator, span: tuple[float, float], steps: int | None, t_eval: list[float] | None, between: bool
) -> list[float]:
    """The times at which the solution is computed.

    A method that chooses its steps and tells them needs no more than the span.

    :param between: whether it is wanted between them, too.
    :raises ArgumentError: if nothing says what they are.
    """
    if steps is not None and (not is_integer(steps) or steps < 1):
        raise ArgumentError("steps", "must be a whole number of at least 1", steps)
    free = chooses_steps(method)
    if steps is None and free and isinstance(method, Stepping):
        return list(span)
    if steps is None and t_eval is None and (between or not free):
        why = "for events and dense_output of" if free else "for"
        fix = "for example steps=100; or give t_eval, whose times are then the grid"
        raise ArgumentError("steps", f"must be given {why} {method!r}", steps, fix)
    if steps is not None:
        return [span[0], *torch.linspace(*span, steps + 1, dtype=torch.float64).tolist()[1:-1], span[1]]
    return [span[0], *(t for t in t_eval or () if t not in span), span[1]]

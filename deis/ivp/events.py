"""Events: where a function of the solution changes its sign."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import torch
from scipy.optimize import brentq
from torch import Tensor

from deis.dense_output import DenseOutput
from deis.errors import ArgumentError, NonFiniteError

EventFunction = Callable[..., Any]

_SHARPEST = 4 * torch.finfo(torch.float64).eps


@attrs.frozen(eq=False)
class Event:
    """A function g(t, y), and which of its zeros count.

    :param function: g.
    :param direction: above 0 for zeros at which g rises, below 0 for those at which it falls, 0 for both.
    :param terminal: number of zeros at which the solution ends; 0 for never.
    :param args: further arguments of g.
    """

    function: EventFunction
    direction: float = 0.0
    terminal: int = 0
    args: tuple[Any, ...] = ()

    def value(self, t: float, y: Tensor) -> float:
        """g at one time.

        :raises ArgumentError: if it is not a number.
        :raises NonFiniteError: if it is NaN or Inf.
        """
        with torch.no_grad():
            found = self.function(t, y.detach(), *self.args)
        try:
            number = float(found)
        except (TypeError, ValueError, RuntimeError):
            fix = "reduce a batch yourself, for example by y[:, 0].min()"
            raise ArgumentError("events", "must return one real number", found, fix) from None
        if not math.isfinite(number):
            raise NonFiniteError(f"an event function returned {number} at t = {t:g}")
        return number

    def occurs(self, before: float, after: float) -> bool:
        """Whether it has a zero after one value and not after the next; each zero on a grid point is seen once."""
        rises, falls = before < 0 <= after, before > 0 >= after
        return (rises and self.direction >= 0) or (falls and self.direction <= 0)

    def root(self, solution: DenseOutput, interval: int) -> float:
        """Time of the zero in one interval of the grid."""
        a, b = solution.times[interval : interval + 2]
        found: float = brentq(lambda t: self.value(t, solution(t)), a, b, xtol=_SHARPEST, rtol=_SHARPEST)
        return found


def as_events(events: Any, args: tuple[Any, ...]) -> tuple[Event, ...]:
    """The events of functions, with the attributes ``terminal`` and ``direction`` that scipy reads.

    :raises ArgumentError: for what cannot be called, and for attributes that are no numbers.
    """
    functions = (events,) if callable(events) else () if events is None else tuple(events)
    return tuple(_as_event(function, args) for function in functions)


def _as_event(function: Any, args: tuple[Any, ...]) -> Event:
    if not callable(function):
        raise ArgumentError("events", "must be functions g(t, y)", function)
    terminal, direction = getattr(function, "terminal", None) or 0, getattr(function, "direction", None) or 0.0
    if not isinstance(terminal, int) or terminal < 0:
        raise ArgumentError("terminal", "must be True, False or a number of events", terminal)
    if not isinstance(direction, int | float):
        raise ArgumentError("direction", "must be a number, whose sign counts", direction)
    return Event(function, direction, int(terminal), args)


class Watch:
    """Looks for events while the states of a grid come in.

    :param events: what to look for.
    """

    def __init__(self, events: Sequence[Event]) -> None:
        self._events = events
        self._before: list[float] | None = None
        self._number = -1
        self._intervals: list[list[int]] = [[] for _ in events]

    def __call__(self, t: float, y: Tensor) -> bool:
        """Take the next state; whether a terminal event has occurred."""
        now = [event.value(t, y) for event in self._events]
        for event, found, b, a in zip(self._events, self._intervals, self._before or now, now, strict=True):
            if event.occurs(b, a):
                found.append(self._number)
        self._before, self._number = now, self._number + 1
        return any(0 < e.terminal <= len(f) for e, f in zip(self._events, self._intervals, strict=True))

    def zeros(self, solution: DenseOutput) -> tuple[list[list[float]], float | None]:
        """The times of each event, up to a terminal one, and the time of that one if there is one."""
        times = [
            [event.root(solution, n) for n in found] for event, found in zip(self._events, self._intervals, strict=True)
        ]
        sign = 1 if solution.times[-1] > solution.times[0] else -1
        last = [f[e.terminal - 1] for e, f in zip(self._events, times, strict=True) if 0 < e.terminal <= len(f)]
        if not last:
            return times, None
        end = min(last, key=lambda t: sign * t)
        return [[t for t in found if sign * t <= sign * end] for found in times], end

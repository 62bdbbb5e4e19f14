"""The solution between the times of a grid: the linear part exactly, N as a polynomial."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from deis.errors import ArgumentError
from deis.evaluator import Evaluator
from deis.grids import TimeGrid
from deis.integrators.combine import moving
from deis.integrators.frames import Evaluate, Frame
from deis.integrators.plan import as_number
from deis.loop import accumulation_dtype
from deis.numerics.host import on_host
from deis.odes.base import SemilinearODE

Linearise = Callable[[SemilinearODE, Evaluate, float, float, Tensor], Frame]
"""An ODE split anew for an interval, as :meth:`ExponentialRosenbrock.frame` does it."""

_POINTS = 4
_TOGETHER = 32  # times whose weights are in memory at once
_ROUNDING = 1e-9  # of the span: how far outside a time may lie


def _grid(times: Any) -> tuple[float, ...]:
    return TimeGrid(times).times


def _as_many(instance: Any, attribute: Any, states: Sequence[Tensor]) -> None:
    if len(states) != len(instance.times):
        raise ArgumentError("states", f"must be {len(instance.times)}, one for each time", len(states))


class _Values:
    """N on the way: known at some states of a grid, else evaluated; what is evaluated at the grid is kept."""

    def __init__(self, ode: SemilinearODE, known: Mapping[int, Tensor]) -> None:
        self.evaluate = Evaluator(ode, looks=True)
        self._known = dict(known)

    def anywhere(self, t: float, x: Tensor) -> Tensor:
        """N at any state."""
        return self.evaluate(0, t, x)

    def on_grid(self, number: int, t: float, x: Tensor) -> Tensor:
        """N at a state of the grid."""
        if number not in self._known:
            self._known[number] = self.anywhere(t, x)
        return self._known[number]


def _values(self: "DenseOutput") -> _Values:
    return _Values(self.ode, self.known)


@attrs.frozen(eq=False)
class DenseOutput:
    """The solution at any time, from its states on a grid.

    From the grid time t_n on, x(t) = Psi(t, t_n) x_n + int_{t_n}^t Psi(t, r) G(r) P(r) dr, with P the polynomial
    through N at the (up to) four grid points around the interval. The integral is exact, so that nothing but N is
    interpolated: the local error is of order 5 however stiff L is, and there is none for an N that is cubic in time.
    Where this misses the next state, as it does by the local error of the method that made the states, the difference
    is blended in, so that the solution is continuous and passes through every state.

    N is evaluated at a grid point when it is first needed there, up to four times for a call; this makes :attr:`nfe`.

    :param ode: the equation, in any splitting.
    :param times: strictly monotone, in either direction.
    :param states: at the times, all of one shape.
    :param known: from the number of a time to N there, where it is known.
    :param linearise: splits the equation anew in each interval, where N is stiff itself and would pass on the errors of
        the states magnified; for example ``ExponentialRosenbrock().frame``. It costs a Jacobian for each interval of a
        call, and up to two evaluations of N. None keeps the equation's own L.
    :raises ArgumentError: unless there are as many states as times.

    >>> from deis import DiagonalODE
    >>> ode = DiagonalODE(-1.0, lambda t, x: torch.ones_like(x))
    >>> DenseOutput(ode, [0.0, 50.0], [torch.zeros(1).double(), torch.ones(1).double()])(1.0)  # 1 - exp(-1)
    tensor([0.6321], dtype=torch.float64)
    """

    ode: SemilinearODE
    times: tuple[float, ...] = attrs.field(converter=_grid, repr=lambda times: f"<{len(times)}>")
    states: Sequence[Tensor] = attrs.field(repr=False, validator=_as_many)
    known: Mapping[int, Tensor] = attrs.field(factory=dict, repr=False)
    linearise: Linearise | None = attrs.field(default=None, repr=False)
    _values: _Values = attrs.field(default=attrs.Factory(_values, takes_self=True), init=False, repr=False)

    @property
    def nfe(self) -> int:
        """Number of evaluations of N that were made so far."""
        return self._values.evaluate.nfe

    def __call__(self, t: float | Sequence[float] | Tensor) -> Tensor:
        """The solution at ``t``.

        Gradients pass to the states and to what N uses, not to ``t``.

        :param t: a time, or times of any shape, in any order.
        :returns: shape ``(*x.shape, *t.shape)``, with time on the last axes as scipy has it.
        :raises ArgumentError: for times outside the grid.
        """
        with on_host():
            when, grid = self._inside(t), torch.tensor(self.times, dtype=torch.float64)
            flat, sign = when.reshape(-1), 1.0 if self.times[-1] > self.times[0] else -1.0
            start = torch.searchsorted(sign * grid, sign * flat, right=True) - 1
            between = grid[start] != flat
        inner = self._between(flat[between], start[between])
        numbers = zip(start.tolist(), between.tolist(), strict=True)
        found = [next(inner) if inside else self.states[n] for n, inside in numbers]
        shape = self.states[0].shape
        empty = self.states[0].new_empty((*shape, 0))
        return (torch.stack(found, dim=-1) if found else empty).reshape(*shape, *when.shape)

    def _inside(self, t: float | Sequence[float] | Tensor) -> Tensor:
        try:
            when = torch.as_tensor(t, dtype=torch.float64).detach().cpu()
        except (TypeError, ValueError, RuntimeError):
            raise ArgumentError("t", "must be a time or times", t) from None
        low, high = sorted((self.times[0], self.times[-1]))
        margin = _ROUNDING * (high - low)
        if not bool(((when >= low - margin) & (when <= high + margin)).all()):
            raise ArgumentError("t", f"must lie between {low:g} and {high:g}, where the solution is known", t)
        return when.clamp(low, high)

    def _between(self, t: Tensor, n: Tensor) -> Iterator[Tensor]:
        """States at times inside the intervals ``n``."""
        for some, starts in self._together(t, n):
            with on_host():
                grid = torch.tensor(self.times, dtype=torch.float64)
                intervals, place = torch.unique(starts, return_inverse=True)
                share = ((some - grid[starts]) / (grid[starts + 1] - grid[starts])).tolist()
                asked = torch.cat([some, grid[intervals + 1]]), torch.cat([starts, intervals])
            states = list(self._free(*asked))
            ends = zip(intervals.tolist(), states[len(some) :], strict=True)
            missed = [_wide(self.states[i + 1]) - end for i, end in ends]
            for theta, i, state in zip(share, place.tolist(), states, strict=False):
                # flat at both ends, so that the slopes there stay those of the equation
                yield (state + theta**2 * (3 - 2 * theta) * missed[i]).to(self.states[0].dtype)

    def _together(self, t: Tensor, n: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Times and intervals, in parts that have one L."""
        parts = [len(n)] if self.linearise is None else torch.unique_consecutive(n, return_counts=True)[1].tolist()
        for times, intervals in zip(torch.split(t, parts), torch.split(n, parts), strict=True):
            yield from zip(torch.split(times, _TOGETHER), torch.split(intervals, _TOGETHER), strict=True)

    def _free(self, t: Tensor, n: Tensor) -> Iterator[Tensor]:
        """What the polynomial through N gives at times in the intervals ``n``, from the states at their starts."""
        pieces = {i: self._piece(i) for i in set(n.tolist())}
        ode = pieces[int(n[0])][0].ode
        with on_host():
            grid = torch.tensor(self.times, dtype=torch.float64)
            nodes = torch.stack([grid[self._nodes(i)] for i in n.tolist()])
            psi, weights = ode.transition(t, grid[n]), ode.weights(grid[n], t, nodes)
        if psi.is_complex() and not self.states[0].is_complex():
            raise ArgumentError("states", "must be complex, because the ODE is", self.states[0].dtype)
        add = moving(ode.combine)
        for i, *coefficients in zip(n.tolist(), psi, *weights.unbind(1), strict=True):
            frame, values = pieces[i]
            yield frame.state(add([as_number(c) for c in coefficients], [frame.start, *values]))

    def _nodes(self, n: int) -> slice:
        """The grid points around an interval."""
        first = max(0, min(n - 1, len(self.times) - _POINTS))
        return slice(first, first + _POINTS)

    def _piece(self, n: int) -> tuple[Frame, list[Tensor]]:
        """The coordinates in an interval, and N there at the nodes."""
        start = _wide(self.states[n])
        frame = Frame(self.ode, self._anywhere, start)
        if self.linearise is not None:
            frame = self.linearise(self.ode, self._anywhere, self.times[n], self.times[n + 1], start)
        values = []
        for i in range(len(self.times))[self._nodes(n)]:
            t, x = self.times[i], self.states[i]
            values.append(frame.rest(t, _wide(x), _wide(self._values.on_grid(i, t, x))))
        return frame, values

    def _anywhere(self, t: float, x: Tensor) -> Tensor:
        """N in the precision in which states are accumulated."""
        return _wide(self._values.anywhere(t, x.to(self.states[0].dtype)))


def _wide(x: Tensor) -> Tensor:
    return x.to(accumulation_dtype(x.dtype))

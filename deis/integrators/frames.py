"""Coordinates in which a step is made: the state itself, or the state and time around a point, linearised there."""

import math
import threading
from collections.abc import Callable
from functools import cached_property, partial

import attrs
import torch
from torch import Tensor

from deis.errors import CapabilityError, NonFiniteError
from deis.integrators.combine import combine, moving
from deis.integrators.plan import Row, Step
from deis.odes.base import SemilinearODE
from deis.odes.constant import BlockDiagonalODE
from deis.odes.krylov import KrylovODE

Evaluate = Callable[[float, Tensor], Tensor]

_FORWARD = threading.RLock()  # torch counts the levels of forward differentiation by process, not by thread


def _same(z: Tensor) -> Tensor:
    return z


def _at(t: float, x: Tensor) -> Tensor:
    return x


def _given(t: float, x: Tensor, value: Tensor) -> Tensor:
    return value


@attrs.frozen(eq=False)
class Frame:
    """Coordinates in which a step is made: an ODE for points that stand for states."""

    ode: SemilinearODE
    evaluate: Evaluate
    """N of the equation, at a state."""
    start: Tensor
    """The point from which a step is made."""
    first: Tensor | None = None
    """N of ``ode`` at that point, if it is known."""
    state: Callable[[Tensor], Tensor] = _same
    """The state that a point stands for."""
    point: Callable[[float, Tensor], Tensor] = _at
    """The point that stands for a state at a time."""
    rest: Callable[[float, Tensor, Tensor], Tensor] = _given
    """N of ``ode`` where the state at a time and N of the equation there are known."""

    def nonlinearity(self, t: float, z: Tensor) -> Tensor:
        """N of ``ode`` at a point."""
        x = self.state(z)
        return self.rest(t, x, self.evaluate(t, x))

    def combine(self, row: Row, values: tuple[Tensor, ...]) -> Tensor:
        """The point, or the difference of points, that ``row`` stands for."""
        return combine(moving(self.ode.combine), row, self.start, values)

    def values(self, step: Step, history: tuple[Tensor, ...] = ()) -> tuple[Tensor, ...]:
        """N of ``ode`` at the stages of ``step``, then the history."""
        values: tuple[Tensor, ...] = (self.nonlinearity(step.start, self.start) if self.first is None else self.first,)
        for stage in step.stages[1:]:
            values = (*values, self.nonlinearity(stage.time, self.combine(stage.row, values + history)))
        return values + history


@attrs.frozen(eq=False)
class Systems:
    """A state as real vectors, one for each independent system: shape (systems, size).

    :param shape: of the state.
    :param complex: whether its entries are.
    :param axes: how many of its last axes make one system.
    """

    shape: tuple[int, ...]
    complex: bool
    axes: int

    @property
    def size(self) -> int:
        """Real entries of one system."""
        return math.prod(self.shape[len(self.shape) - self.axes :]) * (2 if self.complex else 1)

    def vectors(self, x: Tensor) -> Tensor:
        """The vectors of a state."""
        return (torch.view_as_real(x) if self.complex else x).reshape(-1, self.size)

    def state(self, y: Tensor) -> Tensor:
        """The state of vectors."""
        return torch.view_as_complex(y.reshape(*self.shape, 2)) if self.complex else y.reshape(self.shape)


@attrs.frozen(eq=False)
class Linearisation:
    """The ODE in z = (x, t - ``time``), split at ``x`` into its Jacobian there and the rest: z' = J z + R(z).

    With time among the unknowns the split is right for an N that depends on it, too, and R has no derivative at
    z = (x, 0) (Hochbruck, Ostermann and Schweitzer, SIAM J. Numer. Anal. 47 (2009), section 2.2). The derivative in x
    is exact, by forward differentiation; that in time a difference of second order, because N takes its time as a
    number.

    :param ode: the equation.
    :param evaluate: its N, which is differentiated, too.
    :param systems: what a system is.
    :param time: time of the point.
    :param x: state there.
    :param end: time up to which the linearisation serves.
    """

    ode: SemilinearODE
    evaluate: Evaluate
    systems: Systems
    time: float
    x: Tensor
    end: float

    def frame(self, dense: bool) -> Frame:
        """The coordinates z, in which the Jacobian is a matrix for each system, or known by its products only.

        :raises CapabilityError: if N cannot be differentiated.
        :raises NonFiniteError: if the Jacobian is not finite.
        """
        if dense:
            value, columns = self._columns()
            drift = self._drift(value)
            whole: SemilinearODE = self._dense(columns, drift)
        else:
            value = self.evaluate(self.time, self.x)
            drift = self._drift(value)
            whole = self._matrix_free(drift)

        def point(t: float, x: Tensor) -> Tensor:
            return _joined(self.systems.vectors(x), t - self.time)

        def rest(t: float, x: Tensor, value: Tensor) -> Tensor:
            return _joined(self._slope(t, x, value), 1.0) - whole.linear_action(self.time, point(t, x))

        first = rest(self.time, self.x, value)
        return Frame(whole, self.evaluate, point(self.time, self.x), first, self._state, point, rest)

    def _slope(self, t: float, x: Tensor, value: Tensor) -> Tensor:
        return self.systems.vectors(self.ode.rate(t)(x, value))

    def _state(self, z: Tensor) -> Tensor:
        return self.systems.state(z[:, :-1])

    def _drift(self, value: Tensor) -> Tensor:
        """Derivative of the right-hand side in time: one evaluation, and another if N depends on time."""
        shift = _shift(getattr(self.evaluate, "dtype", self.x.dtype)) * (self.end - self.time)
        after, later = self.time + shift, self.time + 2 * shift
        here, near = (self._slope(t, self.x, v) for t, v in ((self.time, value), (after, self.evaluate(after, self.x))))
        if torch.equal(here, near):
            return torch.zeros_like(here)
        far = self._slope(later, self.x, self.evaluate(later, self.x))
        return (4 * near - 3 * here - far) / (2 * shift)

    def _derivative(self, tangent: Tensor) -> tuple[Tensor, Tensor]:
        """N, and the derivative of the right-hand side along vectors, shape (systems, size)."""
        x = self.systems.state(tangent)
        try:
            value, slope = torch.func.jvp(partial(self.evaluate, self.time), (self.x,), (x,))  # type: ignore[misc]
        except (RuntimeError, NotImplementedError) as error:
            raise CapabilityError(
                f"N of {type(self.ode).__name__} cannot be differentiated by torch.func ({error}); write it without "
                "changes in place and Python numbers, or take a method that needs no Jacobian, for example krogstad"
            ) from error
        return value, self.systems.vectors(self._rate(x, slope))

    @cached_property
    def _rate(self) -> Callable[[Tensor, Tensor], Tensor]:
        return self.ode.rate(self.time)

    def _matrix_free(self, drift: Tensor) -> KrylovODE:
        def times(z: Tensor) -> Tensor:
            with _FORWARD:
                own = self._derivative(z[:, :-1])[1]
            return _joined(own + drift * z[:, -1:], 0.0)

        return KrylovODE(times, _unused, self.ode.domain)

    def _columns(self) -> tuple[Tensor, Tensor]:
        """N, and the columns of the Jacobian in x, shape (size, systems, size): one evaluation in all directions."""
        _ = self._rate  # made before it is looked at from within a transformation
        size = self.systems.size
        unit = torch.eye(size, dtype=self.x.dtype.to_real(), device=self.x.device)
        count = self.x.numel() * (2 if self.systems.complex else 1) // max(1, size)
        with _FORWARD:
            directions = unit[:, None].expand(-1, count, -1)
            whole = torch.func.vmap(self._derivative, out_dims=(None, 0))  # type: ignore[arg-type]
            value, columns = whole(directions)
        return value, columns

    def _dense(self, columns: Tensor, drift: Tensor) -> BlockDiagonalODE:
        matrix = torch.cat([columns.permute(1, 2, 0), drift[..., None]], dim=2)
        if not bool(matrix.isfinite().all()):
            raise NonFiniteError(f"the Jacobian at t = {self.time:g} holds NaN or Inf")
        return BlockDiagonalODE(torch.nn.functional.pad(matrix, (0, 0, 0, 1)), _unused, self.ode.domain)


def _shift(dtype: torch.dtype) -> float:
    """Share of a step over which N is compared: far enough for its rounding, near enough for a method of order 4."""
    return float(torch.finfo(dtype).eps ** (1 / 4))


def _joined(y: Tensor, time: float) -> Tensor:
    """Vectors with an entry for time."""
    return torch.nn.functional.pad(y, (0, 1), value=time)


def _unused(t: float, z: Tensor) -> Tensor:
    raise NotImplementedError

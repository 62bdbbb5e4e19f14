"""Coordinates in which a step is made: the state itself, or the state and time around a point, linearised there."""

import math
from collections.abc import Callable

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

_SHIFT = 1e-4  # of a step: how far off N is looked at for its derivative in time


def _same(z: Tensor) -> Tensor:
    return z


@attrs.frozen(eq=False)
class Frame:
    """An ODE with its N, and the point from which a step is made."""

    ode: SemilinearODE
    evaluate: Evaluate
    start: Tensor
    """The point."""
    first: Tensor | None = None
    """N at the point, if it is known."""
    state: Callable[[Tensor], Tensor] = _same
    """The state that a point stands for."""

    def combine(self, row: Row, values: tuple[Tensor, ...]) -> Tensor:
        """The point, or the difference of points, that ``row`` stands for."""
        return combine(moving(self.ode.combine), row, self.start, values)

    def values(self, step: Step, history: tuple[Tensor, ...] = ()) -> tuple[Tensor, ...]:
        """N at the stages of ``step``, then the history."""
        values: tuple[Tensor, ...] = (self.evaluate(step.start, self.start) if self.first is None else self.first,)
        for stage in step.stages[1:]:
            values = (*values, self.evaluate(stage.time, self.combine(stage.row, values + history)))
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
    :param evaluate: its N.
    :param differentiated: its N, for the derivative in x.
    :param systems: what a system is.
    :param time: time of the point.
    :param x: state there.
    :param value: ``evaluate`` there.
    :param end: time up to which the linearisation serves.
    """

    ode: SemilinearODE
    evaluate: Evaluate
    differentiated: Evaluate
    systems: Systems
    time: float
    x: Tensor
    value: Tensor
    end: float

    def frame(self, dense: bool) -> Frame:
        """The coordinates z, in which the Jacobian is a matrix for each system, or known by its products only.

        :raises CapabilityError: if N cannot be differentiated.
        :raises NonFiniteError: if the Jacobian is not finite.
        """
        start, drift = _joined(self.systems.vectors(self.x), 0.0), self._drift()
        whole: SemilinearODE = self._dense(drift) if dense else self._matrix_free(drift)

        def jacobian(z: Tensor) -> Tensor:
            return whole.linear_action(self.time, z)

        def remainder(t: float, z: Tensor) -> Tensor:
            state = self._state(z)
            return _joined(self._slope(t, state, self.evaluate(t, state)), 1.0) - jacobian(z)

        first = _joined(self._slope(self.time, self.x, self.value), 1.0) - jacobian(start)
        return Frame(whole, remainder, start, first, self._state)

    def _slope(self, t: float, x: Tensor, value: Tensor) -> Tensor:
        return self.systems.vectors(self.ode.rate(t, x, value))

    def _state(self, z: Tensor) -> Tensor:
        return self.systems.state(z[:, :-1])

    def _drift(self) -> Tensor:
        """Derivative of the right-hand side in time: one evaluation, and another if N depends on time."""
        shift = _SHIFT * (self.end - self.time)
        here, near = (
            self._slope(t, self.x, value)
            for t, value in ((self.time, self.value), (self.time + shift, self.evaluate(self.time + shift, self.x)))
        )
        if torch.equal(here, near):
            return torch.zeros_like(here)
        far = self._slope(self.time + 2 * shift, self.x, self.evaluate(self.time + 2 * shift, self.x))
        return (4 * near - 3 * here - far) / (2 * shift)

    def _product(self, tangent: Tensor) -> Tensor:
        """The Jacobian in x times vectors, shape (systems, size)."""

        def slope(y: Tensor) -> Tensor:
            x = self.systems.state(y)
            return self._slope(self.time, x, self.differentiated(self.time, x))

        try:
            value: Tensor = torch.func.jvp(slope, (self.systems.vectors(self.x),), (tangent,))[1]
        except (RuntimeError, NotImplementedError) as error:
            raise CapabilityError(
                f"N of {type(self.ode).__name__} cannot be differentiated by torch.func ({error}); write it without "
                "changes in place and Python numbers, or take a method that needs no Jacobian, for example krogstad"
            ) from error
        return value

    def _matrix_free(self, drift: Tensor) -> KrylovODE:
        def times(z: Tensor) -> Tensor:
            return _joined(self._product(z[:, :-1]) + drift * z[:, -1:], 0.0)

        return KrylovODE(times, _unused, self.ode.domain)

    def _dense(self, drift: Tensor) -> BlockDiagonalODE:
        unit = torch.eye(self.systems.size, dtype=drift.dtype, device=drift.device)
        columns = torch.func.vmap(self._product)(unit[:, None].expand(-1, len(drift), -1))
        matrix = torch.cat([columns.permute(1, 2, 0), drift[..., None]], dim=2)
        if not bool(matrix.isfinite().all()):
            raise NonFiniteError(f"the Jacobian at t = {self.time:g} holds NaN or Inf")
        return BlockDiagonalODE(torch.nn.functional.pad(matrix, (0, 0, 0, 1)), _unused, self.ode.domain)


def _joined(y: Tensor, time: float) -> Tensor:
    """Vectors with an entry for time."""
    return torch.nn.functional.pad(y, (0, 1), value=time)


def _unused(t: float, z: Tensor) -> Tensor:
    raise NotImplementedError

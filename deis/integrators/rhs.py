"""The right-hand side that methods of other libraries integrate: of the ODE as it stands, or of its rho form."""

from collections.abc import Callable

import torch
from torch import Tensor

from deis.errors import CapabilityError, DeisError
from deis.integrators.base import BlackBox
from deis.numerics.derivative import derivative
from deis.odes.base import SemilinearODE

FORMS = ("raw", "rho")


class RightHandSide:
    """dv/dc of one solve, with its evaluations counted.

    In the form ``raw``, v = x and c = t. In the form ``rho``, c = rho and v = Psi(end, t) x, so that dv/drho = N up to
    the scale of the end: not stiff, and tolerances are in the unit of the result.

    :param method: the method at work, which diagnoses name.
    :param evaluate: N(t, x).
    :param times: where states are wanted, from the first to the last, shape (n,).
    :param most: number of evaluations at which to give up.
    :raises CapabilityError: for the form ``rho`` of an ODE without the clock rho.
    """

    def __init__(
        self,
        method: BlackBox,
        ode: SemilinearODE,
        evaluate: Callable[[float, Tensor], Tensor],
        times: Tensor,
        form: str,
        most: int,
    ) -> None:
        self._method, self._ode, self._evaluate, self._times, self._most = method, ode, evaluate, times, most
        self._rho = form == "rho"
        self._hand = method.need_clock(ode, "rho" if self._rho else "t")
        self._asked: list[float] = []

    @property
    def grid(self) -> Tensor:
        """The times in the variable of integration, shape (n,)."""
        return self._hand.of(self._times)

    def start(self, x0: Tensor) -> Tensor:
        """v at the first time."""
        return self._scaled(self._ode.transition(self._times[-1], self._times[0]), x0) if self._rho else x0

    def states(self, values: Tensor | list[Tensor]) -> list[Tensor]:
        """States at every time but the first, from v there."""
        if not self._rho:
            return list(values)
        back = self._ode.transition(self._times[1:], self._times[-1].expand(len(self._times) - 1))
        return [self._scaled(factor, v) for factor, v in zip(back, values, strict=True)]

    def __call__(self, c: Tensor, v: Tensor) -> Tensor:
        """dv/dc.

        :raises DeisError: if the evaluations are used up.
        """
        ode, end = self._ode, self._times[-1]
        t = self._hand.time(c.detach().to("cpu", torch.float64)).clamp(self._times.min(), self._times.max())
        self._asked.append(float(t))
        if len(self._asked) > self._most:
            raise DeisError(self.diagnosis(f"made {self._most} evaluations"))
        point = self._scaled(ode.transition(t, end), v) if self._rho else v
        value = self._scaled(ode.weight(t), self._evaluate(self._asked[-1], point))
        if self._rho:
            return self._scaled(ode.transition(end, t) / derivative(self._hand.of, t), value)
        return self._checked(ode.linear_action(self._asked[-1], point), point) + value

    def diagnosis(self, what: str) -> str:
        """Why the method may have stopped, and what to do."""
        return (
            f"{self._method!r} {what}, at t = {self._asked[-1]:g}: the solution may be singular there, the ODE stiff, "
            "or the tolerances finer than the state's precision; loosen rtol and atol, use float64, or an exponential "
            "method"
        )

    def _scaled(self, coefficient: Tensor, x: Tensor) -> Tensor:
        """A float64 coefficient times a state, in the state's precision."""
        self._checked(coefficient, x)
        if coefficient.dim():
            coefficient = coefficient.to(x.device, x.dtype)
        return self._ode.apply(coefficient, x)

    def _checked(self, value: Tensor, x: Tensor) -> Tensor:
        """A coefficient or a product of the ODE, refused if it is complex where the state is real."""
        if value.is_complex() and not x.is_complex():
            raise CapabilityError(
                "the ODE has complex coefficients and needs a complex state; pass x0.to(torch.complex128)"
            )
        return value

"""The adaptive Dormand-Prince method of torchdiffeq, on the ODE as it stands or on its rho form."""

from collections.abc import Callable, Sequence

import attrs
import torch
from torch import Tensor
from torchdiffeq import odeint

from deis.errors import CapabilityError, DeisError
from deis.fields import integer_in, number_in, one_of
from deis.integrators.base import INTEGRATORS, BlackBox
from deis.numerics.derivative import derivative
from deis.odes.base import SemilinearODE


@INTEGRATORS.register("dopri5")
@attrs.frozen
class Dopri5(BlackBox):
    """Adaptive Runge-Kutta 5(4) by torchdiffeq; it chooses its own steps, so that it has tolerances and no budget.

    :param rtol: relative tolerance.
    :param atol: absolute tolerance.
    :param form: ``raw`` integrates x' = L x + G N in t; ``rho`` integrates dv/drho = N for v = Psi(end, t) x,
        which is not stiff, on ODEs that have the clock rho.
    :param max_nfe: number of evaluations at which it gives up.
    """

    rtol: float = attrs.field(default=1e-5, validator=number_in(0, open_low=True))
    atol: float = attrs.field(default=1e-5, validator=number_in(0, open_low=True))
    form: str = attrs.field(default="raw", validator=one_of(["raw", "rho"]))
    max_nfe: int = attrs.field(default=100_000, validator=integer_in(1, 10**9))

    order = 5
    evaluations_per_step = 6
    source = "Dormand and Prince (1980); torchdiffeq"

    def integrate(
        self, ode: SemilinearODE, evaluate: Callable[[float, Tensor], Tensor], x0: Tensor, times: Tensor
    ) -> Sequence[Tensor]:
        rho = self.form == "rho"
        hand = self.need_clock(ode, "rho" if rho else "t")
        asked: list[float] = []
        origin = times[-1]  # v is the state there, so that atol is in its unit

        def slope(c: Tensor, v: Tensor) -> Tensor:
            t = hand.time(c.detach().to("cpu", torch.float64)).clamp(times.min(), times.max())
            asked.append(float(t))
            if len(asked) > self.max_nfe:
                raise DeisError(self._diagnosis(f"made {self.max_nfe} evaluations", asked))
            point = _scaled(ode, ode.transition(t, origin), v) if rho else v
            value = _scaled(ode, ode.weight(t), evaluate(asked[-1], point))
            if rho:
                return _scaled(ode, ode.transition(origin, t) / derivative(hand.of, t), value)
            return _scaled(ode, ode.linear(t), point) + value

        if x0.numel() == 0:
            return [x0] * len(times)
        grid = hand.of(times)
        v0 = _scaled(ode, ode.transition(origin, times[0]), x0) if rho else x0
        # step_t keeps the last step from running past the end, where the ODE may not exist
        options = {"step_t": grid}
        try:
            _, *states = odeint(slope, v0, grid, rtol=self.rtol, atol=self.atol, method="dopri5", options=options)
        except AssertionError as error:  # "underflow in dt"
            raise DeisError(self._diagnosis("needs steps below rounding", asked)) from error
        if rho:
            states = [_scaled(ode, ode.transition(t, origin), v) for t, v in zip(times[1:], states, strict=True)]
        return [x0, *states]

    def _diagnosis(self, what: str, asked: list[float]) -> str:
        return (
            f"{self!r} {what}, at t = {asked[-1]:g}: the solution may be singular there, the ODE stiff, or the "
            "tolerances finer than the state's precision; loosen rtol and atol, use float64, or an exponential method"
        )


def _scaled(ode: SemilinearODE, coefficient: Tensor, x: Tensor) -> Tensor:
    """A float64 coefficient times a state, in the state's precision."""
    if coefficient.is_complex() and not x.is_complex():
        raise CapabilityError(
            "the ODE has complex coefficients and needs a complex state; pass x0.to(torch.complex128)"
        )
    if coefficient.dim():
        coefficient = coefficient.to(x.device, x.dtype)
    return ode.apply(coefficient, x)

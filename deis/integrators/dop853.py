"""The adaptive Dormand-Prince method of order 8 of scipy, for reference solutions."""

from collections.abc import Callable
from typing import Any, ClassVar

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from torch import Tensor

from deis.errors import CapabilityError, DeisError
from deis.fields import integer_in, number_in, one_of
from deis.integrators.base import INTEGRATORS, BlackBox, Trajectory
from deis.integrators.rhs import FORMS, RightHandSide
from deis.odes.base import SemilinearODE


@INTEGRATORS.register("dop853")
@attrs.frozen
class Dop853(BlackBox):
    """Adaptive Runge-Kutta 8(5,3) by scipy, in double precision on the CPU and without gradients.

    It shares nothing with the exponential methods, so that a solution on which both agree can be trusted.

    :param rtol: relative tolerance; scipy takes none below 2.3e-14.
    :param atol: absolute tolerance.
    :param form: ``raw`` integrates x' = L x + G N in t; ``rho`` integrates dv/drho = N for v = Psi(end, t) x,
        which is not stiff, on ODEs that have the clock rho.
    :param max_nfe: number of evaluations at which it gives up.
    """

    rtol: float = attrs.field(default=1e-5, validator=number_in(100 * float(np.finfo(float).eps)))
    atol: float = attrs.field(default=1e-5, validator=number_in(0, open_low=True))
    form: str = attrs.field(default="raw", validator=one_of(FORMS))
    max_nfe: int = attrs.field(default=100_000, validator=integer_in(1, 10**9))

    order = 8
    evaluations_per_step = 12
    differentiable: ClassVar[bool] = False
    source = "Hairer, Norsett and Wanner (1993), section II.10; scipy"

    def integrate(
        self, ode: SemilinearODE, evaluate: Callable[[float, Tensor], Tensor], x0: Tensor, times: Tensor
    ) -> Trajectory:
        if x0.requires_grad and torch.is_grad_enabled():
            raise CapabilityError(f"{self!r} has no gradients; use dopri5, or call it under torch.no_grad()")
        slope = RightHandSide(self, ode, evaluate, times, self.form, self.max_nfe)
        if x0.numel() == 0:
            return Trajectory([x0] * len(times), tuple(times.tolist()))
        kind = torch.complex128 if x0.is_complex() else torch.float64

        def flat(x: Tensor) -> NDArray[Any]:
            values: NDArray[Any] = x.detach().to("cpu", kind).resolve_conj().resolve_neg().numpy().ravel()
            return values

        def state(y: NDArray[Any]) -> Tensor:
            return torch.from_numpy(y.copy()).reshape(x0.shape).to(x0)

        def rate(c: float, y: NDArray[Any]) -> NDArray[Any]:
            return flat(slope(torch.tensor(c, dtype=torch.float64), state(y)))

        c = slope.grid.numpy()
        with torch.no_grad():
            found = solve_ivp(
                rate, (c[0], c[-1]), flat(slope.start(x0)), "DOP853", c[1:], rtol=self.rtol, atol=self.atol
            )
            if not found.success:
                raise DeisError(slope.diagnosis("needs steps below rounding"))
            states = [x0, *slope.states([state(y) for y in found.y.T])]
            return Trajectory(states, tuple(times.tolist()))

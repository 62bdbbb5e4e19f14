"""The adaptive Dormand-Prince method of torchdiffeq, on the ODE as it stands or on its rho form."""

from collections.abc import Callable

import attrs
from torch import Tensor
from torchdiffeq import odeint

from deis.errors import DeisError
from deis.fields import integer_in, number_in, one_of
from deis.integrators.base import INTEGRATORS, BlackBox, Trajectory
from deis.integrators.rhs import FORMS, RightHandSide
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
    form: str = attrs.field(default="raw", validator=one_of(FORMS))
    max_nfe: int = attrs.field(default=100_000, validator=integer_in(1, 10**9))

    order = 5
    evaluations_per_step = 6
    source = "Dormand and Prince (1980); torchdiffeq"

    def integrate(
        self, ode: SemilinearODE, evaluate: Callable[[float, Tensor], Tensor], x0: Tensor, times: Tensor
    ) -> Trajectory:
        slope = RightHandSide(self, ode, evaluate, times, self.form, self.max_nfe)
        if x0.numel() == 0:
            return Trajectory([x0] * len(times), tuple(times.tolist()))
        # step_t keeps the last step from running past the end, where the ODE may not exist
        tolerances = {"rtol": self.rtol, "atol": self.atol, "options": {"step_t": slope.grid}}
        try:
            _, *values = odeint(slope, slope.start(x0), slope.grid, method="dopri5", **tolerances)
        except AssertionError as error:  # "underflow in dt"
            raise DeisError(slope.diagnosis("needs steps below rounding")) from error
        return Trajectory([x0, *slope.states(values)], tuple(times.tolist()))

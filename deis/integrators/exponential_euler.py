"""The exponential Euler method; on the eps splitting it is DDIM."""

import attrs

from deis.fields import text
from deis.grids import Times
from deis.integrators.base import INTEGRATORS, Integrator
from deis.integrators.plan import Plan
from deis.integrators.polynomial import PolynomialEIAB
from deis.odes.base import SemilinearODE


@INTEGRATORS.register("ddim")
@attrs.frozen
class ExponentialEuler(Integrator):
    """Exact in L, with N frozen over the step; on the eps splitting of a diffusion ODE this is DDIM.

    It is eq. :eq:`weights` of the theory page with one point, and DDIM eq. :eq:`ddim`.

    :param predict: splitting of the ODE; None for its own.
    """

    predict: str | None = attrs.field(default=None, validator=attrs.validators.optional(text))

    order = 1
    source = "arXiv 2010.02502, eq. 13; arXiv 2204.13902, prop. 2"

    def plan(self, ode: SemilinearODE, times: Times) -> Plan:
        return PolynomialEIAB(predict=self.predict, steps=1).plan(ode, times)

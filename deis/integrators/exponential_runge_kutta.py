"""Exponential Runge-Kutta methods on the form of the ODE in which the linear part is constant."""

import attrs

from deis.fields import name_or, text
from deis.grids import Times, as_times
from deis.integrators.base import INTEGRATORS
from deis.integrators.phi_steps import phi_steps
from deis.integrators.plan import Plan
from deis.integrators.stages import Staged
from deis.numerics.exponential_tableaux import EXPONENTIAL_TABLEAUX, ExponentialTableau
from deis.odes.base import SemilinearODE

_register = INTEGRATORS.register


@_register("etd1", tableau="etd1")
@_register("etd2rk", tableau="etd2rk")
@_register("etd3rk", tableau="etd3rk")
@_register("etdrk4", tableau="etdrk4")
@_register("krogstad", tableau="krogstad")
@_register("strehmel-weiner", tableau="strehmel-weiner")
@_register("hochbruck-ostermann", tableau="hochbruck-ostermann")
@_register("hochbruck-ostermann-3", tableau="hochbruck-ostermann-3")
@_register("dpm-solver-2", tableau="dpm-solver-2", predict="eps")
@_register("dpm-solver-3", tableau="dpm-solver-3", predict="eps")
@_register("dpmpp-2s", tableau="dpm-solver-2", predict="x0")
@_register("dpmpp-3s", tableau="dpm-solver-3", predict="x0")
@_register("dpm2", tableau="dpm-solver-2", predict="eps")
@attrs.frozen
class ExponentialRungeKutta(Staged):
    """One-step methods whose coefficients are phi functions of h L.

    This is eq. :eq:`exponential-runge-kutta` of the theory page, on x = scale(t) y with dy/dc = L y + N and L constant:
    as it stands where L is constant in ``t``; for the splittings eps and x0 of a diffusion ODE in the clock ``lambda``,
    where these are DPM-Solver-2 and -3 (eps) and DPM-Solver++ 2S and 3S (x0), and every other tableau applies as well.

    :param tableau: name of an exponential tableau, or one of your own.
    :param predict: splitting of the ODE; None for its own.
    """

    tableau: str | ExponentialTableau = attrs.field(
        default="krogstad", validator=name_or(ExponentialTableau, EXPONENTIAL_TABLEAUX)
    )
    predict: str | None = attrs.field(default=None, validator=attrs.validators.optional(text))

    source = "Hochbruck and Ostermann, Acta Numerica 19 (2010), section 2.3; arXiv 2206.00927; arXiv 2211.01095"

    @property
    def method(self) -> ExponentialTableau:
        return EXPONENTIAL_TABLEAUX[self.tableau] if isinstance(self.tableau, str) else self.tableau

    def plan(self, ode: SemilinearODE, times: Times) -> Plan:
        form = ode if self.predict is None else ode.split(self.predict)
        return Plan(phi_steps(self.method, form, as_times(times)), form.splitting)

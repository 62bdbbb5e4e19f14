"""The Euler-Maruyama method on the reverse SDE, which ignores that its linear part is known."""

from typing import ClassVar

import attrs
from torch import Tensor

from deis.fields import number_in
from deis.grids import Times, as_times
from deis.integrators.base import INTEGRATORS, Integrator, unstack
from deis.integrators.euler import Euler
from deis.integrators.levels import falling_levels, noise_levels
from deis.integrators.plan import Plan
from deis.numerics.derivative import derivative
from deis.odes.base import SemilinearODE


@INTEGRATORS.register("euler-maruyama")
@attrs.frozen
class EulerMaruyama(Integrator):
    """Explicit Euler on dx = [F x - (1 + tau^2)/2 g^2 score] dt + tau g dw, with noise tau g(s) sqrt(|t - s|) z.

    Its order is 1 on paths and in distribution, the noise being additive.

    :param tau: amount of noise; 0 is Euler's method, 1 reverses the forward process.
    """

    tau: float = attrs.field(default=1.0, validator=number_in(0))

    order = 1
    stochastic: ClassVar[bool] = True
    source = "Maruyama (1955); arXiv 2011.13456, section 4.2"

    def plan(self, ode: SemilinearODE, times: Times) -> Plan:
        times = as_times(times)
        falling_levels(ode, times)
        form = ode.reverse_sde(self.tau)
        plan = Euler().plan(form, times)
        if not self.tau:
            return plan
        scales = unstack(self.tau * (_squared_diffusion(form, times[:-1]) * times.diff().abs()).sqrt(), 1)
        clock = form.brownian(times).tolist()
        steps = [
            attrs.evolve(step, advance=attrs.evolve(step.advance, noise=[scales[n]]), draws=[(clock[n], clock[n + 1])])
            for n, step in enumerate(plan.steps)
        ]
        return attrs.evolve(plan, steps=steps)


def _squared_diffusion(ode: SemilinearODE, t: Tensor) -> Tensor:
    """g^2 = alpha^2 |d rho^2 / dt|, because x / alpha gathers noise of variance rho^2."""
    alpha, _ = ode.marginal(t)
    return alpha**2 * derivative(lambda time: noise_levels(ode, time) ** 2, t).abs()

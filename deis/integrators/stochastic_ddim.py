"""Stochastic DDIM: exponential Euler on the reverse SDE."""

from itertools import pairwise
from typing import ClassVar

import attrs
import torch
from torch import Tensor

from deis.errors import ArgumentError
from deis.fields import number_in, one_of
from deis.grids import Times, as_times
from deis.integrators.base import INTEGRATORS, Integrator, unstack
from deis.integrators.levels import falling_levels
from deis.integrators.plan import Plan, Row, Stage, Step
from deis.odes.base import SemilinearODE


@INTEGRATORS.register("sddim")
@attrs.frozen
class StochasticDDIM(Integrator):
    """DDIM with fresh noise in every step: x_t = alpha_t x0 + sqrt(sigma_t^2 - s^2) eps + s z.

    The step is eq. :eq:`stochastic-ddim` of the theory page, its two laws are eq. :eq:`noise-laws`.

    :param eta: amount of noise; 0 is DDIM and 1 is DDPM under both laws.
    :param law: the variance s^2 of a step from noise to signal ratio rho_s to rho_t. ``ddim``:
        eta^2 sigma_t^2 (1 - rho_t^2 / rho_s^2), with eta at most 1 (arXiv 2010.02502, eq. 16). ``sde``:
        sigma_t^2 (1 - (rho_t / rho_s)^{2 eta^2}), the exponential integrator of the reverse SDE whose noise is eta
        times that of the forward process (arXiv 2204.13902, section 5; arXiv 2206.05564, theorem 1).
    """

    eta: float = attrs.field(default=1.0, validator=number_in(0))
    law: str = attrs.field(default="ddim", validator=one_of(["ddim", "sde"]))

    order = 1
    stochastic: ClassVar[bool] = True
    source = "arXiv 2010.02502, eq. 12 and 16; arXiv 2206.05564"

    def __attrs_post_init__(self) -> None:
        if self.law == "ddim" and self.eta > 1:
            raise ArgumentError("eta", "must be at most 1 under the law 'ddim'", self.eta, "or choose law='sde'")

    def plan(self, ode: SemilinearODE, times: Times) -> Plan:
        times = as_times(times)
        form = ode.split("eps")
        rho, (_, sigma) = falling_levels(form, times), form.marginal(times[1:])
        noise = sigma * self._share(rho[1:] / rho[:-1]).sqrt()
        return noisy_ddim(form, times, (sigma**2 - noise**2).clamp(min=0).sqrt(), noise)

    def _share(self, ratio: Tensor) -> Tensor:
        """s^2 / sigma_t^2."""
        if self.law == "ddim":
            return self.eta**2 * (1 - ratio**2)
        return -torch.expm1(2 * self.eta**2 * ratio.log())


def noisy_ddim(form: SemilinearODE, times: Tensor, kept: Tensor, noise: Tensor) -> Plan:
    """Steps  x_t = alpha_t x0 + kept eps + noise z,  whose x0 is what x_s and eps make of it.

    :param form: the ODE split into eps.
    :param kept: one number a step.
    :param noise: one number a step.
    """
    alpha, sigma = form.marginal(times)
    state = alpha[1:] / alpha[:-1]
    numbers = (unstack(c, 1) for c in (state, kept - state * sigma[:-1], noise))
    rows = zip(pairwise(times.tolist()), *numbers, strict=True)
    return Plan([Step(s, t, [Stage(s)], Row(x, [n], [z]), draws=[None]) for (s, t), x, n, z in rows], form.splitting)

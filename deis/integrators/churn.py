"""Churn: fresh noise before every step of a one-step method."""

import math
from typing import ClassVar

import attrs
import torch

from deis.fields import number_in
from deis.grids import Times, as_times
from deis.integrators.base import INTEGRATORS, Integrator, unstack
from deis.integrators.levels import falling_levels, noise_levels
from deis.integrators.plan import Plan, Row, Stage, Step
from deis.integrators.rho_runge_kutta import RhoRungeKutta
from deis.integrators.wrapper import Wrapper, quiet, steps_between
from deis.odes.base import Coefficient, SemilinearODE

_MOST = math.sqrt(2) - 1  # the noise of a step is at most as much as the state had


@INTEGRATORS.register("edm-churn", method=RhoRungeKutta("heun2"), churn=40.0, low=0.05, high=50.0, noise=1.003)
@attrs.frozen
class Churn(Wrapper):
    """The stochastic sampler of EDM, with any one-step method: each step starts by a rise of the noise level.

    From rho = sigma / alpha fresh noise brings the state to rho (1 + gamma), and the method to the end of the step
    (eq. :eq:`churn` of the theory page);  gamma = min(churn / intervals, sqrt(2) - 1)  where rho lies between ``low``
    and ``high``, 0 elsewhere. No level is raised above that of the start of the ODE's domain.

    :param method: a one-step method, or its name.
    :param churn: amount of noise for all steps together, S_churn; 0 is the method itself.
    :param low: lowest noise level rho of a rise, S_min.
    :param high: highest noise level rho of a rise, S_max.
    :param noise: factor of the standard deviation of the noise, S_noise.
    """

    method: Integrator = attrs.field(converter=quiet)
    churn: float = attrs.field(default=40.0, validator=number_in(0))
    low: float = attrs.field(default=0.0, validator=number_in(0))
    high: float = attrs.field(default=1e6, validator=number_in(0))
    noise: float = attrs.field(default=1.0, validator=number_in(0))

    stochastic: ClassVar[bool] = True
    source = "arXiv 2206.00364, algorithm 2"

    def plan(self, ode: SemilinearODE, times: Times) -> Plan:
        times = as_times(times)
        hand = self.need_clock(ode, "rho")
        start, rho = times[:-1], falling_levels(ode, times)[:-1]
        gamma = min(self.churn / len(start), _MOST)
        highest = noise_levels(ode, torch.tensor(ode.domain[0], dtype=torch.float64))
        raised = torch.minimum((1 + gamma) * rho, highest)
        active = (self.low <= rho) & (rho <= self.high) & (raised > rho)
        above = torch.where(active, hand.time(torch.where(active, raised, rho)), start)
        alpha = ode.marginal(above)[0]
        grown = alpha / ode.marginal(start)[0]
        deviation = self.noise * alpha * torch.where(active, (raised**2 - rho**2).clamp(min=0), 0.0).sqrt()
        steps, splitting = steps_between(self.method, ode, above, times[1:])
        rises = zip(steps, start.tolist(), unstack(grown, 1), unstack(deviation, 1), strict=True)
        return Plan([_risen(*given) for given in rises], splitting)


def _risen(step: Step, start: float, grown: Coefficient, deviation: Coefficient) -> Step:
    """The step from ``start``, whose rows take the state and the noise for the state where the method starts."""

    def row(old: Row) -> Row:
        return Row(old.state * grown, old.values, [old.state * deviation])

    stages = [Stage(stage.time, row(stage.row)) for stage in step.stages]
    return Step(start, step.end, stages, row(step.advance), draws=[None])

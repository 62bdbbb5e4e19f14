"""Ancestral sampling: a step of the ODE to less noise than wanted, then fresh noise."""

from typing import ClassVar

import attrs
import torch

from deis.errors import ArgumentError
from deis.fields import number_in
from deis.grids import Times, as_times
from deis.integrators.base import INTEGRATORS, Integrator, unstack
from deis.integrators.exponential_euler import ExponentialEuler
from deis.integrators.exponential_runge_kutta import ExponentialRungeKutta
from deis.integrators.levels import falling_levels, noise_levels
from deis.integrators.plan import Plan, Stage, Step
from deis.integrators.wrapper import Wrapper, quiet, steps_between
from deis.odes.base import Coefficient, SemilinearODE

_ROUNDING = 1e-10  # of the times, more than the rounding of a noise level makes of one

_register = INTEGRATORS.register


@_register("euler-ancestral", method=ExponentialEuler("eps"))
@_register("dpm2-ancestral", method=ExponentialRungeKutta("dpm-solver-2", predict="eps"))
@_register("dpmpp-2s-ancestral", method=ExponentialRungeKutta("dpm-solver-2", predict="x0"))
@attrs.frozen
class Ancestral(Wrapper):
    """A one-step method with noise at the end of every step: from rho_s the ODE is solved to rho_down, below rho_t.

    With rho = sigma / alpha,  rho_up^2 = eta^2 rho_t^2 (1 - rho_t^2 / rho_s^2)  and  rho_down^2 = rho_t^2 - rho_up^2:
    the state there, times alpha_t / alpha_down, and noise of standard deviation alpha_t rho_up have the distribution of
    the process at t, so that what the method makes wrong is the only error of the distribution (eq. :eq:`ancestral` of
    the theory page). With DDIM it is :class:`StochasticDDIM`, of the same ``eta``.

    :param method: a one-step method, or its name.
    :param eta: amount of noise, at most 1; 0 is the method itself.
    """

    method: Integrator = attrs.field(converter=quiet)
    eta: float = attrs.field(default=1.0, validator=number_in(0, 1))

    stochastic: ClassVar[bool] = True
    source = "arXiv 2010.02502, eq. 12 and 16; arXiv 2206.00364, section 4"

    def plan(self, ode: SemilinearODE, times: Times) -> Plan:
        times = as_times(times)
        hand = self.need_clock(ode, "rho")
        rho, end = falling_levels(ode, times), times[1:]
        target = rho[1:] * (1 - self.eta**2 * (1 - (rho[1:] / rho[:-1]) ** 2)).sqrt()
        down = torch.where(target == rho[1:], end, hand.time(target))
        up = (rho[1:] ** 2 - noise_levels(ode, down) ** 2).clamp(min=0).sqrt()  # whatever the clock makes of the target
        alpha, _ = ode.marginal(end)
        back = unstack(alpha / ode.marginal(down)[0], 1)
        steps, splitting = steps_between(self.method, ode, times[:-1], down)
        rows = zip(steps, end.tolist(), back, unstack(alpha * up, 1), strict=True)
        return Plan([self._noisy(ode.domain[1], *given) for given in rows], splitting)

    def _noisy(self, last: float, step: Step, end: float, back: Coefficient, noise: Coefficient) -> Step:
        """The step with its result brought to ``end``, to which times that differ from it by rounding are set."""
        close = _ROUNDING * (abs(step.start) + abs(end))
        stages = [Stage(end if abs(s.time - end) <= close else s.time, s.row) for s in step.stages]
        for time in (stage.time for stage in stages):
            if (time - last) * (step.start - last) < 0:
                rule = f"must end at a noise level above {end:g} for {self!r}, which evaluates N at t = {time:g}"
                raise ArgumentError("times", rule, end, "or take less eta, or a method without such a stage")
        advance = step.advance.map(lambda c: c * back)
        return Step(step.start, end, stages, attrs.evolve(advance, noise=[noise]), draws=[None])

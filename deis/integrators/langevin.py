"""Predictor-corrector sampling: Langevin steps at each noise level after a step to it."""

from typing import ClassVar

import attrs
from torch import Tensor

from deis.errors import ArgumentError
from deis.fields import integer_in, number_in
from deis.grids import Times, as_times
from deis.integrators.base import INTEGRATORS, Integrator, unstack
from deis.integrators.exponential_euler import ExponentialEuler
from deis.integrators.levels import falling_levels
from deis.integrators.plan import Plan, Row, Stage, Step
from deis.integrators.resplit import resplit
from deis.integrators.stochastic import Stochastic
from deis.integrators.wrapper import Wrapper, planned
from deis.odes.base import SemilinearODE


@INTEGRATORS.register("langevin-corrected", method=Stochastic(ExponentialEuler("x0")))
@attrs.frozen
class LangevinCorrected(Wrapper):
    """Each step of a method is followed by Langevin steps, which draw the state to the distribution of its noise level.

    Such a step is  x + 2 snr^2 sigma^2 score + 2 snr sigma z  (eq. :eq:`langevin-step` of the theory page). The paper's
    length has the norms of the score and of the noise z in the batch in it; here they are what they are for an exact
    score and many dimensions, |score| = |z| / sigma, so that no sample depends on its batch. The steps have an error of
    their own, of the order of snr^2, that does not fall with the number of intervals: the order is 0.

    :param method: a method with a plan, but without history: the predictor.
    :param snr: signal to noise ratio of a correction, the paper's r.
    :param corrections: number of corrections after each step.
    """

    method: Integrator = attrs.field(converter=planned)
    snr: float = attrs.field(default=0.16, validator=number_in(0))
    corrections: int = attrs.field(default=1, validator=integer_in(1, 1000))

    order = 0
    stochastic: ClassVar[bool] = True
    source = "arXiv 2011.13456, algorithms 1 and 4-5"

    @property
    def evaluations_per_step(self) -> int:  # type: ignore[override]
        return self.method.evaluations_per_step + self.corrections

    def nfe(self, intervals: int) -> int:
        return self.method.nfe(intervals) + self.corrections * intervals

    def plan(self, ode: SemilinearODE, times: Times) -> Plan:
        times = as_times(times)
        falling_levels(ode, times)
        predictor = self.method.plan(ode, times)
        if predictor.history:
            raise ArgumentError("method", "must keep no values of earlier steps", self.method, "for example ddpm")
        corrections = iter(self._steps(ode, predictor.splitting, times))
        steps: list[Step] = []
        for step in predictor.steps:
            steps.append(step)
            if step.end != step.start:
                steps += [next(corrections)] * self.corrections
        return attrs.evolve(predictor, steps=steps)

    def _steps(self, ode: SemilinearODE, splitting: str, times: Tensor) -> list[Step]:
        """A correction at each time but the first."""
        ends = times[1:]
        a, b = resplit(ode, splitting, "eps", ends)
        _, sigma = ode.marginal(ends)
        drift, noise = 2 * self.snr**2 * sigma, 2 * self.snr * sigma
        numbers = zip(ends.tolist(), *(unstack(c, 1) for c in (1 - drift * a, -drift * b, noise)), strict=True)
        return [Step(t, t, [Stage(t)], Row(x, [value], [z]), draws=[None]) for t, x, value, z in numbers]

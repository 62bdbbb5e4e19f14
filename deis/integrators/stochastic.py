"""The reverse-SDE family: any planned method on the drift of the reverse SDE, with the exact noise."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar

import attrs
import torch

from deis.errors import ArgumentError
from deis.fields import number_in
from deis.grids import Times, as_times
from deis.integrators.base import INTEGRATORS, Integrator, unstack
from deis.integrators.exponential_euler import ExponentialEuler
from deis.integrators.exponential_runge_kutta import ExponentialRungeKutta
from deis.integrators.levels import falling_levels, levels_at
from deis.integrators.plan import Plan, Row, Stage, Step
from deis.integrators.polynomial import PolynomialEIAB
from deis.integrators.wrapper import Wrapper, quiet
from deis.odes.base import Coefficient, SemilinearODE

_register = INTEGRATORS.register


def _above_low(instance: Any, attribute: Any, value: Any) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not value > instance.low:
        raise ArgumentError(attribute.name, f"must be a number above low={instance.low!r}", value)


@_register("ddpm", method=ExponentialEuler("x0"))
@_register("dpmpp-sde", method=ExponentialRungeKutta("dpm-solver-2", predict="x0"))
@_register("dpmpp-2m-sde", method=PolynomialEIAB("x0", "lambda", steps=2, moments="bh2"))
@_register("dpmpp-2m-sde-heun", method=PolynomialEIAB("x0", "lambda", steps=2))
@_register("dpmpp-3m-sde", method=PolynomialEIAB("x0", "lambda", steps=3, moments="halved"))
@_register("dpmpp-3m-sde-exact", method=PolynomialEIAB("x0", "lambda", steps=3))
@_register("sa-solver", method=PolynomialEIAB("x0", "lambda", steps=3, corrector=True))
@_register("sa-solver-published", method=PolynomialEIAB("x0", "lambda", steps=3, corrector=True, moments="bh1"))
@_register("sa-solver-2", method=PolynomialEIAB("x0", "lambda", steps=2, corrector=True))
@_register("sa-solver-4", method=PolynomialEIAB("x0", "lambda", steps=4, corrector=True))
@_register("sexp-ab2", method=PolynomialEIAB("eps", "lambda", steps=2))
@_register("sexp-ab3", method=PolynomialEIAB("eps", "lambda", steps=3))
@attrs.frozen
class Stochastic(Wrapper):
    """A method for ODEs on the reverse SDE of a diffusion, dx = [F x - (1 + tau^2)/2 g^2 score] dt + tau g dw.

    Its drift is semilinear again, so that the method's plan for it takes N into account as for the ODE; the noise,
    which passes through the linear part only, is exact (eq. :eq:`stochastic-step` of the theory page). A step draws
    once for each stretch between neighbours among the times of its points. The order is that in distribution (of mean
    and variance on Gaussian data), 2 at most; on paths it is 1, with an error that falls with tau.

    :param method: a method with a plan and without noise, or its name; it must split the ODE into eps or x0, and gets
        eps where it leaves the choice to an ODE with another splitting.
    :param tau: amount of noise, lambda_coef of arXiv 2204.13902; 0 is the method itself, 1 reverses the forward
        process, and the eta of k-diffusion's SDE samplers is tau^2.
    :param low: steps that start at a ratio sigma / alpha below it add no noise.
    :param high: steps that start at a ratio above it add no noise.
    """

    method: Integrator = attrs.field(converter=quiet)
    tau: float = attrs.field(default=1.0, validator=number_in(0))
    low: float = attrs.field(default=0.0, validator=number_in(0))
    high: float = attrs.field(default=math.inf, validator=_above_low)

    stochastic: ClassVar[bool] = True
    source = "arXiv 2204.13902, section 5; arXiv 2309.05019; arXiv 2211.01095, section 5"

    @property
    def order(self) -> int:  # type: ignore[override]
        return min(self.method.order, 2) if self.tau else self.method.order

    def nfe(self, intervals: int) -> int:
        return self.method.nfe(intervals)

    def plan(self, ode: SemilinearODE, times: Times) -> Plan:
        times = as_times(times)
        falling_levels(ode, times)
        form = ode.reverse_sde(self.tau)
        noisy = self.method.plan(form, times)
        levels = levels_at(ode, [step.start for step in noisy.steps])
        active = [self.tau > 0 and self.low <= level <= self.high for level in levels]
        plain = noisy if all(active) else self.method.plan(ode.split(noisy.splitting), times)
        chosen = [(noisy if on else plain).steps[n] for n, on in enumerate(active)]
        return attrs.evolve(noisy, steps=with_noise(form.split(noisy.splitting), chosen, active))


def with_noise(sde: SemilinearODE, steps: Sequence[Step], active: Sequence[bool]) -> list[Step]:
    """The steps, the ``active`` ones with the noise of ``sde`` in each row whose point lies after the start.

    The noise of a stretch from a to b is noise_scale(b, a) z at b, and Psi(c, b) times that at a later c.
    """
    stops = [_stops(step) if on else [step.start] for step, on in zip(steps, active, strict=True)]
    stretches = [pair for row in stops for pair in pairwise(row)]
    if not stretches:
        return list(steps)
    start, end = torch.tensor(stretches, dtype=torch.float64).unbind(1)
    spans = iter(torch.stack([sde.brownian(start), sde.brownian(end)], 1).tolist())
    reach, stretch, first = list[float](), list[int](), 0
    for row in stops:
        for k, time in enumerate(row[1:], start=1):  # what has been gathered at the k-th stop
            reach += [time] * k
            stretch += range(first, first + k)
        first += len(row) - 1
    index = torch.tensor(stretch)
    gathered = sde.transition(torch.tensor(reach, dtype=torch.float64), end[index]) * sde.noise_scale(end, start)[index]
    numbers = iter(unstack(gathered, 1))
    noise = [{time: [next(numbers) for _ in range(k)] for k, time in enumerate(row)} for row in stops]
    return [_noisy(step, noise[n], [next(spans) for _ in stops[n][1:]]) for n, step in enumerate(steps)]


def _stops(step: Step) -> list[float]:
    """Start of the step and the later times of its points, in order."""
    times = {step.start, step.end, *(stage.time for stage in step.stages)}
    return sorted(times, key=lambda time: abs(time - step.start))


def _noisy(step: Step, noise: dict[float, list[Coefficient]], spans: list[Any]) -> Step:
    if not spans:
        return step

    def row(old: Row, time: float) -> Row:
        return attrs.evolve(old, noise=noise[time]) if noise[time] else old

    stages = [Stage(stage.time, row(stage.row, stage.time)) for stage in step.stages]
    correct = step.correct and row(step.correct, step.end)
    return attrs.evolve(step, stages=stages, advance=row(step.advance, step.end), correct=correct, draws=spans)

"""Grids that keep the errors of N small at the end of the way, from coefficients alone."""

from typing import Any, Final

import attrs
import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from deis.errors import CapabilityError
from deis.fields import boolean, number_in
from deis.grids import TimeGrid
from deis.integrators.base import Integrator
from deis.integrators.plan import Plan
from deis.numerics.host import on_host
from deis.odes.base import SemilinearODE
from deis.tuning.bent import times_of
from deis.tuning.grid import GridObjective
from deis.tuning.influence import contributions, influence

Logs = np.ndarray[Any, np.dtype[np.float64]]

_OPTIONS: Final = {"maxiter": 100, "ftol": 1e-6}
_REACH: Final = 5.0  # by how much the logarithm of an interval may change


@attrs.frozen
class CoefficientBound(GridObjective):
    """Makes sum_i doubt(t_i) abs(b_i) small, with b_i the influence of the i-th value of N and doubt its likely error.

    The prediction of x0 is in doubt by sigma(t)^power / alpha(t), that of another splitting by as much as it changes
    the same right-hand side; where an ODE has no signal and noise levels, every N is in doubt by 1. Nothing is
    evaluated, and nothing is known about how far N changes over a step: it suits x0 on few steps, where the weights of
    eps are those of the start alone. (arXiv 2402.17376, section 3.)

    :param power: 1 for a network whose prediction of eps is equally good at all times.
    :param apart: bound what each step makes of a value by itself (:func:`~deis.tuning.influence.contributions`), so
        that grids cannot rely on errors that cancel between steps.

    >>> from deis import EDM, GaussianMixture, make_grid
    >>> from deis.integrators.base import as_integrator
    >>> ode = GaussianMixture(torch.zeros(1, 2), std=1.0).ode(EDM())
    >>> objective, start = CoefficientBound(), make_grid("default")(ode, 5)
    >>> better = objective.optimise(as_integrator("unipc-2"), ode, start)
    >>> bound = lambda grid: objective.bound(ode, as_integrator("unipc-2").plan(ode, grid), grid.tensor())
    >>> bool(bound(better) < bound(start))
    True
    """

    power: float = attrs.field(default=1.0, validator=number_in(0))
    apart: bool = attrs.field(default=True, validator=boolean)

    def optimise(self, integrator: Integrator, ode: SemilinearODE, start: TimeGrid) -> TimeGrid:
        base = start.tensor()

        def value_and_slope(logs: Logs) -> tuple[float, Logs]:
            free = torch.from_numpy(logs).requires_grad_()
            times = times_of(ode, base, free)
            value = self.bound(ode, integrator.plan(ode, times), times).log()
            (slope,) = torch.autograd.grad(value, free)
            return value.item(), slope.numpy()

        with on_host(), torch.inference_mode(False), torch.enable_grad():
            limits = [(-_REACH, _REACH)] * start.intervals
            first = np.zeros(start.intervals)
            found = minimize(value_and_slope, first, jac=True, method="L-BFGS-B", bounds=limits, options=_OPTIONS)
            return TimeGrid(times_of(ode, base, torch.from_numpy(found.x)))

    def bound(self, ode: SemilinearODE, plan: Plan, times: Tensor) -> Tensor:
        """What is made small, a scalar with the gradients of ``plan`` and ``times``, which must belong together.

        :raises CapabilityError: if the plan's coefficients are not numbers.
        """
        when = _stage_times(plan, times)
        doubt = self._doubt(ode, plan.splitting, when)
        added = contributions(plan) if self.apart else influence(plan)[None, 1:]
        return (doubt * added.abs()).sum()

    def _doubt(self, ode: SemilinearODE, splitting: str, t: Tensor) -> Tensor:
        try:
            alpha, sigma = ode.marginal(t)
        except CapabilityError:
            return torch.ones_like(t)
        carried = ode.split("x0").weight(t) / ode.split(splitting).weight(t)
        return carried.abs() * sigma**self.power / alpha


def _stage_times(plan: Plan, times: Tensor) -> Tensor:
    """Times of all evaluations, with the gradients of ``times``: a stage moves with the ends of its step."""
    of = dict(zip(times.tolist(), times, strict=True))
    found = []
    for step in plan.steps:
        start, end = of[step.start], of[step.end]
        for stage in step.stages:
            share = (stage.time - step.start) / (step.end - step.start) if step.end != step.start else 0.0
            found.append(start + share * (end - start))
    return torch.stack(found)

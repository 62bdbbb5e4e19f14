"""Runge-Kutta methods on the integrating-factor form of the ODE, in any clock; in rho they are rhoRK-DEIS."""

from typing import Any

import attrs
import torch
from torch import Tensor

from deis.fields import one_of, text
from deis.grids import Times, as_times
from deis.integrators.base import INTEGRATORS, Integrator, unstack
from deis.integrators.plan import Plan, Row, Stage, Step
from deis.numerics.derivative import derivative
from deis.numerics.tableaux import TABLEAUX, ButcherTableau
from deis.odes.base import SemilinearODE

_register = INTEGRATORS.register


@_register("rhork-euler", tableau="euler")
@_register("rhork-heun2", tableau="heun2")
@_register("rhork-kutta3", tableau="kutta3")
@_register("rhork-ralston3", tableau="ralston3")
@_register("rhork-heun3", tableau="heun3")
@_register("rhork-houwen3", tableau="houwen3")
@_register("rhork-ssprk3", tableau="ssprk3")
@_register("rhork-rk4", tableau="rk4")
@attrs.frozen
class RhoRungeKutta(Integrator):
    """Explicit Runge-Kutta on v = Psi(0, t) x, which obeys dv/dc = Psi(0, t) G N / c'(t) in the clock c.

    This is eq. :eq:`integrating-factor` of the theory page. In the clock ``rho`` of an ODE that has it the factor is 1:
    dv/drho = N (rhoRK-DEIS, eq. :eq:`rho-form`; ``heun2`` is EDM's sampler). In the clock ``t`` of an ODE with constant
    L these are the Lawson methods.

    :param tableau: name of a Butcher tableau.
    :param clock: the variable of the Runge-Kutta steps.
    """

    tableau: str = attrs.field(default="kutta3", validator=one_of(TABLEAUX))
    clock: str = attrs.field(default="rho", validator=text)

    source = "arXiv 2204.13902, section 3.3 and appendix"

    @property
    def _method(self) -> ButcherTableau:
        return TABLEAUX[self.tableau]

    @property
    def order(self) -> int:  # type: ignore[override]
        return self._method.order

    @property
    def evaluations_per_step(self) -> int:  # type: ignore[override]
        return self._method.stages

    def plan(self, ode: SemilinearODE, times: Times) -> Plan:
        times = as_times(times)
        hand = self.need_clock(ode, self.clock)
        method = self._method
        clock = hand.of(times)
        h = clock[1:] - clock[:-1]
        fractions = torch.tensor([float(c) for c in method.c], dtype=torch.float64)
        stages = hand.time(clock[:-1, None] + h[:, None] * fractions)
        stages = torch.where(fractions == 0, times[:-1, None], torch.where(fractions == 1, times[1:, None], stages))
        rate = h[:, None] / derivative(hand.of, stages)  # h / c'(t_j)
        rows = [self._rows(ode, stages, rate, times[:-1], stages[:, i], list(a)) for i, a in enumerate(method.a)] + [
            self._rows(ode, stages, rate, times[:-1], times[1:], list(method.b))
        ]
        points, when = times.tolist(), stages.tolist()
        steps = []
        for n in range(len(h)):
            inner = [Stage(when[n][i], rows[i][n]) if i else Stage(points[n]) for i in range(method.stages)]
            steps.append(Step(points[n], points[n + 1], inner, rows[-1][n]))
        return Plan(steps, ode.splitting)

    def _rows(
        self, ode: SemilinearODE, stages: Tensor, rate: Tensor, start: Tensor, end: Tensor, numbers: list[Any]
    ) -> list[Row]:
        """For every step the row  Psi(t_i, s) x + sum_j a_ij h Psi(t_i, t_j) G(t_j) / c'(t_j) N_j."""
        states = unstack(ode.transition(end, start), 1)
        columns = []
        for j, number in enumerate(numbers):
            kernel = ode.compose(ode.transition(end, stages[:, j]), ode.weight(stages[:, j]))
            factor = (rate[:, j] * float(number)).reshape(-1, *[1] * (kernel.dim() - 1))
            columns.append(unstack(factor * kernel, 1))
        return [Row(state, [column[n] for column in columns]) for n, state in enumerate(states)]

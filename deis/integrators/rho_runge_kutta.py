"""Runge-Kutta methods on the integrating-factor form of the ODE, in any clock; in rho they are rhoRK-DEIS."""

from collections.abc import Sequence
from fractions import Fraction

import attrs
import torch
from torch import Tensor

from deis.fields import name_or, text
from deis.grids import Times, as_times
from deis.integrators.base import INTEGRATORS, unstack
from deis.integrators.plan import Plan, Row
from deis.integrators.stages import Staged, stage_times, steps_of
from deis.numerics.derivative import derivative
from deis.numerics.tableaux import TABLEAUX, ButcherTableau
from deis.odes.base import SemilinearODE

_register = INTEGRATORS.register


@_register("rhork-euler", tableau="euler")
@_register("rhork-heun2", tableau="heun2")
@_register("rhork-midpoint", tableau="midpoint")
@_register("rhork-ralston2", tableau="ralston2")
@_register("rhork-kutta3", tableau="kutta3")
@_register("rhork-ralston3", tableau="ralston3")
@_register("rhork-heun3", tableau="heun3")
@_register("rhork-houwen3", tableau="houwen3")
@_register("rhork-ssprk3", tableau="ssprk3")
@_register("rhork-rk4", tableau="rk4")
@_register("edm-heun", tableau="heun2")
@_register("lawson1", tableau="euler", clock="t")
@_register("lawson2", tableau="midpoint", clock="t")
@_register("lawson4", tableau="rk4", clock="t")
@attrs.frozen
class RhoRungeKutta(Staged):
    """Explicit Runge-Kutta on v = Psi(0, t) x, which obeys dv/dc = Psi(0, t) G N / c'(t) in the clock c.

    This is eq. :eq:`integrating-factor` of the theory page. In the clock ``rho`` of an ODE that has it the factor is 1:
    dv/drho = N (rhoRK-DEIS, eq. :eq:`rho-form`; ``heun2`` is EDM's sampler, and
    ``deis.numerics.tableaux.second_order`` gives its general form). In the clock ``t`` of an ODE with constant L
    these are the Lawson methods.

    :param tableau: name of a Butcher tableau, or one of your own.
    :param clock: the variable of the Runge-Kutta steps.
    """

    tableau: str | ButcherTableau = attrs.field(default="kutta3", validator=name_or(ButcherTableau, TABLEAUX))
    clock: str = attrs.field(default="rho", validator=text)

    source = "arXiv 2204.13902, section 3.3 and appendix; arXiv 2206.00364, algorithm 3"

    @property
    def method(self) -> ButcherTableau:
        return TABLEAUX[self.tableau] if isinstance(self.tableau, str) else self.tableau

    def plan(self, ode: SemilinearODE, times: Times) -> Plan:
        times = as_times(times)
        hand = self.need_clock(ode, self.clock)
        method = self.method
        nodes = stage_times(hand, times, method.c)
        stages, clock = nodes[:, :-1], hand.of(times)
        rate = (clock[1:] - clock[:-1])[:, None] / derivative(hand.of, stages)
        weight = ode.weight(stages)
        weight = rate.reshape(*rate.shape, *[1] * (weight.dim() - 2)) * weight  # h G(t_j) / c'(t_j)
        rows = [self._rows(ode, nodes, weight, i, numbers) for i, numbers in enumerate((*method.a, method.b)) if i]
        if method.embedded is not None:
            difference = [b - e for b, e in zip(method.b, method.embedded, strict=True)]
            errors = self._rows(ode, nodes, weight, method.stages, difference)
            rows.append([Row(0.0, error.values) for error in errors])
        return Plan(steps_of(nodes, zip(*rows, strict=True)), ode.splitting)

    def _rows(
        self, ode: SemilinearODE, nodes: Tensor, weight: Tensor, i: int, numbers: Sequence[Fraction]
    ) -> list[Row]:
        """For every step the row  Psi(t_i, s) x + sum_j a_ij h Psi(t_i, t_j) G(t_j) / c'(t_j) N_j."""
        states = unstack(ode.transition(nodes[:, i], nodes[:, 0]), 1)
        before = nodes[:, : len(numbers)]
        kernel = ode.compose(ode.transition(nodes[:, i, None].expand_as(before), before), weight[:, : len(numbers)])
        factors = torch.tensor(list(map(float, numbers)), dtype=torch.float64)
        values = unstack(factors.reshape(-1, *[1] * (kernel.dim() - 2)) * kernel, 2)
        return list(map(Row, states, values))

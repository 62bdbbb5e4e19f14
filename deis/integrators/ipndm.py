"""Improved pseudo linear multistep: Adams numbers of equal steps, whatever the grid."""

import attrs

from deis.fields import boolean, integer_in
from deis.grids import Times, as_times
from deis.integrators.base import INTEGRATORS, Integrator, unstack
from deis.integrators.plan import Plan, Row, Stage, Step
from deis.odes.base import SemilinearODE

_BASHFORTH = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)
_MOULTON = (
    (1 / 2, 1 / 2),
    (5 / 12, 8 / 12, -1 / 12),
    (9 / 24, 19 / 24, -5 / 24, 1 / 24),
    (251 / 720, 646 / 720, -264 / 720, 106 / 720, -19 / 720),
)


@INTEGRATORS.register("ipndm")
@attrs.frozen
class IPNDM(Integrator):
    """Exponential Euler steps with the Adams-Bashforth average of the newest values of N.

    The numbers belong to equal steps of an ODE without L, so that the order is 2 at most; the constants are small.
    With a Runge-Kutta start it is :class:`~deis.PNDM`.

    :param steps: how many values are averaged, 1 to 4.
    :param corrector: correct each point by the Adams-Moulton average, with the value of N found there.
    :param lower_final: average fewer values in the last steps.
    """

    steps: int = attrs.field(default=4, validator=integer_in(1, len(_BASHFORTH)))
    corrector: bool = attrs.field(default=False, validator=boolean)
    lower_final: bool = attrs.field(default=False, validator=boolean)

    source = "arXiv 2204.13902, appendix; arXiv 2202.09778"

    @property
    def order(self) -> int:  # type: ignore[override]
        return min(self.steps + self.corrector, 2)

    def plan(self, ode: SemilinearODE, times: Times) -> Plan:
        times = as_times(times)
        s, t = times[:-1], times[1:]
        states = unstack(ode.transition(t, s), 1)
        frozen = unstack(ode.weights(s, t, s[:, None])[:, 0], 1)
        points = times.tolist()
        steps = []
        for n, (state, weight) in enumerate(zip(states, frozen, strict=True)):
            left = len(s) - n
            index = min(self.steps, n + 1, left if self.lower_final else self.steps) - 1
            advance, correct = (Row(state, [c * weight for c in table[index]]) for table in (_BASHFORTH, _MOULTON))
            corrected = correct if self.corrector and left > 1 else None  # nothing is evaluated at the end of the grid
            steps.append(Step(points[n], points[n + 1], [Stage(points[n])], advance, corrected))
        return Plan(steps, ode.splitting)

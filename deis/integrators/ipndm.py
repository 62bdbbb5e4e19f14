"""Improved pseudo linear multistep: Adams-Bashforth numbers of equal steps, whatever the grid."""

import attrs

from deis.fields import integer_in
from deis.grids import Times, as_times
from deis.integrators.base import INTEGRATORS, Integrator, unstack
from deis.integrators.plan import Plan, Row, Stage, Step
from deis.odes.base import SemilinearODE

_ADAMS = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)


@INTEGRATORS.register("ipndm")
@attrs.frozen
class IPNDM(Integrator):
    """Exponential Euler steps with the Adams-Bashforth average of the newest values of N.

    The numbers belong to equal steps of an ODE without L, so that the order is 2 at most; the constants are small.

    :param steps: how many values are averaged, 1 to 4.
    """

    steps: int = attrs.field(default=4, validator=integer_in(1, len(_ADAMS)))

    source = "arXiv 2204.13902, appendix; arXiv 2202.09778"

    @property
    def order(self) -> int:  # type: ignore[override]
        return min(self.steps, 2)

    def plan(self, ode: SemilinearODE, times: Times) -> Plan:
        times = as_times(times)
        s, t = times[:-1], times[1:]
        states = unstack(ode.transition(t, s), 1)
        frozen = unstack(ode.weights(s, t, s[:, None])[:, 0], 1)
        points = times.tolist()
        steps = []
        for n, (state, weight) in enumerate(zip(states, frozen, strict=True)):
            average = _ADAMS[min(self.steps, n + 1) - 1]
            row = Row(state, [number * weight for number in average])
            steps.append(Step(points[n], points[n + 1], [Stage(points[n])], row))
        return Plan(steps, ode.splitting)

"""The explicit Euler method, which ignores that L is known."""

import attrs

from deis.grids import Times, as_times
from deis.integrators.base import INTEGRATORS, Integrator, unstack
from deis.integrators.plan import Plan, Row, Stage, Step
from deis.odes.base import SemilinearODE


@INTEGRATORS.register("euler")
@attrs.frozen
class Euler(Integrator):
    """Explicit Euler on the whole right-hand side: x + h (L x + G N)."""

    order = 1
    source = "Euler (1768)"

    def plan(self, ode: SemilinearODE, times: Times) -> Plan:
        times = as_times(times)
        s, t = times[:-1], times[1:]
        linear = ode.linear(s)
        h = (t - s).reshape(-1, *[1] * (linear.dim() - 1))
        state = unstack(ode.transition(s, s) + h * linear, 1)  # I + h L, with the identity in the shape of L
        weight = ode.weight(s)
        value = unstack((t - s).reshape(-1, *[1] * (weight.dim() - 1)) * weight, 1)
        points = times.tolist()
        steps = [
            Step(start, end, [Stage(start)], Row(a, [b]))
            for start, end, a, b in zip(points, points[1:], state, value, strict=False)
        ]
        return Plan(steps, ode.splitting)

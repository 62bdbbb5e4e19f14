"""Pseudo numerical methods for diffusion models: pseudo Runge-Kutta steps to begin with, then pseudo multistep."""

import attrs
from torch import Tensor

from deis.grids import Times, as_times
from deis.integrators.base import INTEGRATORS, Integrator, unstack
from deis.integrators.ipndm import IPNDM
from deis.integrators.plan import Plan, Row, Stage, Step
from deis.odes.base import Coefficient, SemilinearODE

_WARM_UP = 3  # steps of four evaluations


@INTEGRATORS.register("pndm")
@attrs.frozen
class PNDM(Integrator):
    """Three classical Runge-Kutta steps made of exponential Euler moves, then the averages of IPNDM.

    n intervals take n + 9 evaluations, from three on. The order is 2, as that of the averages.
    """

    order = 2
    source = "arXiv 2202.09778, eq. 12-14"

    def nfe(self, intervals: int) -> int:
        return intervals + 3 * min(intervals, _WARM_UP)

    def plan(self, ode: SemilinearODE, times: Times) -> Plan:
        times = as_times(times)
        later = IPNDM().plan(ode, times)
        s, t = times[:-1][:_WARM_UP], times[1:][:_WARM_UP]
        middle = (s + t) / 2
        moves = zip(later.steps, middle.tolist(), _moves(ode, s, middle), _moves(ode, s, t), strict=False)
        return Plan([*(_runge_kutta(*move) for move in moves), *later.steps[_WARM_UP:]], ode.splitting)


Move = tuple[Coefficient, Coefficient]
"""An exponential Euler step: the factors of the state and of N."""


def _moves(ode: SemilinearODE, s: Tensor, t: Tensor) -> list[Move]:
    weights = ode.weights(s, t, s[:, None])[:, 0]
    return list(zip(unstack(ode.transition(t, s), 1), unstack(weights, 1), strict=True))


def _runge_kutta(step: Step, middle: float, half: Move, whole: Move) -> Step:
    """Kutta's fourth order tableau, in which every point is reached by a move from the start of the step."""
    stages = [
        Stage(step.start),
        Stage(middle, Row(half[0], [half[1]])),
        Stage(middle, Row(half[0], [0.0, half[1]])),
        Stage(step.end, Row(whole[0], [0.0, 0.0, whole[1]])),
    ]
    return Step(
        step.start, step.end, stages, Row(whole[0], [whole[1] * share for share in (1 / 6, 1 / 3, 1 / 3, 1 / 6)])
    )

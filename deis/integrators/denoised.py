"""A last call that ends at noise level 0."""

import attrs

from deis.grids import Times, as_times
from deis.integrators.base import Integrator, unstack
from deis.integrators.plan import Plan, Row, Stage, Step
from deis.integrators.resplit import resplit
from deis.integrators.wrapper import Wrapper, planned
from deis.odes.base import SemilinearODE


@attrs.frozen
class Denoised(Wrapper):
    """A method whose last state is replaced by the prediction of the data there, at the cost of one evaluation more.

    It is the step of DDIM from the end of the grid to sigma = 0, in the limit of its coefficients (eq. :eq:`denoised`
    of the theory page): the way in which DPM-Solver++ and EDM end.

    :param method: a method with a plan, or its name.

    >>> from deis import EDM, PowerGrid, ProbabilityFlowODE, solve
    >>> import torch
    >>> ode = ProbabilityFlowODE(EDM(), lambda x, t: torch.full_like(x, 0.5), predicts="x0")
    >>> solution = solve(ode, torch.ones(1, 2), PowerGrid("rho", 7.0)(ode, 5), Denoised("dpmpp-2m"))
    >>> solution.x, solution.nfe
    (tensor([[0.5000, 0.5000]]), 6)
    """

    method: Integrator = attrs.field(converter=planned)

    source = "arXiv 2206.00364, algorithm 1; arXiv 2011.13456, section 4.2; arXiv 2211.01095"

    @property
    def stochastic(self) -> bool:  # type: ignore[override]
        return self.method.stochastic

    def nfe(self, intervals: int) -> int:
        return self.method.nfe(intervals) + 1

    def plan(self, ode: SemilinearODE, times: Times) -> Plan:
        times = as_times(times)
        plan, end = self.method.plan(ode, times), times[-1:]
        (state,), (value,) = (unstack(c, 1) for c in resplit(ode, plan.splitting, "x0", end))
        last = float(end)
        return attrs.evolve(plan, steps=[*plan.steps, Step(last, last, [Stage(last)], Row(state, [value]))])

"""A probability-flow ODE on what is left of its way from noise to data."""

import attrs
from torch import Tensor

from deis.diffusion.ode import ProbabilityFlowODE
from deis.diffusion.schedules import NoiseSchedule
from deis.errors import ArgumentError


def shortened(ode: ProbabilityFlowODE, until: float) -> ProbabilityFlowODE:
    """The ODE with noise at the time ``until``, for what does not start from pure noise.

    :raises ArgumentError: if ``until`` does not lie inside the domain.

    >>> from deis import VPLinear
    >>> shortened(ProbabilityFlowODE(VPLinear(), lambda x, t: x), 0.5).domain
    (0.5, 0.001)
    """
    return attrs.evolve(ode, schedule=_Shortened(ode.schedule, until))


def _inside(instance: "_Shortened", attribute: object, value: float) -> None:
    schedule = instance.schedule
    if not schedule.t_min < value <= schedule.t_max:
        rule = f"must be a time above {schedule.t_min:g} and at most {schedule.t_max:g}"
        raise ArgumentError("until", rule, value)


@attrs.frozen(eq=False)
class _Shortened(NoiseSchedule):
    """A schedule that starts later."""

    schedule: NoiseSchedule
    t_max: float = attrs.field(validator=_inside)

    @property
    def t_min(self) -> float:  # type: ignore[override]
        return self.schedule.t_min

    def alpha(self, t: Tensor) -> Tensor:
        return self.schedule.alpha(t)

    def sigma(self, t: Tensor) -> Tensor:
        return self.schedule.sigma(t)

    def log_alpha(self, t: Tensor) -> Tensor:
        return self.schedule.log_alpha(t)

    def lambda_(self, t: Tensor) -> Tensor:
        return self.schedule.lambda_(t)

    def time_of_lambda(self, lambda_: Tensor) -> Tensor:
        return self.schedule.time_of_lambda(lambda_)

    def knots(self) -> Tensor:
        knots = self.schedule.knots()
        return knots[knots < self.t_max]

"""iPNDM: fixed numbers, whatever the grid."""

import pytest

from deis import IPNDM, ExponentialEuler, ProbabilityFlowODE, VPLinear, make_grid
from deis.errors import ArgumentError

NUMBERS = [[1], [3 / 2, -1 / 2], [23 / 12, -16 / 12, 5 / 12], [55 / 24, -59 / 24, 37 / 24, -9 / 24]]


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_weights_are_the_published_numbers_times_ddim(steps):
    ode = ProbabilityFlowODE(VPLinear(), lambda x, t: x)
    times = make_grid("t2")(ode, 9).tensor()
    plan, ddim = IPNDM(steps=steps).plan(ode, times), ExponentialEuler().plan(ode, times)
    for n, (step, base) in enumerate(zip(plan.steps, ddim.steps, strict=True)):
        weight = base.advance.values[0]
        numbers = NUMBERS[min(n, steps - 1)]
        assert step.advance.state == base.advance.state
        assert step.advance.values == pytest.approx([c * weight for c in numbers], rel=1e-13)
    assert plan.history == steps - 1
    assert plan.nfe == 9


@pytest.mark.parametrize("steps", [0, 5, True, 1.0])
def test_bad_numbers_of_steps(steps):
    with pytest.raises(ArgumentError, match="steps must be a whole number from 1 to 4"):
        IPNDM(steps=steps)

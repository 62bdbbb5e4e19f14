"""iPNDM: fixed numbers, whatever the grid."""

import pytest

from deis import IPNDM, Bernoulli, ExponentialEuler, ProbabilityFlowODE, VPLinear, make_grid
from deis.errors import ArgumentError
from deis.testing import measured_order

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


MOULTON = [
    [1 / 2, 1 / 2],
    [5 / 12, 8 / 12, -1 / 12],
    [9 / 24, 19 / 24, -5 / 24, 1 / 24],
    [251 / 720, 646 / 720, -264 / 720, 106 / 720, -19 / 720],
]


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_the_corrector_has_adams_and_moultons_numbers(steps):
    ode = ProbabilityFlowODE(VPLinear(), lambda x, t: x)
    times = make_grid("t2")(ode, 7).tensor()
    plan, ddim = IPNDM(steps=steps, corrector=True).plan(ode, times), ExponentialEuler().plan(ode, times)
    for n, (step, base) in enumerate(zip(plan.steps[:-1], ddim.steps, strict=False)):
        [weight] = base.advance.values
        assert step.correct.state == base.advance.state
        assert step.correct.values == pytest.approx([c * weight for c in MOULTON[min(n, steps - 1)]], rel=1e-13)
    assert plan.steps[-1].correct is None
    assert plan.nfe == 7


@pytest.mark.parametrize("steps", [1, 2, 4])
@pytest.mark.parametrize("lam", [2.0, 3j], ids=["real", "imaginary"])
def test_the_corrector_is_of_second_order(steps, lam):
    method = IPNDM(steps=steps, corrector=True)
    assert method.order == 2
    assert measured_order(method, Bernoulli(lam)) == pytest.approx(2, abs=0.1)


def test_a_lowered_end_averages_fewer_values():
    plan = IPNDM(lower_final=True).plan(ProbabilityFlowODE(VPLinear(), lambda x, t: x), [0.9, 0.7, 0.5, 0.4, 0.3, 0.2])
    assert [len(step.advance.values) for step in plan.steps] == [1, 2, 3, 2, 1]


@pytest.mark.parametrize("steps", [0, 5, True, 1.0])
def test_bad_numbers_of_steps(steps):
    with pytest.raises(ArgumentError, match="steps must be a whole number from 1 to 4"):
        IPNDM(steps=steps)

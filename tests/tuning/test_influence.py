import cmath
import math
from itertools import pairwise

import pytest
import torch

from deis import CapabilityError, DiagonalODE, ProbabilityFlowODE, VPLinear, make_grid, make_plan, solve
from deis.tuning.influence import contributions, influence

TIMES = (0.0, 0.1, 0.35, 0.5, 0.8, 1.0)
NAMES = ("ddim", "tab3", "exp-adams4", "polynomial:steps=3:corrector=true", "etd2rk", "krogstad", "lawson4")


def decay(rate=-1.3, nonlinearity=lambda t, x: x):
    return DiagonalODE(rate, nonlinearity)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "lawson4"])  # not exact for a constant N
@pytest.mark.parametrize("rate", [-1.3, 0.7, -0.4 + 2.0j])
def test_a_constant_n_has_the_influence_of_the_closed_form(name, rate):
    found = influence(make_plan(decay(rate), TIMES, name))
    exact = cmath.exp(rate)
    assert complex(found[0]) == pytest.approx(exact, rel=1e-12)
    assert complex(found[1:].sum()) == pytest.approx((exact - 1) / rate, rel=1e-12)


def test_the_influence_of_euler_is_the_length_of_each_step():
    found = influence(make_plan(decay(0.0), TIMES, "euler"))
    assert found.tolist() == pytest.approx([1.0, *(b - a for a, b in pairwise(TIMES))])


@pytest.mark.parametrize("name", NAMES)
def test_a_solve_with_given_values_of_n_ends_where_the_influence_says(name):
    plan = make_plan(decay(), TIMES, name)
    values = torch.randn(plan.nfe, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    given = iter(values)
    x0 = torch.linspace(-1.0, 1.0, 7, dtype=torch.float64)
    x = solve(decay(nonlinearity=lambda t, x: next(given)), x0, TIMES, name).x
    torch.testing.assert_close(influence(plan) @ torch.cat([x0[None], values]), x, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_contributions_of_the_steps_add_up_to_the_influence(name):
    plan = make_plan(decay(), TIMES, name)
    found = contributions(plan)
    assert found.shape == (len(plan.steps), plan.nfe)
    torch.testing.assert_close(found.sum(0), influence(plan)[1:], rtol=1e-12, atol=1e-14)


def test_a_step_contributes_what_the_later_steps_carry_on():
    found = contributions(make_plan(decay(), [0.0, 0.4, 1.0], "ddim"))
    expected = [math.exp(-1.3 * 0.6) * math.expm1(-1.3 * 0.4) / -1.3, math.expm1(-1.3 * 0.6) / -1.3]
    assert found.diagonal().tolist() == pytest.approx(expected)
    assert float(found[0, 1]) == float(found[1, 0]) == 0


@pytest.mark.parametrize("function", [influence, contributions])
@pytest.mark.parametrize("name", ["tab2", "polynomial:predict=x0:clock=vp_t:steps=3:corrector=true", "rhork-heun2"])
def test_gradients_of_the_times_arrive(function, name):
    ode = ProbabilityFlowODE(VPLinear(), lambda x, t: x)
    times = make_grid("t2")(ode, 4).tensor()

    def found(inner):
        return function(make_plan(ode, torch.cat([times[:1], inner, times[-1:]]), name))

    assert torch.autograd.gradcheck(found, times[1:-1].clone().requires_grad_())


@pytest.mark.parametrize("function", [influence, contributions])
def test_coefficients_that_are_no_numbers_are_refused(function):
    ode = DiagonalODE(torch.tensor([-1.0, -2.0]), lambda t, x: x)
    with pytest.raises(CapabilityError, match="not numbers"):
        function(make_plan(ode, TIMES, "tab1"))

"""Exponential Euler, DDIM and Euler against their closed forms."""

import itertools

import pytest
import torch

from deis import SCHEDULES, Euler, ExponentialEuler, PolynomialEIAB, ProbabilityFlowODE, VPLinear, make_grid, solve

ALL = list(SCHEDULES)


def network(x, t):
    return (x + t[:, None]).sin()


@pytest.fixture(params=ALL)
def schedule(request):
    return SCHEDULES.create(request.param)


@pytest.fixture
def times(schedule):
    return make_grid("t2")(ProbabilityFlowODE(schedule, network), 8).tensor()


def test_ddim_is_its_closed_form(schedule, times):
    # x_t = alpha_t x0 + sigma_t eps (arXiv 2010.02502, eq. 12 with eta = 0)
    plan = ExponentialEuler().plan(ProbabilityFlowODE(schedule, network), times)
    alpha, sigma = schedule.alpha(times), schedule.sigma(times)
    state = alpha[1:] / alpha[:-1]
    value = sigma[1:] - state * sigma[:-1]
    actual = torch.tensor([step.advance.coefficients() for step in plan.steps], dtype=torch.float64)
    torch.testing.assert_close(actual[:, 0], state, rtol=1e-13, atol=0.0)
    # the closed form itself cancels: sigma_t - alpha_t rho_s
    assert ((actual[:, 1] - value).abs() <= 2e-13 * (sigma[1:] + state * sigma[:-1])).all()


def test_ddim_from_x0_is_the_same_step(schedule, times):
    # x_t = (sigma_t / sigma_s) x_s + (alpha_t - alpha_s sigma_t / sigma_s) x0
    plan = ExponentialEuler(predict="x0").plan(ProbabilityFlowODE(schedule, network), times)
    alpha, sigma = schedule.alpha(times), schedule.sigma(times)
    ratio = sigma[1:] / sigma[:-1]
    actual = torch.tensor([step.advance.coefficients() for step in plan.steps], dtype=torch.float64)
    torch.testing.assert_close(actual[:, 0], ratio, rtol=1e-12, atol=0.0)
    assert ((actual[:, 1] - (alpha[1:] - alpha[:-1] * ratio)).abs() <= 1e-12 * alpha[1:]).all()


def test_a_run_of_ddim_equals_a_loop_by_hand(schedule, times):
    x = torch.linspace(-2, 2, 6, dtype=torch.float64).reshape(2, 3) * float(schedule.sigma(times[0]))
    solution = solve(ProbabilityFlowODE(schedule, network), x, times, "ddim")
    for s, t in itertools.pairwise(times):
        eps = network(x, s.expand(2))
        x0 = (x - schedule.sigma(s) * eps) / schedule.alpha(s)
        x = schedule.alpha(t) * x0 + schedule.sigma(t) * eps
    torch.testing.assert_close(solution.x, x, rtol=1e-9, atol=1e-9)


def test_both_splittings_give_the_same_ddim(schedule, times):
    ode = ProbabilityFlowODE(schedule, network)
    x = torch.linspace(-2, 2, 6, dtype=torch.float64).reshape(2, 3)
    eps, x0 = (solve(ode, x, times, ExponentialEuler(predict=name)).x for name in ("eps", "x0"))
    torch.testing.assert_close(eps, x0, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("predict", [None, "eps", "x0", "v"])
def test_it_is_the_family_with_one_point(predict):
    ode = ProbabilityFlowODE(VPLinear(), network)
    times = make_grid("t2")(ode, 8).tensor()
    assert ExponentialEuler(predict).plan(ode, times) == PolynomialEIAB(predict, "rho", steps=1).plan(ode, times)


def test_euler_is_the_right_hand_side(schedule, times):
    plan = Euler().plan(ProbabilityFlowODE(schedule, network), times)
    for step in plan.steps:
        s = torch.tensor(step.start, dtype=torch.float64)
        h, g2 = step.end - step.start, schedule.squared_diffusion(s)
        # x' = F x + G^2 / (2 sigma) eps (arXiv 2204.13902, eq. 8)
        assert step.advance.state == pytest.approx(float(1 + h * schedule.drift(s)), rel=1e-12)
        assert step.advance.values[0] == pytest.approx(float(h * g2 / (2 * schedule.sigma(s))), rel=1e-12)

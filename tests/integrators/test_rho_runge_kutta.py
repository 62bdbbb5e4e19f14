"""Runge-Kutta on the rho form against samplers written by hand."""

import pytest
import torch

from deis import (
    EDM,
    INTEGRATORS,
    SCHEDULES,
    DiagonalODE,
    ExponentialEuler,
    ProbabilityFlowODE,
    RhoRungeKutta,
    make_grid,
    solve,
)
from deis.errors import CapabilityError, UnknownNameError
from deis.numerics.tableaux import TABLEAUX, second_order


def eps(x, t):
    """Exact for data of variance 1/4."""
    t = t.reshape(-1, *[1] * (x.dim() - 1))
    return x * t / (t**2 + 0.25) + 0.1 * (x / t).sin() * t / (1 + t)


def test_heun2_is_edm_heun():
    # arXiv 2206.00364, algorithm 1, but with the correction in the last step, which there goes to sigma = 0
    ode = ProbabilityFlowODE(EDM(), eps)
    times = make_grid("rho7")(ode, 9)
    x = torch.linspace(-80, 80, 6, dtype=torch.float64).reshape(2, 3)
    solution = solve(ode, x, times, "rhork-heun2")
    for t, after in zip(times.times, times.times[1:], strict=False):
        slope = eps(x, torch.full((2,), t, dtype=torch.float64))
        predicted = x + (after - t) * slope
        second = eps(predicted, torch.full((2,), after, dtype=torch.float64))
        x = x + (after - t) * (slope + second) / 2
    torch.testing.assert_close(solution.x, x, rtol=1e-12, atol=1e-12)
    assert solution.nfe == 18


@pytest.mark.parametrize("alpha", [0.5, 2 / 3, 0.8, 1])
def test_any_second_order_tableau_is_edms_general_sampler(alpha):
    # arXiv 2206.00364, algorithm 3 with sigma = t
    ode = ProbabilityFlowODE(EDM(), eps)
    times = make_grid("rho7")(ode, 5)
    x = torch.linspace(-80, 80, 6, dtype=torch.float64).reshape(2, 3)
    solution = solve(ode, x, times, RhoRungeKutta(second_order(alpha)))
    for t, after in zip(times.times, times.times[1:], strict=False):
        h = after - t
        slope = eps(x, torch.full((2,), t, dtype=torch.float64))
        second = eps(x + alpha * h * slope, torch.full((2,), t + alpha * h, dtype=torch.float64))
        x = x + h * ((1 - 1 / (2 * alpha)) * slope + 1 / (2 * alpha) * second)
    torch.testing.assert_close(solution.x, x, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "alpha"), [("rhork-midpoint", "1/2"), ("rhork-ralston2", "2/3"), ("edm-heun", 1), ("rhork-heun2", 1)]
)
def test_names_of_second_order_tableaux(name, alpha):
    method = INTEGRATORS.create(name)
    assert method.method == second_order(alpha)
    assert method == INTEGRATORS.create(name.replace("edm-heun", "rhork-heun2"))


@pytest.mark.parametrize("name", TABLEAUX)
@pytest.mark.parametrize("schedule", list(SCHEDULES))
def test_any_tableau_is_runge_kutta_on_dv_drho(schedule, name):
    schedule, method = SCHEDULES.create(schedule), TABLEAUX[name]

    def network(x, t):
        return (x / (1 + x.abs())).sin() + 0.1

    ode = ProbabilityFlowODE(schedule, network)
    times = make_grid("t2")(ode, 5)
    x = torch.linspace(-1, 1, 4, dtype=torch.float64).reshape(2, 2)
    solution = solve(ode, x, times, RhoRungeKutta(name))
    when = times.tensor()
    rho, alpha = schedule.rho(when), schedule.alpha(when)
    v = x / alpha[0]
    for n in range(5):
        h, k = rho[n + 1] - rho[n], []
        for row, c in zip(method.a, method.c, strict=True):
            t = schedule.time_of_lambda(-(rho[n] + h * float(c)).log())
            point = v + h * sum((float(a) * value for a, value in zip(row, k, strict=True)), torch.zeros(()))
            k.append(network(schedule.alpha(t) * point, t))
        v = v + h * sum(float(b) * value for b, value in zip(method.b, k, strict=True))
    torch.testing.assert_close(solution.x, alpha[-1] * v, rtol=1e-9, atol=1e-10)


def test_euler_in_any_clock_is_not_ddim_but_in_rho_it_is():
    ode = ProbabilityFlowODE(SCHEDULES.create("vp-linear"), eps)
    times = make_grid("t2")(ode, 6).tensor()
    ddim = ExponentialEuler().plan(ode, times)
    for a, b in zip(RhoRungeKutta("euler").plan(ode, times).steps, ddim.steps, strict=True):
        assert a.advance.coefficients() == pytest.approx(b.advance.coefficients(), rel=1e-10)
    assert RhoRungeKutta("euler", clock="t").plan(ode, times) != ddim


def test_stage_times_are_fractions_of_the_clock():
    ode = ProbabilityFlowODE(EDM(), eps)
    plan = RhoRungeKutta("kutta3").plan(ode, torch.tensor([80.0, 20.0, 1.0], dtype=torch.float64))
    assert [stage.time for step in plan.steps for stage in step.stages] == pytest.approx([80, 50, 20, 20, 10.5, 1])
    assert plan.history == 0
    assert plan.nfe == 6


@pytest.mark.parametrize("name", TABLEAUX)
def test_evaluations_and_order_are_those_of_the_tableau(name):
    method = RhoRungeKutta(name)
    assert (method.evaluations_per_step, method.order) == (TABLEAUX[name].stages, TABLEAUX[name].order)
    assert method.nfe(7) == 7 * TABLEAUX[name].stages


def test_unknown_names_are_refused():
    with pytest.raises(UnknownNameError, match="no tableau named 'kutta4'; near it: kutta3"):
        RhoRungeKutta("kutta4")
    with pytest.raises(UnknownNameError, match="no tableau named 3"):
        RhoRungeKutta(3)
    with pytest.raises(CapabilityError, match="has no clock 'rho'; it has t"):
        RhoRungeKutta("rk4").plan(DiagonalODE(-1.0, lambda t, x: x), torch.tensor([0.0, 1.0], dtype=torch.float64))

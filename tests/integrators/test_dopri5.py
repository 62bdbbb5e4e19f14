"""The torchdiffeq adapter."""

import pytest
import torch

from deis import (
    EDM,
    Bernoulli,
    DiagonalODE,
    Dopri5,
    GaussianMixture,
    PolynomialEIAB,
    VPLinear,
    iterate,
    make_grid,
    solve,
)
from deis.errors import ArgumentError, CapabilityError

MEANS = torch.tensor([[1.0, -1.0], [0.5, 2.0], [-1.5, 0.0]], dtype=torch.float64)


@pytest.fixture(params=[VPLinear(), EDM()], ids=repr)
def ode(request):
    return GaussianMixture(MEANS, std=0.3).ode(request.param)


@pytest.fixture
def x0(ode):
    _, sigma = ode.marginal(torch.tensor(ode.domain[0], dtype=torch.float64))
    return torch.tensor([[0.4, -1.0], [1.5, 0.3], [-0.2, 0.1]], dtype=torch.float64) * sigma


@pytest.mark.parametrize("form", ["raw", "rho"])
def test_both_forms_agree_with_a_tight_reference(ode, x0, form):
    times = make_grid("log")(ode, 1600)
    reference = solve(ode, x0, times, PolynomialEIAB("x0", "lambda", steps=4, start="runge-kutta")).x
    x = solve(ode, x0, ode.domain, Dopri5(1e-10, 1e-12, form)).x
    torch.testing.assert_close(x, reference, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("form", ["raw", "rho"])
def test_tolerances_rule_error_and_cost(ode, x0, form):
    exact = solve(ode, x0, ode.domain, Dopri5(1e-11, 1e-12, form)).x
    errors, costs = [], []
    for tolerance in (1e-3, 1e-5, 1e-7):
        solution = solve(ode, x0, ode.domain, Dopri5(tolerance, tolerance, form))
        errors.append(float((solution.x - exact).abs().max()))
        costs.append(solution.nfe)
        assert errors[-1] <= 300 * tolerance
    assert errors[0] > errors[2]
    assert costs[0] < costs[1] < costs[2]


def test_states_at_inner_times_lie_on_the_solution(ode, x0):
    start, end = ode.domain
    middle = (start * end) ** 0.5
    method = Dopri5(1e-9, 1e-9, "rho")
    whole = solve(ode, x0, (start, middle, end), method, keep_states=True)
    half = solve(ode, x0, (start, middle), method).x
    torch.testing.assert_close(whole.states[1], half, rtol=1e-6, atol=1e-6)
    assert whole.steps == 2
    assert len(whole.states) == 3


@pytest.mark.parametrize("form", ["raw", "rho"])
def test_it_runs_in_both_directions(ode, x0, form):
    method = Dopri5(1e-9, 1e-10, form)
    data = solve(ode, x0, ode.domain, method).x
    noise = solve(ode, data, ode.domain[::-1], method).x
    torch.testing.assert_close(noise, x0, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lam", [2.0, 3j])
def test_equations_with_a_constant_linear_part(lam, reverse):
    problem = Bernoulli(lam)
    start, end = (1.0, 0.0) if reverse else (0.0, 1.0)
    solution = solve(problem.ode, problem.exact(start), [start, end], Dopri5(1e-9, 1e-9))
    torch.testing.assert_close(solution.x, problem.exact(end), rtol=1e-7, atol=1e-7)
    assert solution.nfe > 6
    assert solution.plan is None


def test_diagonal_linear_parts():
    rates = torch.tensor([-1.0, -2.0, 0.5])
    ode = DiagonalODE(rates, lambda t, x: torch.ones_like(x))
    x = solve(ode, torch.zeros(2, 3, dtype=torch.float64), [0.0, 1.0], Dopri5(1e-9, 1e-9)).x
    torch.testing.assert_close(x, (torch.expm1(rates.double()) / rates).expand(2, 3), rtol=1e-7, atol=1e-7)


def test_single_precision_states(ode, x0):
    for form in ("raw", "rho"):
        x = solve(ode, x0.float(), ode.domain, Dopri5(form=form)).x
        assert x.dtype == torch.float32
        torch.testing.assert_close(x.double(), solve(ode, x0, ode.domain, Dopri5(form=form)).x, rtol=0.02, atol=0.02)


def test_it_has_no_plan_and_no_budget(ode, x0):
    for refused in (
        lambda: Dopri5().plan(ode, torch.tensor(ode.domain)),
        lambda: iterate(ode, x0, ode.domain, Dopri5()),
        lambda: Dopri5().nfe(10),
        lambda: Dopri5().intervals_for(10),
        lambda: Dopri5().most_intervals(10),
    ):
        with pytest.raises(CapabilityError, match=r"Dopri5\(rtol=1e-05, atol=1e-05, form='raw', max_nfe=100000\)"):
            refused()


@pytest.mark.parametrize("name", ["rtol", "atol"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), "1e-5", True])
def test_bad_tolerances(name, value):
    with pytest.raises(ArgumentError, match=f"{name} must be a number above 0"):
        Dopri5(**{name: value})

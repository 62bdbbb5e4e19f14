"""Exponential Runge-Kutta methods: orders, identities, and the diffusion samplers among them."""

import math
from itertools import pairwise

import attrs
import pytest
import torch

from deis import (
    EDM,
    INTEGRATORS,
    Bernoulli,
    CriticallyDampedLangevin,
    DenseODE,
    DiagonalODE,
    ExponentialEuler,
    ExponentialRungeKutta,
    HochbruckOstermann,
    ProbabilityFlowODE,
    ProtheroRobinson,
    RectifiedFlow,
    RhoRungeKutta,
    VPLinear,
    make_grid,
    solve,
)
from deis.errors import CapabilityError, UnknownNameError
from deis.numerics.exponential_tableaux import EXPONENTIAL_TABLEAUX, dpm_solver_2, dpm_solver_3, etd2rk
from deis.testing import measured_order, uneven_grid

double = torch.float64


def field(t, x):
    return (x + t).sin() - 0.3 * x**2


def ho1_error(method, intervals):
    problem = HochbruckOstermann()
    x = solve(problem.ode, problem.exact(0.0), torch.linspace(0.0, 1.0, intervals + 1, dtype=double), method).x
    return float(problem.to_points(x - problem.exact(1.0)).abs().max())


# Hochbruck and Ostermann's problem 6.1: order from 64 and 128 steps, and error with 32, as published for most of them


@pytest.mark.parametrize(
    ("name", "expected_order", "expected_error"),
    [
        ("etd1", 1.01, 1.0e-2),
        ("etd2rk", 2.00, 1.5e-4),
        ("etd3rk", 2.49, 6.6e-7),
        ("etdrk4", 2.95, 1.1e-7),
        ("krogstad", 4.04, 3.8e-8),
        ("hochbruck-ostermann", 4.02, 2.2e-8),
    ],
)
def test_order_and_error_on_a_stiff_heat_equation(name, expected_order, expected_error):
    errors = {n: ho1_error(ExponentialRungeKutta(name), n) for n in (32, 64, 128)}
    assert math.log2(errors[64] / errors[128]) == pytest.approx(expected_order, abs=0.03)
    assert errors[32] == pytest.approx(expected_error, rel=0.06)


@pytest.mark.parametrize("name", EXPONENTIAL_TABLEAUX)
def test_the_stiff_order_is_reached_on_a_stiff_heat_equation(name):
    fine = [ho1_error(ExponentialRungeKutta(name), n) for n in (64, 128)]
    assert math.log2(fine[0] / fine[1]) > EXPONENTIAL_TABLEAUX[name].stiff_order - 0.1


# classical orders; those of the registered names are measured by the conformance suite


@pytest.mark.parametrize("lam", [2.0, 3j], ids=["real", "imaginary"])
@pytest.mark.parametrize(
    ("tableau", "order"),
    [
        (etd2rk("1/3"), 2),
        (dpm_solver_2(0.3), 2),
        (dpm_solver_2(1), 2),
        (dpm_solver_3("1/2", "2/3"), 3),
        (dpm_solver_3("1/4", "1/2"), 2),
    ],
    ids=["etd2rk 1/3", "dpm2 0.3", "dpm2 1", "dpm3 1/2 2/3", "dpm3 1/4 1/2"],
)
def test_stages_may_be_elsewhere(tableau, order, lam):
    method = ExponentialRungeKutta(tableau)
    assert method.order == order
    assert measured_order(method, Bernoulli(lam)) == pytest.approx(order, abs=0.1)


PAIRS = [name for name, tableau in EXPONENTIAL_TABLEAUX.items() if tableau.embedded]


@pytest.mark.parametrize("lam", [2.0, 3j], ids=["real", "imaginary"])
@pytest.mark.parametrize("name", PAIRS)
def test_embedded_weights_are_of_one_order_less(name, lam):
    tableau = EXPONENTIAL_TABLEAUX[name]
    lower = attrs.evolve(tableau, b=tableau.embedded, embedded=None, order=tableau.order - 1, stiff_order=1)
    assert measured_order(ExponentialRungeKutta(lower), Bernoulli(lam)) == pytest.approx(lower.order, abs=0.1)


@pytest.mark.parametrize("name", PAIRS)
def test_the_error_row_sees_how_n_changes_in_time(name):
    # a pair of the same quadrature rule would find nothing here, and let the steps grow
    order = EXPONENTIAL_TABLEAUX[name].order
    ode = DiagonalODE(-1.0, lambda t, x: torch.full_like(x, t ** (order - 1)))
    (step,) = ExponentialRungeKutta(name).plan(ode, [0.0, 0.5]).steps
    estimate = sum(
        weight * stage.time ** (order - 1) for weight, stage in zip(step.error.values, step.stages, strict=True)
    )
    assert abs(estimate) > 0.01 * 0.5**order


@pytest.mark.parametrize("name", PAIRS)
def test_the_error_row_is_the_difference_of_both_results(name):
    tableau = EXPONENTIAL_TABLEAUX[name]
    lower = attrs.evolve(tableau, b=tableau.embedded, embedded=None, order=1, stiff_order=1)
    ode, times = ProbabilityFlowODE(VPLinear(), field), [0.8, 0.5]
    (step,) = ExponentialRungeKutta(tableau).plan(ode, times).steps
    (less,) = ExponentialRungeKutta(lower).plan(ode, times).steps
    differences = [a - b for a, b in zip(step.advance.values, less.advance.values, strict=True)]
    assert step.error.state == step.advance.state - less.advance.state == 0
    assert step.error.values == pytest.approx(differences, rel=1e-12, abs=1e-15)
    assert ExponentialRungeKutta("krogstad").plan(ode, times).steps[0].error is None


# identities


@pytest.mark.parametrize("linear", [-2.0, 3j, -0.5 + 4j, torch.tensor([-1e6, -3.0, 0.0, 1.5])], ids=str)
@pytest.mark.parametrize("name", EXPONENTIAL_TABLEAUX)
def test_exact_for_a_constant_nonlinearity(name, linear):
    ode = DiagonalODE(linear, lambda t, x: torch.full_like(x, 0.8))
    x = torch.zeros(3, 4, dtype=ode.matrix.dtype)
    x = solve(ode, x, uneven_grid((0.0, 1.0), 9), ExponentialRungeKutta(name)).x
    z = ode.matrix
    exact = torch.where(z == 0, 0.8, 0.8 * torch.expm1(z) / torch.where(z == 0, 1.0, z))
    torch.testing.assert_close(x, exact.expand_as(x), rtol=5e-14, atol=0.0)


@pytest.mark.parametrize("name", EXPONENTIAL_TABLEAUX)
def test_without_a_linear_part_it_is_runge_kutta(name):
    ode, times = DiagonalODE(0.0, field), uneven_grid((0.0, 1.0), 9)
    x = torch.tensor([1.0, -0.5], dtype=double)
    expected = solve(ode, x, times, RhoRungeKutta(EXPONENTIAL_TABLEAUX[name].classical, clock="t")).x
    torch.testing.assert_close(solve(ode, x, times, ExponentialRungeKutta(name)).x, expected, rtol=1e-14, atol=0.0)


@pytest.mark.parametrize("name", EXPONENTIAL_TABLEAUX)
def test_a_dense_linear_part_is_a_diagonal_one_in_other_coordinates(name):
    rates = torch.tensor([-3.0 + 1j, -3.0 - 1j, -40.0], dtype=torch.complex128)
    basis = torch.tensor([[1.0, 1.0, 0.3], [1j, -1j, 0.5], [0.2, 0.2, 1.0]], dtype=torch.complex128)
    back = torch.linalg.inv(basis)
    dense = DenseODE(basis @ torch.diag(rates) @ back, field)
    diagonal = DiagonalODE(rates, lambda t, y: field(t, y @ basis.mT) @ back.mT)
    x = torch.tensor([[1.0, -0.5, 0.2], [0.1, 0.3, -1.0]], dtype=torch.complex128)
    times, method = uneven_grid((0.0, 1.0), 6), ExponentialRungeKutta(name)
    expected = solve(diagonal, x @ back.mT, times, method).x @ basis.mT
    torch.testing.assert_close(solve(dense, x, times, method).x, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", ["etd3rk", "etdrk4", "krogstad", "strehmel-weiner", "hochbruck-ostermann"])
@pytest.mark.parametrize("lam", [-1e2, -1e4, -1e6])
def test_the_error_does_not_grow_with_stiffness(name, lam):
    problem = ProtheroRobinson(lam)
    times = torch.linspace(0.0, 1.0, 11, dtype=double)
    x = solve(problem.ode, problem.exact(0.0), times, ExponentialRungeKutta(name)).x
    assert abs(x - problem.exact(1.0)) < 1e-4 * 1e2 / abs(lam)


@pytest.mark.parametrize("tau", [0.0, 0.7])
@pytest.mark.parametrize("schedule", [VPLinear(), EDM(), RectifiedFlow()], ids=repr)
@pytest.mark.parametrize("predict", ["eps", "x0"])
def test_the_first_order_tableau_is_exponential_euler(predict, schedule, tau):
    # the constant form against transition() and weights(), which do not know of it
    ode = ProbabilityFlowODE(schedule, field, splitting=predict).reverse_sde(tau)
    times = make_grid("log")(ode, 7)
    expected = ExponentialEuler().plan(ode, times).steps
    for a, b in zip(ExponentialRungeKutta("etd1").plan(ode, times).steps, expected, strict=True):
        assert a.advance.coefficients() == pytest.approx(b.advance.coefficients(), rel=1e-11)


# diffusion


def network(x, t):
    t = t.reshape(-1, *[1] * (x.dim() - 1))
    return 0.5 * (x + t).sin() + 0.3 * x


@attrs.frozen
class ByHand:
    """What the papers call alpha, sigma, lambda and their networks, on a schedule."""

    schedule: VPLinear | EDM

    def levels(self, lambda_):
        t = self.schedule.time_of_lambda(lambda_)
        return self.schedule.alpha(t), self.schedule.sigma(t)

    def eps(self, x, lambda_):
        return network(x, self.schedule.time_of_lambda(lambda_).expand(len(x)))

    def data(self, x, lambda_):
        alpha, sigma = self.levels(lambda_)
        return (x - sigma * self.eps(x, lambda_)) / alpha


def dpm_2(p, x, s, t, r1):
    """arXiv 2206.00927, algorithm 4."""
    h, u = t - s, s + r1 * (t - s)
    (alpha, _), (alpha_u, sigma_u), (alpha_t, sigma_t) = p.levels(s), p.levels(u), p.levels(t)
    e = p.eps(x, s)
    mid = p.eps(alpha_u / alpha * x - sigma_u * torch.expm1(r1 * h) * e, u)
    return alpha_t / alpha * x - sigma_t * torch.expm1(h) * (e + (mid - e) / (2 * r1))


def dpm_3(p, x, s, t, r1, r2):
    """arXiv 2206.00927, algorithm 5."""
    h = t - s
    u1, u2 = s + r1 * h, s + r2 * h
    (alpha, _), (alpha_1, sigma_1), (alpha_2, sigma_2) = p.levels(s), p.levels(u1), p.levels(u2)
    alpha_t, sigma_t = p.levels(t)
    e = p.eps(x, s)
    d1 = p.eps(alpha_1 / alpha * x - sigma_1 * torch.expm1(r1 * h) * e, u1) - e
    bracket = torch.expm1(r2 * h) / (r2 * h) - 1
    point = alpha_2 / alpha * x - sigma_2 * torch.expm1(r2 * h) * e - sigma_2 * r2 / r1 * bracket * d1
    d2 = p.eps(point, u2) - e
    return alpha_t / alpha * x - sigma_t * torch.expm1(h) * e - sigma_t / r2 * (torch.expm1(h) / h - 1) * d2


def dpmpp_2s(p, x, s, t, r1):
    """arXiv 2211.01095, algorithm 1."""
    h, u = t - s, s + r1 * (t - s)
    (_, sigma), (alpha_u, sigma_u), (alpha_t, sigma_t) = p.levels(s), p.levels(u), p.levels(t)
    d = p.data(x, s)
    mid = p.data(sigma_u / sigma * x - alpha_u * torch.expm1(-r1 * h) * d, u)
    blend = (1 - 1 / (2 * r1)) * d + 1 / (2 * r1) * mid
    return sigma_t / sigma * x - alpha_t * torch.expm1(-h) * blend


def dpm2_of_k_diffusion(p, x, s, t):
    """Euler to the geometric mean of both noise levels, and from the start with the slope there; alpha = 1."""
    rho, mid, after = (-s).exp(), (-(s + t) / 2).exp(), (-t).exp()
    alpha, alpha_mid, alpha_t = p.levels(s)[0], p.levels((s + t) / 2)[0], p.levels(t)[0]
    y = x / alpha
    slope = p.eps(alpha_mid * (y + (mid - rho) * p.eps(x, s)), (s + t) / 2)
    return alpha_t * (y + (after - rho) * slope)


SAMPLERS = [
    ("dpm-solver-2", lambda p, x, s, t: dpm_2(p, x, s, t, 0.5)),
    ("dpm-solver-3", lambda p, x, s, t: dpm_3(p, x, s, t, 1 / 3, 2 / 3)),
    ("dpmpp-2s", lambda p, x, s, t: dpmpp_2s(p, x, s, t, 0.5)),
    ("dpm2", dpm2_of_k_diffusion),
    (ExponentialRungeKutta(dpm_solver_2(0.3), "eps"), lambda p, x, s, t: dpm_2(p, x, s, t, 0.3)),
    (ExponentialRungeKutta(dpm_solver_3(0.2, 0.9), "eps"), lambda p, x, s, t: dpm_3(p, x, s, t, 0.2, 0.9)),
    (ExponentialRungeKutta(dpm_solver_2(1), "x0"), lambda p, x, s, t: dpmpp_2s(p, x, s, t, 1.0)),
]


@pytest.mark.parametrize("schedule", [VPLinear(), EDM()], ids=repr)
@pytest.mark.parametrize(("method", "step"), SAMPLERS, ids=[str(i) for i in range(len(SAMPLERS))])
def test_samplers_are_those_of_the_papers(method, step, schedule):
    ode = ProbabilityFlowODE(schedule, network)
    times = make_grid("rho7")(ode, 6)
    x = torch.linspace(-1.5, 2.0, 6, dtype=double).reshape(2, 3)
    solution = solve(ode, x, times, method)
    for s, t in pairwise(schedule.lambda_(times.tensor())):
        x = step(ByHand(schedule), x, s, t)
    torch.testing.assert_close(solution.x, x, rtol=1e-9, atol=1e-10)


def test_the_three_stages_of_dpmpp_are_dpm_solver_3_with_the_data_predicted():
    method = INTEGRATORS.create("dpmpp-3s")
    assert method == ExponentialRungeKutta("dpm-solver-3", "x0")
    step = method.plan(ProbabilityFlowODE(VPLinear(), network), [0.8, 0.5]).steps[0]
    h = float(VPLinear().lambda_(torch.tensor(0.5, dtype=double)) - VPLinear().lambda_(torch.tensor(0.8, dtype=double)))
    alpha = float(VPLinear().alpha(torch.tensor(0.5, dtype=double)))
    difference = alpha * (math.expm1(-h) / h + 1) * 1.5  # of x0 at 2/3 and at the start
    assert step.advance.values == pytest.approx([-alpha * math.expm1(-h) - difference, 0.0, difference], rel=1e-11)


# cost, and what it cannot do


@pytest.mark.parametrize("stretch", [1.0, 7.3])
def test_equal_steps_share_their_coefficients(stretch):
    ode = DiagonalODE(torch.tensor([-1e6, -1.0]), field)
    plan = ExponentialRungeKutta("krogstad").plan(ode, torch.linspace(0.1, 0.1 + stretch, 64, dtype=double))
    kinds = {tuple(map(id, step.advance.values)) for step in plan.steps}
    assert len(kinds) <= 4  # times are rounded, so that steps may fall on both sides of a boundary
    uneven = ExponentialRungeKutta("krogstad").plan(ode, uneven_grid((0.0, 1.0), 9))
    assert len({tuple(map(id, step.advance.values)) for step in uneven.steps}) == 9


def test_a_grid_may_carry_gradients():
    ode = DiagonalODE(-2.0, lambda t, x: x.sin())  # N sees numbers as times, which carry none

    def end(middle):
        edges = torch.tensor([0.0, 1.0], dtype=double)
        times = torch.cat([edges[:1], middle, edges[1:]])
        return solve(ode, torch.ones(2, dtype=double), times, ExponentialRungeKutta("etd3rk")).x

    middle = torch.tensor([0.25, 0.5, 0.75], dtype=double, requires_grad=True)
    assert torch.autograd.gradcheck(end, middle)


def test_what_has_no_constant_linear_part_is_refused():
    cld = CriticallyDampedLangevin(network)
    with pytest.raises(CapabilityError, match="CriticallyDampedLangevin has no form with a constant linear part"):
        ExponentialRungeKutta("krogstad").plan(cld, [1.0, 0.5])
    for splitting in ("score", "v"):
        with pytest.raises(CapabilityError, match=f"'{splitting}' is constant in no clock; choose eps or x0"):
            ExponentialRungeKutta("krogstad", splitting).plan(ProbabilityFlowODE(VPLinear(), network), [1.0, 0.5])


def test_unknown_names_are_refused():
    with pytest.raises(UnknownNameError, match="no tableau named 'krogstadt'; near it: krogstad"):
        ExponentialRungeKutta("krogstadt")

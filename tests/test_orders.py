"""Measured orders and errors against published ones, and the cases in which a method is exact."""

import itertools
import math

import pytest
import torch

from deis import (
    INTEGRATORS,
    IPNDM,
    Bernoulli,
    BlackBox,
    DiagonalODE,
    Euler,
    ExponentialEuler,
    HochbruckOstermann,
    PolynomialEIAB,
    RhoRungeKutta,
    solve,
)
from deis.testing import fitted, measured_order, uneven_grid


def order(method, lam=2.0, **options):
    return measured_order(method, Bernoulli(lam), **options)


# Hochbruck and Ostermann's problem 6.1: u_t = u_xx + 1 / (1 + u^2) + Phi


def ho1_error(method, intervals):
    problem = HochbruckOstermann()
    x = solve(problem.ode, problem.exact(0.0), torch.linspace(0.0, 1.0, intervals + 1, dtype=torch.float64), method).x
    return float(problem.to_points(x - problem.exact(1.0)).abs().max())


@pytest.mark.parametrize(
    ("method", "expected_order", "expected_error"),
    [
        (ExponentialEuler(), 1.01, 1.0e-2),
        (PolynomialEIAB(steps=1), 1.01, 1.0e-2),
        (PolynomialEIAB(steps=2, start="runge-kutta"), 2.01, 2.7e-4),
        (PolynomialEIAB(steps=3, start="runge-kutta"), 3.01, 7.5e-6),
        (PolynomialEIAB(steps=4, start="runge-kutta"), 4.00, 2.2e-7),
        (RhoRungeKutta("rk4", clock="t"), 1.08, 2.6e-2),
    ],
    ids=["etd1", "adams1", "adams2", "adams3", "adams4", "lawson4"],
)
def test_order_and_error_on_a_stiff_heat_equation(method, expected_order, expected_error):
    errors = {n: ho1_error(method, n) for n in (32, 64, 128)}
    assert math.log2(errors[64] / errors[128]) == pytest.approx(expected_order, abs=0.03)
    assert errors[32] == pytest.approx(expected_error, rel=0.06)


# what the start does to the order


@pytest.mark.parametrize(
    ("steps", "corrector", "expected"),
    [
        (1, False, 1),
        (2, False, 2),
        (3, False, 2),
        (4, False, 2),
        (6, False, 2),
        (1, True, 2),
        (2, True, 3),
        (3, True, 3),
        (4, True, 3),
    ],
)
def test_a_ramped_start_caps_the_order(steps, corrector, expected):
    method = PolynomialEIAB(steps=steps, corrector=corrector)
    assert method.order == expected
    assert order(method) == pytest.approx(expected, abs=0.1)


def test_measured_values_of_a_ramped_and_a_full_start():
    uniform = {"grid": lambda domain, n: torch.linspace(*domain, n + 1, dtype=torch.float64), "most": 192}
    assert order(PolynomialEIAB(steps=3), **uniform) == pytest.approx(2.06, abs=0.07)
    assert order(PolynomialEIAB(steps=4), **uniform) == pytest.approx(1.98, abs=0.05)
    assert order(PolynomialEIAB(steps=3, start="runge-kutta"), **uniform) == pytest.approx(3.02, abs=0.05)
    assert order(PolynomialEIAB(steps=4, start="runge-kutta"), **uniform) == pytest.approx(4.03, abs=0.05)


@pytest.mark.parametrize("lam", [2.0, 3j], ids=["real", "imaginary"])
@pytest.mark.parametrize("corrector", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 6])
def test_a_runge_kutta_start_restores_the_order(steps, corrector, lam):
    method = PolynomialEIAB(steps=steps, corrector=corrector, start="runge-kutta")
    assert method.order == steps + corrector
    # from order 6 on rounding ends the measurement before the limit is reached
    tolerance = 0.1 if method.order < 5 else 0.5
    grid = {"grid": lambda domain, n: uneven_grid(domain, n, rate=1.2)}
    assert order(method, lam, **grid) == pytest.approx(method.order, abs=tolerance)


@pytest.mark.parametrize(
    "method",
    [
        PolynomialEIAB(steps=1, lower_final=True),
        PolynomialEIAB(steps=2, lower_final=True),
        PolynomialEIAB(steps=2, corrector=True, lower_final=True),
        PolynomialEIAB(steps=4, start="runge-kutta", lower_final=True),
        PolynomialEIAB(steps=3, corrector=True, start="runge-kutta", lower_final=True),
    ],
    ids=repr,
)
def test_fewer_points_at_the_end_cap_the_order_at_two(method):
    measured = order(method, grid=lambda domain, n: uneven_grid(domain, n, rate=1.2))
    assert measured == pytest.approx(min(2, method.steps), abs=0.1)
    assert method.order == min(2, method.steps)


def test_ipndm_is_of_second_order_when_steps_differ():
    assert order(IPNDM()) == pytest.approx(2, abs=0.1)
    assert order(IPNDM(), 3j) == pytest.approx(2, abs=0.1)
    assert order(IPNDM(steps=1)) == pytest.approx(1, abs=0.1)


def test_ipndm_does_not_gain_from_equal_steps_when_there_is_a_linear_part():
    uniform = {"grid": lambda domain, n: torch.linspace(*domain, n + 1, dtype=torch.float64)}
    assert order(IPNDM(), **uniform) == pytest.approx(2, abs=0.1)


# identities

FAMILY = [PolynomialEIAB(steps=k) for k in range(1, 7)]
FAMILY += [PolynomialEIAB(steps=k, corrector=True) for k in (1, 3)]
FAMILY += [PolynomialEIAB(steps=k, start="runge-kutta") for k in (3, 5)]
FAMILY += [PolynomialEIAB(steps=3, corrector=True, start="runge-kutta"), PolynomialEIAB(steps=3, lower_final=True)]
LINEAR_PARTS = [-2.0, 3j, -0.5 + 4j, torch.tensor([-1e6, -3.0, 0.0, 1.5])]
IDS = ["real", "imaginary", "complex", "diagonal"]


def exact_in_the_linear_part():
    registered = (INTEGRATORS.create(name) for name in INTEGRATORS)
    methods = [m for m in registered if not isinstance(m, BlackBox | Euler) and not m.stochastic]
    return [*methods, *FAMILY]


def run(linear, function, method, x0=1.0, intervals=9, rate=1.2):
    linear = torch.as_tensor(linear)
    ode = DiagonalODE(linear, function)
    kind = torch.complex128 if linear.is_complex() else torch.float64
    x0 = torch.full((3, 4), x0, dtype=kind)
    return solve(ode, x0, uneven_grid((0.0, 1.0), intervals, rate), fitted(method, ode)).x, ode.matrix


@pytest.mark.parametrize("linear", LINEAR_PARTS, ids=IDS)
@pytest.mark.parametrize("method", exact_in_the_linear_part(), ids=repr)
def test_exact_without_a_nonlinearity(method, linear):
    if isinstance(method, RhoRungeKutta) and isinstance(linear, torch.Tensor):
        pytest.skip("the integrating factor of a stiff part overflows")
    x, matrix = run(linear, lambda t, x: torch.zeros_like(x), method, x0=1.7)
    torch.testing.assert_close(x, (1.7 * matrix.exp()).expand_as(x), rtol=2e-14, atol=1e-300)


@pytest.mark.parametrize("linear", LINEAR_PARTS, ids=IDS)
@pytest.mark.parametrize("method", [ExponentialEuler(), IPNDM(), *FAMILY], ids=repr)
def test_exact_for_a_constant_nonlinearity(method, linear):
    x, matrix = run(linear, lambda t, x: torch.full_like(x, 0.8), method, x0=0.0)
    exact = torch.where(matrix == 0, 0.8, 0.8 * torch.expm1(matrix) / torch.where(matrix == 0, 1.0, matrix))
    torch.testing.assert_close(x, exact.expand_as(x), rtol=5e-14, atol=0.0)


@pytest.mark.parametrize("linear", LINEAR_PARTS, ids=IDS)
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 6])
def test_exponential_adams_is_exact_for_polynomials_in_time(steps, linear):
    # each row for itself, from exact values: x = 1 + t^d solves x' = L x + N with N = d t^(d-1) - L (1 + t^d), which is
    # of degree d; a corrector has one node more
    ode = DiagonalODE(linear, field)
    plan = PolynomialEIAB(steps=steps, corrector=True).plan(ode, uneven_grid((0.0, 1.0), 9))
    times = plan.times

    def exact(t, degree):
        return torch.full_like(ode.matrix, 1 + t**degree)

    def function(t, degree):
        return (degree * t ** (degree - 1) if degree else 0.0) - ode.matrix * exact(t, degree)

    for n in range(steps - 1, 9):
        step = plan.steps[n]
        for row, degree, newest in [(step.advance, steps - 1, n), (step.correct, steps, n + 1)]:
            if row is None:
                continue
            values = [weight * function(times[newest - j], degree) for j, weight in enumerate(row.values)]
            x = row.state * exact(times[n], degree) + sum(values)
            torch.testing.assert_close(x, exact(times[n + 1], degree), rtol=1e-11, atol=0.0)
    assert len(plan.steps[7].advance.values) == steps
    assert len(plan.steps[7].correct.values) == steps + 1


def field(t, x):
    return (x + t).sin() - 0.3 * x**2


def test_without_a_linear_part_exponential_euler_is_euler():
    x, _ = run(0.0, field, ExponentialEuler())
    y, _ = run(0.0, field, Euler())
    assert torch.equal(x, y)


def test_euler_is_the_textbook_formula():
    times = uneven_grid((0.0, 1.0), 9).tolist()
    x = torch.tensor([1.0, -0.5], dtype=torch.float64)
    start = x
    for s, t in itertools.pairwise(times):
        x = x + (t - s) * (-2.0 * x + field(s, x))
    solution = solve(DiagonalODE(-2.0, field), start, times, "euler")
    torch.testing.assert_close(solution.x, x, rtol=1e-14, atol=0.0)


BY_HAND = {
    "heun2": ([[], [1]], [1 / 2, 1 / 2]),
    "kutta3": ([[], [1 / 2], [-1, 2]], [1 / 6, 2 / 3, 1 / 6]),
    "rk4": ([[], [1 / 2], [0, 1 / 2], [0, 0, 1]], [1 / 6, 1 / 3, 1 / 3, 1 / 6]),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_without_a_linear_part_rho_runge_kutta_is_runge_kutta(name):
    a, b = BY_HAND[name]
    times = uneven_grid((0.0, 1.0), 9).tolist()
    x = torch.full((3, 4), 1.0, dtype=torch.float64)
    for s, t in itertools.pairwise(times):
        k = []
        for row in a:
            k.append(field(s + sum(row) * (t - s), x + (t - s) * sum(r * v for r, v in zip(row, k, strict=True))))
        x = x + (t - s) * sum(w * v for w, v in zip(b, k, strict=True))
    y, _ = run(0.0, field, RhoRungeKutta(name, clock="t"), rate=-1.2)
    torch.testing.assert_close(y, x, rtol=1e-14, atol=0.0)


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_without_a_linear_part_exponential_adams_is_adams_bashforth(steps):
    # with equal steps and a ramp the textbook's weights, as in IPNDM
    ode = DiagonalODE(0.0, field)
    x0 = torch.tensor([1.0, -0.5], dtype=torch.float64)
    times = torch.linspace(0.0, 1.0, 13, dtype=torch.float64)
    x = solve(ode, x0, times, PolynomialEIAB(steps=steps)).x
    torch.testing.assert_close(x, solve(ode, x0, times, IPNDM(steps=steps)).x, rtol=1e-13, atol=0.0)


@pytest.mark.parametrize(("steps", "weights"), [(1, [1 / 2, 1 / 2]), (2, [5 / 12, 8 / 12, -1 / 12])])
def test_without_a_linear_part_the_corrector_is_adams_moulton(steps, weights):
    times = torch.linspace(0.0, 1.0, 6, dtype=torch.float64)
    plan = PolynomialEIAB(steps=steps, corrector=True).plan(DiagonalODE(0.0, field), times)
    correct = plan.steps[steps].correct
    assert [v / 0.2 for v in correct.values] == pytest.approx(weights, rel=1e-13)
    assert plan.steps[-1].correct is None

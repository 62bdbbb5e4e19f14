"""The adapters of scipy's methods."""

import math

import pytest
import torch

from deis import (
    ArgumentError,
    Bernoulli,
    DeisError,
    DenseODE,
    DiagonalODE,
    GaussianMixture,
    ProtheroRobinson,
    SciPy,
    VPLinear,
    solve,
)
from deis.errors import CapabilityError, UnknownNameError
from deis.integrators.scipy_methods import EXPLICIT, IMPLICIT
from deis.testing.measure import order_of

ALL = [*EXPLICIT, *IMPLICIT]
STIFF = ["radau", "bdf", "lsoda"]


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("lam", [2.0, 3j])
def test_it_reaches_the_solution_at_every_time_in_both_directions(method, lam):
    problem, tight = Bernoulli(lam), 1e-11 if method == "DOP853" else 1e-8
    for times in ([0.0, 0.3, 1.0], [1.0, 0.3, 0.0]):
        x0 = problem.exact(times[0])
        states = solve(problem.ode, x0, times, SciPy(method, tight, tight), keep_states=True).states
        for t, state in zip(times, states, strict=True):
            assert abs(complex(state - problem.exact(t))) < 100 * tight * (20 if times[0] else 1)


@pytest.mark.parametrize("method", ALL)
def test_tolerances_rule_error_and_cost(method):
    problem, costs = Bernoulli(2 + 6j), []
    for tolerance in (1e-3, 1e-5, 1e-7):
        solution = solve(problem.ode, problem.initial, [0.0, 1.0], SciPy(method, tolerance, tolerance))
        assert abs(complex(solution.x - problem.exact(1.0))) <= 50 * tolerance
        costs.append(solution.nfe)
    assert costs == sorted(set(costs))


@pytest.mark.parametrize("method", EXPLICIT)
def test_orders_on_equal_steps(method):
    problem, free = Bernoulli(2 + 6j), SciPy(method, 10.0, 10.0)  # tolerances that let an interval be one step

    def error(intervals):
        x = problem.initial
        for n in range(intervals):
            x = solve(problem.ode, x, [n / intervals, (n + 1) / intervals], free).x
        return abs(complex(x - problem.exact(1.0)))

    assert order_of(error, 24 if free.order == 8 else 96) == pytest.approx(free.order, abs=0.15)


def test_the_order_of_radau_shows_in_its_cost():
    problem, points = Bernoulli(20j), []
    for tolerance in (1e-6, 1e-8):
        solution = solve(problem.ode, problem.initial, [0.0, 1.0], SciPy("Radau", tolerance, tolerance))
        points.append((solution.nfe, abs(complex(solution.x - problem.exact(1.0)))))
    (few, large), (many, small) = points
    assert math.log(large / small) / math.log(many / few) == pytest.approx(5, abs=0.3)


def test_both_forms_agree_on_gaussian_data():
    ode = GaussianMixture(torch.tensor([[1.0, -2.0]], dtype=torch.float64), std=0.5).ode(VPLinear())
    start, end = (torch.tensor(t, dtype=torch.float64) for t in ode.domain)
    x0 = torch.tensor([[0.3, 0.4], [-1.0, 2.0]], dtype=torch.float64)

    def marginal(t):
        alpha, sigma = ode.marginal(t)
        return alpha * torch.tensor([1.0, -2.0]), (alpha**2 * 0.25 + sigma**2).sqrt()

    (m, s), (n, r) = marginal(start), marginal(end)
    exact = n + r / s * (x0 - m)  # quantiles of a Gaussian are kept
    for form in ("raw", "rho"):
        x = solve(ode, x0, ode.domain, SciPy("DOP853", 1e-10, 1e-10, form)).x
        torch.testing.assert_close(x, exact, rtol=1e-7, atol=1e-7)


def test_it_takes_fewer_evaluations_of_high_accuracy_than_order_five():
    problem = Bernoulli()
    nfe = {name: solve(problem.ode, problem.initial, [0.0, 1.0], name).nfe for name in ("dop853", "dopri5")}
    tight = {name: solve(problem.ode, problem.initial, [0.0, 1.0], f"{name}:rtol=1e-10:atol=1e-10").nfe for name in nfe}
    assert tight["dop853"] < tight["dopri5"]
    assert tight["dop853"] > nfe["dop853"]


# stiff equations


@pytest.mark.parametrize("name", STIFF)
@pytest.mark.parametrize("lam", [-1e4, -1e6])
def test_implicit_methods_solve_stiff_equations_in_few_evaluations(name, lam):
    problem = ProtheroRobinson(lam)
    solution = solve(problem.ode, problem.initial, [0.0, 1.0], name)
    assert float((solution.x - problem.exact(1.0)).abs()) < 1e-5
    assert solution.nfe < 150


def test_an_explicit_method_needs_more_than_thirty_times_as_many():
    problem = ProtheroRobinson(-1e4)
    with pytest.raises(DeisError, match="made 5000 evaluations"):
        solve(problem.ode, problem.initial, [0.0, 1.0], "dopri5:max_nfe=5000")


@pytest.mark.parametrize("name", STIFF)
def test_stiff_parts_of_the_nonlinearity_are_seen(name):
    rates = torch.tensor([1.0, 1e3, 1e6], dtype=torch.float64)
    ode = DiagonalODE(0.0, lambda t, x: -rates * (x**3 - math.cos(t) ** 3) - math.sin(t))  # x = cos t
    solution = solve(ode, torch.ones(2, 3, dtype=torch.float64), [0.0, 1.0], name)
    torch.testing.assert_close(solution.x, torch.full((2, 3), math.cos(1.0)).double(), rtol=1e-4, atol=1e-4)
    assert solution.nfe < 400


@pytest.mark.parametrize("name", STIFF)
def test_stiff_complex_equations_that_depend_on_the_conjugate(name):
    ode = DiagonalODE(-1 + 0j, lambda t, z: -1e4 * (z.real - t) + 0j)  # only the real part is stiff
    solution = solve(ode, torch.ones(2, dtype=torch.complex128) * (1 + 1j), [0.0, 1.0], name)
    # x' = -x - 1e4 (x - t) follows a t + b; the imaginary part decays
    a = 1e4 / (1 + 1e4)
    expected = a * 1.0 - a / (1 + 1e4) + 1j * math.exp(-1)
    assert solution.x.tolist() == pytest.approx([expected] * 2, abs=1e-4)
    assert solution.nfe < 500


@pytest.mark.parametrize("name", STIFF)
def test_a_jacobian_is_one_evaluation_and_a_right_one_makes_newton_converge_at_once(name):
    generator = torch.Generator().manual_seed(0)
    coupling = torch.randn(6, 6, generator=generator, dtype=torch.float64)
    matrix = -coupling @ coupling.T - 100 * torch.eye(6, dtype=torch.float64)
    x0, calls = torch.ones(6, dtype=torch.float64), []
    whole = DenseODE(matrix, lambda t, x: (calls.append(t), torch.zeros_like(x))[1])
    hidden = DiagonalODE(0.0, lambda t, x: (x @ matrix.T).detach())  # no derivative can be seen
    solution = solve(whole, x0, [0.0, 1.0], name)
    assert solution.nfe == len(calls) < solve(hidden, x0, [0.0, 1.0], name).nfe / 2
    torch.testing.assert_close(solution.x, torch.linalg.matrix_exp(matrix) @ x0, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", STIFF)
def test_networks_with_parameters_and_inference_mode_are_no_obstacle(name):
    factor = torch.ones(3, dtype=torch.float64, requires_grad=True)
    ode, x0 = DiagonalODE(-1.0, lambda t, x: -factor * x), torch.ones(3, dtype=torch.float64)
    plain = solve(ode, x0, [0.0, 1.0], name)
    with torch.inference_mode():
        inside = solve(ode, torch.ones(3, dtype=torch.float64), [0.0, 1.0], name)
    assert inside.nfe == plain.nfe
    assert torch.equal(inside.x, plain.x)
    assert not plain.x.requires_grad
    assert factor.grad is None


# states


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_batches_in_single_precision(method, dtype):
    x0 = torch.tensor([[1.0, 0.5], [0.2, 2.0], [1.5, -0.3]], dtype=dtype)
    ode = DiagonalODE(torch.tensor([-1.0, -3.0]), lambda t, x: torch.ones_like(x))
    x = solve(ode, x0, [0.0, 1.0], SciPy(method)).x
    rates = torch.tensor([-1.0, -3.0])
    assert x.dtype == dtype
    torch.testing.assert_close(x, rates.exp() * x0 + rates.expm1() / rates, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", IMPLICIT)
def test_a_complex_state_with_real_values_takes_the_steps_of_the_real_one(method):
    problem, integrator = Bernoulli(), SciPy(method, 2e-3, 2e-3)  # for finer ones, Radau's iteration depends on rtol
    real, other = (solve(problem.ode, x, [0.0, 1.0], integrator) for x in (problem.initial, problem.initial + 0j))
    assert other.nfe == real.nfe
    torch.testing.assert_close(other.x, real.x + 0j, rtol=1e-9, atol=0.0)


def test_states_that_torch_conjugates_lazily_are_taken():
    x0 = torch.tensor([1.0 + 1j], dtype=torch.complex128)
    ode = DiagonalODE(-1.0 + 0j, lambda t, x: torch.zeros_like(x))
    for name in ("dop853", "radau"):
        found = solve(ode, x0.conj(), [0.0, 1.0], name).x
        assert complex(found) == pytest.approx((1 - 1j) * math.exp(-1), rel=1e-4)


def test_an_empty_batch_stays_empty():
    solution = solve(DiagonalODE(-1.0, lambda t, x: x), torch.empty(0, 3), [0.0, 0.5, 1.0], "radau")
    assert (solution.x.shape, solution.nfe) == ((0, 3), 0)


# refusals


@pytest.mark.parametrize("method", ALL)
def test_states_with_gradients_are_refused_and_networks_with_gradients_are_not(method):
    factor = torch.ones(3, dtype=torch.float64, requires_grad=True)
    ode = DiagonalODE(-1.0, lambda t, x: factor * x)
    x0 = torch.ones(3, dtype=torch.float64)
    assert not solve(ode, x0, [0.0, 1.0], SciPy(method)).x.requires_grad
    with pytest.raises(CapabilityError, match="no gradients; use dopri5"):
        solve(ode, x0.requires_grad_(), [0.0, 1.0], SciPy(method))


@pytest.mark.parametrize("method", ALL)
def test_it_gives_up_with_a_diagnosis(method):
    ode = DiagonalODE(0.0, lambda t, x: 1e3 * torch.sin(1e3 * x + 1e4 * t))
    with pytest.raises(DeisError, match=r"SciPy\(.* made 50 evaluations, at t = .*stiff"):
        solve(ode, torch.ones(1).double(), [0.0, 1.0], SciPy(method, max_nfe=50))


@pytest.mark.parametrize("method", ["DOP853", "Radau", "BDF"])
def test_a_singularity_is_diagnosed(method):
    ode = DiagonalODE(0.0, lambda t, x: x**2, (0.0, 2.0))
    with pytest.raises(DeisError, match=r"SciPy\(.*at t = (1(\.0\d*)?|0\.99\d*): the solution may be singular there"):
        solve(ode, torch.ones(1, dtype=torch.float64), [0.0, 2.0], SciPy(method))


@pytest.mark.parametrize(("name", "value"), [("rtol", 1e-16), ("rtol", -1.0), ("atol", 0.0), ("max_nfe", 0)])
def test_bad_options_are_refused(name, value):
    with pytest.raises(ArgumentError, match=f"{name} must be"):
        SciPy("DOP853", **{name: value})


def test_other_forms_and_methods_are_refused():
    with pytest.raises(DeisError, match="no form named 'lambda'"):
        SciPy("DOP853", form="lambda")
    with pytest.raises(UnknownNameError, match=r"no method named 'RK46'; near it: .*RK45"):
        SciPy("RK46")

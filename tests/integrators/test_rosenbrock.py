"""Exponential Rosenbrock methods: orders, exactness, stiffness, Jacobians in every form, and steps by a tolerance."""

import itertools
import math

import attrs
import numpy as np
import pytest
import scipy.integrate
import torch

from deis import (
    Adaptive,
    Bernoulli,
    BlockDiagonalODE,
    CapabilityError,
    DenseODE,
    DiagonalODE,
    ExponentialRosenbrock,
    HochbruckOstermann,
    NonFiniteError,
    ProtheroRobinson,
    SemilinearODE,
    make_grid,
    solve,
)
from deis.errors import ArgumentError, UnknownNameError
from deis.numerics.phi_tableaux import phi
from deis.numerics.rosenbrock_tableaux import RosenbrockTableau

F64 = torch.float64
NAMES = ["rosenbrock-euler", "exprb32", "exprb43"]
FORMS = ["dense", "krylov"]


def error(problem, method, intervals, grid="t"):
    x = solve(problem.ode, problem.initial, make_grid(grid)(problem.ode, intervals), method).x
    return float((problem.values(x) - problem.values(problem.exact(problem.ode.domain[1]))).abs().max())


def orders(problem, method, intervals, grid="t"):
    errors = [error(problem, method, n, grid) for n in intervals]
    return [math.log2(a / b) for a, b in itertools.pairwise(errors)]


@pytest.mark.parametrize("lam", [2.0, 3j], ids=["real", "imaginary"])
@pytest.mark.parametrize("name", NAMES)
def test_order_on_a_nonautonomous_problem(name, lam):
    method = ExponentialRosenbrock(name)
    assert orders(Bernoulli(lam), method, (32, 64), "t2")[0] == pytest.approx(method.order, abs=0.15)


@pytest.mark.parametrize("name", NAMES)
def test_order_is_kept_on_a_stiff_heat_equation(name):
    problem, method = HochbruckOstermann(60), ExponentialRosenbrock(name, "dense")
    assert orders(problem, method, (8, 16))[0] >= method.order - 0.15


@pytest.mark.parametrize("lam", [-1e2, -1e4, -1e6])
@pytest.mark.parametrize("name", NAMES)
def test_error_is_below_h_to_the_order_however_stiff_a_linear_problem_is(name, lam):
    # all that is left is how N = g' - lam g depends on time, of which a step integrates the first terms exactly
    order = ExponentialRosenbrock(name).order
    for intervals in (10, 20):
        assert error(ProtheroRobinson(lam), ExponentialRosenbrock(name), intervals) < (1 / intervals) ** order


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_exact_for_linear_equations_whatever_part_is_called_linear(name, form):
    matrix = torch.tensor([[0.0, 1.0, 0.0], [-40.0, -5.0, 1.0], [0.3, 0.0, -200.0]], dtype=F64)
    split = DenseODE(0.2 * matrix, lambda t, x: x @ (0.8 * matrix).mT + torch.tensor([0.0, 2.0, -1.0], dtype=F64))
    x0 = torch.tensor([1.0, -1.0, 2.0], dtype=F64)
    x = solve(split, x0, [0.0, 0.3, 1.0], ExponentialRosenbrock(name, form)).x
    block = torch.zeros(4, 4, dtype=F64)
    block[:3, :3], block[:3, 3] = matrix, torch.tensor([0.0, 2.0, -1.0])
    exact = (torch.linalg.matrix_exp(block) @ torch.cat([x0, torch.ones(1, dtype=F64)]))[:3]
    torch.testing.assert_close(x, exact, rtol=1e-9 if form == "krylov" else 1e-12, atol=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_a_singular_jacobian_is_no_obstacle(form):
    # y' = (y2, 0): J = [[0, 1], [0, 0]] is singular and defective
    ode = DiagonalODE(0.0, lambda t, x: torch.stack([x[..., 1], torch.zeros_like(x[..., 1])], -1))
    x = solve(ode, torch.tensor([1.0, 3.0], dtype=F64), [0.0, 2 / 3, 1.0], ExponentialRosenbrock("exprb43", form)).x
    torch.testing.assert_close(x, torch.tensor([4.0, 3.0], dtype=F64), rtol=1e-13, atol=0.0)


def oscillator(t, x):
    """Van der Pol's equation, mu = 5."""
    return torch.stack([x[..., 1], 5 * (1 - x[..., 0] ** 2) * x[..., 1] - x[..., 0]], -1)


def test_dense_and_krylov_jacobians_give_the_same_solution():
    ode, x0 = DiagonalODE(0.0, lambda t, x: oscillator(t, x) + t), torch.tensor([2.0, 0.0], dtype=F64)
    times = torch.linspace(0.0, 1.0, 6, dtype=F64)
    one, other = (solve(ode, x0, times, ExponentialRosenbrock("exprb43", form)).x for form in FORMS)
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_independent_systems_in_a_batch_are_solved_as_alone(name):
    linear = torch.diag(torch.tensor([-1.0, -2.0]))
    ode = DenseODE(linear, lambda t, x: oscillator(t, x) + t * x.sin())
    batch = torch.tensor([[[2.0, 0.0], [1.0, 1.0], [0.1, -3.0]], [[0.0, 0.2], [4.0, 1.0], [1.0, 2.0]]], dtype=F64)
    times = [0.0, 0.1, 0.3]
    together = solve(ode, batch, times, name).x
    for index in np.ndindex(2, 3):
        # the difference in time magnifies the rounding of N by 1e4
        torch.testing.assert_close(together[index], solve(ode, batch[index], times, name).x, rtol=1e-10, atol=1e-11)


def test_axes_say_what_a_system_is():
    # the sum over the last axis couples it; with a number for L the whole state is taken for one system
    ode = DiagonalODE(-1.0, lambda t, x: x.sin() * x.sum(-1, keepdim=True))
    x0 = torch.linspace(0.1, 1.0, 6, dtype=F64).reshape(2, 3)
    whole, rows = (solve(ode, x0, [0.0, 0.2], ExponentialRosenbrock("exprb43", axes=axes)).x for axes in (None, 1))
    torch.testing.assert_close(whole, rows, rtol=1e-12, atol=0.0)
    assert not torch.allclose(solve(ode, x0, [0.0, 0.2], ExponentialRosenbrock("exprb43", axes=0)).x, rows, rtol=1e-9)


def test_a_complex_nonlinearity_need_not_be_analytic():
    # i psi' = |psi|^2 psi keeps |psi|: psi = psi0 exp(-i |psi0|^2 t)
    ode = DiagonalODE(0.0, lambda t, x: -1j * x.abs().square() * x)
    x0 = torch.tensor([1.0 + 0.5j, -0.3j], dtype=torch.complex128)
    exact = x0 * (-1j * x0.abs().square()).exp()
    errors = []
    for n in (8, 16):
        x = solve(ode, x0, torch.linspace(0, 1, n + 1, dtype=F64), "exprb43").x
        errors.append(float((x - exact).abs().max()))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(4, abs=0.2)


def test_time_dependent_linear_parts_are_linearised_too():
    @attrs.frozen(eq=False)
    class Growing(SemilinearODE):
        """x' = -20 t x + cos t, with G = 2."""

        domain = (0.0, 1.0)

        def linear(self, t):
            return -20 * t

        def transition(self, t, s):
            return (10 * (s**2 - t**2)).exp()

        def weight(self, t):
            return 2 * torch.ones_like(t)

        def nonlinearity(self, t, x):
            return torch.full_like(x, math.cos(t) / 2)

    found = scipy.integrate.solve_ivp(
        lambda t, y: -20 * t * y + math.cos(t), (0, 1), [1.0], method="DOP853", rtol=1e-13, atol=1e-14
    )
    errors = []
    for n in (32, 64):
        x = solve(Growing(), torch.ones(1, dtype=F64), torch.linspace(0, 1, n + 1, dtype=F64), "exprb43").x
        errors.append(abs(float(x) - found.y[0, -1]))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(4, abs=0.3)


@pytest.mark.parametrize(("name", "calls"), [("rosenbrock-euler", 1), ("exprb32", 2), ("exprb43", 3)])
def test_evaluations_are_the_stages_and_one_or_two_more(name, calls):
    def run(function):
        return solve(DiagonalODE(-1.0, function), torch.ones(2, dtype=F64), [0.0, 0.1, 0.3, 0.4], name).nfe

    assert run(lambda t, x: x.sin()) == 3 * (calls + 1)
    assert run(lambda t, x: x.sin() + t) == 3 * (calls + 2)
    assert ExponentialRosenbrock(name).evaluations_per_step == calls + 2


@pytest.mark.parametrize("form", FORMS)
def test_gradients_pass_through_the_solve_and_the_jacobian(form):
    def end(rate, x0):
        ode = DenseODE(torch.diag(torch.tensor([-1.0, -3.0])), lambda t, x: rate * x.flip(-1).sin() + t)
        return solve(ode, x0, [0.0, 0.2, 0.4], ExponentialRosenbrock("exprb43", form)).x

    rate = torch.tensor(0.7, dtype=F64, requires_grad=True)
    x0 = torch.tensor([0.5, -0.4], dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(end, (rate, x0))


def test_single_precision_states_stay_single():
    ode = DenseODE(-torch.eye(2), oscillator)
    x0 = torch.tensor([2.0, 0.0])
    x = solve(ode, x0, torch.linspace(0.0, 1.0, 21), "exprb43").x
    assert x.dtype == torch.float32
    exact = solve(ode, x0.double(), torch.linspace(0.0, 1.0, 81, dtype=F64), "exprb43").x
    torch.testing.assert_close(x.double(), exact, rtol=2e-4, atol=1e-4)


# steps by a tolerance


def van_der_pol(mu):
    return DiagonalODE(
        0.0, lambda t, x: torch.stack([x[..., 1], mu**2 * (x[..., 1] * (1 - x[..., 0] ** 2) - x[..., 0])], -1)
    )


@pytest.mark.parametrize(("name", "tolerance"), [("exprb32", 1e-3), ("exprb43", 1e-3), ("exprb43", 1e-5)])
def test_a_tolerance_is_kept_where_the_stiffness_is_in_the_nonlinearity(name, tolerance):
    mu, x0 = 100.0, [2.0, -2 / 3]
    found = scipy.integrate.solve_ivp(
        lambda t, y: [y[1], mu**2 * (y[1] * (1 - y[0] ** 2) - y[0])],
        (0, 0.5),
        x0,
        method="Radau",
        rtol=1e-12,
        atol=1e-12,
    )
    method = Adaptive(ExponentialRosenbrock(name), tolerance, tolerance, norm="all")
    solution = solve(attrs.evolve(van_der_pol(mu), domain=(0.0, 0.5)), torch.tensor(x0, dtype=F64), [0.0, 0.5], method)
    exact = torch.tensor(found.y[:, -1])
    assert bool(((solution.x - exact).abs() <= 10 * tolerance * (1 + exact.abs())).all())
    assert solution.steps < 400
    assert solution.nfe <= 5 * (solution.steps + solution.rejected)


def test_a_rejected_step_is_linearised_once():
    calls = []

    def function(t, x):
        calls.append(t)
        return torch.where(torch.tensor(t > 0.5), 50 * x.sin(), -x)

    method = Adaptive(ExponentialRosenbrock("exprb32"), 1e-6, 1e-6)
    solution = solve(DiagonalODE(0.0, function), torch.ones(3, dtype=F64), [0.0, 0.4, 1.0], method)
    assert solution.rejected > 0
    # each accepted step: N, its difference in time, the Jacobian (not counted in nfe), a stage; a rejected one: a stage
    assert len(calls) <= solution.nfe + solution.steps
    assert solution.nfe <= 4 * solution.steps + solution.rejected


def test_a_diagnosis_says_where_it_stopped_and_why():
    ode = DiagonalODE(0.0, lambda t, x: x**2, (0.0, 2.0))
    method = Adaptive(ExponentialRosenbrock("exprb43"), 1e-6, 1e-6, most_steps=300, partial=True)
    solution = solve(ode, torch.ones(1, dtype=F64), [0.0, 2.0], method)
    assert solution.times[-1] == pytest.approx(1.0, abs=1e-3)  # x = 1 / (1 - t)
    assert "singular here" in solution.diagnosis


# what is refused


def test_a_jacobian_that_is_not_finite_is_an_error():
    ode = DiagonalODE(-1.0, lambda t, x: x.sqrt())  # the derivative at 0 is infinite
    with pytest.raises(NonFiniteError, match="the Jacobian at t = 0 holds NaN or Inf"):
        solve(ode, torch.zeros(2, dtype=F64), [0.0, 1.0], "exprb43")


def test_an_n_that_cannot_be_differentiated_is_an_error_with_a_way_out():
    class Opaque(torch.autograd.Function):
        """The sine, without a forward derivative."""

        @staticmethod
        def forward(ctx, x):
            return x.sin()

        @staticmethod
        def backward(ctx, slope):
            raise NotImplementedError

    ode = DiagonalODE(-1.0, lambda t, x: Opaque.apply(x))
    with pytest.raises(CapabilityError, match=r"N of DiagonalODE cannot be differentiated .* for example krogstad"):
        solve(ode, torch.ones(2, dtype=F64), [0.0, 1.0], "exprb43")


def test_wrong_options_are_refused():
    with pytest.raises(UnknownNameError, match="exprb43"):
        ExponentialRosenbrock("exprb44")
    with pytest.raises(UnknownNameError, match="krylov"):
        ExponentialRosenbrock(jacobian="krylow")
    with pytest.raises(ArgumentError, match="axes must be a whole number from 0"):
        ExponentialRosenbrock(axes=-1)
    with pytest.raises(ArgumentError, match="method must be deterministic and have a plan"):
        Adaptive(ExponentialRosenbrock("rosenbrock-euler"))  # nothing to compare it with


def test_a_tableau_of_ones_own():
    tableau = RosenbrockTableau(3, (0, "1/2"), [(), (phi(1, "1/2") / 2,)], (phi(1) - phi(3) * 8, phi(3) * 8))
    method = ExponentialRosenbrock(tableau)
    assert method.order == 3
    assert orders(Bernoulli(), method, (32, 64))[0] == pytest.approx(3, abs=0.15)


def test_blocks_may_be_coupled():
    ode = BlockDiagonalODE(-torch.eye(2).expand(3, 2, 2), lambda t, x: x.roll(1, -2).sin())
    x0 = torch.linspace(0.0, 1.0, 6, dtype=F64).reshape(3, 2)
    exact = solve(ode, x0, torch.linspace(0.0, 1.0, 65, dtype=F64), "krogstad").x
    torch.testing.assert_close(
        solve(ode, x0, torch.linspace(0, 1, 33, dtype=F64), "exprb43").x, exact, rtol=1e-7, atol=1e-8
    )

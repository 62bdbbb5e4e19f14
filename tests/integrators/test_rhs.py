"""The right-hand side that methods of other libraries integrate."""

import math

import attrs
import pytest
import torch

from deis import DiagonalODE, KrylovODE, ProbabilityFlowODE, SciPy, TorchDiffEq, TorchDiffEqFixed, VPLinear, solve
from deis.errors import CapabilityError, DeisError
from deis.integrators.rhs import RightHandSide

METHODS = [
    TorchDiffEq("dopri5", 1e-8, 1e-8),
    TorchDiffEqFixed("rk4"),
    SciPy("DOP853", 1e-8, 1e-8),
    SciPy("Radau", 1e-6),
]
TIMES = torch.linspace(0.0, 1.0, 41, dtype=torch.float64)


def slope_of(ode, form="raw", times=TIMES, most=100):
    return RightHandSide(METHODS[0], ode, ode.nonlinearity, times, form, most)


def second_difference(x):
    return x.roll(1, -1) - 2 * x + x.roll(-1, -1)


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_a_linear_part_without_a_matrix_acts_as_one(method):
    ode = KrylovODE(second_difference, lambda t, x: torch.full_like(x, math.cos(t)))
    x0 = torch.tensor([[1.0, 0.5, -1.0, 2.0], [0.0, 1.0, 0.0, 0.0]], dtype=torch.float64)
    matrix = second_difference(torch.eye(4, dtype=torch.float64))
    exact = x0 @ torch.linalg.matrix_exp(matrix) + math.sin(1.0)  # a constant state is in the null space of L
    found = solve(ode, x0, TIMES.tolist(), method).x
    torch.testing.assert_close(found, exact, rtol=1e-5, atol=1e-5)


def test_the_raw_form_is_the_equation_itself():
    ode = ProbabilityFlowODE(VPLinear(), lambda x, t: x.sin())
    times, x = torch.tensor([1.0, 0.1], dtype=torch.float64), torch.tensor([0.3, -1.0], dtype=torch.float64)
    t = torch.tensor(0.4, dtype=torch.float64)
    expected = ode.linear(t) * x + ode.weight(t) * ode.nonlinearity(0.4, x)
    torch.testing.assert_close(slope_of(ode, times=times)(t, x), expected, rtol=1e-14, atol=0.0)


def test_the_rho_form_has_the_derivative_of_the_transformed_solution():
    ode = ProbabilityFlowODE(VPLinear(), lambda x, t: torch.ones_like(x))
    times = torch.tensor([1.0, 0.4, 0.1], dtype=torch.float64)
    slope, x0 = slope_of(ode, "rho", times), torch.tensor([2.0], dtype=torch.float64)
    v0, rho = slope.start(x0), slope.grid
    rates = torch.cat([slope(c, v0) for c in rho])
    torch.testing.assert_close(rates, rates[:1].expand(3), rtol=1e-10, atol=0.0)  # dv/drho = N times a constant
    end = slope.states([v0 + rates[0] * (c - rho[0]) for c in rho[1:]])[-1]
    torch.testing.assert_close(end, solve(ode, x0, [1.0, 0.1], "ddim").x, rtol=1e-10, atol=0.0)  # exact for constant N


def test_complex_products_with_real_states_are_refused():
    @attrs.frozen(eq=False)
    class Turning(KrylovODE):
        def linear_action(self, t, x):
            return 1j * x

    cases = [
        DiagonalODE(2j, lambda t, x: x),
        Turning(second_difference, lambda t, x: x),
    ]
    for ode in cases:
        with pytest.raises(CapabilityError, match=r"needs a complex state; pass x0.to\(torch.complex128\)"):
            slope_of(ode)(TIMES[0], torch.ones(4, dtype=torch.float64))


def test_times_stay_in_the_grid_and_evaluations_in_their_limit():
    asked = []
    ode = DiagonalODE(0.0, lambda t, x: (asked.append(t), x)[1])
    slope, x = slope_of(ode, most=3), torch.ones(1)
    for c in (-1e-9, 0.5, 1.1):
        slope(torch.tensor(c), x)
    assert asked == [0.0, 0.5, 1.0]
    with pytest.raises(DeisError, match=r"TorchDiffEq\(.* made 3 evaluations, at t = 1: "):
        slope(torch.tensor(1.0), x)

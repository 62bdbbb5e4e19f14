import math

import mpmath
import pytest
import torch

from deis import (
    ArgumentError,
    CapabilityError,
    CommutingMatrixODE,
    CommutingODE,
    DeisError,
    DenseODE,
    DiagonalODE,
    PolynomialEIAB,
    RhoRungeKutta,
    solve,
)
from deis.testing import SemilinearODEConformance


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def nothing(t, x):
    return x


RATES = double([-3.0, 0.5, -20.0])
TURN = double([[-0.1, 2.0, 0.0], [-2.0, -0.1, 0.3], [0.0, 0.0, -4.0]])


def falling(t):
    return -t * (1 + t)


def falling_integral(t):
    return -(t**2) / 2 - t**3 / 3


class TestConformance(SemilinearODEConformance):
    @pytest.fixture(
        params=[
            lambda n: CommutingODE(falling, falling_integral, n, (0.0, 2.0)),
            lambda n: CommutingODE(falling, None, n, (2.0, -1.0)),
            lambda n: CommutingODE(lambda t: t.cos()[..., None] * RATES, lambda t: t.sin()[..., None] * RATES, n),
            lambda n: CommutingODE(lambda t: (t.exp() + 2 * t)[..., None] * RATES, None, n),
            lambda n: CommutingODE(lambda t: 5j * t - 1, lambda t: 2.5j * t**2 - t, n),
            lambda n: CommutingODE(lambda t: 1 / (t + 0.1), lambda t: (t + 0.1).log(), n),
            lambda n: CommutingMatrixODE(TURN, lambda t: 1 + t, lambda t: t + t**2 / 2, n, (1.0, -0.5)),
            lambda n: CommutingMatrixODE(TURN, torch.cos, None, n),
        ],
        ids=["scalar", "backwards", "diagonal", "diagonal by quadrature", "complex", "1/t", "matrix", "turning"],
    )
    def ode(self, request):
        return request.param(lambda t, x: x.sin() + t)


def test_weights_are_integrals_of_the_closed_form():
    ode = CommutingODE(falling, falling_integral, nothing)
    s, t, nodes = 0.3, 0.9, [0.3, 0.1, 0.9]
    value = ode.weights(double([s]), double([t]), double([nodes]))[0]
    with mpmath.workdps(30):
        for j in range(3):

            def kernel(r, j=j):
                basis = mpmath.mpf(1)
                for m in range(3):
                    if m != j:
                        basis *= (r - nodes[m]) / (mpmath.mpf(nodes[j]) - nodes[m])
                rise = (r**2 - mpmath.mpf(t) ** 2) / 2 + (r**3 - mpmath.mpf(t) ** 3) / 3
                return mpmath.exp(rise) * basis

            assert float(value[j]) == pytest.approx(float(mpmath.quad(kernel, [s, t])), rel=1e-12)


@pytest.mark.parametrize("constant", [-7.0, 3j, [-1.0, 2.0, -50.0]], ids=str)
def test_a_constant_linear_part_is_a_diagonal_ode(constant):
    value = torch.as_tensor(constant, dtype=torch.complex128 if constant == 3j else torch.float64)
    ode = CommutingODE(lambda t: t.new_ones(t.shape).reshape(*t.shape, *[1] * value.dim()) * value, None, nothing)
    s, t = double([0.0, 0.5]), double([0.5, 0.6])
    nodes = torch.stack([s, s - 0.1], dim=1)
    diagonal = DiagonalODE(value, nothing)
    torch.testing.assert_close(ode.transition(t, s), diagonal.transition(t, s), rtol=1e-13, atol=0)
    torch.testing.assert_close(ode.weights(s, t, nodes), diagonal.weights(s, t, nodes), rtol=1e-11, atol=1e-14)


def test_a_constant_rate_is_a_dense_ode():
    ode, dense = CommutingMatrixODE(TURN, torch.ones_like, None, nothing), DenseODE(TURN, nothing)
    s, t = double([0.0, 0.5]), double([0.5, 0.6])
    nodes = torch.stack([s, s - 0.1], dim=1)
    torch.testing.assert_close(ode.transition(t, s), dense.transition(t, s), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(ode.weights(s, t, nodes), dense.weights(s, t, nodes), rtol=1e-11, atol=1e-13)


def test_the_transition_goes_through_defective_matrices():
    ode = CommutingMatrixODE(double([[0.0, 1.0], [0.0, 0.0]]), lambda t: 2 * t, lambda t: t**2, nothing)
    assert torch.equal(ode.transition(double(3.0), double(1.0)), double([[1.0, 8.0], [0.0, 1.0]]))


def test_the_integral_of_quadrature_is_the_closed_form():
    s, t = double([[0.1, 2.0], [-1.0, 0.4]]), double([[0.9, 0.3], [-1.0, 8.0]])
    given, found = (CommutingODE(lambda t: -3 * t.sin(), i, nothing) for i in (lambda t: 3 * t.cos(), None))
    torch.testing.assert_close(found.transition(t, s), given.transition(t, s), rtol=1e-12, atol=0)
    assert found.transition(t[:, :1], s[0]).shape == (2, 2)


def exact(t):
    return 1 / (2 + math.sin(t))


def bernoulli(rates):
    """x' = a(t) x + N with u = 1/x = 2 + sin t, which obeys u' = -a u + b: N = -b x^2."""
    rates = double(rates)

    def function(t, x):
        rate = -t * (1 + t) * rates
        return -(math.cos(t) + rate * (2 + math.sin(t))) * x**2

    return CommutingODE(
        lambda t: falling(t)[..., None] * rates, lambda t: falling_integral(t)[..., None] * rates, function
    )


@pytest.mark.parametrize(
    ("integrator", "order"),
    [
        (PolynomialEIAB(steps=1), 1),
        (PolynomialEIAB(steps=2, start="runge-kutta"), 2),
        (PolynomialEIAB(steps=3, start="runge-kutta"), 3),
        (PolynomialEIAB(steps=2, corrector=True, start="runge-kutta"), 3),
        (RhoRungeKutta("rk4", clock="t"), 4),
    ],
    ids=repr,
)
def test_methods_keep_their_order(integrator, order):
    errors = []
    for steps in (32, 64):
        times = [n / steps for n in range(steps + 1)]
        x = solve(bernoulli([0.3, -0.5]), torch.full((2,), exact(0.0), dtype=torch.float64), times, integrator).x
        errors.append(float((x - exact(1.0)).abs().max()))
    assert order - 0.2 <= math.log2(errors[0] / errors[1]) <= order + 0.3


def test_linear_problems_are_solved_in_one_step():
    ode = CommutingMatrixODE(TURN, lambda t: 1 + t, lambda t: t + t**2 / 2, lambda t, x: torch.zeros_like(x))
    x0 = double([[1.0, 2.0, 3.0], [0.0, -1.0, 1.0]])
    expected = x0 @ torch.linalg.matrix_exp(1.5 * TURN).mT
    torch.testing.assert_close(solve(ode, x0, [0.0, 1.0], "ddim").x, expected, rtol=1e-12, atol=1e-13)


def test_methods_for_constant_linear_parts_are_refused():
    with pytest.raises(CapabilityError, match="no form with a constant linear part"):
        solve(CommutingODE(falling, None, nothing), torch.ones(2), [0.0, 1.0], "krogstad")


def test_a_jump_is_refused_where_the_integral_is_not_given():
    ode = CommutingODE(lambda t: torch.where(t < 0.3, 0.0, 1.0 / (t - 0.3).abs().sqrt()), None, nothing)
    with pytest.raises(DeisError, match="integral of linear does not converge; give integral"):
        ode.transition(double(1.0), double(0.0))


def test_gradients_reach_the_parameters_of_the_linear_part():
    s, t, nodes = double([0.0]), double([0.5]), double([[0.0, -0.25]])

    def weights(rate):
        return CommutingODE(lambda t: t * rate, None, nothing).weights(s, t, nodes)

    assert torch.autograd.gradcheck(weights, double(-3.0).requires_grad_())


@pytest.mark.parametrize("value", [lambda t: -1.0, lambda t: double(-1.0), lambda t: t[None], lambda t: None])
def test_values_of_other_shapes_are_refused(value):
    with pytest.raises(ArgumentError, match=r"linear must give a tensor of shape.*torch.full_like\(t, c\)"):
        CommutingODE(value, None, nothing)
    with pytest.raises(ArgumentError, match="integral must give a tensor"):
        CommutingODE(falling, value, nothing)


def test_what_does_not_fit_together_is_refused():
    with pytest.raises(ArgumentError, match=r"integral must have values of shape \(\), as linear has, got \(3,\)"):
        CommutingODE(falling, lambda t: falling_integral(t)[..., None] * RATES, nothing)
    with pytest.raises(ArgumentError, match="matrix must be square"):
        CommutingMatrixODE(torch.ones(2, 3), torch.cos, None, nothing)
    with pytest.raises(ArgumentError, match="rate must be a number at each time"):
        CommutingMatrixODE(TURN, lambda t: t[..., None] * RATES, None, nothing)
    for argument, bad in [("linear", 1.0), ("integral", 1.0), ("function", None), ("domain", (0.0, 0.0))]:
        options = {"linear": falling, "integral": None, "function": nothing, argument: bad}
        with pytest.raises(ArgumentError, match=f"^{argument} must be"):
            CommutingODE(**options)

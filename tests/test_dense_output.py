"""The solution between grid points: exact in L, of order 4 or more in N, continuous, in both directions."""

import math

import mpmath
import pytest
import torch

from deis import (
    Bernoulli,
    BlockDiagonalODE,
    DenseODE,
    DiagonalODE,
    GaussianMixture,
    KrylovODE,
    VPLinear,
    solve,
)
from deis.dense_output import DenseOutput
from deis.errors import ArgumentError, NonFiniteError
from deis.integrators.rosenbrock import ExponentialRosenbrock

TIMES = (0.0, 0.3, 0.5, 1.1, 1.7, 2.0)
CUBIC = (1.0, -2.0, 3.0, 0.5)
INSIDE = torch.linspace(0.05, 1.95, 39, dtype=torch.float64)


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


def cubic(t, x):
    return sum(a * t**k for k, a in enumerate(CUBIC)) * torch.ones_like(x)


def exact_for_cubic(lam, t):
    """x(t) for x' = lam x + N, x(0) = 1, by a polynomial particular solution, in 60 digits."""
    with mpmath.workdps(60):
        t = mpmath.mpf(t)
        if lam == 0:
            return complex(1 + sum(mpmath.mpf(a) * t ** (k + 1) / (k + 1) for k, a in enumerate(CUBIC)))
        lam, a = mpmath.mpmathify(lam), [mpmath.mpf(0)] * 5
        for k in (3, 2, 1, 0):  # p' = lam p + N
            a[k] = ((k + 1) * a[k + 1] - CUBIC[k]) / lam
        return complex(mpmath.exp(lam * t) * (1 - a[0]) + sum(c * t**k for k, c in enumerate(a)))


@pytest.mark.parametrize("lam", [0.0, -1.0, -1e3, -1e6, 3j, 1e4j, -5 + 100j], ids=str)
def test_cubic_nonlinearities_are_exact_whatever_the_linear_part(lam):
    check_cubic(lam, TIMES)


@pytest.mark.parametrize("lam", [0.0, 1.0, 3j, 1e4j, 5 - 100j], ids=str)
def test_cubic_nonlinearities_are_exact_backward_in_time(lam):
    check_cubic(lam, TIMES[::-1])


def check_cubic(lam, times):
    ode = DiagonalODE(lam, cubic, domain=(times[0], times[-1]))
    states = [torch.tensor([exact_for_cubic(lam, t)], dtype=torch.complex128) for t in times]
    expected = torch.tensor([[exact_for_cubic(lam, float(t)) for t in INSIDE]], dtype=torch.complex128)
    found = DenseOutput(ode, times, states)(INSIDE)
    assert torch.allclose(found, expected, rtol=1e-12, atol=1e-12 * float(expected.abs().max()))


ROTATION = tensor([-0.5, 3.0], [-3.0, -0.5])
STIFF = tensor([-1000.0, 1.0], [0.0, -1.0])
NILPOTENT = tensor([0.0, 1.0], [0.0, 0.0])


@pytest.mark.parametrize(
    "matrix", [ROTATION, STIFF, tensor([0.0, 1.0], [0.0, 0.0])], ids=["turning", "stiff", "nilpotent"]
)
@pytest.mark.parametrize("kind", ["dense", "blocks", "krylov"])
def test_matrix_linear_parts_agree_with_an_exponential_of_the_augmented_matrix(matrix, kind):
    ode = {
        "dense": lambda: DenseODE(matrix, cubic, (0.0, 2.0)),
        "blocks": lambda: BlockDiagonalODE(matrix.expand(3, 2, 2), cubic, (0.0, 2.0)),
        "krylov": lambda: KrylovODE(lambda x: x @ matrix.T, cubic, (0.0, 2.0), tolerance=1e-13),
    }[kind]()
    shape = (3, 2) if kind == "blocks" else (2,)

    def exact(t):  # (x, 1, t, t^2, t^3)' is linear with constant coefficients
        whole = torch.zeros(6, 6, dtype=torch.float64)
        whole[:2, :2], whole[:2, 2:] = matrix, tensor(*CUBIC)
        for k in range(3):
            whole[k + 3, k + 2] = k + 1
        return (torch.linalg.matrix_exp(t * whole) @ tensor(1.0, 0.5, 1.0, 0.0, 0.0, 0.0))[:2].expand(shape)

    solution = DenseOutput(ode, TIMES, [exact(t) for t in TIMES])
    expected = torch.stack([exact(float(t)) for t in INSIDE], dim=-1)
    assert torch.allclose(solution(INSIDE), expected, rtol=1e-10, atol=1e-11)


def slope(errors):
    return math.log2(errors[-2] / errors[-1])


def dense_errors(states_of, sizes=(160, 320)):
    problem, found = Bernoulli(), []
    for n in sizes:
        times = torch.linspace(0, 1, n + 1, dtype=torch.float64)
        asked = times[:-1] + 0.4 / n
        exact = torch.stack([problem.exact(float(t)) for t in asked], dim=-1)
        found.append(float((DenseOutput(problem.ode, times, states_of(problem, times))(asked) - exact).abs().max()))
    return found


def test_between_exact_states_the_error_is_of_order_5():
    def exact(problem, times):
        return [problem.exact(float(t)) for t in times]

    assert slope(dense_errors(exact)) == pytest.approx(5, abs=0.15)


@pytest.mark.parametrize(("method", "order"), [("hochbruck-ostermann", 4), ("etd3rk", 3), ("etd2rk", 2), ("ddim", 1)])
def test_with_the_states_of_a_method_the_order_is_its_own(method, order):
    def solved(problem, times):
        return solve(problem.ode, problem.initial, times, method, keep_states=True).states

    assert slope(dense_errors(solved)) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("method", ["ddim", "krogstad"])
@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
def test_it_is_continuous_and_passes_through_the_states(method, backward):
    ode = DiagonalODE(tensor(-2.0, -5.0), lambda t, x: torch.sin(3 * t + x.flip(0)), domain=(0.0, 1.0))
    times = [0.0, 0.2, 0.25, 0.7, 1.0][:: -1 if backward else 1]
    states = solve(ode, tensor(1.0, 0.5), times, method, keep_states=True).states
    solution = DenseOutput(ode, times, states)
    assert torch.equal(solution(times), torch.stack(states, dim=-1))
    for shift in (-1e-10, 1e-10):
        near = solution([t + shift for t in times[1:-1]])
        assert torch.allclose(near, torch.stack(states[1:-1], dim=-1), rtol=1e-7)


def test_times_may_have_any_shape_and_order():
    problem = Bernoulli()
    ode, x0 = problem.ode, torch.ones(2, 3, dtype=torch.float64)
    times = [0.0, 0.25, 0.5, 0.75, 1.0]
    solution = DenseOutput(ode, times, solve(ode, x0, times, "krogstad", keep_states=True).states)
    asked = tensor([0.9, 0.1, 0.5], [0.0, 1.0, 0.3])
    found = solution(asked)
    assert found.shape == (2, 3, 2, 3)
    for i in range(2):
        for j in range(3):
            assert torch.allclose(found[..., i, j], solution(float(asked[i, j])), rtol=1e-14)
    assert solution(0.3).shape == (2, 3)
    assert solution([0.3]).shape == (2, 3, 1)
    assert solution(torch.empty(0)).shape == (2, 3, 0)


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_a_grid_may_be_short(count):
    times = torch.linspace(0, 1, count, dtype=torch.float64)
    lam, degree = -3.0, min(count, 4) - 1
    ode = DiagonalODE(lam, lambda t, x: t**degree * torch.ones_like(x))
    # int_0^t exp(lam (t - r)) r^degree dr
    exact = {
        float(t): tensor(float(mpmath.quad(lambda r, t=t: mpmath.exp(lam * (float(t) - r)) * r**degree, [0, float(t)])))
        for t in (*times, tensor(0.41))
    }
    solution = DenseOutput(ode, times, [exact[float(t)] for t in times])
    assert torch.allclose(solution(0.41), exact[0.41], rtol=1e-13)


def test_nonlinearity_is_evaluated_when_needed_and_once_a_grid_point():
    calls = []

    def note(t, x):
        calls.append(t)
        return torch.cos(x)

    ode = DiagonalODE(-1.0, note)
    times = [i / 10 for i in range(11)]
    solution = DenseOutput(ode, times, [tensor(0.1)] * 11, known={1: tensor(0.1).cos()})
    assert solution.nfe == 0
    solution(times)
    assert solution.nfe == 0  # at the states themselves N is not needed
    solution(0.15)
    assert calls == [0.0, 0.2, 0.3]
    solution([0.12, 0.25])
    assert calls == [0.0, 0.2, 0.3, 0.4]
    assert solution.nfe == 4


def test_a_known_value_of_the_nonlinearity_is_used():
    ode = DiagonalODE(0.0, lambda t, x: torch.full_like(x, math.nan))
    known = dict.fromkeys(range(4), tensor(2.0))
    solution = DenseOutput(ode, [0.0, 1.0, 2.0, 3.0], [tensor(2.0 * t) for t in range(4)], known)
    assert float(solution(1.5)) == pytest.approx(3.0, rel=1e-15)


def test_gradients_pass_to_the_states_and_to_the_nonlinearity():
    strength = tensor(0.7).requires_grad_()
    x0 = tensor(0.4, -0.2).requires_grad_()

    def between(strength, x0):
        ode = DiagonalODE(-1.0, lambda t, x: strength * torch.sin(x + t))
        times = [0.0, 0.3, 0.7, 1.0]
        return DenseOutput(ode, times, solve(ode, x0, times, "etd3rk", keep_states=True).states)([0.1, 0.5, 1.0])

    assert torch.autograd.gradcheck(between, (strength, x0))


def test_half_precision_is_accumulated_in_single():
    ode = DiagonalODE(-1.0, lambda t, x: torch.ones_like(x))
    times = [0.0, 1.0, 2.0]
    states = [tensor(-math.expm1(-t)).to(torch.float16) for t in times]
    solution = DenseOutput(ode, times, states)
    assert solution(0.5).dtype == torch.float16
    assert float(solution(0.5)) == pytest.approx(-math.expm1(-0.5), abs=1e-3)


def test_linear_parts_that_depend_on_time():
    schedule = VPLinear()
    ode = GaussianMixture(torch.zeros(1, 2, dtype=torch.float64), std=0.5).ode(schedule)
    x0 = tensor([1.0, -0.5])
    times = torch.linspace(1.0, 0.2, 33, dtype=torch.float64)

    def exact(t):  # data N(0, std^2): the state scales as its standard deviation
        def spread(t):
            alpha, sigma = ode.marginal(torch.as_tensor(t, dtype=torch.float64))
            return (0.25 * alpha**2 + sigma**2).sqrt()

        return x0 * spread(t) / spread(1.0)

    solution = DenseOutput(ode, times, [exact(t) for t in times])
    assert torch.allclose(solution(0.613), exact(0.613), rtol=1e-8)


def stiff(t, x):
    """x_0 relaxes onto cos(t) + x_1 at the rate 1e5; without a linear part that is known."""
    fast = -1e5 * (x[..., 0] - math.cos(t) - x[..., 1])
    return torch.stack([fast, -(x[..., 1] ** 2)], dim=-1)


@pytest.mark.parametrize("complex_state", [False, True], ids=["real", "complex"])
def test_a_stiff_nonlinearity_does_not_magnify_the_errors_of_the_states_when_it_is_linearised(complex_state):
    ode = DiagonalODE(0.0, stiff, domain=(0.0, 1.0))
    times, error = [i / 10 for i in range(11)], 1e-6

    def exact(t):  # 1/x_1 is linear, x_0 follows to first order in 1e-5
        slow = 1 / (1 + t)
        return tensor(math.cos(t) + slow + 1e-5 * (math.sin(t) + slow**2), slow)

    noise = torch.Generator().manual_seed(0)
    states = [exact(t) + error * torch.randn(2, dtype=torch.float64, generator=noise) for t in times]
    if complex_state:
        states = [x.to(torch.complex128) for x in states]
    asked = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
    expected = torch.stack([exact(float(t)) for t in asked], dim=-1)
    plain, linearised = (
        DenseOutput(ode, times, states, linearise=how) for how in (None, ExponentialRosenbrock().frame)
    )
    assert float((linearised(asked) - expected).abs().max()) < 10 * error
    assert float((plain(asked) - expected).abs().max()) > 1e3 * error


def test_linearised_it_has_order_5_too():
    problem, found = Bernoulli(), []
    for n in (20, 40):
        times = torch.linspace(0, 1, n + 1, dtype=torch.float64)
        asked = times[:-1] + 0.4 / n
        exact = torch.stack([problem.exact(float(t)) for t in asked], dim=-1)
        states = [problem.exact(float(t)) for t in times]
        solution = DenseOutput(problem.ode, times, states, linearise=ExponentialRosenbrock().frame)
        found.append(float((solution(asked) - exact).abs().max()))
    assert slope(found) > 4.7


@pytest.mark.parametrize("t", [-0.1, 1.1, math.nan, [0.5, 2.0]], ids=str)
def test_times_outside_the_grid_are_refused(t):
    solution = DenseOutput(DiagonalODE(-1.0, lambda t, x: x), [0.0, 1.0], [tensor(1.0)] * 2)
    with pytest.raises(ArgumentError, match="t must lie between 0 and 1"):
        solution(t)


def test_other_wrong_arguments_are_refused():
    ode = DiagonalODE(-1.0, lambda t, x: x)
    with pytest.raises(ArgumentError, match="states must be 2"):
        DenseOutput(ode, [0.0, 1.0], [tensor(1.0)])
    with pytest.raises(ArgumentError, match="monotone"):
        DenseOutput(ode, [0.0, 0.0], [tensor(1.0)] * 2)
    with pytest.raises(ArgumentError, match="t must be a time"):
        DenseOutput(ode, [0.0, 1.0], [tensor(1.0)] * 2)("noon")
    with pytest.raises(ArgumentError, match="states must be complex"):
        DenseOutput(DiagonalODE(1j, lambda t, x: x), [0.0, 1.0], [tensor(1.0)] * 2)(0.5)
    with pytest.raises(NonFiniteError, match="NaN"):
        DenseOutput(DiagonalODE(1.0, lambda t, x: x * math.nan), [0.0, 1.0], [tensor(1.0)] * 2)(0.5)

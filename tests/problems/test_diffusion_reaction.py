import math

import numpy as np
import pytest
import scipy.integrate
import torch

from deis import PROBLEMS, AllenCahn, ArgumentError, Brusselator, NonFiniteError, make_grid, solve


def solved(problem, integrator, intervals):
    """Values at the end of the domain."""
    x = solve(problem.ode, problem.initial, make_grid("t")(problem.ode, intervals), integrator).x
    return problem.values(x)


def right_hand_side(problem, x):
    """Slope of the state."""
    return problem.ode.linear_action(0.0, x) + problem.ode.nonlinearity(0.0, x)


def by_central_differences(f, start, span, band):
    """The solution at the end, by a stiff solver of scipy."""
    solution = scipy.integrate.solve_ivp(
        lambda t, u: f(u), span, start, "LSODA", rtol=1e-10, atol=1e-11, lband=band, uband=band
    )
    return solution.y[:, -1]


def extrapolated(coarse, fine):
    """Two solutions of second order on grids of which one halves the other, at the points of the coarse one."""
    return (4 * fine - coarse) / 3


def allen_cahn_by_differences(points, eps, end):
    x = np.linspace(-1.0, 1.0, points + 2)

    def f(u):
        whole = np.concatenate([[-1.0], u, [1.0]])
        return eps * np.diff(whole, 2) / (x[1] - x[0]) ** 2 + u - u**3

    start = 0.53 * x + 0.47 * np.sin(-1.5 * np.pi * x)
    return by_central_differences(f, start[1:-1], (0.0, end), 1)


def brusselator_by_differences(points, end):
    """u and v in turn, at equally spaced inner points: Hairer and Wanner (1996), section IV.10."""
    dx = 1 / (points + 1)
    x = dx * np.arange(1, points + 1)

    def f(uv):
        u, v = uv[::2], uv[1::2]
        slope = np.empty_like(uv)
        slope[::2] = 1 + u**2 * v - 4 * u + np.diff(np.concatenate([[1.0], u, [1.0]]), 2) / (50 * dx**2)
        slope[1::2] = 3 * u - u**2 * v + np.diff(np.concatenate([[3.0], v, [3.0]]), 2) / (50 * dx**2)
        return slope

    start = np.stack([1 + np.sin(2 * np.pi * x), np.full(points, 3.0)], axis=1)
    return by_central_differences(f, start.ravel(), (0.0, end), 2).reshape(points, 2).T


@pytest.mark.parametrize("size", [7, 20])
def test_the_right_hand_side_of_allen_cahn_is_that_of_the_interpolating_polynomial(size):
    problem = AllenCahn(size, eps=0.05)
    (x,) = problem.axes
    values = x.exp() / math.e - (1 - x) * (1 + 1 / math.e**2) / 2  # -1 and 1 at the ends
    nodes = np.concatenate([[-1.0], x.numpy(), [1.0]])
    u = np.polynomial.Chebyshev.fit(nodes, np.concatenate([[-1.0], values.numpy(), [1.0]]), size + 1, domain=[-1, 1])
    expected = 0.05 * u.deriv(2)(x.numpy()) + values.numpy() - values.numpy() ** 3
    found = right_hand_side(problem, values - x)
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-10)


def test_allen_cahn_has_the_solution_of_finite_differences():
    problem = AllenCahn(size=60, domain=(0.0, 3.0))
    (x,) = problem.axes
    u = solved(problem, "krogstad", 200)
    nodes = np.concatenate([[-1.0], x.numpy(), [1.0]])
    polynomial = np.polynomial.Chebyshev.fit(nodes, np.concatenate([[-1.0], u.numpy(), [1.0]]), 61, domain=[-1, 1])
    coarse, fine = (allen_cahn_by_differences(points, 0.01, 3.0) for points in (199, 399))
    expected = extrapolated(coarse, fine[1::2])
    np.testing.assert_allclose(polynomial(np.linspace(-1, 1, 201)[1:-1]), expected, rtol=0, atol=2e-6)


def test_two_layers_of_allen_cahn_last_for_long_and_vanish():
    def crossings(end):
        u = solved(AllenCahn(size=60, domain=(0.0, end)), "krogstad", 200)
        assert float(u.abs().max()) < 1 + 1e-5
        return int((u.sign().diff() != 0).sum())

    assert [crossings(end) for end in (3.0, 35.0, 40.0)] == [3, 3, 1]


@pytest.mark.parametrize(("size", "a", "b", "alpha"), [(15, 1.0, 3.0, 0.02), (16, 0.6, 2.0, 0.1)])
def test_the_right_hand_side_of_the_brusselator_is_the_formula(size, a, b, alpha):
    problem = Brusselator(size, a, b, alpha)
    (x,) = problem.axes
    one, three = (k * math.pi for k in (1, 3))
    u = a + 0.5 * (one * x).sin() - 0.2 * (three * x).sin()
    v = b / a - 0.3 * (three * x).sin()
    u_xx = -0.5 * one**2 * (one * x).sin() + 0.2 * three**2 * (three * x).sin()
    v_xx = 0.3 * three**2 * (three * x).sin()
    state = problem.basis.to_coefficients(torch.stack([u - a, v - b / a]))
    assert torch.allclose(problem.values(state), torch.stack([u, v]), rtol=1e-14)
    expected = torch.stack([a + u**2 * v - (b + 1) * u + alpha * u_xx, b * u - u**2 * v + alpha * v_xx])
    assert torch.allclose(problem.basis.to_values(right_hand_side(problem, state)), expected, rtol=0, atol=1e-12)


def test_the_brusselator_starts_as_published():
    problem = Brusselator()
    u, v = problem.values(problem.initial)
    (x,) = problem.axes
    assert torch.allclose(u, 1 + (2 * math.pi * x).sin(), rtol=0, atol=1e-14)
    assert torch.allclose(v, torch.full_like(v, 3.0), rtol=1e-14)
    assert problem.components == ("u", "v")


def test_the_brusselator_has_the_solution_of_finite_differences():
    problem = Brusselator(size=63, domain=(0.0, 2.0))
    coarse, fine = (brusselator_by_differences(points, 2.0) for points in (63, 127))
    found = solved(problem, "hochbruck-ostermann", 200).numpy()
    np.testing.assert_allclose(found, extrapolated(coarse, fine[:, 1::2]), rtol=0, atol=2e-5)
    assert abs(found - coarse).max() > 2e-4  # which resolves what it compares


def test_four_point_adams_is_unstable_at_large_steps_of_allen_cahn_only():
    problem = AllenCahn(size=40, domain=(0.0, 6.0))
    reference = solved(problem, "hochbruck-ostermann", 150)

    def error(integrator, intervals):
        try:
            return float((solved(problem, integrator, intervals) - reference).abs().max())
        except NonFiniteError:
            return math.inf

    assert error("exp-adams4", 30) > 1
    assert error("exp-adams2", 30) < 0.01
    assert error("exp-adams4", 100) < 1e-5


@pytest.mark.parametrize(
    "problem", [AllenCahn(9), Brusselator(8, domain=(0.0, 1.0))], ids=["allen-cahn", "brusselator"]
)
def test_batches_and_single_precision_are_taken(problem):
    ode, x = problem.ode, problem.initial
    batch = torch.stack([x, 0.5 * x, 0 * x]).float()
    found = ode.nonlinearity(0.0, batch)
    assert (found.dtype, found.shape) == (torch.float32, batch.shape)
    assert torch.allclose(found[1].double(), ode.nonlinearity(0.0, 0.5 * x), atol=1e-5)
    assert problem.values(batch).dtype == torch.float32
    assert problem.values(batch).shape[-1:] == problem.axes[0].shape
    coarse = solve(ode, batch, make_grid("t")(ode, 4), "krogstad").x
    assert coarse.shape == batch.shape


@pytest.mark.parametrize("problem", [AllenCahn(6), Brusselator(5)], ids=["allen-cahn", "brusselator"])
def test_the_nonlinearity_leaves_its_state_alone_and_is_differentiable(problem):
    x = problem.initial.clone().requires_grad_()
    before = x.detach().clone()
    assert torch.autograd.gradcheck(lambda y: problem.ode.nonlinearity(0.0, y), x)
    assert torch.equal(x, before)


@pytest.mark.parametrize(("name", "kind"), [("allen-cahn", AllenCahn), ("brusselator", Brusselator)])
def test_the_problems_are_registered_with_their_recipes(name, kind):
    problem = PROBLEMS.create(name, domain=(0.0, 0.1))
    assert type(problem) is kind
    for recipe in (problem.recommended, problem.converged):
        coarse = solve(problem.ode, problem.initial, make_grid(recipe.grid)(problem.ode, 2), recipe.integrator)
        assert coarse.x.shape == problem.initial.shape
    assert problem.recommended.intervals < problem.converged.intervals


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: AllenCahn(size=1), "size"),
        (lambda: AllenCahn(size="80"), "size"),
        (lambda: AllenCahn(eps=0.0), "eps"),
        (lambda: AllenCahn(domain=(0.0, math.inf)), "domain"),
        (lambda: Brusselator(size=0), "size"),
        (lambda: Brusselator(a=0.0), "a"),
        (lambda: Brusselator(b=-1.0), "b"),
        (lambda: Brusselator(alpha=math.nan), "alpha"),
    ],
)
def test_wrong_options_are_refused(make, argument):
    with pytest.raises(ArgumentError) as caught:
        make()
    assert caught.value.argument == argument

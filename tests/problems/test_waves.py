import math

import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import torch

from deis import (
    PROBLEMS,
    ArgumentError,
    Burgers,
    KortewegDeVries,
    KuramotoSivashinsky,
    NonFiniteError,
    NonlinearSchroedinger,
    make_grid,
    solve,
)

SMALL = {  # with and without a mode of Nyquist's frequency
    "burgers": [Burgers(32), Burgers(33, viscosity=0.1)],
    "kdv": [KortewegDeVries(32, domain=(0.0, 1e-4)), KortewegDeVries(33, domain=(0.0, 1e-4))],
    "ks": [KuramotoSivashinsky(32, domain=(0.0, 10.0)), KuramotoSivashinsky(31, length=20.0, domain=(0.0, 5.0))],
    "nls": [NonlinearSchroedinger(32, 20.0), NonlinearSchroedinger(33, 20.0, speed=-0.5)],
}
PROBLEM = [problem for problems in SMALL.values() for problem in problems]


def name(problem):
    return f"{type(problem).__name__}-{problem.size}"


def solved(problem, integrator, intervals):
    """Values at the end of the domain."""
    return problem.values(solve_on_even_steps(problem, integrator, intervals))


def solve_on_even_steps(problem, integrator, intervals):
    return solve(problem.ode, problem.initial, make_grid("t")(problem.ode, intervals), integrator).x


def differentiation(size, length):
    """Matrices of the first two derivatives at periodic points: Trefethen (2000), chapter 3, and Fornberg (1996)."""
    j = np.arange(1, size)
    h = 2 * np.pi / size
    sign = (-1.0) ** j
    if size % 2 == 0:
        first = 0.5 * sign / np.tan(j * h / 2)
        second, middle = -0.5 * sign / np.sin(j * h / 2) ** 2, -(np.pi**2) / (3 * h**2) - 1 / 6
    else:
        first = 0.5 * sign / np.sin(j * h / 2)
        second = -0.5 * sign / (np.sin(j * h / 2) * np.tan(j * h / 2))
        middle = -(np.pi**2) / (3 * h**2) + 1 / 12
    d1 = scipy.linalg.toeplitz(np.append(0.0, first), np.append(0.0, -first))
    d2 = scipy.linalg.toeplitz(np.append(middle, second))
    scale = 2 * np.pi / length
    return scale * d1, scale**2 * d2


def physical(problem):
    """The right-hand side and the start on the points, by numpy and differentiation matrices."""
    n = problem.size
    match problem:
        case Burgers():
            x = -np.pi + 2 * np.pi / n * np.arange(n)
            d1, d2 = differentiation(n, 2 * np.pi)
            return lambda u: -d1 @ (u * u) / 2 + problem.viscosity * (d2 @ u), np.exp(-10 * np.sin(x / 2) ** 2)
        case KortewegDeVries():
            x = -np.pi + 2 * np.pi / n * np.arange(n)
            d1, _ = differentiation(n, 2 * np.pi)
            start = 3 * 25**2 / np.cosh(12.5 * (x + 2)) ** 2 + 3 * 16**2 / np.cosh(8 * (x + 1)) ** 2
            return lambda u: -d1 @ (u * u) / 2 - d1 @ (d1 @ (d1 @ u)), start
        case KuramotoSivashinsky():
            y = 2 * np.pi / n * np.arange(n)
            d1, d2 = differentiation(n, problem.length)
            return lambda u: -d1 @ (u * u) / 2 - d2 @ u - d2 @ (d2 @ u), np.cos(y) * (1 + np.sin(y))
        case NonlinearSchroedinger():
            x = problem.length * (np.arange(n) / n - 0.5)
            _, d2 = differentiation(n, problem.length)
            return lambda u: 0.5j * (d2 @ u) + 1j * abs(u) ** 2 * u, np.exp(1j * problem.speed * x) / np.cosh(x)


@pytest.mark.parametrize("problem", PROBLEM, ids=name)
def test_the_right_hand_side_is_that_of_differentiation_matrices(problem):
    f, start = physical(problem)
    ode, x = problem.ode, problem.initial
    np.testing.assert_allclose(problem.values(x).numpy(), start, rtol=0, atol=1e-13 * abs(start).max())
    for point in (x, 1.3 * x + ode.nonlinearity(0.0, x) * float(x.norm() / ode.nonlinearity(0.0, x).norm())):
        found = problem.values(ode.linear_action(0.0, point) + ode.nonlinearity(0.0, point)).numpy()
        expected = f(problem.values(point).numpy())
        np.testing.assert_allclose(found, expected, rtol=0, atol=3e-12 * abs(expected).max())


@pytest.mark.parametrize("problem", PROBLEM, ids=name)
def test_the_solution_is_that_of_scipy_on_the_points(problem):
    f, start = physical(problem)
    span = problem.ode.domain
    expected = scipy.integrate.solve_ivp(lambda t, u: f(u), span, start, "DOP853", rtol=1e-12, atol=1e-12).y[:, -1]
    found = solved(problem, "hochbruck-ostermann", 400).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-9 * abs(expected).max())


def test_burgers_equation_has_the_known_solution():
    # by an independent pseudospectral solution with 256 points
    problem = Burgers()
    u = solved(problem, "hochbruck-ostermann", 800)
    (x,) = problem.axes
    assert float(u.max()) == pytest.approx(0.866675592903, abs=3e-11)
    assert float(x[u.argmax()]) == pytest.approx(math.pi / 4)
    assert float(u.square().mean().sqrt()) == pytest.approx(0.331437311654, abs=3e-11)


def test_the_korteweg_de_vries_equation_has_the_known_solution():
    # by an independent pseudospectral solution with 256 points; 3200 steps leave an error of 2e-6
    assert float(solved(KortewegDeVries(), "krogstad", 3200).max()) == pytest.approx(1874.3331591229, abs=4e-6)


@pytest.mark.parametrize(("integrator", "error"), [("hochbruck-ostermann", 1.2e-11), ("krogstad", 7e-11)])
def test_the_soliton_is_followed_with_the_known_errors(integrator, error):
    problem = NonlinearSchroedinger()
    x = solved(problem, integrator, 400)
    assert float((x - problem.values(problem.exact(2.0))).abs().max()) == pytest.approx(error, rel=0.1)


@pytest.mark.parametrize("speed", [0.0, 1.0, -2.0])
def test_the_soliton_solves_the_equation_also_across_the_period(speed):
    problem = NonlinearSchroedinger(size=512, length=60.0, speed=speed, domain=(0.0, 50.0))
    ode, h = problem.ode, 5e-3
    for t in (1.0, 15.0, 40.0):
        x = problem.exact(t)
        stencil = {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}  # first derivative, order 8
        slope = sum(w * (problem.exact(t + k * h) - problem.exact(t - k * h)) for k, w in stencil.items()) / h
        rest = slope - ode.linear_action(t, x) - ode.nonlinearity(t, x)
        assert float(problem.values(rest).abs().max()) < 1e-10


def kept(problem, start, x):
    """Changes of the invariants, relative to their size at the start."""
    return {key: float((f(x) - f(start)) / f(start)) for key, f in problem.invariants.items()}


@pytest.mark.parametrize(
    ("problem", "intervals", "names"),
    [
        (Burgers(), 200, ["mass"]),
        (KortewegDeVries(dealias=True, domain=(0.0, 1e-4)), 1000, ["mass", "momentum", "energy"]),
        (NonlinearSchroedinger(), 400, ["mass", "momentum", "energy"]),
    ],
    ids=lambda value: name(value) if hasattr(value, "size") else None,
)
def test_a_converged_solution_keeps_the_invariants(problem, intervals, names):
    x = solve_on_even_steps(problem, "hochbruck-ostermann", intervals)
    changes = kept(problem, problem.initial, x)
    assert list(changes) == names
    assert max(map(abs, changes.values())) < 1e-10
    moved = problem.values(x) - problem.values(problem.initial)
    assert float(moved.abs().max()) > 0.1


def test_the_invariants_have_their_closed_forms():
    problem = KortewegDeVries()
    mass, momentum, energy = (float(f(problem.initial)) for f in problem.invariants.values())
    assert mass == pytest.approx(12 * (25 + 16), rel=1e-11)
    assert momentum == pytest.approx(12 * (25**3 + 16**3), rel=2e-6)  # the solitons overlap by as much
    assert energy == pytest.approx(-7.2 * (25**5 + 16**5), rel=2e-6)
    problem = NonlinearSchroedinger(speed=0.7)
    found = [float(f(problem.initial)) for f in problem.invariants.values()]
    assert found == pytest.approx([2.0, 2 * 0.7, 0.7**2 - 1 / 3], abs=1e-13)


def test_the_invariants_are_functions_of_each_state_of_many():
    for problem in PROBLEM:
        states = torch.stack([problem.initial, 2 * problem.initial])
        for f in problem.invariants.values():
            both = f(states)
            assert both.dtype == torch.float64
            assert torch.allclose(both, torch.stack([f(states[0]), f(states[1])]))


def test_the_mean_of_the_kuramoto_sivashinsky_field_stays_zero():
    problem = KuramotoSivashinsky(size=128)
    x = solve_on_even_steps(problem, "krogstad", 300)
    assert float(problem.values(x).abs().max()) > 1
    assert abs(float(problem.invariants["mass"](x))) < 1e-12


@pytest.mark.parametrize(
    ("problem", "large", "small", "accuracy"),
    [
        (Burgers(), 50, 400, 1e-7),
        (KortewegDeVries(), 200, 1600, 1e-5),
        (KuramotoSivashinsky(), 75, 300, 1e-3),
    ],
    ids=lambda value: name(value) if hasattr(value, "size") else None,
)
def test_four_point_adams_is_unstable_at_large_steps_only(problem, large, small, accuracy):
    reference = solved(problem, "hochbruck-ostermann", small // 2)
    size = float(reference.abs().max())
    try:
        error = float((solved(problem, "exp-adams4", large) - reference).abs().max())
    except NonFiniteError:
        error = math.inf
    assert error > size
    assert float((solved(problem, "exp-adams4", small) - reference).abs().max()) < accuracy * size
    two_points = float((solved(problem, "exp-adams2", large) - reference).abs().max())
    assert two_points < 0.3 * size


@pytest.mark.parametrize("kind", [Burgers, KortewegDeVries, KuramotoSivashinsky])
def test_dealiased_products_are_those_of_a_field_on_more_points(kind):
    coarse, fine = kind(size=24, dealias=True), kind(size=96)
    x = coarse.initial
    kept_modes = coarse.basis.dealiasing.bool()
    assert bool((x[~kept_modes] == 0).all())
    wide = torch.zeros(49, dtype=torch.complex128)
    wide[:13] = 2 * x  # on four times the points, orthonormal coefficients are twice as large
    expected = fine.ode.nonlinearity(0.0, wide)[:13] / 2 * kept_modes
    assert torch.allclose(
        coarse.ode.nonlinearity(0.0, x), expected, rtol=1e-12, atol=1e-12 * float(expected.abs().max())
    )


def test_dealiasing_keeps_the_momentum_of_an_unresolved_field():
    def change(dealias):
        problem = KortewegDeVries(size=48, dealias=dealias, domain=(0.0, 1e-3))
        x = solve_on_even_steps(problem, "hochbruck-ostermann", 800)
        return abs(kept(problem, problem.initial, x)["momentum"])

    assert change(dealias=True) < 1e-8 < 1e-3 < change(dealias=False)


@pytest.mark.parametrize("problem", PROBLEM, ids=name)
def test_batches_and_single_precision_are_taken(problem):
    ode, x = problem.ode, problem.initial
    batch = torch.stack([x, 0.5 * x, 0 * x]).to(torch.complex64)
    values = ode.nonlinearity(0.0, batch)
    assert (values.dtype, values.shape) == (torch.complex64, batch.shape)
    alone = ode.nonlinearity(0.0, 0.5 * x)
    assert torch.allclose(values[1].to(alone), alone, rtol=0, atol=1e-5 * float(alone.abs().max()))
    assert problem.values(batch).shape == (3, problem.size)
    assert problem.axes[0].shape == (problem.size,)


@pytest.mark.parametrize("problem", PROBLEM, ids=name)
def test_the_nonlinearity_leaves_its_state_alone_and_is_differentiable(problem):
    x = problem.initial.clone().requires_grad_()
    before = x.detach().clone()
    scale = 1 / float(x.detach().abs().max())
    ode = problem.ode
    assert torch.autograd.gradcheck(lambda y: torch.view_as_real(ode.nonlinearity(0.0, y)), x, eps=1e-6 / scale)
    assert torch.equal(x, before)


@pytest.mark.parametrize("key", SMALL)
def test_the_problems_are_registered_with_their_recipes(key):
    problem = PROBLEMS.create(key)
    assert type(problem) is type(SMALL[key][0])
    for recipe in (problem.recommended, problem.converged):
        coarse = solve(problem.ode, problem.initial, make_grid(recipe.grid)(problem.ode, 2), "etd1")
        assert problem.values(coarse.x).shape == (problem.size,)
    assert problem.recommended.intervals < problem.converged.intervals


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: Burgers(size=1), "size"),
        (lambda: Burgers(size=64.0), "size"),
        (lambda: Burgers(viscosity=-0.1), "viscosity"),
        (lambda: Burgers(dealias="yes"), "dealias"),
        (lambda: Burgers(domain=(0.0, 0.0)), "domain"),
        (lambda: KortewegDeVries(size=0), "size"),
        (lambda: KuramotoSivashinsky(length=0.0), "length"),
        (lambda: NonlinearSchroedinger(length=-1.0), "length"),
        (lambda: NonlinearSchroedinger(speed=math.inf), "speed"),
    ],
)
def test_wrong_options_are_refused(make, argument):
    with pytest.raises(ArgumentError) as caught:
        make()
    assert caught.value.argument == argument

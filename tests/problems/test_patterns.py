import functools
import math

import numpy as np
import pytest
import torch

from deis import make_grid, solve
from deis.errors import ArgumentError
from deis.problems import PROBLEMS, AllenCahn2D, GrayScott
from deis.problems.orders import CLASSICAL

NAMES = ["allen-cahn-2d", "gray-scott"]


def smooth(problem, *batch):
    """States of fields with a few waves, which differ along the batch."""
    x, y = (points * (2 * math.pi / length) for points, length in zip(problem.axes, problem.basis.length, strict=True))
    draw = torch.rand((*batch, 4, 1, 1), dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    a, b, c, d = draw.unbind(-3)
    x, y = x[:, None], y
    return problem.basis.to_coefficients(a + b * (x + c).sin() * y.cos() + d * (y - a).cos() + (c * (x - y).cos()) / 3)


def differences(u, step):
    """The Laplacian of periodic values by central differences of order 6 along the last two axes."""
    weights = {0: -49 / 18, 1: 3 / 2, 2: -3 / 20, 3: 1 / 90}
    total = 2 * weights[0] * u
    for axis in (-2, -1):
        for k in (1, 2, 3):
            total = total + weights[k] * (np.roll(u, k, axis) + np.roll(u, -k, axis))
    return total / step**2


def slope(problem, state):
    """Values of the right-hand side."""
    ode = problem.ode
    return problem.values(ode.linear_action(0.0, state) + ode.nonlinearity(0.0, state)).numpy()


def run(problem, steps, method="krogstad", start=None):
    start = problem.initial if start is None else start
    return solve(problem.ode, start, make_grid("t")(problem.ode, steps), method).x


def test_allen_cahn_is_its_equation_in_finite_differences():
    problem = AllenCahn2D(size=96, eps=0.3)
    state = smooth(problem, 2)
    u = problem.values(state).numpy()
    expected = 0.3 * differences(u, 2 * math.pi / 96) + u - u**3
    assert slope(problem, state) == pytest.approx(expected, abs=1e-6)


def test_gray_scott_is_its_equation_in_finite_differences():
    problem = GrayScott(size=96, length=3.0, diffusion_u=0.2, diffusion_v=0.1, feed=0.3, kill=0.7)
    state = smooth(problem, 3, 2)
    values = problem.values(state).numpy()
    u, v = np.moveaxis(values, -3, 0)
    lap_u, lap_v = np.moveaxis(differences(values, 3 / 96), -3, 0)
    expected = np.stack([0.2 * lap_u - u * v**2 + 0.3 * (1 - u), 0.1 * lap_v + u * v**2 - 1.0 * v], 1)
    assert slope(problem, state) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_fields_of_a_batch_are_independent(name):
    problem = PROBLEMS.create(name, size=16)
    ode, one = problem.ode, problem.initial
    batch = torch.stack([one, 2 * one, -one])[:, None]
    value = ode.nonlinearity(0.0, batch)
    assert (value.shape, value.dtype) == (batch.shape, torch.complex128)
    assert torch.allclose(value[1, 0], ode.nonlinearity(0.0, 2 * one), rtol=1e-12, atol=1e-13)
    assert torch.allclose(torch.func.vmap(lambda x: ode.nonlinearity(0.0, x))(batch), value, rtol=1e-12, atol=1e-13)
    assert ode.nonlinearity(0.0, batch.to(torch.complex64)).dtype == torch.complex64


@pytest.mark.parametrize("name", NAMES)
def test_values_lie_on_the_axes(name):
    problem = PROBLEMS.create(name, size=12)
    values = problem.values(problem.initial)
    assert values.shape == (*((2,) if problem.components else ()), 12, 12)
    assert [axis.shape for axis in problem.axes] == [(12,), (12,)]
    assert values.dtype == torch.float64


def test_the_energy_of_allen_cahn_only_falls():
    problem = AllenCahn2D(size=32, domain=(0.0, 6.0))
    grid = make_grid("t")(problem.ode, 40)
    states = solve(problem.ode, problem.initial, grid, "krogstad", keep_states=True).states
    energies = problem.energy(torch.stack(states))
    assert bool((energies.diff() < 0).all())
    assert float(energies[-1]) < float(energies[0]) / 2


def test_the_energy_of_allen_cahn_falls_by_the_square_of_the_slope():
    problem = AllenCahn2D(size=32)
    state = smooth(problem)
    ode = problem.ode
    f = ode.linear_action(0.0, state) + ode.nonlinearity(0.0, state)
    _, change = torch.func.jvp(problem.energy, (state,), (f,))
    assert float(change) == pytest.approx(-float(problem.values(f).square().mean()), rel=1e-10)


def test_energies_of_known_fields():
    problem = AllenCahn2D(size=16, eps=0.2)
    one = torch.ones(16, 16, dtype=torch.float64)
    wave = (3 * problem.axes[0][:, None] + 2 * problem.axes[1]).cos()
    states = problem.basis.to_coefficients(torch.stack([one, 0 * one, wave]))
    # of cos: the mean of the square is 1/2, of the fourth power 3/8
    assert problem.energy(states).tolist() == pytest.approx(
        [0, 0.25, 0.2 / 2 * 13 / 2 + (3 / 8 - 1 + 1) / 4], abs=1e-14
    )


def test_a_disk_shrinks_by_its_curvature():
    problem = AllenCahn2D(size=64, eps=0.02, domain=(0.0, 30.0))
    x, y = (points - math.pi for points in problem.axes)
    wall = ((2.0 - (x[:, None] ** 2 + y**2).sqrt()) / math.sqrt(2 * problem.eps)).tanh()
    end = problem.values(run(problem, 100, start=problem.basis.to_coefficients(wall)))
    area = float(((end + 1) / 2).mean()) * (2 * math.pi) ** 2
    assert area / math.pi == pytest.approx(2.0**2 - 2 * problem.eps * 30, rel=0.02)


def test_gray_scott_rests_where_there_is_no_v():
    problem = GrayScott(size=16)
    one = torch.ones(16, 16, dtype=torch.float64)
    rest = problem.basis.to_coefficients(torch.stack([one, 0 * one]))
    assert torch.allclose(problem.values(run(problem, 20, start=rest)), problem.values(rest), rtol=0, atol=1e-13)


def test_gray_scott_starts_at_rest_but_for_bumps():
    u, v = GrayScott().values(GrayScott().initial)
    assert torch.allclose(u + 2 * v, torch.ones_like(u), rtol=0, atol=1e-14)
    assert float(v.min()) > -1e-10
    assert 0.2 < float(v.max()) < 0.3
    assert float((v > 0.01).double().mean()) < 0.2


def test_gray_scott_grows_a_pattern_everywhere():
    problem = GrayScott(size=32, length=0.5)
    _, v = problem.values(run(problem, 400))
    quarters = v.reshape(2, 16, 2, 16).movedim(2, 1).flatten(2)
    assert float(quarters.amax(-1).min()) > 0.25  # a wave of v, and a place where u is used up, in each of them
    assert float(quarters.amin(-1).max()) < 0.2


SMALL = {
    "allen-cahn-2d": AllenCahn2D(size=16, eps=0.1, domain=(0.0, 0.5)),
    "gray-scott": GrayScott(size=16, feed=0.5, kill=0.2, domain=(0.0, 0.5)),
}


@functools.cache
def smooth_run(name, steps, method):
    problem = SMALL[name]
    return run(problem, steps, method, smooth(problem, 2) if problem.components else smooth(problem))


@pytest.mark.parametrize("method", CLASSICAL)
@pytest.mark.parametrize("name", NAMES)
def test_exponential_methods_have_the_recorded_orders(name, method):
    reference = smooth_run(name, 320, "hochbruck-ostermann")
    coarse, fine = (float((smooth_run(name, n, method) - reference).abs().max()) for n in (40, 80))
    assert math.log2(coarse / fine) == pytest.approx(SMALL[name].orders[method], abs=0.15)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), [("allen-cahn-2d", {}), ("gray-scott", {"size": 32, "length": 0.5})])
def test_recommended_recipes_reach_four_digits(name, options):
    problem = PROBLEMS.create(name, **options)
    recipe = problem.recommended
    found, better = (problem.values(run(problem, n * recipe.intervals, recipe.integrator)) for n in (1, 2))
    assert float((found - better).abs().max()) < 1e-4


@pytest.mark.parametrize(
    ("problem", "option", "value"),
    [
        (AllenCahn2D, "size", 3),
        (AllenCahn2D, "size", 64.0),
        (AllenCahn2D, "eps", 0.0),
        (GrayScott, "size", 0),
        (GrayScott, "length", -1.0),
        (GrayScott, "diffusion_u", -1e-5),
        (GrayScott, "diffusion_v", math.nan),
        (GrayScott, "feed", "high"),
        (GrayScott, "kill", None),
    ],
)
def test_wrong_options_are_refused(problem, option, value):
    with pytest.raises(ArgumentError, match=rf"^{option} must be a"):
        problem(**{option: value})

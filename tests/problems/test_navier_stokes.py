import functools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deis import make_grid, solve
from deis.errors import ArgumentError, UnknownNameError
from deis.problems import NavierStokes
from deis.problems.orders import CLASSICAL


def random_vorticity(problem, seed, *batch, most=None):
    """Coefficients of random fields without a mean, of the modes that are kept, or of those up to ``most``."""
    size, draw = problem.size, torch.Generator().manual_seed(seed)
    field = torch.randn((*batch, size, size), dtype=torch.float64, generator=draw)
    state = problem.basis.to_coefficients(field) * problem.basis.dealiasing
    if most:
        k, m = problem.basis.frequencies
        state = state * ((k.abs() <= most) & (m <= most))
    state[..., 0, 0] = 0
    return state


def waves(problem):
    return problem.axes[0][:, None], problem.axes[1]


def by_differentiation(problem, state):
    """-(u, v) . grad w with complex transforms of numpy, in the plain form, of fields whose products do not alias."""
    w = np.fft.fft2(problem.values(state).numpy())
    k = np.fft.fftfreq(problem.size, 1 / problem.size)
    kx, ky = k[:, None], k[None, :]
    psi = w / np.where(kx**2 + ky**2 == 0, 1, kx**2 + ky**2)
    u, v, w_x, w_y = (np.fft.ifft2(1j * z).real for z in (ky * psi, -kx * psi, kx * w, ky * w))
    return -(u * w_x + v * w_y)


def test_the_nonlinearity_is_advection_by_the_flow_of_the_vorticity():
    problem = NavierStokes(size=48)
    state = random_vorticity(problem, 1, 2, most=7)
    value = problem.values(problem.ode.nonlinearity(0.0, state)).numpy()
    for got, one in zip(value, state, strict=True):
        assert got == pytest.approx(by_differentiation(problem, one), abs=1e-12 * np.abs(value).max())


def test_the_linear_part_is_viscosity():
    problem = NavierStokes(size=16, viscosity=0.3)
    x, y = waves(problem)
    state = problem.basis.to_coefficients((2 * x + 3 * y).sin())
    assert torch.allclose(problem.ode.linear_action(0.0, state), -0.3 * 13 * state, rtol=1e-14, atol=1e-13)


def test_the_velocity_has_the_vorticity_and_no_divergence():
    problem = NavierStokes(size=32)
    state = random_vorticity(problem, 2, 3)
    dx, dy = problem.basis.derivative
    u, v = problem.basis.to_coefficients(problem.velocity(state)).unbind(-3)
    assert torch.allclose(dx * v - dy * u, state, rtol=0, atol=1e-12)
    assert float((dx * u + dy * v).abs().max()) < 1e-12


def test_velocities_of_known_vortices():
    problem = NavierStokes(size=16)
    x, y = waves(problem)
    u, v = problem.velocity(problem.basis.to_coefficients(2 * x.cos() * y.cos()))  # psi = cos x cos y
    assert torch.allclose(u, -x.cos() * y.sin(), rtol=0, atol=1e-14)
    assert torch.allclose(v, x.sin() * y.cos(), rtol=0, atol=1e-14)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_advection_keeps_mean_energy_and_enstrophy_of_any_vorticity(seed):
    problem = NavierStokes(size=24, viscosity=0.0)
    state = random_vorticity(problem, seed)
    state[0, 0] = 5.0
    slope = problem.ode.nonlinearity(0.0, state)
    assert list(problem.invariants) == ["mean vorticity", "energy", "enstrophy"]
    for invariant in problem.invariants.values():
        value, change = torch.func.jvp(invariant, (state,), (slope,))
        assert value.shape == ()
        assert abs(float(change)) < 1e-12 * float(problem.enstrophy(state)) * float(slope.abs().max())


def test_modes_above_a_third_of_the_size_neither_act_nor_are_fed():
    problem = NavierStokes(size=24)
    field = torch.randn(24, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    state, kept = problem.basis.to_coefficients(field), problem.basis.dealiasing
    slope = problem.ode.nonlinearity(0.0, state)
    assert torch.equal(slope, problem.ode.nonlinearity(0.0, state * kept))
    assert bool((slope[kept == 0] == 0).all())
    assert bool((slope[kept == 1] != 0).sum() == kept.sum() - 1)  # all but the mean


@pytest.mark.parametrize("options", [{}, {"forcing": 0.5, "viscosity": 0.0}, {"viscosity": 0.1}], ids=str)
def test_only_the_mean_vorticity_is_kept_with_viscosity_or_a_force(options):
    assert list(NavierStokes(size=16, **options).invariants) == ["mean vorticity"]


@pytest.mark.parametrize("wave", [1, 2, 3])
def test_vortices_of_taylor_and_green_decay_exactly(wave):
    problem = NavierStokes(size=16, viscosity=0.05, domain=(0.0, 2.0))
    x, y = waves(problem)
    start = problem.basis.to_coefficients(2 * wave * (wave * x).cos() * (wave * y).cos())
    end = solve(problem.ode, start, make_grid("t")(problem.ode, 10), "krogstad").x
    assert torch.allclose(end, start * math.exp(-2 * 0.05 * wave**2 * 2.0), rtol=0, atol=1e-13)


def test_the_exact_solution_is_known_for_taylor_and_green_without_a_force():
    problem = NavierStokes(size=16, start="taylor-green", viscosity=0.1, domain=(1.0, 3.0))
    x, y = waves(problem)
    expected = 2 * x.cos() * y.cos() * math.exp(-0.2 * 1.5)
    assert torch.allclose(problem.values(problem.exact(2.5)), expected, rtol=0, atol=1e-14)
    end = solve(problem.ode, problem.initial, [1.0, 1.7, 3.0], "krogstad").x
    assert torch.allclose(end, problem.exact(3.0), rtol=0, atol=1e-13)
    assert NavierStokes(size=16).exact(0.0) is None
    assert NavierStokes(size=16, start="taylor-green", forcing=1.0).exact(0.0) is None


def test_kolmogorovs_flow_is_where_force_and_viscosity_balance():
    problem = NavierStokes(size=24, viscosity=0.1, forcing=0.8)
    flow = torch.zeros(24, 1, dtype=torch.float64) + 0.5 * (4 * problem.axes[1]).sin()  # 0.8 / (0.1 * 4^2)
    state = problem.basis.to_coefficients(-0.5 * 4 * (4 * problem.axes[1]).cos().expand(24, 24))
    assert torch.allclose(problem.velocity(state)[0], flow, rtol=0, atol=1e-14)
    ode = problem.ode
    assert float((ode.linear_action(0.0, state) + ode.nonlinearity(0.0, state)).abs().max()) < 1e-12


def test_shear_layers_lose_energy_and_enstrophy_but_no_mean_vorticity():
    problem = NavierStokes(size=32, viscosity=5e-3, domain=(0.0, 4.0))
    grid = make_grid("t")(problem.ode, 80)
    states = torch.stack(solve(problem.ode, problem.initial, grid, "krogstad", keep_states=True).states)
    assert bool((problem.energy(states).diff() < 0).all())
    assert bool((problem.enstrophy(states).diff() < 0).all())
    assert float(problem.invariants["mean vorticity"](states).abs().max()) < 1e-14


def test_shear_layers_are_two_opposite_streams():
    problem = NavierStokes()
    u, v = problem.velocity(problem.initial)
    x, y = waves(problem)
    middle = torch.where(
        y < math.pi, ((y - math.pi / 2) * 15 / math.pi).tanh(), ((1.5 * math.pi - y) * 15 / math.pi).tanh()
    )
    assert float((u - u.mean() - (middle - middle.mean())).abs().max()) < 1e-4
    assert torch.allclose(v, (0.05 * x.sin()).expand_as(v), rtol=0, atol=1e-12)


@functools.cache
def smooth_run(steps, method):
    problem = NavierStokes(size=16, viscosity=0.05, domain=(0.0, 0.5))
    start = random_vorticity(problem, 4, most=2)
    return solve(problem.ode, start, make_grid("t")(problem.ode, steps), method).x


@pytest.mark.parametrize("method", CLASSICAL)
def test_exponential_methods_have_the_recorded_orders(method):
    reference = smooth_run(240, "hochbruck-ostermann")
    coarse, fine = (float((smooth_run(n, method) - reference).abs().max()) for n in (30, 60))
    assert math.log2(coarse / fine) == pytest.approx(NavierStokes().orders[method], abs=0.15)


def test_flows_of_a_batch_are_independent():
    problem = NavierStokes(size=16, forcing=0.3)
    ode, batch = problem.ode, random_vorticity(NavierStokes(size=16), 5, 3, 2)
    value = ode.nonlinearity(0.0, batch)
    assert torch.allclose(value[2, 1], ode.nonlinearity(0.0, batch[2, 1]), rtol=1e-12, atol=1e-13)
    assert problem.energy(batch).shape == problem.enstrophy(batch).shape == (3, 2)
    assert ode.nonlinearity(0.0, batch.to(torch.complex64)).dtype == torch.complex64
    mapped = torch.func.vmap(lambda w: ode.nonlinearity(0.0, w))(batch)
    assert torch.allclose(mapped, value, rtol=1e-12, atol=1e-13)


@pytest.mark.slow
def test_the_recommended_recipe_reaches_four_digits():
    problem = NavierStokes(size=64, viscosity=8e-3)
    recipe = problem.recommended
    found, better = (
        problem.values(solve(problem.ode, problem.initial, make_grid("t")(problem.ode, n), recipe.integrator).x)
        for n in (recipe.intervals, 2 * recipe.intervals)
    )
    assert float((found - better).abs().max()) < 1e-4


@pytest.mark.parametrize(
    ("option", "value"), [("size", 2), ("viscosity", -1e-3), ("viscosity", None), ("forcing", math.inf)]
)
def test_wrong_options_are_refused(option, value):
    with pytest.raises(ArgumentError, match=rf"^{option} must be a"):
        NavierStokes(**{option: value})


def test_an_unknown_start_is_refused():
    with pytest.raises(UnknownNameError, match="taylor-green"):
        NavierStokes(start="taylor")

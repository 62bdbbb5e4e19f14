"""What every registered problem keeps to."""

import pytest
import torch

from deis import GRIDS, INTEGRATORS, PROBLEMS, BlackBox, InitialValueProblem, Recipe, make_grid, solve
from deis.errors import ArgumentError

ALL = pytest.mark.parametrize("name", list(PROBLEMS))


@ALL
def test_the_nonlinearity_keeps_shape_and_dtype_and_acts_on_batches(name):
    problem = PROBLEMS.create(name)
    ode, x = problem.ode, problem.initial
    batch = torch.stack([x, 0.9 * x, 0.5 * x])
    value = ode.nonlinearity(ode.domain[0], batch)
    assert (value.shape, value.dtype) == (batch.shape, batch.dtype)
    alone = ode.nonlinearity(ode.domain[0], 0.9 * x)
    torch.testing.assert_close(value[1], alone, rtol=1e-10, atol=1e-12 * float(alone.abs().max()))


@ALL
def test_a_problem_takes_another_domain(name):
    start, end = PROBLEMS.create(name).ode.domain
    domain = (start + 0.25 * (end - start), start + 0.5 * (end - start))
    assert PROBLEMS.create(name, domain=domain).ode.domain == domain


@ALL
def test_values_have_the_shape_that_axes_and_components_say(name):
    problem = PROBLEMS.create(name)
    x = problem.initial
    points = tuple(len(axis) for axis in problem.axes)
    names = (len(problem.components),) if problem.components else ()
    assert problem.values(x).shape == (*names, *points) or (not points and not names)
    assert problem.values(torch.stack([x, x])).shape == (2, *problem.values(x).shape)
    assert problem.values(x).isfinite().all()


@ALL
def test_invariants_are_real_numbers_and_take_batches(name):
    problem = PROBLEMS.create(name)
    x = problem.initial
    for function in problem.invariants.values():
        one, several = function(x), function(torch.stack([x, x]))
        assert one.shape == ()
        assert not one.is_complex()
        torch.testing.assert_close(several, one.expand(2), rtol=1e-12, atol=1e-12)


@ALL
def test_the_recipes_name_what_exists_and_what_can_run(name):
    problem = PROBLEMS.create(name)
    ode = problem.ode
    for recipe in (problem.recommended, problem.converged):
        method, grid = INTEGRATORS.create(recipe.integrator), make_grid(recipe.grid)
        assert recipe.intervals >= 1
        if not isinstance(method, BlackBox):
            method.plan(ode, grid(ode, 2))
    assert problem.converged.intervals >= problem.recommended.intervals
    assert set(problem.orders) <= set(INTEGRATORS)


@ALL
def test_the_first_step_of_the_recommended_integrator_is_finite(name):
    problem = PROBLEMS.create(name)
    recipe = problem.recommended
    times = make_grid(recipe.grid)(problem.ode, recipe.intervals).times[:2]
    assert solve(problem.ode, problem.initial, times, recipe.integrator).x.isfinite().all()


def test_a_problem_of_ones_own_has_defaults():
    problem = InitialValueProblem(PROBLEMS.create("bernoulli").ode, torch.ones(2))
    assert problem.recommended == Recipe("krogstad", 100)
    assert problem.converged == Recipe("krogstad", 1000)
    assert (problem.axes, problem.components, dict(problem.invariants), dict(problem.orders)) == ((), (), {}, {})
    assert torch.equal(problem.values(problem.initial), problem.initial)
    assert Recipe("krogstad", 1).grid in GRIDS


@pytest.mark.parametrize("initial", [[1.0], torch.ones(2, dtype=torch.int64), None], ids=["list", "integers", "none"])
def test_an_initial_state_is_a_tensor_of_numbers(initial):
    with pytest.raises(ArgumentError, match="initial must be a floating point or complex tensor"):
        InitialValueProblem(PROBLEMS.create("bernoulli").ode, initial)

import math
from itertools import combinations, pairwise

import pytest
import torch

from deis import ArgumentError, DiagonalODE, GaussianMixture, SampleNoise, TimeGrid, VPLinear, make_grid, solve
from deis.analysis import geometric_mean_rmse
from deis.integrators.base import as_integrator
from deis.tuning.grid import optimise_grid
from deis.tuning.trajectory_fit import TrajectoryFit, cheapest_path

MEMBER = "polynomial:predict=x0:clock=vp_t:steps=4:corrector=true"


def brute_force(cost, edges):
    """The cheapest of all ways through the nodes."""
    last = len(cost) - 1
    ways = [[0, *inner, last] for inner in combinations(range(1, last), edges - 1)]
    return min(ways, key=lambda way: sum(float(cost[i, j]) for i, j in pairwise(way)))


@pytest.mark.parametrize("edges", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_cheapest_path_is_that_of_a_search_through_all(edges, seed):
    cost = torch.rand(8, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    assert cheapest_path(cost, edges) == brute_force(cost, edges)


def test_a_path_goes_around_edges_that_are_missing():
    cost = torch.full((4, 4), math.inf, dtype=torch.float64)
    cost[0, 1] = cost[1, 3] = 5.0
    assert cheapest_path(cost, 2) == [0, 1, 3]
    with pytest.raises(ArgumentError, match="edges must be those of a path through 4 nodes"):
        cheapest_path(cost, 3)


def along(function):
    """x' = function(t), whose steps do not depend on the state."""
    return DiagonalODE(0.0, lambda t, x: torch.full_like(x, function(t)))


def fitted(ode, points):
    return TrajectoryFit.of(ode, torch.zeros(2, 3, dtype=torch.float64), points=points)


@pytest.mark.parametrize("edges", [2, 3, 4])
def test_local_errors_that_only_add_up_are_made_as_small_as_can_be(edges):
    ode, rate = along(lambda t: math.exp(3 * t)), 3.0
    t = torch.linspace(0, 1, 11, dtype=torch.float64)
    start, end = t[:, None], t[None, :]
    exact = ((rate * end).exp() - (rate * start).exp()) / rate
    cost = exact - (end - start) * (rate * start).exp()  # of Euler, whose error has one sign
    found = optimise_grid("ddim", ode, edges, fitted(ode, 10))
    assert found.times == pytest.approx(t[brute_force(cost, edges)].tolist())


def test_history_counts_where_there_is_one():
    ode = along(lambda t: 1 + t)  # exact with two points, which the first step lacks
    assert optimise_grid("tab1", ode, 3, fitted(ode, 12)).times[1] == pytest.approx(1 / 12)


def mixture():
    means = torch.randn(5, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return GaussianMixture(means, 0.2).ode(VPLinear())


@pytest.fixture(scope="module")
def noise():
    return SampleNoise(range(24)).initial((2,), torch.float64)


@pytest.fixture(scope="module")
def fit(noise):
    return TrajectoryFit.of(mixture(), noise, points=16)


@pytest.mark.parametrize("name", [MEMBER, "tab3", "rhork-heun2", "unipc-3:lower_final=true"])
def test_no_grid_is_worse_than_the_default_on_the_trajectories(name, noise, fit):
    ode = mixture()
    found = optimise_grid(name, ode, 4, fit)
    start = make_grid("default")(ode, found.intervals)
    error, default = (geometric_mean_rmse(solve(ode, noise, grid, name).x, fit.states[-1]) for grid in (found, start))
    assert error <= default
    assert (found.times[0], found.times[-1]) == ode.domain
    assert found == optimise_grid(name, ode, 4, fit)


def test_a_grid_carries_over_to_samples_that_were_not_seen(fit):
    ode, noise = mixture(), SampleNoise(range(100, 140)).initial((2,), torch.float64)
    exact = solve(ode, noise, make_grid("default")(ode, 200), "tab3").x
    found, start = optimise_grid("ddim", ode, 6, fit), make_grid("default")(ode, 6)
    error, default = (geometric_mean_rmse(solve(ode, noise, grid, "ddim").x, exact) for grid in (found, start))
    assert error < 0.98 * default


def test_the_slopes_serve_every_splitting(fit):
    ode = mixture()
    assert optimise_grid(MEMBER, ode.split("x0"), 5, fit) == optimise_grid(MEMBER, ode, 5, fit)


def test_it_holds_the_right_hand_side_along_the_path(noise, fit):
    ode, i = mixture(), 11
    x, t = fit.states[i], float(fit.times[i])
    when = torch.tensor(t, dtype=torch.float64)
    expected = ode.linear(when) * x + ode.weight(when) * ode.nonlinearity(t, x)
    torch.testing.assert_close(fit.slopes[i], expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(fit.states[0], noise)


def test_more_steps_than_points_are_refused(fit):
    with pytest.raises(ArgumentError, match="must know at least 17 intervals, got 16; make it with points=68"):
        optimise_grid("tab1", mixture(), 17, fit)


def test_trajectories_over_another_domain_are_refused(fit):
    with pytest.raises(ArgumentError, match="must begin and end with"):
        fit.optimise(as_integrator("tab1"), mixture(), TimeGrid([0.9, 0.5, 0.001]))


def test_shapes_that_do_not_belong_together_are_refused(fit):
    with pytest.raises(ArgumentError, match="one row a time"):
        TrajectoryFit(fit.states, fit.times, fit.slopes[1:])
    with pytest.raises(ArgumentError, match="points must be a whole number"):
        TrajectoryFit.of(mixture(), fit.states[0], points=0)

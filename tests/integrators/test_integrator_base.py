"""Budgets, and what a new integrator has to bring."""

import itertools

import attrs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deis import (
    INTEGRATORS,
    BlackBox,
    DiagonalODE,
    ExponentialEuler,
    Integrator,
    LangevinCorrected,
    Plan,
    PolynomialEIAB,
    RhoRungeKutta,
    Row,
    Stage,
    Step,
    solve,
)
from deis.errors import ArgumentError
from deis.grids import as_times
from deis.integrators.base import lookback, unstack

PLANNED = [m for m in (INTEGRATORS.create(name) for name in INTEGRATORS) if not isinstance(m, BlackBox)]
STARTED = [PolynomialEIAB(steps=k, corrector=c, start="runge-kutta") for k in (1, 2, 3, 4, 6) for c in (False, True)]


@pytest.mark.parametrize("method", [*PLANNED, *STARTED], ids=repr)
def test_more_intervals_cost_more(method):
    costs = [method.nfe(n) for n in range(1, 30)]
    assert costs == sorted(set(costs))


@given(st.sampled_from([*PLANNED, *STARTED]), st.integers(1, 200))
def test_intervals_and_evaluations_are_inverse(method, intervals):
    assert method.intervals_for(method.nfe(intervals)) == intervals


@given(st.sampled_from([*PLANNED, *STARTED]), st.integers(1, 200))
def test_a_budget_is_never_exceeded(method, budget):
    if budget < method.nfe(1):
        with pytest.raises(ArgumentError, match=f"nfe must be at least {method.nfe(1)}"):
            method.most_intervals(budget)
    else:
        intervals = method.most_intervals(budget)
        assert method.nfe(intervals) <= budget < method.nfe(intervals + 1)


def test_budgets_of_a_runge_kutta_start():
    # 4 nodes: the first step takes 1 + (1 + 2) evaluations, the second 1 + 1
    method = PolynomialEIAB(steps=4, start="runge-kutta")
    assert [method.nfe(n) for n in (1, 2, 3, 4, 5)] == [4, 6, 7, 8, 9]
    assert method.intervals_for(9) == 5
    assert method.most_intervals(5) == 1
    with pytest.raises(ArgumentError, match=r"that PolynomialEIAB\(.*\) can make, got 5; ask for 4 or 6"):
        method.intervals_for(5)
    with pytest.raises(ArgumentError, match="at least 4"):
        method.intervals_for(3)


def test_budgets_that_cannot_be_kept_name_the_nearest():
    assert RhoRungeKutta("kutta3").intervals_for(9) == 3
    for nfe in (10, 11):
        with pytest.raises(ArgumentError, match=f"got {nfe}; ask for 9 or 12"):
            RhoRungeKutta("kutta3").intervals_for(nfe)
    with pytest.raises(
        ArgumentError, match=r"nfe must be at least 3 for RhoRungeKutta\(tableau='kutta3', clock='rho'\)"
    ):
        RhoRungeKutta("kutta3").intervals_for(2)


@pytest.mark.parametrize("nfe", [0, -1, 2.0, "10", None, True, 100_001])
def test_bad_budgets(nfe):
    for ask in (ExponentialEuler().intervals_for, ExponentialEuler().most_intervals):
        with pytest.raises(ArgumentError, match="nfe must be a whole number from 1 to 100000"):
            ask(nfe)


@pytest.mark.parametrize("name", list(INTEGRATORS))
def test_class_data(name):
    method = INTEGRATORS.create(name)
    assert method.order >= (not isinstance(method, LangevinCorrected))  # whose error has a floor
    assert method.source
    assert isinstance(method.stochastic, bool)
    assert INTEGRATORS[name].summary()


def test_lookback_names_the_newest_points_first():
    times = torch.tensor([0.0, 1.0, 4.0, 9.0])
    assert lookback(times, torch.tensor([1, 3]), 2).tolist() == [[1.0, 0.0], [9.0, 4.0]]


def test_unstack_gives_numbers_where_it_can():
    assert unstack(torch.tensor([[1.0, 2.0]]), 2) == [[1.0, 2.0]]
    kept = unstack(torch.ones(2, 3), 1)
    assert [part.tolist() for part in kept] == [[1.0] * 3] * 2
    trained = unstack(torch.ones(2, requires_grad=True), 1)
    assert all(isinstance(part, torch.Tensor) and part.requires_grad for part in trained)


def test_a_new_integrator_is_one_method():
    @attrs.frozen
    class Midpoint(Integrator):
        """Explicit midpoint."""

        order = 2
        evaluations_per_step = 2

        def plan(self, ode, times):
            t = as_times(times).tolist()
            return Plan(
                [
                    Step(a, b, [Stage(a), Stage((a + b) / 2, Row(1.0, [(b - a) / 2]))], Row(1.0, [0.0, b - a]))
                    for a, b in itertools.pairwise(t)
                ]
            )

    times = torch.linspace(0, 1, 101, dtype=torch.float64)
    solution = solve(DiagonalODE(0.0, lambda t, x: x), torch.ones(1, dtype=torch.float64), times, Midpoint())
    assert solution.nfe == Midpoint().nfe(100) == 200
    assert float(solution.x) == pytest.approx(torch.tensor(1.0).exp().item(), rel=1e-4)

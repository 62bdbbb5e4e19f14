import math
from itertools import pairwise

import attrs
import pytest
import torch

from deis import (
    ArgumentError,
    Bernoulli,
    CapabilityError,
    DiagonalODE,
    HochbruckOstermann,
    InitialValueProblem,
    Problem,
    make_grid,
    solve,
)
from deis.analysis import Reference
from deis.analysis.converged import converged
from deis.integrators.base import as_integrator
from deis.study.solving import Setup, Watched, drifts, end_error, frames, spread


def setup(problem, integrator, intervals, dtype=torch.float64, grid="t"):
    return Setup(problem, as_integrator(integrator), make_grid(grid), intervals, dtype)


@attrs.frozen(eq=False)
class Oscillator(Problem):
    """x' = i x + (growth - i) x; states stand for twice their value."""

    growth: float = 0.0

    @property
    def ode(self):
        return DiagonalODE(1j, lambda t, x: (self.growth - 1j) * x)

    @property
    def initial(self):
        return torch.tensor([3 + 4j, 0j], dtype=torch.complex128)

    def values(self, x):
        return 2 * x

    @property
    def invariants(self):
        return {"size": lambda x: x.abs().sum(-1), "sign": lambda x: -x[..., 0].real}


def test_a_solution_is_that_of_the_library_and_every_evaluation_ticks():
    ticks = []
    problem = HochbruckOstermann(10)
    found = setup(problem, "krogstad", 5, grid="t2").solve(lambda: ticks.append(1))
    times = make_grid("t2")(problem.ode, 5)
    plain = solve(problem.ode, problem.initial, times, "krogstad", keep_states=True)
    assert torch.equal(torch.stack(found.states), torch.stack(plain.states))
    assert len(ticks) == found.nfe == setup(problem, "krogstad", 5).calls == 20


def test_the_number_of_calls_is_not_known_of_methods_that_choose_it():
    assert setup(Bernoulli(), "dopri5", 5).calls is None


def test_a_watched_problem_is_the_same_problem():
    ticks = []
    problem = InitialValueProblem(Bernoulli().ode, Bernoulli().initial)
    found = converged(Watched(problem, lambda: ticks.append(1)))
    assert torch.equal(found.x, converged(problem).x)
    assert len(ticks) == 4000 + 2000  # krogstad with 1000 intervals and with 500
    assert Watched(Bernoulli(), print).exact(1.0) == Bernoulli().exact(1.0)


def test_single_precision_is_that_of_the_state():
    found = setup(Bernoulli(), "krogstad", 5, torch.float32).solve()
    assert found.x.dtype == torch.float32
    assert float(found.x) == pytest.approx(float(Bernoulli().exact(1.0)), rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((Bernoulli(), "sddim", 5), ArgumentError, "integrator must not add noise"),
        ((Bernoulli(), "rhork-rk4", 5), CapabilityError, "no clock 'rho'; it has t; choose another by clock="),
        ((Bernoulli(), "dpmpp-2m", 5), CapabilityError, "no splitting 'x0'"),
        ((Bernoulli(), "tab1", 0), ArgumentError, "intervals must be a whole number of at least 1"),
        ((Bernoulli(), "tab1", 5, torch.float64, "rho7"), CapabilityError, "no clock 'rho'"),
        ((Bernoulli(3j), "tab1", 5), ArgumentError, "dtype must be complex, .* for example complex64"),
        ((Bernoulli(), "tab1", 5, torch.complex64), ArgumentError, "dtype must be real, .* for example float32"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_evaluation(arguments, error, message):
    with pytest.raises(error, match=message):
        setup(*arguments)


@pytest.mark.parametrize(("integrator", "order"), [("etd1", 1), ("etd2rk", 2), ("hochbruck-ostermann", 4)])
def test_orders_are_those_of_the_literature(integrator, order):
    problem = HochbruckOstermann(50)
    curve = setup(problem, integrator, 32).convergence(converged(problem))
    assert curve.intervals == (8, 16, 32, 64)
    assert curve.fit.order == pytest.approx(order, abs=0.15)
    assert curve.fit.low < curve.fit.order < curve.fit.high


def test_few_intervals_are_not_halved():
    curve = setup(Bernoulli(), "tab0", 3).convergence(converged(Bernoulli()))
    assert curve.intervals == (3, 6, 12, 24)


def test_methods_that_choose_their_steps_have_no_order_in_them():
    assert setup(Bernoulli(), "dopri5", 3).convergence(converged(Bernoulli())) is None


@pytest.mark.parametrize(("count", "most"), [(1, 2), (2, 2), (7, 7), (7, 100), (100, 7), (101, 100)])
def test_spread_numbers_have_both_ends_and_even_gaps(count, most):
    chosen = spread(count, most)
    assert chosen[0] == 0
    assert chosen[-1] == count - 1
    assert len(chosen) == min(count, most)
    gaps = {b - a for a, b in pairwise(chosen)}
    assert not gaps or max(gaps) - min(gaps) <= 1


def test_frames_are_states_of_the_solution_with_what_they_stand_for():
    problem = HochbruckOstermann(10)
    found = setup(problem, "krogstad", 12, torch.float32).solve()
    kept = frames(problem, found, 4)
    assert kept.times == tuple(found.times[i] for i in (0, 4, 8, 12))
    assert torch.equal(kept.states, torch.stack([found.states[i] for i in (0, 4, 8, 12)]))
    assert kept.values.dtype == torch.float64
    exact = problem.points * (1 - problem.points) * math.exp(kept.times[2])
    assert torch.allclose(kept.values[2], exact, atol=1e-5)


def test_drifts_are_the_changes_along_the_way():
    problem = Oscillator(0.5)
    found = drifts(problem, setup(problem, "krogstad", 4, torch.complex128).solve())
    assert found["size"].start == 5.0
    assert found["size"].end == pytest.approx(5 * math.exp(0.5), rel=1e-3)
    assert found["size"].largest == found["size"].end - found["size"].start
    assert found["sign"].largest == pytest.approx(3 * (math.exp(0.5) - 1), rel=1e-3)  # falls, from -3


def test_what_returns_has_drifted_on_the_way():
    there = setup(Oscillator(), "tab0", 8, torch.complex128).solve()
    found = drifts(Oscillator(), attrs.evolve(there, states=[there.states[0], 2 * there.states[0], there.states[0]]))
    assert (found["size"].start, found["size"].end, found["size"].largest) == (5.0, 5.0, 5.0)


def test_errors_are_those_of_what_states_stand_for():
    states = torch.tensor([[0, 0], [1, 7]], dtype=torch.complex128)
    target = Reference((0.0, 1.0), states, states + 0.001, 8, "known")
    error = end_error(Oscillator(), torch.tensor([1 + 1j, 7], dtype=torch.complex64), target)
    assert (error.largest, error.rms) == (pytest.approx(2.0), pytest.approx(math.sqrt(2)))
    assert error.relative == pytest.approx(math.sqrt(2) / math.sqrt((2**2 + 14**2) / 2))
    assert error.uncertainty == pytest.approx(0.002)
    assert error.resolved
    assert not end_error(Oscillator(), states[1] + 0.009, target).resolved

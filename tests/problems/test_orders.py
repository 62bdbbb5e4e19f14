"""Orders of the exponential methods on the partial differential equations, on small grids and short times."""

import math
from functools import cache

import pytest

from deis import (
    AllenCahn,
    Brusselator,
    Burgers,
    KortewegDeVries,
    KuramotoSivashinsky,
    NonlinearSchroedinger,
    make_grid,
    solve,
)
from deis.problems.orders import CLASSICAL

CASES = {  # problem, steps of the coarser of two runs, steps of the reference
    "burgers": (Burgers(size=64), 100, 600),
    "kdv": (KortewegDeVries(domain=(0.0, 1e-4)), 160, 960),
    "nls": (NonlinearSchroedinger(size=384, length=60.0, domain=(0.0, 1.0)), 25, None),
    "ks": (KuramotoSivashinsky(size=128, domain=(0.0, 3.0)), 30, 300),
    "allen-cahn": (AllenCahn(size=24, domain=(0.0, 1.0)), 20, 200),
    "brusselator": (Brusselator(size=15, domain=(0.0, 1.0)), 50, 400),
}
CHAOS = KuramotoSivashinsky(size=128)


def solved(problem, integrator, intervals):
    """Values at the end of the domain."""
    ode = problem.ode
    return problem.values(solve(ode, problem.initial, make_grid("t")(ode, intervals), integrator).x)


def distance(a, b):
    return float((a - b).abs().max())


def twice(problem, intervals):
    """A solution, and how far another method is from it with as many steps."""
    reference = solved(problem, "hochbruck-ostermann", intervals)
    return reference, distance(reference, solved(problem, "krogstad", intervals))


@cache
def reference_of(name):
    """A solution and its uncertainty."""
    problem, _, intervals = CASES[name]
    if intervals is None:
        return problem.values(problem.exact(problem.ode.domain[1])), 1e-11
    return twice(problem, intervals)


def order(problem, integrator, intervals, reference, uncertainty):
    coarse, fine = (distance(solved(problem, integrator, n), reference) for n in (intervals, 2 * intervals))
    assert fine > 20 * uncertainty
    return math.log2(coarse / fine)


@pytest.mark.parametrize("integrator", CLASSICAL)
@pytest.mark.parametrize("name", CASES)
def test_exponential_methods_have_their_classical_orders(name, integrator):
    problem, intervals, _ = CASES[name]
    found = order(problem, integrator, intervals, *reference_of(name))
    assert found == pytest.approx(CLASSICAL[integrator], abs=0.15)


@pytest.mark.slow
def test_on_a_chaotic_field_some_methods_show_the_recorded_lower_orders():
    reference, uncertainty = twice(CHAOS, 3600)
    lower = [name for name in CLASSICAL if CHAOS.orders[name] != CLASSICAL[name]]
    assert lower == ["etd3rk", "etdrk4"]
    for integrator in lower:
        found = order(CHAOS, integrator, 600, reference, uncertainty)
        assert found == pytest.approx(CHAOS.orders[integrator], abs=0.1)


@pytest.mark.parametrize("kind", [case[0].__class__ for name, case in CASES.items() if name != "ks"])
def test_the_problems_record_these_orders(kind):
    assert kind().orders == CLASSICAL

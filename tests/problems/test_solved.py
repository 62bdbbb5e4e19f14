import math

import pytest
import torch

from deis.errors import ArgumentError
from deis.problems import PROBLEMS, Bernoulli, HochbruckOstermann, ProtheroRobinson

STENCIL = {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}  # first derivative, order 8
INITIAL = {  # written down independently of the solutions
    Bernoulli: lambda problem: torch.tensor(1.0, dtype=torch.float64),
    ProtheroRobinson: lambda problem: torch.tensor(math.sqrt(0.5), dtype=torch.float64),
    HochbruckOstermann: lambda problem: problem.to_sine(problem.points * (1 - problem.points)),
}
NAMES = [name for name in PROBLEMS if PROBLEMS[name].cls in INITIAL]


def slope(function, t, h=5e-3):
    return sum(w * (function(t + k * h) - function(t - k * h)) for k, w in STENCIL.items()) / h


def check_solution(problem, times):
    ode = problem.ode
    for t in times:
        when, x = torch.tensor(t, dtype=torch.float64), problem.exact(t)
        linear = ode.apply(ode.linear(when), x)
        value = ode.apply(ode.weight(when), ode.nonlinearity(t, x))
        residual = slope(problem.exact, t) - linear - value
        size = float(linear.abs().max() + value.abs().max())
        rounding = 1e-13 * float(ode.matrix.abs().max() * x.abs().max()) if hasattr(ode, "matrix") else 0.0
        assert float(residual.abs().max()) <= 1e-11 * size + rounding


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_solves_the_ode(name):
    problem = PROBLEMS.create(name)
    start, end = problem.ode.domain
    check_solution(problem, [start + share * (end - start) for share in (0.0, 0.2, 0.5, 0.9, 1.0)])


@pytest.mark.parametrize("rate", [0.5, -1.0, 2.0, 3j, 1 + 1j])
def test_bernoulli_solutions_hold_for_other_rates(rate):
    check_solution(Bernoulli(rate), [0.0, 0.3])


@pytest.mark.parametrize("rate", [-1.0, -1e2, -1e6])
def test_prothero_robinson_solutions_hold_however_stiff(rate):
    check_solution(ProtheroRobinson(rate), [0.0, 0.6])


@pytest.mark.parametrize("size", [1, 7, 50])
def test_the_heat_problem_holds_on_any_number_of_points(size):
    check_solution(HochbruckOstermann(size), [0.0, 1.0])


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_starts_at_the_initial_state(name):
    problem = PROBLEMS.create(name)
    initial = INITIAL[type(problem)](problem)
    start = problem.exact(problem.ode.domain[0])
    assert torch.allclose(start, initial.to(start.dtype), rtol=1e-14, atol=1e-15)


def test_a_complex_rate_makes_a_complex_problem():
    assert PROBLEMS.create("bernoulli-complex").exact(0.5).dtype == torch.complex128
    assert PROBLEMS.create("bernoulli-complex").ode.matrix.dtype == torch.complex128
    assert PROBLEMS.create("bernoulli").exact(0.5).dtype == torch.float64


@pytest.mark.parametrize("size", [1, 10, 200])
def test_the_sine_transform_is_orthogonal_and_its_own_inverse(size):
    problem = HochbruckOstermann(size)
    u = torch.randn(3, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(problem.to_points(problem.to_sine(u)), u, rtol=0, atol=1e-13)
    assert torch.allclose(problem.to_sine(u).norm(dim=1), u.norm(dim=1), rtol=1e-13, atol=0)
    unit = problem.to_sine(torch.eye(size, dtype=torch.float64))
    assert torch.allclose(unit @ unit.T, torch.eye(size, dtype=torch.float64), rtol=0, atol=1e-13)


def test_the_sine_transform_diagonalises_central_differences():
    problem = HochbruckOstermann(30)
    dx, one = 1 / 31, torch.ones(29, dtype=torch.float64)
    differences = (torch.diag(one, 1) + torch.diag(one, -1) - 2 * torch.eye(30, dtype=torch.float64)) / dx**2
    transformed = problem.to_sine(problem.to_sine(differences).T)
    assert torch.allclose(transformed, torch.diag(problem.ode.matrix), rtol=1e-12, atol=1e-9)


def test_the_points_are_the_inner_ones_of_the_unit_interval():
    assert HochbruckOstermann(3).points.tolist() == [0.25, 0.5, 0.75]


@pytest.mark.parametrize("size", [0, -1, 2.5, True, "9", None])
def test_a_wrong_number_of_points_is_refused(size):
    with pytest.raises(ArgumentError, match="size must be a whole number from 1 to 100000"):
        HochbruckOstermann(size)


@pytest.mark.parametrize("rate", [0, 0.0, 0j, "3j", None, True, math.nan], ids=repr)
def test_a_bernoulli_rate_that_gives_no_solution_is_refused(rate):
    with pytest.raises(ArgumentError, match=r"^lam must be"):
        Bernoulli(rate)


@pytest.mark.parametrize("rate", ["abc", None, True, math.nan, math.inf, 1j], ids=repr)
def test_a_prothero_robinson_rate_that_is_not_a_number_is_refused(rate):
    with pytest.raises(ArgumentError, match=r"^lam must be"):
        ProtheroRobinson(rate)

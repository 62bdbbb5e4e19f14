"""PNDM against its paper's algorithm, written down step by step."""

import itertools
import math

import pytest
import torch

from deis import PNDM, ArgumentError, ProbabilityFlowODE, VPLinear, make_grid, solve


def network(x, t):
    return torch.tanh(x) * (1 + t[:, None])


def abar(t):
    return math.exp(-(t**2) * 19.9 / 2 - t * 0.1)


def transfer(x, eps, s, t):
    """Equation 11 of arXiv 2202.09778: the state at t from that at s."""
    a, b = abar(s), abar(t)
    return (b / a) ** 0.5 * x - (b - a) / (a**0.5 * (((1 - b) * a) ** 0.5 + ((1 - a) * b) ** 0.5)) * eps


def published(x, times):
    def eps(state, t):
        return network(state, torch.full((len(state),), t, dtype=torch.float64))

    history = []
    for n, (s, t) in enumerate(itertools.pairwise(times)):
        e1 = eps(x, s)
        history.insert(0, e1)
        if n < 3:
            middle = (s + t) / 2
            e2 = eps(transfer(x, e1, s, middle), middle)
            e3 = eps(transfer(x, e2, s, middle), middle)
            e4 = eps(transfer(x, e3, s, t), t)
            average = (e1 + 2 * e2 + 2 * e3 + e4) / 6
        else:
            average = (55 * history[0] - 59 * history[1] + 37 * history[2] - 9 * history[3]) / 24
        x = transfer(x, average, s, t)
    return x


@pytest.mark.parametrize("intervals", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("grid", ["t", "t2"])
def test_it_is_the_published_algorithm(intervals, grid):
    ode = ProbabilityFlowODE(VPLinear(), network)
    times = make_grid(grid)(ode, intervals)
    x0 = torch.linspace(-2, 2, 6, dtype=torch.float64).reshape(3, 2)
    solution = solve(ode, x0, times, PNDM())
    torch.testing.assert_close(solution.x, published(x0, times.times), rtol=1e-12, atol=1e-12)
    assert solution.nfe == PNDM().nfe(intervals) == intervals + 3 * min(intervals, 3)


def test_budgets_that_it_cannot_make_are_named():
    assert PNDM().intervals_for(12) == 3
    assert PNDM().intervals_for(20) == 11
    with pytest.raises(ArgumentError, match="ask for 8 or 12"):
        PNDM().intervals_for(10)

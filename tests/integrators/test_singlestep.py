"""Singlestep DPM-Solver: its blocks, and each block against the step that it stands for."""

from itertools import accumulate

import pytest
import torch

from deis import (
    Bernoulli,
    CriticallyDampedLangevin,
    DenseODE,
    DiagonalODE,
    ExponentialRungeKutta,
    Plan,
    ProbabilityFlowODE,
    SinglestepDPM,
    VPLinear,
    make_grid,
    solve,
)
from deis.errors import ArgumentError, CapabilityError, UnknownNameError
from deis.integrators.singlestep import blocks
from deis.numerics.exponential_tableaux import EXPONENTIAL_TABLEAUX, dpm_solver_2, dpm_solver_3
from deis.testing import measured_order, uneven_grid

double = torch.float64


def published(calls, longest):
    """arXiv 2206.00927, section 3.4, and for order 2 its natural analogue in the authors' code."""
    if longest == 1:
        return [1] * calls
    if longest == 2:
        return [2] * (calls // 2) if calls % 2 == 0 else [2] * (calls // 2) + [1]
    k = calls // 3 + 1
    return {0: [3] * (k - 2) + [2, 1], 1: [3] * (k - 1) + [1], 2: [3] * (k - 1) + [2]}[calls % 3]


@pytest.mark.parametrize("longest", [1, 2, 3])
def test_any_budget_is_cut_as_published(longest):
    for calls in range(1, 40):
        assert blocks(calls, longest) == published(calls, longest)
        assert sum(blocks(calls, longest)) == calls


def network(x, t):
    t = t.reshape(-1, *[1] * (x.dim() - 1))
    return 0.5 * (x + t).sin() + 0.3 * x


TABLEAU = [lambda: EXPONENTIAL_TABLEAUX["etd1"], dpm_solver_2, dpm_solver_3]


@pytest.mark.parametrize("predict", ["eps", "x0"])
@pytest.mark.parametrize("calls", [1, 2, 3, 5, 7, 9])
@pytest.mark.parametrize("longest", [1, 2, 3])
def test_a_block_is_a_step_of_dpm_solver_with_stages_on_the_grid(longest, calls, predict):
    ode = ProbabilityFlowODE(VPLinear(), network)
    times = make_grid("t2")(ode, calls).tensor()
    x = torch.linspace(-1.5, 2.0, 6, dtype=double).reshape(2, 3)
    solution = solve(ode, x, times, SinglestepDPM(predict, longest=longest))
    lambda_, ends = VPLinear().lambda_(times).tolist(), list(accumulate(blocks(calls, longest)))
    for first, last in zip([0, *ends], ends, strict=False):
        r = [(place - lambda_[first]) / (lambda_[last] - lambda_[first]) for place in lambda_[first + 1 : last]]
        step = ExponentialRungeKutta(TABLEAU[len(r)](*r), predict)
        x = solve(ode, x, times[[first, last]], step).x
    assert solution.nfe == calls
    torch.testing.assert_close(solution.x, x, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("lam", [2.0, 3j], ids=["real", "imaginary"])
@pytest.mark.parametrize("moments", ["published", "exact", "midpoint"])
@pytest.mark.parametrize("longest", [1, 2, 3])
def test_its_order_is_two(longest, moments, lam):
    # the last block of a budget of 6 2^k calls is one call of DPM-Solver-1; the grid makes its interval a large one
    method = SinglestepDPM(longest=longest, moments=moments)
    assert method.order == min(longest, 2)
    order = measured_order(method, Bernoulli(lam), grid=lambda domain, n: uneven_grid(domain, n, rate=1.2))
    assert order == pytest.approx(method.order, abs=0.1)


def test_blocks_of_three_are_of_third_order_where_their_stages_are_at_thirds():
    # a budget of 3 n + 1 calls has n blocks of three before its last call, which is left out here
    problem, errors = Bernoulli(2.0), []
    for calls in (48, 96, 192):
        times = torch.linspace(0.0, 1.0, calls + 1, dtype=double)
        steps = SinglestepDPM(clock="t").plan(problem.ode, torch.cat([times, times[-1:] + 1])).steps
        x = solve(problem.ode, problem.exact(0.0), times, Plan(steps[:-1])).x
        errors.append(float(abs(x - problem.exact(1.0))))
    assert errors[0] / errors[1] == pytest.approx(8, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(8, rel=0.1)


@pytest.mark.parametrize("linear", [-2.0, 3j, torch.tensor([-1e6, -3.0, 0.0, 1.5])], ids=str)
def test_exact_moments_integrate_a_polynomial_through_the_block(linear):
    # N of degree 2 in time, and the exact weights on its nodes
    ode = DiagonalODE(linear, lambda t, x: torch.full_like(x, 1 + t - 3 * t**2), (0.0, 2.0))
    times = torch.tensor([0.0, 0.2, 0.7, 1.0, 1.1], dtype=double)
    x = torch.zeros(4, dtype=ode.matrix.dtype)
    nodes = torch.tensor([[0.0, 0.2, 0.7]], dtype=double)
    weights = ode.weights(times[:1], times[3:4], nodes)[0]
    expected = sum(w * (1 + t - 3 * t**2) for w, t in zip(weights, nodes[0].tolist(), strict=True))
    state = solve(ode, x, times, SinglestepDPM(clock="t", moments="exact"), keep_states=True)
    torch.testing.assert_close(state.states[3], expected.expand(4), rtol=1e-12, atol=1e-14)


def test_a_dense_linear_part_is_a_diagonal_one_in_other_coordinates():
    rates, basis = torch.tensor([-3.0, -0.5], dtype=double), torch.tensor([[1.0, 0.4], [-0.3, 1.0]], dtype=double)
    back = torch.linalg.inv(basis)
    dense = DenseODE(basis @ torch.diag(rates) @ back, lambda t, x: (x + t).sin())
    diagonal = DiagonalODE(rates, lambda t, y: (y @ basis.mT + t).sin() @ back.mT)
    x, times = torch.tensor([[1.0, -0.5]], dtype=double), uneven_grid((0.0, 1.0), 11)
    for moments in ("published", "exact"):
        method = SinglestepDPM(clock="t", moments=moments)
        expected = solve(diagonal, x @ back.mT, times, method).x @ basis.mT
        torch.testing.assert_close(solve(dense, x, times, method).x, expected, rtol=1e-12, atol=1e-13)


def test_a_matrix_linear_part_that_depends_on_time_will_do():
    cld = CriticallyDampedLangevin(lambda x, t: x.sin())
    x = torch.linspace(-1.0, 1.0, 12, dtype=double).reshape(3, 2, 2)
    times = torch.tensor([0.6, 0.5, 0.35], dtype=double)
    start, inner, end = times
    first = x.sin()
    weight = cld.weights(times[:1], times[1:2], times[None, :1])[0, 0]
    second = (cld.apply(cld.transition(inner, start), x) + cld.apply(weight, first)).sin()
    weights = cld.weights(times[:1], times[2:], times[None, :2])[0]
    expected = cld.apply(cld.transition(end, start), x) + cld.apply(weights[0], first) + cld.apply(weights[1], second)
    method = SinglestepDPM(clock="t", longest=2, moments="exact")
    torch.testing.assert_close(solve(cld, x, times, method).x, expected, rtol=1e-12, atol=1e-12)


def test_bad_options_are_refused():
    with pytest.raises(ArgumentError, match="longest must be a whole number from 1 to 3, got 4"):
        SinglestepDPM(longest=4)
    with pytest.raises(UnknownNameError, match="no moments named 'taylor'"):
        SinglestepDPM(moments="taylor")
    with pytest.raises(CapabilityError, match="needs the clock 'lambda'"):
        SinglestepDPM().plan(Bernoulli().ode, [0.0, 1.0])

"""Adaptive steps: errors against tolerances, the controller, the norm, statistics, and what happens at the limits."""

import cmath
import itertools
import math

import attrs
import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from deis import (
    INTEGRATORS,
    Adaptive,
    Bernoulli,
    DenseODE,
    DiagonalODE,
    Dopri5,
    ExponentialRungeKutta,
    GaussianMixture,
    HochbruckOstermann,
    PolynomialEIAB,
    ProbabilityFlowODE,
    ProtheroRobinson,
    RhoRungeKutta,
    SciPy,
    StochasticDDIM,
    VPLinear,
    solve,
)
from deis.errors import ArgumentError, CapabilityError, DeisError, UnknownNameError
from deis.integrators.controller import Controller, sample_errors
from deis.integrators.pairs import as_pair

HEUN = RhoRungeKutta("heun2", clock="t")
BS32 = RhoRungeKutta("bogacki-shampine", clock="t")
DP54 = RhoRungeKutta("dormand-prince", clock="t")
ETD32 = ExponentialRungeKutta("etd3rk")
ADAMS32 = PolynomialEIAB(steps=3)
ADAMS54 = PolynomialEIAB(steps=5)
NAMES = ["adaptive-heun21", "adaptive-bs32", "adaptive-dp54", "adaptive-adams32", "dpm-solver-12", "dpm-solver-23"]


def column(*values, dtype=torch.float64):
    """One sample a value."""
    return torch.tensor(values, dtype=dtype)[:, None]


class Watched:
    """A nonlinearity that notes where it is evaluated."""

    def __init__(self, function):
        self.asked, self._function = [], function

    def __call__(self, t, x):
        self.asked.append((t, x.detach().clone()))
        return self._function(t, x)

    @property
    def times(self):
        return [t for t, _ in self.asked]


def quadrature(function, domain=(0.0, 1.0)):
    """x' = function(t), for states of any shape."""
    return DiagonalODE(0.0, lambda t, x: torch.full_like(x, function(t)), domain)


# errors against tolerances


@pytest.mark.parametrize("method", [BS32, DP54, ETD32, ADAMS32, ADAMS54], ids=repr)
@pytest.mark.parametrize("lam", [2.0, 3j])
@pytest.mark.parametrize("reverse", [False, True])
def test_the_error_is_a_few_tolerances_at_most(method, lam, reverse):
    problem = Bernoulli(lam)
    start, end = (1.0, 0.0) if reverse else (0.0, 1.0)
    tolerances = [1e-2, 1e-4, 1e-8] if method in (DP54, ADAMS54) else [1e-2, 1e-4]
    for tolerance in tolerances:
        solution = solve(problem.ode, problem.exact(start), [start, end], Adaptive(method, tolerance, tolerance))
        # 1 / x is linear in 1 / x(start): this is what an error at the start becomes at the end
        carried = abs(problem.exact(end) / problem.exact(start)) ** 2 * abs(cmath.exp(lam * (end - start)))
        assert float((solution.x - problem.exact(end)).abs()) <= 5 * tolerance * max(1.0, float(carried))


@pytest.mark.parametrize("method", [ETD32, ADAMS32], ids=repr)
def test_steps_do_not_shrink_with_the_stiffness_of_the_linear_part(method):
    steps = []
    for lam in (-1e4, -1e6):
        problem = ProtheroRobinson(lam)
        solution = solve(problem.ode, problem.initial, [0.0, 1.0], Adaptive(method, 1e-4, 1e-4))
        assert float((solution.x - problem.exact(1.0)).abs()) <= 1e-4
        steps.append(solution.steps)
    assert steps[1] <= 1.1 * steps[0] <= 150  # an explicit method is stable with steps of 3e-6 only


MIXTURE = GaussianMixture(torch.tensor([[1.0, -1.0], [0.5, 2.0], [-1.5, 0.0]], dtype=torch.float64), std=0.3)
NOISE = torch.tensor([[0.4, -1.0], [1.5, 0.3], [-0.2, 0.1]], dtype=torch.float64)


@pytest.fixture(scope="module")
def mixture():
    """The ODE, and where ``NOISE`` goes by a method of another library."""
    ode = MIXTURE.ode(VPLinear())
    return ode, solve(ode, NOISE, ode.domain, SciPy("DOP853", 1e-10, 1e-10, "rho")).x


@pytest.mark.parametrize("name", NAMES)
def test_tolerances_rule_error_and_cost_on_a_diffusion_model(mixture, name):
    ode, exact = mixture
    costs = []
    for tolerance in (1e-2, 1e-3, 1e-4):
        solution = solve(ode, NOISE, ode.domain, INTEGRATORS.create(name, rtol=tolerance, atol=tolerance))
        assert float((solution.x - exact).abs().max()) <= 10 * tolerance
        costs.append(solution.nfe)
    assert costs[0] < costs[1] < costs[2]


def test_tight_tolerances_on_a_diffusion_model(mixture):
    ode, exact = mixture
    solution = solve(ode, NOISE, ode.domain, "adaptive-dp54:rtol=1e-8:atol=1e-8")
    assert float((solution.x - exact).abs().max()) <= 1e-7


@pytest.mark.parametrize(("method", "order"), [(HEUN, 2), (BS32, 3), (DP54, 5), (ETD32, 3), (ADAMS54, 5)], ids=repr)
def test_steps_grow_with_the_tolerance_as_the_order_says(method, order):
    problem, tight = Bernoulli(3j), 1e-4 if order == 2 else 1e-6 if order == 3 else 1e-8
    few, many = (
        solve(problem.ode, problem.initial, [0.0, 1.0], Adaptive(method, t, t)).steps for t in (tight, tight / 2**order)
    )
    assert many / few == pytest.approx(2, rel=0.2)
    assert Adaptive(method).order == order


def test_single_precision(mixture):
    ode, exact = mixture
    for name in NAMES:
        x = solve(ode, NOISE.float(), ode.domain, INTEGRATORS.create(name, rtol=1e-3, atol=1e-3)).x
        assert x.dtype == torch.float32
        assert float((x - exact).abs().max()) <= 1e-2


def test_diagonal_and_matrix_linear_parts():
    problem = HochbruckOstermann(20)
    for method in (ETD32, ADAMS32):
        solution = solve(problem.ode, problem.initial, [0.0, 1.0], Adaptive(method, 1e-4, 1e-5))
        assert float((solution.x - problem.exact(1.0)).abs().max()) <= 1e-3
        assert solution.steps < 80  # an explicit method is stable with steps of 2.8 / (4 * 21^2) only
    rotation = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
    ode = DenseODE(rotation, lambda t, x: x * 0.5)
    x = solve(ode, torch.tensor([[1.0, 0.0]], dtype=torch.float64), [0.0, 1.0], Adaptive(ETD32, 1e-6, 1e-7)).x
    expected = torch.tensor([[math.cos(1.0), -math.sin(1.0)]], dtype=torch.float64) * math.exp(0.5)
    torch.testing.assert_close(x, expected, rtol=1e-5, atol=1e-5)


def test_gradients_flow_through_accepted_steps():
    problem = Bernoulli(2.0)
    x0 = torch.tensor([0.8], dtype=torch.float64, requires_grad=True)
    x = solve(problem.ode, x0, [0.0, 1.0], Adaptive(DP54, 1e-9, 1e-9)).x
    (slope,) = torch.autograd.grad(x.sum(), x0)
    u = (1 / 0.8 + 0.75) * math.exp(2.0) - 1.25  # u = 1 / x obeys u' = 2 u + 1 + t
    assert float(x.detach()) == pytest.approx(1 / u, rel=1e-7)
    assert float(slope) == pytest.approx(math.exp(2.0) / (u * 0.8) ** 2, rel=1e-6)


def test_a_corrector_is_more_accurate_at_the_same_cost():
    problem, found = Bernoulli(3j), []
    for corrector in (False, True):
        method = Adaptive(PolynomialEIAB(steps=3, corrector=corrector), 1e-4, 1e-4)
        solution = solve(problem.ode, problem.initial, [0.0, 1.0], method)
        found.append((solution.nfe, float((solution.x - problem.exact(1.0)).abs())))
    assert abs(found[1][0] - found[0][0]) <= 2
    assert found[1][1] < 0.3 * found[0][1]


def test_it_needs_as_many_steps_as_the_same_pair_in_scipy():
    def slope(x):
        return torch.stack([x[..., 0] * (1.5 - x[..., 1]), x[..., 1] * (x[..., 0] - 3)], -1)  # Lotka and Volterra

    def rate(t, y):
        return slope(torch.from_numpy(y)).numpy()

    x0 = torch.tensor([[10.0, 5.0]], dtype=torch.float64)
    exact = solve_ivp(rate, (0, 5), x0[0].numpy(), "DOP853", rtol=1e-12, atol=1e-12).y[:, -1]
    ode = DiagonalODE(0.0, lambda t, x: slope(x), (0.0, 5.0))
    for tolerance in (1e-3, 1e-5):
        other = solve_ivp(rate, (0, 5), x0[0].numpy(), "RK23", rtol=tolerance, atol=tolerance)
        ours = solve(ode, x0, [0.0, 5.0], Adaptive(BS32, tolerance, tolerance))
        assert other.nfev / 1.2 <= ours.nfe <= 1.2 * other.nfev
        assert np.abs(ours.x[0].numpy() - exact).max() <= 2 * np.abs(other.y[:, -1] - exact).max()


# the controller


def test_the_sequence_of_steps_on_a_known_local_error():
    watched = Watched(lambda t, x: torch.full_like(x, 3 * t**2))
    tolerance, times = 2e-4, [0.0, 0.7, 2.0]
    ode = DiagonalODE(0.0, watched, (0.0, 2.0))
    solution = solve(ode, column(0.0), times, Adaptive(HEUN, rtol=0.0, atol=tolerance, first=0.2))
    # Heun's step less Euler's is h (f(t + h) - f(t)) / 2; a failed step does not evaluate f(t) again
    t, h, last, failed, asked, rejected = 0.0, 0.4, 1.0, False, [], 0
    for target in times[1:]:
        while t < target:
            h = (target - t) / math.ceil((target - t) / h - 1e-12)
            end = target if h == target - t else t + h
            asked += [end] if failed else [t, end]
            error = h * 3 * (end**2 - t**2) / 2 / tolerance
            if error > 1:
                h *= max(0.9 * error ** (-1 / 2), 0.2)
                rejected += 1
            else:
                factor = min(max((error / 0.81) ** (-0.7 / 2) * (last / 0.81) ** (0.4 / 2), 0.2), 5.0)
                h *= min(factor, 1.0) if failed else factor
                t, last = end, max(error, 1e-4)
            failed = error > 1
    assert watched.times == pytest.approx(asked, rel=1e-9)
    assert rejected >= 1
    assert (solution.rejected, solution.nfe) == (rejected, len(asked))
    assert solution.steps == len(asked) - solution.steps - rejected


def test_factors_of_the_controller():
    control = Controller(order=3, safety=0.8, shrink=0.1, grow=4.0)
    assert control.after_success(0.8**3, 0.8**3) == pytest.approx(1.0)  # it settles at the aimed share of the length
    assert control.after_success(0.5, 0.5) == pytest.approx((0.5 / 0.8**3) ** (-0.3 / 3))
    assert control.after_success(0.5, 0.01) < control.after_success(0.5, 0.5)  # errors that rise are a warning
    assert control.after_success(0.0, 1.0) == control.after_success(1e-9, 1.0) == 4.0
    assert control.after_failure(8.0) == pytest.approx(0.4)
    assert control.after_failure(1e9) == control.after_failure(math.inf) == control.after_failure(math.nan) == 0.1


def test_a_sharp_layer_is_found_and_resolved():
    width = 1e-2
    watched = Watched(lambda t, x: torch.full_like(x, width / ((t - 0.3) ** 2 + width**2)))
    solution = solve(DiagonalODE(0.0, watched), column(0.0), [0.0, 1.0], Adaptive(DP54, 1e-6, 1e-6))
    assert float(solution.x) == pytest.approx(math.atan(0.7 / width) + math.atan(0.3 / width), abs=1e-5)
    assert solution.rejected >= 1
    inside = sum(abs(t - 0.3) < 5 * width for t in watched.times)  # a tenth of the range
    assert inside > 0.4 * len(watched.times)


@pytest.mark.parametrize(
    ("method", "stages", "shared"), [(HEUN, 2, 0), (BS32, 4, 1), (DP54, 7, 1), (ETD32, 3, 0), (ADAMS32, 1, 0)], ids=repr
)
def test_nothing_is_evaluated_twice(method, stages, shared):
    watched = Watched(lambda t, x: -x + 20 * torch.sin(40 * x * t))
    solution = solve(DiagonalODE(-1.0, watched), column(1.0), [0.0, 1.0], Adaptive(method, 1e-3, 1e-3, first=0.3))
    assert solution.rejected >= 1
    assert len({(t, float(x)) for t, x in watched.asked}) == len(watched.asked) == solution.nfe
    if method is ADAMS32:  # the first two steps have one node and two nodes to begin with
        assert solution.steps <= solution.nfe <= solution.steps + 4 * (1 + solution.rejected)
        return
    tries = solution.steps + solution.rejected
    assert solution.nfe == (1 + (stages - 1) * tries if shared else solution.steps + (stages - 1) * tries)


def test_a_failed_step_of_an_adams_method_costs_nothing():
    def jumping(t, x):
        return torch.full_like(x, math.sin(3 * t) + (t > 0.5) * math.sin(50 * t))

    solution = solve(DiagonalODE(0.0, jumping), column(0.0), [0.0, 1.0], Adaptive(ADAMS32, 1e-3, 1e-3))
    assert solution.rejected >= 3
    assert solution.nfe == solution.steps + 4  # the first step takes three more evaluations, the second one


def test_every_requested_time_is_the_end_of_a_step(mixture):
    ode, _ = mixture
    times = [1.0, 0.99, 0.3, 0.29999, 1e-3]
    solution = solve(ode, NOISE, times, "adaptive-dp54:rtol=1e-7:atol=1e-7", keep_states=True)
    assert solution.times == tuple(times)
    for end, state in zip(times[1:], solution.states[1:], strict=True):
        exact = solve(ode, NOISE, [1.0, end], SciPy("DOP853", 1e-9, 1e-9, "rho")).x
        torch.testing.assert_close(state, exact, rtol=2e-6, atol=2e-6)


def test_the_last_steps_before_a_time_are_equal():
    watched = Watched(lambda t, x: torch.zeros_like(x))
    solve(DiagonalODE(0.0, watched), column(1.0), [0.0, 1.0], Adaptive(HEUN, first=0.3, grow=1.0001))
    ends = sorted(set(watched.times))
    assert ends == pytest.approx([0.0, 0.25, 0.5, 0.75, 1.0], abs=1e-3)


def test_steps_are_uniform_in_the_chosen_clock():
    ode = ProbabilityFlowODE(VPLinear(), lambda x, t: torch.zeros_like(x), splitting="eps")  # every error is zero
    for clock in ("lambda", "t", "rho"):
        asked = []
        ode = ProbabilityFlowODE(VPLinear(), lambda x, t, a=asked: (a.append(float(t[0])), torch.zeros_like(x))[1])
        method = Adaptive(RhoRungeKutta("heun2"), clock=clock, first=0.1, grow=1.0001)
        solve(ode, NOISE, ode.domain, method)
        places = ode.clock(clock).of(torch.tensor(sorted(set(asked)), dtype=torch.float64))
        steps = places.diff().abs()
        assert len(steps) == 10
        torch.testing.assert_close(steps, steps.mean().expand(10), rtol=1e-2, atol=0.0)


# the norm


def test_the_error_of_a_sample_is_a_weighted_root_mean_square():
    error, old = torch.tensor([[3.0, 4.0], [0.0, 1.0]]), torch.tensor([[1.0, -2.0], [0.0, 0.0]])
    new = torch.tensor([[-3.0, 1.0], [0.0, 9.0]])
    scale = np.array([[1 + 0.5 * 3, 1 + 0.5 * 2], [1.0, 1 + 0.5 * 9]])
    expected = (error.numpy() / scale) ** 2
    found = sample_errors(error, old, new, 0.5, 1.0, batched=True)
    assert found.tolist() == pytest.approx(np.sqrt(expected.mean(1)).tolist())
    assert sample_errors(error, old, new, 0.5, 1.0, batched=False).tolist() == pytest.approx([expected.mean() ** 0.5])


HARD, EASY = 30.0, 0.01


def decaying(t, x):
    return -x * x.abs()


@pytest.mark.parametrize("shape", [(1,), (1, 3), (1, 2, 2)], ids=str)
def test_the_hardest_sample_decides_and_easy_ones_change_nothing(shape):
    ode, hard = DiagonalODE(0.0, decaying), torch.full(shape, HARD, dtype=torch.float64)
    alone = solve(ode, hard, [0.0, 1.0], Adaptive(DP54))
    batch = torch.cat([torch.full_like(hard, EASY), hard, *[torch.full_like(hard, EASY)] * 30])
    padded = solve(ode, batch, [0.0, 1.0], Adaptive(DP54))
    assert (padded.steps, padded.rejected, padded.nfe) == (alone.steps, alone.rejected, alone.nfe)
    torch.testing.assert_close(padded.x[1:2], alone.x, rtol=1e-13, atol=0.0)
    assert solve(ode, batch, [0.0, 1.0], Adaptive(DP54, norm="all")).nfe < padded.nfe


def test_a_state_without_a_batch_axis_is_one_sample():
    state = torch.tensor([HARD, *[EASY] * 30], dtype=torch.float64)
    diagonal = DiagonalODE(torch.zeros(31), decaying)
    dense = DenseODE(torch.zeros(31, 31), decaying)
    for ode, method in itertools.product((diagonal, dense), (ETD32, DP54)):
        one = solve(ode, state, [0.0, 1.0], Adaptive(method)).nfe
        assert one == solve(ode, state, [0.0, 1.0], Adaptive(method, norm="all")).nfe
        assert one == solve(ode, state[None], [0.0, 1.0], Adaptive(method)).nfe
    each = solve(DiagonalODE(0.0, decaying), state, [0.0, 1.0], Adaptive(DP54)).nfe
    assert each > one  # with a scalar L the axis counts samples
    assert solve(DiagonalODE(0.0, decaying), state[0], [0.0, 1.0], Adaptive(DP54)).nfe == each


# pairs


@pytest.mark.parametrize("steps", [2, 3, 4, 5])
def test_adams_rows_integrate_their_polynomials_from_the_first_step_on(steps):
    grid = [0.0, 0.3, 0.35, 0.6, 0.8, 1.1]
    ode, pair = DiagonalODE(0.0, lambda t, x: x, (0.0, 2.0)), as_pair(PolynomialEIAB(steps=steps, start="ramp"))
    assert (pair.order, pair.points) == (steps, steps)
    for known in range(1, steps + 1):
        times = tuple(grid[-known - 1 :])
        step = pair.step(ode, times, 2.0)
        nodes = np.array([stage.time for stage in step.stages] + list(reversed(times[: known - 1])))
        assert np.abs(step.error.values).max() > 1e-3
        for degree in range(steps):
            result, error = (float(np.dot(row.values, nodes**degree)) for row in (step.advance, step.error))
            assert result == pytest.approx((times[-1] ** (degree + 1) - times[-2] ** (degree + 1)) / (degree + 1))
            assert degree == steps - 1 or abs(error) < 1e-13


@pytest.mark.parametrize("moments", ["exact", "bh2"])
def test_adams_rows_are_those_of_the_two_members(moments):
    method = PolynomialEIAB("x0", "lambda", steps=3, moments=moments)
    ode, times = MIXTURE.ode(VPLinear()).split("x0"), (0.9, 0.7, 0.6, 0.45)
    step = as_pair(method).step(ode, times, 0.1)
    best = method.plan(ode, times).steps[-1].advance
    less = attrs.evolve(method, steps=2).plan(ode, times).steps[-1].advance
    assert step.advance.coefficients() == pytest.approx(best.coefficients(), rel=1e-14)
    expected = [a - b for a, b in itertools.zip_longest(best.values, less.values, fillvalue=0.0)]
    assert step.error.values == pytest.approx(expected, rel=1e-12)
    assert step.error.state == 0


@pytest.mark.parametrize("bad", ["dopri5", StochasticDDIM(), PolynomialEIAB(steps=1), PolynomialEIAB(lower_final=True)])
def test_methods_that_cannot_be_controlled_are_refused(bad):
    with pytest.raises(ArgumentError, match="method must"):
        Adaptive(bad)


@pytest.mark.parametrize("method", ["ddim", "ipndm", "pndm", RhoRungeKutta("rk4", clock="t")], ids=repr)
def test_methods_without_an_error_estimate_are_refused_before_any_evaluation(method):
    watched = Watched(lambda t, x: x)
    with pytest.raises(CapabilityError, match="does not estimate its error; choose a tableau with embedded weights"):
        solve(DiagonalODE(-1.0, watched), column(1.0), [0.0, 1.0], Adaptive(method))
    assert not watched.asked


def test_a_method_may_be_named():
    assert Adaptive("dpm-solver-2").method == INTEGRATORS.create("dpm-solver-2")
    assert INTEGRATORS.create("dpm-solver-12").method == ExponentialRungeKutta("dpm-solver-2", "eps")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("rtol", -1e-3),
        ("atol", 0.0),
        ("first", 0.0),
        ("first", 1.5),
        ("safety", 1.0),
        ("shrink", 0.0),
        ("grow", 1.0),
        ("most_steps", 0),
        ("partial", 1),
        ("rtol", math.nan),
    ],
)
def test_bad_options(option, value):
    with pytest.raises(ArgumentError, match=f"{option} must be"):
        Adaptive(**{option: value})


def test_unknown_norms_and_clocks():
    with pytest.raises(UnknownNameError, match="no norm named 'samples'; near it: sample"):
        Adaptive(norm="samples")
    with pytest.raises(CapabilityError, match="has no clock 'lambda'; it has t"):
        solve(DiagonalODE(-1.0, lambda t, x: x), column(1.0), [0.0, 1.0], Adaptive(BS32, clock="lambda"))
    with pytest.raises(CapabilityError, match="needs the clock 'rho'"):
        solve(DiagonalODE(-1.0, lambda t, x: x), column(1.0), [0.0, 1.0], Adaptive())


# the limits

SQUARE = DiagonalODE(0.0, lambda t, x: x**2, (0.0, 2.0))  # from 1 it is infinite at t = 1


def test_a_singularity_is_diagnosed():
    with pytest.raises(DeisError) as caught:
        solve(SQUARE, column(0.1, 1.0), [0.0, 2.0], Adaptive(DP54))
    caught.match(r"Adaptive\(.*\) needs steps below rounding and stopped at t = (1|0\.9999\d*) after \d+ good")
    caught.match(r"\d+ failed ones, with a length of .* in t .* \(sample 1 of 2 is the worst; 1 of them fail\)")
    caught.match(r"the state has grown from 1 to .* and may be singular here")


def test_a_jump_is_diagnosed():
    ode = quadrature(lambda t: 0.0 if t < 0.3 else 1e12)
    with pytest.raises(DeisError, match=r"needs steps below rounding .* at t = (0\.3|0\.29999\d*) .*N may jump here"):
        solve(ode, column(0.0), [0.0, 1.0], Adaptive(BS32, 1e-12, 1e-12))


def test_tolerances_that_the_precision_does_not_resolve_are_diagnosed():
    ode = DiagonalODE(0.0, lambda t, x: x.cos())
    method = Adaptive(BS32, 1e-12, 1e-12, most_steps=50)
    with pytest.raises(
        DeisError, match=r"torch.float32 does not resolve these tolerances; raise rtol and atol, or use"
    ):
        solve(ode, column(0.1, dtype=torch.float32), [0.0, 1.0], method)


def test_a_stiff_problem_runs_into_the_step_limit():
    ode = DiagonalODE(0.0, lambda t, x: -1e5 * (x - 1))
    with pytest.raises(DeisError) as caught:
        solve(ode, column(2.0), [0.0, 1.0], Adaptive(DP54, most_steps=40))
    caught.match(
        r"made 40 steps and stopped at t = .*: about \d\S* steps are left; loosen rtol and atol, or raise most"
    )
    caught.match("if the ODE is stiff for this one, a method that is exact in the linear part")


def test_a_state_that_starts_at_zero_is_not_taken_for_singular():
    ode = quadrature(lambda t: math.cos(100 * t))
    with pytest.raises(DeisError, match=r"made 5 steps .*: about .* steps are left"):
        solve(ode, column(0.0), [0.0, 1.0], Adaptive(BS32, most_steps=5))


def test_part_of_the_way_on_request():
    method = Adaptive(DP54, 1e-5, 1e-5, partial=True)
    solution = solve(SQUARE, column(0.1, 1.0), [0.0, 0.25, 0.5, 1.5, 2.0], method, keep_states=True)
    assert solution.times[:3] == (0.0, 0.25, 0.5)
    assert len(solution.times) == len(solution.states) == 4
    assert solution.times[-1] == pytest.approx(1.0, abs=1e-4)
    assert "may be singular" in solution.diagnosis
    assert torch.equal(solution.states[-1], solution.x)
    torch.testing.assert_close(solution.states[2], column(1 / (10 - 0.5), 2.0), rtol=1e-4, atol=0.0)


def test_part_of_the_way_may_end_on_a_requested_time():
    tries = solve(SQUARE, column(0.5), [0.0, 1.0], Adaptive(BS32))
    method = Adaptive(BS32, most_steps=tries.steps + tries.rejected, partial=True, first=0.01 / 1.5)
    solution = solve(SQUARE, column(0.5), [0.0, 1.0, 1.5], method)
    assert solution.times == (0.0, 1.0)
    assert solution.steps == tries.steps
    assert "made" in solution.diagnosis
    torch.testing.assert_close(solution.x, tries.x, rtol=1e-12, atol=0.0)


def test_no_step_at_all_on_request():
    ode = quadrature(lambda t: 1e9 * math.sin(1e3 * t))
    solution = solve(ode, column(0.0), [0.0, 1.0], Adaptive(BS32, 1e-9, 1e-9, most_steps=1, partial=True))
    assert (solution.times, solution.steps, solution.rejected) == ((0.0,), 0, 1)
    assert float(solution.x) == 0.0


def test_methods_of_other_libraries_report_requested_steps_only():
    solution = solve(SQUARE, column(0.5), [0.0, 0.5, 1.0], Dopri5())
    assert (solution.steps, solution.rejected, solution.diagnosis) == (2, 0, "")


def test_an_empty_batch_stays_empty():
    watched = Watched(lambda t, x: x)
    solution = solve(DiagonalODE(0.0, watched), torch.empty(0, 3), [0.0, 1.0], Adaptive(BS32))
    assert solution.x.shape == (0, 3)
    assert not watched.asked

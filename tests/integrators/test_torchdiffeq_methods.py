"""The adapters of torchdiffeq's methods; what Dopri5 alone does is tested in test_dopri5."""

import math
import warnings

import pytest
import torch
from torchdiffeq import odeint
from torchdiffeq._impl.odeint import SOLVERS

from deis import (
    INTEGRATORS,
    ArgumentError,
    Bernoulli,
    DeisError,
    DiagonalODE,
    Dopri5,
    GaussianMixture,
    TorchDiffEq,
    TorchDiffEqFixed,
    VPLinear,
    make_grid,
    solve,
)
from deis.errors import CapabilityError, UnknownNameError
from deis.integrators.torchdiffeq_methods import ADAPTIVE, FIXED
from deis.testing.measure import order_of, uneven_grid

NONE = 10.0  # a tolerance that lets every step pass: the steps are the intervals, because they end at every time
METHODS = [*(TorchDiffEq(name, NONE, NONE) for name in ADAPTIVE), *map(TorchDiffEqFixed, FIXED)]
ADAMS = [TorchDiffEqFixed(name) for name in FIXED if "adams" in name]


def even_grid(domain, intervals):
    return torch.linspace(*domain, intervals + 1, dtype=torch.float64)


def jumping_grid(domain, intervals):
    """Every other step twice as long."""
    ends = torch.tensor([1.0, 2.0], dtype=torch.float64).repeat(intervals // 2).cumsum(0)
    return torch.cat([torch.zeros(1, dtype=torch.float64), ends / ends[-1]])


def order_on(grid, method, lam=2 + 6j, reverse=False):
    problem = Bernoulli(lam)
    start, end = (1.0, 0.0) if reverse else (0.0, 1.0)

    def error(intervals):
        x = solve(problem.ode, problem.exact(start), grid((start, end), intervals), method).x
        return abs(complex(x - problem.exact(end)) / complex(problem.exact(end)))

    return order_of(error, 192 if method.order < 5 or method in ADAMS else 96 if method.order < 8 else 48)


def test_every_method_of_the_library_has_a_name_here():
    assert {*ADAPTIVE, *FIXED} == SOLVERS.keys() - {"scipy_solver"}
    names = {f"torchdiffeq-{name.replace('_', '-')}" for name in (*ADAPTIVE, *FIXED)}
    assert names == {name for name in INTEGRATORS if name.startswith("torchdiffeq-")}
    assert all(INTEGRATORS.create(f"torchdiffeq-{m.method.replace('_', '-')}").order == m.order for m in METHODS)


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("reverse", [False, True])
def test_orders_on_equal_steps(method, reverse):
    assert order_on(even_grid, method, reverse=reverse) == pytest.approx(method.order, abs=0.15)


@pytest.mark.parametrize("method", [method for method in METHODS[len(ADAPTIVE) :] if method not in ADAMS], ids=repr)
def test_orders_of_one_step_methods_on_uneven_steps(method):
    assert order_on(uneven_grid, method) == pytest.approx(method.order, abs=0.15)


@pytest.mark.parametrize("method", ADAMS, ids=repr)
def test_adams_methods_lose_their_order_on_uneven_steps(method):
    assert order_on(uneven_grid, method, lam=2.0) == pytest.approx(2, abs=0.15)
    assert order_on(jumping_grid, method, lam=2.0) == pytest.approx(1, abs=0.15)


def test_what_the_library_chooses_for_explicit_adams_is_unstable_where_the_adapter_is_accurate():
    problem, grid = Bernoulli(), even_grid((0.0, 1.0), 96)
    ours = solve(problem.ode, problem.initial, grid, "torchdiffeq-explicit-adams").x
    assert float((ours - problem.exact(1.0)).abs()) < 1e-5
    theirs = odeint(lambda t, x: -2 * x - (1 + t) * x**2, problem.initial, grid, method="explicit_adams")[-1]
    assert not float((theirs - problem.exact(1.0)).abs()) < 1.0


@pytest.mark.parametrize(
    ("name", "nfe"), [("euler", 9), ("midpoint", 18), ("heun2", 18), ("heun3", 27), ("rk4", 36), ("explicit_adams", 15)]
)
def test_evaluations_on_a_grid_and_that_they_lie_in_its_intervals(name, nfe):
    asked = []
    grid = uneven_grid((0.0, 1.0), 9)
    ode = DiagonalODE(-1.0, lambda t, x: (asked.append(t), -x)[1])
    assert solve(ode, torch.ones(2, dtype=torch.float64), grid, TorchDiffEqFixed(name)).nfe == nfe
    assert set(grid[:-1].tolist()) <= set(asked)  # each step begins where an interval does
    assert name != "euler" or asked == grid[:-1].tolist()


def test_implicit_adams_corrects_once_and_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solution = solve(Bernoulli(8j).ode, Bernoulli(8j).initial, even_grid((0.0, 1.0), 9), "torchdiffeq-fixed-adams")
    assert solution.nfe == 2 * 4 + 7 * 2


@pytest.mark.parametrize("name", ADAPTIVE)
@pytest.mark.parametrize("lam", [2.0, 3j])
@pytest.mark.parametrize("reverse", [False, True])
def test_tolerances_rule_error_and_cost(name, lam, reverse):
    problem, costs = Bernoulli(lam), []
    start, end = (1.0, 0.0) if reverse else (0.0, 1.0)
    carried = abs(problem.exact(end) / problem.exact(start)) ** 2 * abs(torch.tensor(lam * (end - start)).exp())
    for tolerance in (1e-3, 1e-5, 1e-7) if name in ("dopri8", "dopri5", "bosh3") else (1e-2, 1e-4):
        solution = solve(problem.ode, problem.exact(start), [start, end], TorchDiffEq(name, tolerance, tolerance))
        # the estimate of fehlberg2 is a 512th of what a step loses
        most = (512 if name == "fehlberg2" else 20) * tolerance * max(1.0, float(carried))
        assert float((solution.x - problem.exact(end)).abs()) <= most
        costs.append(solution.nfe)
    assert costs == sorted(set(costs))


def test_higher_orders_need_fewer_evaluations_of_high_accuracy():
    problem = Bernoulli()
    nfe = [solve(problem.ode, problem.initial, [0, 1], TorchDiffEq(n, 1e-9, 1e-9)).nfe for n in ADAPTIVE[:3]]
    assert nfe == sorted(set(nfe))


def test_the_general_adapter_is_dopri5_where_both_are():
    problem = Bernoulli(3j)
    one, other = (solve(problem.ode, problem.initial, [0, 0.3, 1], m) for m in (Dopri5(), TorchDiffEq("dopri5")))
    assert torch.equal(one.x, other.x)
    assert one.nfe == other.nfe


def test_the_rho_form_of_gaussian_data():
    ode = GaussianMixture(torch.tensor([[1.0, -2.0]], dtype=torch.float64), std=0.5).ode(VPLinear())
    x0, ends = torch.tensor([[0.3, 0.4], [-1.0, 2.0]], dtype=torch.float64), []
    for t in ode.domain:
        alpha, sigma = ode.marginal(torch.tensor(t, dtype=torch.float64))
        ends.append((alpha * torch.tensor([1.0, -2.0]), (alpha**2 * 0.25 + sigma**2).sqrt()))
    (m, s), (n, r) = ends
    exact = n + r / s * (x0 - m)  # quantiles of a Gaussian are kept
    for method in (TorchDiffEq("dopri8", 1e-10, 1e-10, "rho"), TorchDiffEqFixed("rk4", "rho")):
        x = solve(ode, x0, make_grid("log")(ode, 1 if method.method == "dopri8" else 40), method).x
        torch.testing.assert_close(x, exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_gradients_pass_through(method):
    rate = torch.tensor(-0.7, dtype=torch.float64, requires_grad=True)
    x0 = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    ode = DiagonalODE(-0.3, lambda t, x: rate * x)
    grid = even_grid((0.0, 1.0), 50)
    slopes = torch.autograd.grad(solve(ode, x0, grid, method).x.sum(), (rate, x0))
    tolerance = 2e-2 if method.order == 1 else 1e-3
    assert float(slopes[0]) == pytest.approx(3 * math.exp(-1), rel=tolerance)  # d/dr of 3 exp(-0.3 + r)
    assert slopes[1].tolist() == pytest.approx([math.exp(-1)] * 2, rel=tolerance)


@pytest.mark.parametrize("name", FIXED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
@pytest.mark.parametrize("shape", [(), (2, 3)], ids=str)
def test_batches_in_single_precision(name, dtype, shape):
    ode = DiagonalODE(-1.0, lambda t, x: x.cos())
    x0 = torch.linspace(-1, 1, math.prod(shape)).reshape(shape).to(dtype)
    wide, narrow = (solve(ode, x.detach(), even_grid((0, 1), 12), TorchDiffEqFixed(name)).x for x in (x0 + 0j, x0))
    assert narrow.dtype == dtype
    torch.testing.assert_close(narrow + 0j, wide, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("cls", [TorchDiffEq, TorchDiffEqFixed])
def test_unknown_methods_show_near_misses(cls):
    with pytest.raises(UnknownNameError, match=r"no method named 'dopri6'.*dopri5" if cls is TorchDiffEq else "dopri6"):
        cls("dopri6")
    with pytest.raises(UnknownNameError, match=r"near it: .*torchdiffeq-heun2, torchdiffeq-heun3"):
        INTEGRATORS.create("torchdiffeq-heun")


def test_bad_options_are_refused():
    for name, value in (("rtol", 0.0), ("atol", -1.0), ("max_nfe", 0)):
        with pytest.raises(ArgumentError, match=f"{name} must be"):
            TorchDiffEq("bosh3", **{name: value})
    with pytest.raises(UnknownNameError, match="no form named 'lambda'"):
        TorchDiffEqFixed("rk4", form="lambda")
    with pytest.raises(UnknownNameError, match="rtol"):
        INTEGRATORS.create("torchdiffeq-rk4:rtol=1e-3")


@pytest.mark.parametrize("method", [TorchDiffEq("bosh3", max_nfe=20), TorchDiffEqFixed("rk4", max_nfe=20)], ids=repr)
def test_it_gives_up_with_a_diagnosis(method):
    with pytest.raises(DeisError, match=r"TorchDiffEq.* made 20 evaluations, at t = .*stiff"):
        solve(DiagonalODE(-1e3, lambda t, x: x), torch.ones(1).double(), even_grid((0.0, 1.0), 10), method)


def test_a_singularity_is_diagnosed():
    ode = DiagonalODE(0.0, lambda t, x: x**2, (0.0, 2.0))
    with pytest.raises(DeisError, match=r"TorchDiffEq\(.* at t = (1(\.0\d*)?|0\.99\d*): the solution may be singular"):
        solve(ode, torch.ones(1, dtype=torch.float64), [0.0, 2.0], TorchDiffEq("bosh3", 1e-2, 1e-2))


def test_the_rho_form_needs_the_clock():
    with pytest.raises(CapabilityError, match=r"TorchDiffEqFixed\(.*DiagonalODE has no clock 'rho'"):
        solve(DiagonalODE(-1.0, lambda t, x: x), torch.ones(1), [0.0, 1.0], TorchDiffEqFixed("rk4", "rho"))

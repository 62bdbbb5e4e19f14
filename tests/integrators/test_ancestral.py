import math
from itertools import pairwise

import attrs
import pytest
import torch

from deis import (
    EDM,
    INTEGRATORS,
    SCHEDULES,
    VE,
    Ancestral,
    ArgumentError,
    CapabilityError,
    CriticallyDampedLangevin,
    DiscreteVP,
    Dopri5,
    ExponentialEuler,
    ExponentialRungeKutta,
    Plan,
    PolynomialEIAB,
    PowerGrid,
    ProbabilityFlowODE,
    RhoRungeKutta,
    StochasticDDIM,
    VPLinear,
    solve,
)

NOISE = torch.randn(8, 2, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
X = torch.randn(2, 3, generator=torch.Generator().manual_seed(6), dtype=torch.float64)


def network(x, t):
    return (x / (1 + t[:, None]) + t[:, None].log()).sin()


def drawn(draw, x):
    return NOISE[draw.number]


@pytest.mark.parametrize("name", list(SCHEDULES))
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_with_ddim_it_is_stochastic_ddim(name, eta):
    ode = ProbabilityFlowODE(SCHEDULES.create(name), network)
    times = PowerGrid("t")(ode, 5)
    plan, known = Ancestral(ExponentialEuler("eps"), eta).plan(ode, times), StochasticDDIM(eta).plan(ode, times)
    for step, other in zip(plan.steps, known.steps, strict=True):
        ours, theirs = step.advance.coefficients(), other.advance.coefficients()
        assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12 * max(map(abs, theirs)))
        assert (step.start, step.end, step.draws) == (other.start, other.end, other.draws)


def published(sigmas, eta, step):
    """Ancestral sampling in EDM's levels: a step to sigma_down, then noise sigma_up, as k-diffusion writes it."""
    x = X.clone()
    for n, (s, t) in enumerate(pairwise(sigmas)):
        up = min(t, eta * math.sqrt(t**2 * (s**2 - t**2) / s**2))
        x = step(x, s, math.sqrt(t**2 - up**2)) + up * NOISE[n]
    return x


def value(x, sigma):
    return network(x, torch.full((2,), sigma, dtype=torch.float64))


def dpm2(x, s, down):
    middle = math.exp((math.log(s) + math.log(down)) / 2)
    eps = value(x + (middle - s) * value(x, s), middle)
    return x + (down - s) * eps


def dpmpp_2s(x, s, down):
    h = math.log(s / down)
    middle = s * math.exp(-h / 2)
    point = middle / s * x - math.expm1(-h / 2) * (x - s * value(x, s))
    return down / s * x - math.expm1(-h) * (point - middle * value(point, middle))


@pytest.mark.parametrize(("name", "step"), [("dpm2-ancestral", dpm2), ("dpmpp-2s-ancestral", dpmpp_2s)])
@pytest.mark.parametrize("eta", [0.5, 1.0])
def test_the_presets_are_the_samplers_of_k_diffusion(name, step, eta):
    ode = ProbabilityFlowODE(EDM(), network)
    times = PowerGrid("rho", 7.0)(ode, 6)
    method = attrs.evolve(INTEGRATORS.create(name), eta=eta)
    x = solve(ode, X, times, method, noise=drawn).x
    torch.testing.assert_close(x, published(list(times), eta, step), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", ["ddim", "dpm-solver-2", "dpmpp-2s", "rhork-ralston2"])
def test_without_noise_it_is_the_method(name):
    ode = ProbabilityFlowODE(VPLinear(), network)
    times = PowerGrid("t", 2.0)(ode, 5)
    plan, inner = Ancestral(name, eta=0.0).plan(ode, times), INTEGRATORS.create(name).plan(ode, times)
    assert all(step.advance.noise == (0.0,) for step in plan.steps)
    bare = [attrs.evolve(s, advance=attrs.evolve(s.advance, noise=[]), draws=[]) for s in plan.steps]
    assert Plan(bare, plan.splitting) == Plan([attrs.evolve(s, error=None) for s in inner.steps], inner.splitting)


@pytest.mark.parametrize("schedule", [VPLinear(), VE(), DiscreteVP()], ids=repr)
@pytest.mark.parametrize("eta", [0.4, 1.0])
def test_the_distribution_is_exact_where_the_steps_are(schedule, eta, final_variance, exact_variance):
    """DDIM solves the ODE of a single datum exactly."""
    times = torch.linspace(0.9 * schedule.t_max, 0.2 * schedule.t_max, 6, dtype=torch.float64)
    found = final_variance(Ancestral("ddim", eta), schedule, 0.0, times)
    assert float(found) == pytest.approx(float(exact_variance(schedule, 0.0, float(times[-1]))), rel=1e-12)


@pytest.mark.parametrize(("name", "order"), [("euler-ancestral", 1), ("dpm2-ancestral", 2), ("dpmpp-2s-ancestral", 2)])
def test_the_variance_converges_with_the_order_of_the_method(name, order, final_variance, exact_variance):
    schedule, method = VPLinear(), INTEGRATORS.create(name)
    assert method.order == order
    errors = []
    for intervals in (80, 160):
        times = torch.linspace(0.9, 0.2, intervals + 1, dtype=torch.float64)
        exact = exact_variance(schedule, 0.3, 0.2)
        errors.append(float((final_variance(method, schedule, 0.3, times) - exact).abs()))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("name", ["tab2", "ipndm", "pndm", "unipc-1", "dpm-solver-fast"])
@pytest.mark.parametrize("intervals", [1, 9])
def test_methods_that_read_earlier_steps_are_refused(name, intervals):
    ode = ProbabilityFlowODE(VPLinear(), network)
    with pytest.raises(ArgumentError, match=r"method must make each step from its start alone.*for example"):
        Ancestral(name).plan(ode, PowerGrid()(ode, intervals))


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (Dopri5(), "method must have a plan"),
        ("sddim", "method must add no noise itself"),
        (ExponentialEuler, r"write ExponentialEuler\(\)"),
    ],
)
def test_other_methods_that_do_not_fit_are_refused(method, message):
    with pytest.raises(ArgumentError, match=message):
        Ancestral(method)


@pytest.mark.parametrize("eta", [-0.1, 1.1, math.nan, "1"])
def test_eta_lies_between_0_and_1(eta):
    with pytest.raises(ArgumentError, match="eta must be a number"):
        Ancestral(ExponentialEuler(), eta)


def test_evaluations_beyond_the_data_are_refused():
    ode = ProbabilityFlowODE(VPLinear(), network)
    method = Ancestral(RhoRungeKutta("heun2"))
    with pytest.raises(ArgumentError, match=r"must end at a noise level above 0.001 .*evaluates N at t = .*less eta"):
        method.plan(ode, PowerGrid()(ode, 5))
    assert method.plan(ode, [1.0, 0.5, 0.2]).nfe == 4


def test_it_runs_from_noise_to_data_on_scalar_levels():
    ode = ProbabilityFlowODE(VPLinear(), network)
    with pytest.raises(ArgumentError, match="times must run from noise to data"):
        Ancestral("ddim").plan(ode, [0.1, 0.5])
    with pytest.raises(CapabilityError, match="no clock 'rho'"):
        Ancestral("ddim").plan(CriticallyDampedLangevin(lambda x, t: x), [1.0, 0.5])


def test_gradients_reach_the_times():
    ode = ProbabilityFlowODE(EDM(), network)
    times = torch.tensor([10.0, 3.0, 1.0], dtype=torch.float64, requires_grad=True)
    plan = Ancestral(ExponentialRungeKutta("dpm-solver-2", "eps")).plan(ode, times)
    (slope,) = torch.autograd.grad(plan.steps[0].advance.noise[0], times)
    assert float(slope[0]) == pytest.approx(3**3 / 10**3 / math.sqrt(1 - 3**2 / 10**2), rel=1e-9)


def test_budgets_are_those_of_the_method():
    assert Ancestral(PolynomialEIAB("x0", "lambda", steps=1)).nfe(7) == 7
    assert INTEGRATORS.create("dpm2-ancestral").intervals_for(10) == 5

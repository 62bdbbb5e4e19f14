import math
from itertools import pairwise

import pytest
import torch

from deis import EDM, INTEGRATORS, VE, ArgumentError, Churn, PowerGrid, ProbabilityFlowODE, SampleNoise, VPLinear, solve

NOISE = torch.randn(20, 2, 3, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
X = 80 * torch.randn(2, 3, generator=torch.Generator().manual_seed(8), dtype=torch.float64)


def network(x, t):
    return (x / (1 + t[:, None]) + t[:, None].log()).sin()


def drawn(draw, x):
    return NOISE[draw.number % 20]


def heun(x, s, t, network):
    """EDM's step, whose derivative is eps in its variables."""

    def slope(x, sigma):
        return network(x, torch.full((2,), sigma, dtype=torch.float64))

    d = slope(x, s)
    return x + (t - s) * (d + slope(x + (t - s) * d, t)) / 2


def algorithm_2(sigmas, churn, low, high, factor, highest):
    """arXiv 2206.00364; never above the level ``highest``."""
    x = X.clone()
    for n, (s, t) in enumerate(pairwise(sigmas)):
        gamma = min(churn / (len(sigmas) - 1), math.sqrt(2) - 1) if low <= s <= high else 0.0
        hat = min(s * (1 + gamma), highest)
        x = heun(x + math.sqrt(hat**2 - s**2) * factor * NOISE[n], hat, t, network)
    return x


@pytest.mark.parametrize("churn", [0.0, 2.0, 40.0])
@pytest.mark.parametrize(("low", "high", "factor"), [(0.05, 50.0, 1.003), (0.0, 1e6, 1.0), (0.5, 3.0, 0.9)])
def test_it_is_algorithm_2_of_edm(churn, low, high, factor):
    ode = ProbabilityFlowODE(EDM(), network)
    times = PowerGrid("rho", 7.0)(ode, 12)
    method = Churn("edm-heun", churn, low, high, factor)
    expected = algorithm_2(list(times), churn, low, high, factor, 80.0)
    torch.testing.assert_close(solve(ode, X, times, method, noise=drawn).x, expected, rtol=1e-11, atol=1e-11)


def test_no_level_is_above_the_domain_and_the_preset_keeps_away_from_it():
    asked = []

    def watched(x, t):
        asked.append(float(t[0]))
        return network(x, t)

    ode = ProbabilityFlowODE(EDM(), watched)
    times = PowerGrid("rho", 7.0)(ode, 30)
    solve(ode, X, times, Churn("ddim", 100.0), noise=drawn)
    assert asked[:2] == pytest.approx([80.0, 80.0], rel=1e-12)  # the second is 69 (1 + 0.41), cut
    assert max(asked) <= 80.0
    first, second, *_ = INTEGRATORS.create("edm-churn").plan(ode, times).steps
    assert [first.advance.noise, second.advance.noise] == [(0.0,), (0.0,)]


def test_without_churn_it_is_the_method():
    ode = ProbabilityFlowODE(VPLinear(), network)
    times = PowerGrid("t", 2.0)(ode, 5)
    plan, inner = Churn("dpmpp-2s", churn=0.0).plan(ode, times), INTEGRATORS.create("dpmpp-2s").plan(ode, times)
    for step, other in zip(plan.steps, inner.steps, strict=True):
        assert (step.start, step.end, step.advance.noise) == (other.start, other.end, (0.0,))
        assert step.advance.values == pytest.approx(other.advance.values, rel=1e-12)
        assert [stage.time for stage in step.stages] == [stage.time for stage in other.stages]


@pytest.mark.parametrize("schedule", [VPLinear(), VE()], ids=repr)
def test_the_distribution_is_exact_where_the_steps_are(schedule, final_variance, exact_variance):
    """DDIM solves the ODE of a single datum exactly."""
    times = torch.linspace(0.9, 0.2, 8, dtype=torch.float64)
    found = final_variance(Churn("ddim", 3.0), schedule, 0.0, times)
    assert float(found) == pytest.approx(float(exact_variance(schedule, 0.0, 0.2)), rel=1e-12)


@pytest.mark.parametrize(("name", "order"), [("ddim", 1), ("rhork-heun2", 2), ("rhork-kutta3", 3)])
def test_the_variance_converges_with_the_order_of_the_method(name, order, final_variance, exact_variance):
    schedule, method = VPLinear(), Churn(name, 2.0)
    assert method.order == order
    errors = []
    for intervals in (40, 80):
        times = torch.linspace(0.9, 0.2, intervals + 1, dtype=torch.float64)
        errors.append(abs(float(final_variance(method, schedule, 0.3, times) - exact_variance(schedule, 0.3, 0.2))))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.15)


def test_a_factor_of_the_noise_shows_in_the_variance(final_variance):
    """One step to data at 0: rho_t / rho_hat times a state with variance rho^2 + factor^2 (rho_hat^2 - rho^2)."""
    found = final_variance(Churn("ddim", 0.2, noise=2.0), EDM(), 0.0, torch.tensor([10.0, 4.0], dtype=torch.float64))
    assert float(found) == pytest.approx((4 / 12) ** 2 * (100 + 4 * 44), rel=1e-12)


def test_the_draws_of_a_step_do_not_depend_on_the_range():
    ode = ProbabilityFlowODE(EDM(), network)
    plans = [Churn("ddim", 5.0, low=low).plan(ode, [10.0, 4.0, 1.0]) for low in (0.0, 5.0)]
    assert plans[0].steps[1].advance.noise[0] > 0 == plans[1].steps[1].advance.noise[0]
    assert [step.draws for step in plans[0].steps] == [step.draws for step in plans[1].steps] == [(None,), (None,)]


@pytest.mark.parametrize(
    ("method", "message"),
    [("tab2", "make each step from its start alone"), ("dopri5", "have a plan"), ("sddim", "add no noise itself")],
)
def test_methods_that_do_not_fit_are_refused(method, message):
    ode = ProbabilityFlowODE(EDM(), network)
    with pytest.raises(ArgumentError, match=f"method must {message}"):
        Churn(method).plan(ode, PowerGrid()(ode, 3))


@pytest.mark.parametrize("option", ["churn", "low", "high", "noise"])
def test_options_are_numbers_of_at_least_0(option):
    with pytest.raises(ArgumentError, match=f"{option} must be a number of at least 0"):
        Churn("ddim", **{option: -1.0})


def test_it_runs_from_noise_to_data():
    ode = ProbabilityFlowODE(EDM(), network)
    with pytest.raises(ArgumentError, match="times must run from noise to data"):
        Churn("ddim").plan(ode, [1.0, 3.0])


def test_samples_do_not_depend_on_their_batch():
    ode = ProbabilityFlowODE(EDM(), network)
    times = PowerGrid("rho", 7.0)(ode, 6)
    both = solve(ode, X, times, "edm-churn", noise=SampleNoise([3, 4])).x
    alone = solve(ode, X[1:], times, "edm-churn", noise=SampleNoise([4])).x
    torch.testing.assert_close(both[1:], alone, rtol=1e-12, atol=1e-12)

import math

import pytest
import torch

from deis import (
    EDM,
    VE,
    ArgumentError,
    Churn,
    Denoised,
    LangevinCorrected,
    PolynomialEIAB,
    PowerGrid,
    ProbabilityFlowODE,
    Stochastic,
    VPLinear,
    solve,
)

NOISE = torch.randn(40, 2, 3, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
X = torch.randn(2, 3, generator=torch.Generator().manual_seed(10), dtype=torch.float64)


def network(x, t):
    return (x + t[:, None]).sin()


def drawn(draw, x):
    return NOISE[draw.number]


def test_it_is_the_predictor_corrector_of_song():
    """Algorithms 1 and 4 of arXiv 2011.13456, DDIM as predictor, with |score| = |z| / sigma in the length."""
    schedule, snr = VPLinear(), 0.16
    ode = ProbabilityFlowODE(schedule, network)
    times = torch.tensor([0.9, 0.6, 0.3, 0.1], dtype=torch.float64)
    alpha, sigma = schedule.alpha(times), schedule.sigma(times)
    x, draws = X.clone(), iter(NOISE)
    for n in range(3):
        eps = network(x, times[n].expand(2))
        x = alpha[n + 1] * (x - sigma[n] * eps) / alpha[n] + sigma[n + 1] * eps
        for _ in range(2):
            score = -network(x, times[n + 1].expand(2)) / sigma[n + 1]
            length = 2 * (snr * sigma[n + 1]) ** 2
            x = x + length * score + (2 * length).sqrt() * next(draws)
    solution = solve(ode, X, times, LangevinCorrected("ddim", snr, corrections=2), noise=drawn)
    assert solution.nfe == 9 == 3 * LangevinCorrected("ddim", corrections=2).evaluations_per_step
    torch.testing.assert_close(solution.x, x, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("splitting", ["x0", "v", "score"])
def test_a_correction_is_the_same_in_every_splitting(splitting):
    eps = ProbabilityFlowODE(VPLinear(), network)
    form = eps.split(splitting)
    plans = [LangevinCorrected(PolynomialEIAB(None, steps=1)).plan(ode, [0.9, 0.4]) for ode in (eps, form)]
    assert [plan.splitting for plan in plans] == ["eps", splitting]
    rows = [plan.steps[1].advance for plan in plans]
    a, b = (r.state * X + r.values[0] * ode.nonlinearity(0.4, X) for r, ode in zip(rows, (eps, form), strict=True))
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    assert rows[0].noise == rows[1].noise


@pytest.mark.parametrize("snr", [0.3, 0.5])
@pytest.mark.parametrize("variance", [0.0, 0.5])
def test_many_corrections_forget_the_predictor_and_leave_an_error_of_the_order_of_snr_squared(
    snr, variance, final_variance, exact_variance
):
    """x <- (1 - 2 r^2 q) x + 2 r sigma z, with q = sigma^2 / v, has the variance v / (1 - r^2 q) for good."""
    schedule = VE()
    times = torch.tensor([0.9, 0.4], dtype=torch.float64)
    v = float(exact_variance(schedule, variance, 0.4))
    q = float(schedule.sigma(times[1])) ** 2 / v
    found = float(final_variance(LangevinCorrected("ddim", snr, corrections=600), schedule, variance, times))
    assert found == pytest.approx(v / (1 - snr**2 * q), rel=1e-6)


def test_one_correction_of_the_exact_distribution(final_variance, exact_variance):
    """v becomes v (1 + 4 r^4 q^2); the predictor is exact for a single datum, where q = 1."""
    times = torch.tensor([10.0, 1.0], dtype=torch.float64)
    found = float(final_variance(LangevinCorrected("ddim", 0.3), EDM(), 0.0, times))
    assert found == pytest.approx(1 + 4 * 0.3**4, rel=1e-12)


def test_corrections_follow_each_step_to_a_new_level_and_keep_one_state_a_time():
    ode = ProbabilityFlowODE(EDM(), network)
    method = LangevinCorrected(Denoised(Stochastic("ddim")), corrections=2)
    plan = method.plan(ode, [10.0, 3.0, 1.0])
    assert [(step.start, step.end) for step in plan.steps] == [
        (10.0, 3.0),
        (3.0, 3.0),
        (3.0, 3.0),
        (3.0, 1.0),
        (1.0, 1.0),
        (1.0, 1.0),
        (1.0, 1.0),
    ]
    assert [step.draws for step in plan.steps[4:]] == [(None,), (None,), ()]  # the last one denoises
    solution = solve(ode, X, [10.0, 3.0, 1.0], method, noise=drawn, keep_states=True)
    assert solution.times == (10.0, 3.0, 1.0)
    assert len(solution.states) == 3
    assert torch.equal(solution.states[-1], solution.x)
    shorter = solve(ode, X, [10.0, 3.0], LangevinCorrected(Stochastic("ddim"), corrections=2), noise=drawn)
    assert torch.equal(solution.states[1], shorter.x)


@pytest.mark.parametrize("method", ["ddpm", "dpm2", "edm-churn", "euler-ancestral", "unipc-1"])
def test_predictors_without_history_are_taken(method):
    ode = ProbabilityFlowODE(VPLinear(), network)
    times = PowerGrid("t", 2.0)(ode, 4)
    corrected = LangevinCorrected(method)
    assert corrected.order == 0
    assert solve(ode, X, times, corrected, noise=drawn).nfe == corrected.nfe(4)


@pytest.mark.parametrize("method", ["tab1", "dpmpp-2m-sde"])
def test_predictors_with_history_are_refused(method):
    ode = ProbabilityFlowODE(VPLinear(), network)
    with pytest.raises(ArgumentError, match=r"method must keep no values of earlier steps, got .*for example ddpm"):
        LangevinCorrected(method).plan(ode, PowerGrid()(ode, 3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "dopri5"}, "method must have a plan"),
        ({"snr": -1}, "snr must be a number of at least 0"),
        ({"snr": math.inf}, "snr must be a number"),
        ({"corrections": 0}, "corrections must be a whole number from 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ArgumentError, match=message):
        LangevinCorrected(**{"method": Churn("ddim"), **options})


def test_it_runs_from_noise_to_data():
    with pytest.raises(ArgumentError, match="times must run from noise to data"):
        LangevinCorrected("ddim").plan(ProbabilityFlowODE(EDM(), network), [1.0, 3.0])

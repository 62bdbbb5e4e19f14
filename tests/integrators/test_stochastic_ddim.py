"""Stochastic DDIM against the posterior of the forward process and the reverse SDE."""

import math
from itertools import pairwise

import pytest
import torch
from scipy.integrate import quad

from deis import (
    EDM,
    SCHEDULES,
    DiagonalODE,
    ExponentialEuler,
    GaussianMixture,
    ProbabilityFlowODE,
    SampleNoise,
    StochasticDDIM,
    VPLinear,
    make_grid,
    solve,
)
from deis.errors import ArgumentError, CapabilityError, UnknownNameError

ALL = list(SCHEDULES)
LAWS = ["ddim", "sde"]


def ode_of(name):
    return ProbabilityFlowODE(SCHEDULES.create(name), lambda x, t: x)


def grid(ode, intervals=8):
    return make_grid("log")(ode, intervals).tensor()


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("name", ALL)
def test_without_noise_it_is_ddim(name, law):
    ode = ode_of(name)
    plan, ddim = StochasticDDIM(0.0, law).plan(ode, grid(ode)), ExponentialEuler("eps").plan(ode, grid(ode))
    sigma = ode.schedule.sigma(grid(ode))
    for n, (a, b) in enumerate(zip(plan.steps, ddim.steps, strict=True)):
        assert a.advance.noise == (0.0,)
        assert a.advance.state == pytest.approx(b.advance.state, rel=1e-13)
        error = abs(a.advance.values[0] - b.advance.values[0])
        assert error <= 1e-12 * float(sigma[n] * b.advance.state + sigma[n + 1])  # the closed form cancels


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("name", ["vp-linear", "vp-cosine", "vp-discrete"])
def test_with_full_noise_it_is_the_posterior_of_ddpm(name, law):
    # q(x_t | x_s, x_0), arXiv 2006.11239, eq. 6-7
    ode = ode_of(name)
    abar = (ode.schedule.alpha(grid(ode)) ** 2).tolist()
    steps = StochasticDDIM(1.0, law).plan(ode, grid(ode)).steps
    for step, (s, t) in zip(steps, pairwise(abar), strict=True):
        a = s / t
        variance = (1 - a) * (1 - t) / (1 - s)
        of_x0, of_x = math.sqrt(t) * (1 - a) / (1 - s), math.sqrt(a) * (1 - t) / (1 - s)
        # x_0 = (x_s - sqrt(1 - s) eps) / sqrt(s)
        assert step.advance.noise[0] ** 2 == pytest.approx(variance, rel=1e-9)
        assert step.advance.state == pytest.approx(of_x0 / math.sqrt(s) + of_x, rel=1e-9)
        assert step.advance.values[0] == pytest.approx(-of_x0 * math.sqrt(1 - s) / math.sqrt(s), rel=1e-9)


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0, 1.7])
@pytest.mark.parametrize("schedule", [VPLinear(), EDM()], ids=repr)
def test_sde_law_is_the_exponential_integrator_of_the_reverse_sde(schedule, eta):
    # dx = [F x + (1 + l^2) / 2 G^2 / sigma^2 (x - alpha x0)] dt + l G dw with x0 kept over the step
    ode = ProbabilityFlowODE(schedule, lambda x, t: x)
    times = make_grid("log")(ode, 6).tensor()
    plan = StochasticDDIM(eta, "sde").plan(ode, times)

    def number(function, t):
        return float(function(torch.tensor(t, dtype=torch.float64)))

    def rate(t):
        ratio = number(schedule.squared_diffusion, t) / number(schedule.sigma, t) ** 2
        return number(schedule.drift, t) + (1 + eta**2) / 2 * ratio

    for step in (plan.steps[1], plan.steps[4]):
        s, t = step.start, step.end

        def flow(r, t=t):
            return math.exp(quad(rate, r, t, epsrel=1e-10)[0])

        def spread(r, t=t, flow=flow):
            return flow(r) ** 2 * eta**2 * number(schedule.squared_diffusion, r)

        variance = -quad(spread, s, t, epsrel=1e-8)[0]  # time runs backwards
        assert step.advance.noise[0] ** 2 == pytest.approx(variance, rel=1e-7, abs=1e-14)
        # mean: alpha_t x0 + Psi(t, s) (x_s - alpha_s x0) with x_s - alpha_s x0 = sigma_s eps
        of_eps = flow(s) * number(schedule.sigma, s)
        ratio = number(schedule.alpha, t) / number(schedule.alpha, s)
        assert step.advance.state == pytest.approx(ratio, rel=1e-12)
        assert step.advance.values[0] == pytest.approx(of_eps - ratio * number(schedule.sigma, s), rel=1e-7)


@pytest.mark.parametrize(("eta", "law"), [(0.0, "ddim"), (0.5, "ddim"), (1.0, "ddim"), (0.5, "sde"), (2.0, "sde")])
@pytest.mark.parametrize("name", ALL)
def test_noise_level_is_exact_for_data_at_one_point(name, eta, law):
    # eps = x / sigma; the variance then is sigma^2 at every time, however large the steps
    ode = ode_of(name)
    times = grid(ode, 5)
    variance = ode.schedule.sigma(times) ** 2
    for n, step in enumerate(StochasticDDIM(eta, law).plan(ode, times).steps):
        gain = step.advance.state + step.advance.values[0] / float(variance[n].sqrt())
        assert gain**2 * float(variance[n]) + step.advance.noise[0] ** 2 == pytest.approx(
            float(variance[n + 1]), rel=1e-10
        )


def variances(plan, schedule, std):
    """Variance of samples of N(0, std^2) at the end of the plan, and what it should be; eps = x sigma / variance."""
    times = torch.tensor(plan.times, dtype=torch.float64)
    sigma = schedule.sigma(times).tolist()
    exact = (schedule.alpha(times) ** 2 * std**2 + schedule.sigma(times) ** 2).tolist()
    variance = exact[0]
    for n, step in enumerate(plan.steps):
        gain = step.advance.state + step.advance.values[0] * sigma[n] / exact[n]
        variance = gain**2 * variance + step.advance.noise[0] ** 2
    return variance, exact[-1]


@pytest.mark.parametrize(("eta", "law"), [(0.0, "ddim"), (1.0, "ddim"), (0.5, "sde"), (1.5, "sde")])
def test_noise_level_on_gaussian_data_converges(eta, law):
    ode = ode_of("vp-linear")
    errors = []
    for intervals in (200, 400):
        variance, exact = variances(StochasticDDIM(eta, law).plan(ode, grid(ode, intervals)), ode.schedule, 0.5)
        errors.append(abs(variance / exact - 1))
    assert errors[1] < 0.05
    assert errors[0] / errors[1] == pytest.approx(2, abs=0.25)


@pytest.mark.parametrize(("eta", "law"), [(1.0, "ddim"), (1.5, "sde")])
def test_samples_have_the_variance_of_the_plan(eta, law):
    schedule, method = VPLinear(), StochasticDDIM(eta, law)
    ode = GaussianMixture(torch.zeros(1, 16, dtype=torch.float64), std=0.5).ode(schedule)
    noise = SampleNoise(range(500))
    variance, _ = variances(method.plan(ode, grid(ode, 20)), schedule, 0.5)
    x = solve(ode, noise.initial((16,), torch.float64), grid(ode, 20), method, noise=noise).x
    assert float(x.std()) == pytest.approx(variance**0.5, rel=0.04)
    assert float(x.mean()) == pytest.approx(0.0, abs=0.03)


def test_the_same_seeds_give_the_same_samples():
    ode = GaussianMixture(torch.randn(3, 4, generator=torch.manual_seed(0)), std=0.5).ode(EDM())
    x0 = torch.full((2, 4), 80.0)
    a, b = (solve(ode, x0, grid(ode), "sddim", noise=SampleNoise([1, 2])).x for _ in range(2))
    other = solve(ode, x0, grid(ode), "sddim", noise=SampleNoise([1, 3])).x
    assert torch.equal(a, b)
    assert torch.equal(a[0], other[0])
    assert not torch.equal(a[1], other[1])


@pytest.mark.parametrize("noise_step", [0, 3])
def test_each_step_has_its_own_noise(noise_step):
    ode = ode_of("vp-linear")
    asked = []
    plan = StochasticDDIM().plan(ode, grid(ode))
    solve(
        ode, torch.ones(2, 3), grid(ode), plan, noise=lambda draw, x: asked.append(draw.number) or torch.zeros_like(x)
    )
    assert asked == list(range(8))
    assert asked[noise_step] == noise_step


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eta": -0.1}, "eta must be a number of at least 0"),
        ({"eta": math.nan}, "eta must be a number"),
        ({"eta": True}, "eta must be a number"),
        ({"eta": 1.5}, "eta must be at most 1 under the law 'ddim', got 1.5; or choose law='sde'"),
    ],
    ids=str,
)
def test_bad_options(options, message):
    with pytest.raises(ArgumentError, match=message):
        StochasticDDIM(**options)


def test_unknown_laws_are_refused():
    with pytest.raises(UnknownNameError, match="no law named 'ddpm'"):
        StochasticDDIM(law="ddpm")


def test_it_runs_from_noise_to_data_only():
    ode = ode_of("vp-linear")
    with pytest.raises(ArgumentError, match="must run from noise to data for a stochastic sampler"):
        StochasticDDIM().plan(ode, grid(ode).flip(0))


def test_it_needs_a_diffusion():
    ode = DiagonalODE(-1.0, lambda t, x: x)
    with pytest.raises(CapabilityError, match="no splitting 'eps'"):
        StochasticDDIM().plan(ode, torch.tensor([1.0, 0.0], dtype=torch.float64))

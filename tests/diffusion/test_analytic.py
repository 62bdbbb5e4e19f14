import math

import attrs
import pytest
import torch

from deis import (
    EDM,
    VE,
    AnalyticDDIM,
    ArgumentError,
    CapabilityError,
    CriticallyDampedLangevin,
    DiscreteVP,
    GaussianMixture,
    PowerGrid,
    ProbabilityFlowODE,
    SampleNoise,
    SecondMoments,
    StochasticDDIM,
    TimeGrid,
    VPLinear,
    sample,
    second_moments,
    solve,
)
from deis.integrators.plan import Draw


def gaussian(schedule, variances):
    """Data N(0, variance) in each entry, with the exact eps."""

    def eps(x, t):
        alpha, sigma = schedule.alpha(t[0]), schedule.sigma(t[0])
        return sigma * x / (alpha**2 * variances + sigma**2)

    return ProbabilityFlowODE(schedule, eps)


def exact_moments(schedule, variances, times):
    """E |eps|^2 / d = mean of sigma^2 / (alpha^2 variance + sigma^2)."""
    alpha, sigma = schedule.alpha(times)[:, None], schedule.sigma(times)[:, None]
    return SecondMoments(times, (sigma**2 / (alpha**2 * variances + sigma**2)).mean(1).tolist())


def final_variances(method, ode, variances, times):
    """Of every entry at the end, from the exact distribution: the response to the start and to each draw, squared."""
    alpha, sigma = ode.marginal(times[0])
    x0 = torch.zeros(len(times), len(variances), dtype=torch.float64)
    x0[0] = (alpha**2 * variances + sigma**2).sqrt()

    def unit(draw, x):
        return torch.zeros_like(x).index_fill_(0, torch.tensor([draw.number + 1]), 1.0)

    return solve(ode, x0, times, method, noise=unit).x.square().sum(0)


@pytest.mark.parametrize("schedule", [VPLinear(), VE(), EDM(), DiscreteVP()], ids=repr)
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("intervals", [1, 4])
def test_the_variance_of_isotropic_gaussian_data_is_exact_however_large_the_steps(schedule, eta, intervals):
    variances = torch.tensor([0.7], dtype=torch.float64)
    ode = gaussian(schedule, variances)
    times = PowerGrid("log_rho")(ode, intervals).tensor()
    method = AnalyticDDIM(exact_moments(schedule, variances, times), eta)
    alpha, sigma = ode.marginal(times[-1])
    expected = float(alpha**2 * 0.7 + sigma**2)
    assert float(final_variances(method, ode, variances, times)) == pytest.approx(expected, rel=1e-9)
    plain = StochasticDDIM(eta)
    assert float(final_variances(plain, ode, variances, times)) < 0.98 * expected


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_of_other_gaussian_data_the_mean_variance_is_exact_after_a_step(eta):
    variances = torch.tensor([0.01, 0.3, 2.0], dtype=torch.float64)
    ode = gaussian(VPLinear(), variances)
    times = torch.tensor([0.6, 0.1], dtype=torch.float64)
    method = AnalyticDDIM(exact_moments(VPLinear(), variances, times), eta)
    alpha, sigma = ode.marginal(times[-1])
    found = final_variances(method, ode, variances, times)
    assert float(found.mean()) == pytest.approx(float((alpha**2 * variances + sigma**2).mean()), rel=1e-12)


def test_with_nothing_unknown_it_is_stochastic_ddim():
    """E |eps|^2 / d = 1 is that of a single datum, which every prediction of x0 hits."""
    ode = gaussian(VPLinear(), torch.tensor([0.5], dtype=torch.float64))
    times = PowerGrid("t", 2.0)(ode, 6)
    for eta in (0.0, 0.4, 1.0):
        method = AnalyticDDIM(SecondMoments([1.0, 0.001], [1.0, 1.0]), eta)
        assert method.plan(ode, times) == StochasticDDIM(eta).plan(ode, times)


def test_estimates_are_clipped_to_what_is_possible():
    """Theorem 2: the moment lies in [0, 1], so that no variance is below that of DDIM."""
    ode = gaussian(VPLinear(), torch.tensor([0.5], dtype=torch.float64))
    times = PowerGrid("t", 2.0)(ode, 3)
    wild, tame = (AnalyticDDIM(SecondMoments([1.0, 0.001], [m, m])).plan(ode, times) for m in (1.3, 1.0))
    assert wild == tame


def test_a_range_of_the_data_bounds_the_variance():
    """Corollary of theorem 2: sigma^2 <= s^2 + (alpha_t - kept alpha_s / sigma_s)^2 r^2, kept^2 = sigma_t^2 - s^2."""
    schedule = VPLinear()
    ode = gaussian(schedule, torch.tensor([0.5], dtype=torch.float64))
    (a_s, a_t), (s_s, s_t) = (f(torch.tensor([0.9, 0.2]).double()).tolist() for f in (schedule.alpha, schedule.sigma))
    moments = SecondMoments([1.0, 0.1], [0.5, 0.5])
    free = AnalyticDDIM(moments, eta=0.0).plan(ode, [0.9, 0.2]).steps[0].advance.noise[0]
    assert free == pytest.approx((s_s * a_t / a_s - s_t) * math.sqrt(0.5), rel=1e-6)
    bound = (a_t - s_t * a_s / s_s) * 0.1
    assert bound < free
    bounded = AnalyticDDIM(moments, eta=0.0, half_range=0.1).plan(ode, [0.9, 0.2]).steps[0].advance.noise[0]
    assert bounded == pytest.approx(bound, rel=1e-6)


def test_moments_are_estimated_from_data():
    schedule, variances = VPLinear(), torch.tensor([0.2, 1.0, 3.0], dtype=torch.float64)
    calls = []
    exact = gaussian(schedule, variances)

    def counted(x, t):
        calls.append(float(t[0]))
        return exact.network(x, t)

    ode = attrs.evolve(exact, network=counted)
    data = variances.sqrt() * torch.randn(5000, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    times = torch.tensor([1.0, 0.4, 0.1], dtype=torch.float64)
    moments = second_moments(ode, data, times)
    assert calls == times.tolist()
    assert moments.times == TimeGrid(times)
    found, expected = ([1 - v for v in m.values] for m in (moments, exact_moments(schedule, variances, times)))
    assert found == pytest.approx(expected, rel=0.03)
    assert expected[0] < 1e-4  # near noise the distance to 1 is known as well
    assert second_moments(exact.split("x0"), data, times).values == pytest.approx(moments.values, rel=1e-9)


def test_the_noise_of_a_datum_is_that_of_its_seed():
    ode = gaussian(VPLinear(), torch.tensor([0.5], dtype=torch.float64))
    data = torch.tensor([[0.3], [-1.0]], dtype=torch.float64)
    times, seeds = torch.tensor([0.9, 0.5], dtype=torch.float64), [7, 3]
    alpha, sigma = ode.marginal(times)
    expected = []
    for n in range(2):
        z = SampleNoise(seeds)(Draw(n), data)
        eps = ode.network(alpha[n] * data + sigma[n] * z, times[n].expand(2))
        expected.append(1 - float((z - eps).square().mean()))
    assert second_moments(ode, data, times, seeds).values == pytest.approx(expected, rel=1e-12)


def test_moments_are_estimated_from_a_sampler_as_well():
    ode = GaussianMixture(torch.zeros(1, 2, dtype=torch.float64), std=1.0).ode(VPLinear())
    path = sample(ode, (2,), range(500), nfe=20, integrator="tab2", dtype=torch.float64, keep_states=True)
    moments = second_moments(ode, path.states, path.times)
    sigma = ode.marginal(torch.tensor(path.times, dtype=torch.float64))[1]
    assert moments.values == pytest.approx((sigma**2).tolist(), rel=0.1)  # states of variance 1 stay as they are
    with pytest.raises(ArgumentError, match="x must hold 21 states, one a time, got 20"):
        second_moments(ode, path.states[1:], path.times)


def test_estimates_make_better_samples():
    """Few steps of DDPM lose variance that the estimated moments give back."""
    data = torch.randn(1000, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    ode = gaussian(VPLinear(), torch.ones(4, dtype=torch.float64))
    grid = PowerGrid("log_rho")(ode, 5)
    variances = [
        float(sample(ode, (4,), range(1000), integrator=method, grid=grid, dtype=torch.float64).x.var())
        for method in ("ddpm", AnalyticDDIM(second_moments(ode, data, grid)))
    ]
    assert variances[0] < 0.8
    assert variances[1] == pytest.approx(1.0, abs=0.05)


def test_moments_between_known_times_are_linear_in_lambda():
    ode = gaussian(EDM(), torch.tensor([0.5], dtype=torch.float64))
    moments = SecondMoments([0.01, 1.0, 10.0], [0.2, 0.6, 1.0])  # in either direction
    times = torch.tensor([10.0, 10**0.5, 1.0, 0.1, 0.01], dtype=torch.float64)
    assert moments.at(ode, times).tolist() == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2], rel=1e-12)
    with pytest.raises(ArgumentError, match="moments must be known at all of the times"):
        AnalyticDDIM(moments).plan(ode, [20.0, 1.0])
    assert AnalyticDDIM(moments).plan(ode, [10.0, 0.1, 0.002]).nfe == 2  # at its end, nothing is asked


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SecondMoments([1.0, 0.5], [1.0]), "values must be 2 numbers of at least 0, one a time"),
        (lambda: SecondMoments([1.0, 0.5], [1.0, -0.1]), "values must be 2 numbers of at least 0"),
        (lambda: SecondMoments([1.0, 0.5], [1.0, math.nan]), "values must be 2 numbers of at least 0"),
        (lambda: SecondMoments([1.0, 1.0], [1.0, 1.0]), "times must be strictly monotone"),
        (lambda: AnalyticDDIM([1.0, 0.5]), "moments must be SecondMoments, got .*make them by deis.second_moments"),
        (lambda: AnalyticDDIM(SecondMoments([1.0, 0.5], [1, 1]), eta=1.2), "eta must be a number of at least 0 and at"),
        (lambda: AnalyticDDIM(SecondMoments([1.0, 0.5], [1, 1]), half_range=0), "half_range must be a number above 0"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


def test_it_needs_scalar_levels_and_times_from_noise_to_data():
    moments = SecondMoments([1.0, 0.1], [1.0, 1.0])
    with pytest.raises(CapabilityError, match=r"no splitting 'eps'|no scalar"):
        AnalyticDDIM(moments).plan(CriticallyDampedLangevin(lambda x, t: x, t_min=0.1), [1.0, 0.5])
    with pytest.raises(ArgumentError, match="times must run from noise to data"):
        AnalyticDDIM(moments).plan(gaussian(EDM(), torch.ones(1, dtype=torch.float64)), [0.2, 0.5])

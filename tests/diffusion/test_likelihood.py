import itertools
import math

import pytest
import torch

from deis import (
    EDM,
    Dopri5,
    GaussianMixture,
    Labelled,
    Likelihood,
    ProbabilityFlowODE,
    RectifiedFlow,
    VPCosine,
    VPLinear,
    decode,
    log_likelihood,
    make_grid,
)
from deis.errors import ArgumentError, UnknownNameError

MEANS = torch.tensor([[0.5, -1.0], [2.0, 0.0], [-1.0, 0.5]], dtype=torch.float64)
KUTTA = "rhork-kutta3"


def random(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def levels(schedule, t):
    when = torch.tensor(t, dtype=torch.float64)
    return float(schedule.alpha(when)), float(schedule.sigma(when))


def log_normal(x, variance):
    flat = x.reshape(len(x), -1)
    return -flat.square().sum(1) / (2 * variance) - flat.shape[1] / 2 * math.log(2 * math.pi * variance)


def log_density(data, schedule, t, x):
    """Exact log-density of x at time t: the mixture, shrunk by alpha and blurred by sigma."""
    alpha, sigma = levels(schedule, t)
    parts = [log_normal(x - alpha * mean, (alpha * data.std) ** 2 + sigma**2) for mean in data.means]
    return torch.stack(parts).logsumexp(0) - math.log(len(parts))


def draw(data, schedule, count, seed=0):
    """Samples of the data at the end of the schedule."""
    alpha, sigma = levels(schedule, schedule.t_min)
    centres = data.means[torch.arange(count) % len(data.means)]
    return alpha * centres + math.hypot(alpha * data.std, sigma) * random(count, *data.means.shape[1:], seed=seed)


def bits(log_densities, dimensions):
    return -log_densities / (dimensions * math.log(2))


def gaussian(std, centre=0.3, shape=(1, 8, 8)):
    return GaussianMixture(centre * random(1, *shape, seed=1), std)


@pytest.mark.parametrize("schedule", [VPLinear(), VPCosine(), EDM(), RectifiedFlow()], ids=repr)
@pytest.mark.parametrize(
    ("std", "options"),
    [(std, {}) for std in (0.3, 0.5, 1.0, 1.5)] + [(std, {"integrator": KUTTA}) for std in (0.8, 1.0, 1.2)],
)
def test_36_calls_give_gaussian_data_to_a_thousandth_of_a_bit(schedule, std, options):
    data = gaussian(std)
    x = draw(data, schedule, 32)
    result = log_likelihood(data.ode(schedule), x, **options)
    exact = bits(log_density(data, schedule, schedule.t_min, x), 64)
    assert result.nfe == 36
    assert abs(float((result.bits_per_dim() - exact).mean())) < 1e-3
    assert float((result.bits_per_dim() - exact).abs().max()) < 4e-3  # the ends of the schedule are not quite normal


def without_prior_mismatch(data, schedule, result):
    """The log-density had the exact one been taken at the noisy end, where the data are nearly but not quite gone."""
    _, sigma = levels(schedule, schedule.t_max)
    normal = log_normal(result.latents, sigma**2)
    return result.log_density - normal + log_density(data, schedule, schedule.t_max, result.latents)


@pytest.mark.parametrize("schedule", [VPLinear(), EDM()], ids=repr)
def test_a_mixture_is_found_to_the_accuracy_of_its_normal_prior(schedule):
    data = GaussianMixture(MEANS, 0.3)
    x = draw(data, schedule, 12)
    result = log_likelihood(data.ode(schedule), x, nfe=150)
    exact = log_density(data, schedule, schedule.t_min, x)
    alpha, sigma = levels(schedule, schedule.t_max)
    shift = alpha / sigma * float(MEANS.norm(dim=1).max()) * float(result.latents.norm(dim=1).max() / sigma)
    assert float((result.log_density - exact).abs().max()) < 2 * shift
    torch.testing.assert_close(without_prior_mismatch(data, schedule, result), exact, rtol=0.0, atol=1e-3)


@pytest.mark.parametrize(
    ("integrator", "order"),
    [(KUTTA, 3), ("rhork-heun2", 2), ("rhork-rk4:clock=vp_t", 4), ("tab1", 2), ("ddim", 1)],
)
def test_the_error_on_a_mixture_falls_with_the_order_of_the_method(integrator, order):
    schedule, data = VPLinear(t_min=0.02), GaussianMixture(MEANS, 0.3)
    x = draw(data, schedule, 6)
    exact = log_density(data, schedule, schedule.t_min, x)
    errors = []
    for nfe in (96, 192, 384):
        result = log_likelihood(data.ode(schedule), x, nfe=nfe, integrator=integrator)
        errors.append(float((without_prior_mismatch(data, schedule, result) - exact).square().mean().sqrt()))
    slopes = [math.log2(coarse / fine) for coarse, fine in itertools.pairwise(errors)]
    assert slopes == pytest.approx([order, order], abs=0.35)


@pytest.mark.parametrize("form", ["raw", "rho"])
def test_methods_that_choose_their_steps_are_taken(form):
    schedule, data = VPLinear(), GaussianMixture(MEANS, 0.3)
    x = draw(data, schedule, 6)
    result = log_likelihood(data.ode(schedule), x, integrator=Dopri5(rtol=1e-8, atol=1e-8, form=form))
    exact = log_density(data, schedule, schedule.t_min, x)
    torch.testing.assert_close(without_prior_mismatch(data, schedule, result), exact, rtol=0.0, atol=1e-5)
    assert result.nfe > 36


def test_random_signs_estimate_the_exact_value_without_bias():
    schedule, data = VPLinear(), GaussianMixture(random(6, 5, seed=2), 0.4)
    x = draw(data, schedule, 1)
    count = 600
    many = x.expand(count, 5)
    estimates = log_likelihood(data.ode(schedule), many, divergence="hutchinson", seeds=range(count)).log_density
    exact = log_likelihood(data.ode(schedule), x).log_density
    error = float(estimates.std() / count**0.5)
    assert error > 1e-3
    assert abs(float(estimates.mean() - exact)) < 4 * error


def test_more_probes_have_less_noise():
    schedule, data = VPLinear(), GaussianMixture(random(6, 5, seed=2), 0.4)
    x = draw(data, schedule, 1).expand(200, 5)
    spread = [
        float(log_likelihood(data.ode(schedule), x, divergence="hutchinson", probes=n).log_density.std())
        for n in (1, 16)
    ]
    assert spread[0] / spread[1] == pytest.approx(4, rel=0.25)


def test_an_estimate_depends_on_its_own_seed_only():
    schedule, data = VPLinear(), GaussianMixture(MEANS, 0.3)
    x = draw(data, schedule, 4)

    def estimate(part, seeds=None):
        options = {"divergence": "hutchinson", "probes": 2, "seeds": seeds}
        return log_likelihood(data.ode(schedule), part, **options).log_density

    together = estimate(x, [9, 3, 5, 0])
    torch.testing.assert_close(estimate(x[2:3], [5]), together[2:3], rtol=1e-10, atol=1e-10)
    assert torch.equal(estimate(x, [9, 3, 5, 0]), together)
    assert not torch.allclose(estimate(x, [9, 3, 6, 0])[2], together[2])
    assert torch.equal(estimate(x), estimate(x, range(4)))


def test_latents_are_states_at_the_noisy_end():
    schedule, data = VPLinear(), GaussianMixture(MEANS, 0.3)
    x = draw(data, schedule, 3)
    result = log_likelihood(data.ode(schedule), x, nfe=150)
    assert not result.latents.requires_grad
    back = decode(data.ode(schedule), result.latents, nfe=150, integrator=KUTTA, grid="vp-t2")
    torch.testing.assert_close(back.x, x, rtol=0.0, atol=2e-3)


def test_calls_are_counted_and_the_signs_take_no_more():
    calls = []

    def network(x, t):
        calls.append(len(x))
        return torch.tanh(x)

    ode = ProbabilityFlowODE(VPLinear(), network)
    for options in ({}, {"divergence": "hutchinson", "probes": 7}):
        calls.clear()
        result = log_likelihood(ode, random(3, 4), nfe=9, **options)
        assert result.nfe == len(calls) == 9
        assert set(calls) == {3}


@pytest.mark.parametrize("shape", [(), (3,), (2, 1, 2)])
def test_shape_and_precision_are_kept(shape):
    data = gaussian(0.7, shape=shape)
    x = draw(data, VPLinear(), 4)
    wide = log_likelihood(data.ode(VPLinear()), x)
    narrow = log_likelihood(data.ode(VPLinear()), x.float())
    assert (wide.latents.dtype, narrow.latents.dtype) == (torch.float64, torch.float32)
    assert wide.latents.shape == x.shape
    assert narrow.log_density.dtype == torch.float64
    torch.testing.assert_close(narrow.log_density, wide.log_density, rtol=1e-3, atol=1e-3)


def test_labels_and_predictions_of_any_kind_are_served():
    schedule, data = VPLinear(), GaussianMixture(MEANS, 0.3)
    x = draw(data, schedule, 3)
    expected = log_likelihood(data.ode(schedule), x).log_density
    exact = data.network(schedule, "x0")
    labelled = Labelled(lambda x, t, label: exact(x, t) + 0 * label[:, None], torch.tensor([3, 1, 2]))
    ode = ProbabilityFlowODE(schedule, labelled, predicts="x0", splitting="score")
    torch.testing.assert_close(log_likelihood(ode, x).log_density, expected)


def test_times_may_be_given_from_noise_to_data():
    schedule, data = EDM(), GaussianMixture(MEANS, 0.3)
    ode, x = data.ode(schedule), draw(data, schedule, 3)
    times = make_grid("vp-t2")(ode, 12)
    assert torch.equal(log_likelihood(ode, x, grid=times).log_density, log_likelihood(ode, x).log_density)
    with pytest.raises(ArgumentError, match="grid must run from noise to data"):
        log_likelihood(ode, x, grid=times.reversed())


def test_bits_are_those_of_the_formula():
    result = Likelihood(torch.tensor([-2.0, 1.0], dtype=torch.float64), torch.zeros(2, 3, 4), 36)
    assert result.bits_per_dim().tolist() == pytest.approx([2 / (12 * math.log(2)), -1 / (12 * math.log(2))])
    assert (result.bits_per_dim(1 / 128) - result.bits_per_dim()).tolist() == pytest.approx([7, 7])


def test_bits_of_binned_data_bound_their_discrete_code_length():
    width, low = 0.25, 0.1
    x = low + width * (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000  # uniform in one bin
    dense = Likelihood(log_normal(x[:, None], 1.0), x[:, None], 1)
    probability = 0.5 * (math.erf((low + width) / 2**0.5) - math.erf(low / 2**0.5))
    excess = float(dense.bits_per_dim(width).mean()) + math.log2(probability)
    assert 0 < excess < 1e-3


ODE = GaussianMixture(MEANS, 0.3).ode(VPLinear())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"integrator": "sddim"}, "integrator must be deterministic"),
        ({"nfe": 37}, "ask for 36 or 39"),
        ({"nfe": 36, "integrator": "dopri5"}, "nfe must be None"),
        ({"divergence": "hutchinson", "probes": 0}, "probes must be a whole number from 1"),
        ({"divergence": "hutchinson", "probes": 1.5}, "probes must be a whole number from 1"),
        ({"divergence": "hutchinson", "seeds": [1]}, "seeds must be 2, one a sample, got 1"),
        ({"divergence": "hutchinson", "seeds": [1, -1]}, "seeds must be whole numbers"),
        ({"ode": torch.tanh}, "ode must be a ProbabilityFlowODE"),
        ({"x": torch.zeros(2, 2, dtype=torch.float16)}, r"x must be a float32 or float64 tensor.*x\.float\(\)"),
        ({"x": torch.zeros(0, 2)}, "x must be a float32 or float64 tensor"),
        ({"x": torch.tensor(1.0)}, "x must be a float32 or float64 tensor"),
        ({"x": [[0.0, 1.0]]}, "x must be a float32 or float64 tensor.*got 'list'"),
        ({"x": torch.zeros(2, 3, dtype=torch.float64)}, r"x must have shape \(B, \*\(2,\)\)"),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    ode, x = options.pop("ode", ODE), options.pop("x", torch.zeros(2, 2, dtype=torch.float64))
    with pytest.raises(ArgumentError, match=message):
        log_likelihood(ode, x, **options)


def test_unknown_divergences_show_near_misses():
    with pytest.raises(UnknownNameError, match="no divergence named 'hutchison'; near it: hutchinson"):
        log_likelihood(ODE, torch.zeros(2, 2), divergence="hutchison")


@pytest.mark.parametrize("width", [0, -1.0, math.nan, "1/8"])
def test_bins_have_a_width_above_zero(width):
    with pytest.raises(ArgumentError, match="bin_width must be a number above 0"):
        Likelihood(torch.zeros(1), torch.zeros(1, 1), 1).bits_per_dim(width)

import math

import pytest
import torch

from deis import EDM, PREDICTIONS, DiscreteVP, GaussianMixture, VPLinear, convert
from deis.errors import ArgumentError, UnknownNameError


def mixture(std=0.3, weights=None, dtype=torch.float64):
    means = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)
    return GaussianMixture(means, std) if weights is None else GaussianMixture(means, std, weights)


def eps_by_autograd(data, schedule, x, t):
    """-sigma times the gradient of the log density of x_t."""
    when = torch.tensor(t, dtype=torch.float64)
    alpha, sigma = schedule.alpha(when), schedule.sigma(when)
    x = x.clone().requires_grad_()
    squares = (x[:, None] - alpha * data.means).square().sum((-1, -2))
    variance = alpha**2 * data.std**2 + sigma**2
    weights = torch.ones(len(data.means)) if data.weights is None else data.weights
    density = (weights.log() - squares / (2 * variance)).logsumexp(1)
    (score,) = torch.autograd.grad(density.sum(), x)
    return -sigma * score


UNEQUAL = torch.tensor([0.5, 0.2, 0.15, 0.1, 0.05], dtype=torch.float64)


@pytest.mark.parametrize("std", [0.0, 0.3])
@pytest.mark.parametrize("weights", [None, UNEQUAL], ids=["equal", "unequal"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.99])
def test_eps_is_the_gradient_of_the_log_density(schedule, std, weights, share):
    data = mixture(std, weights)
    t = schedule.t_min + share * (schedule.t_max - schedule.t_min)
    sigma = float(schedule.sigma(torch.tensor(t, dtype=torch.float64)))
    x = torch.randn(7, 2, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * (1 + sigma)
    ours = data.network(schedule)(x, torch.full((7,), t, dtype=torch.float64))
    torch.testing.assert_close(ours, eps_by_autograd(data, schedule, x, t), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("kind", list(PREDICTIONS))
def test_other_kinds_are_conversions_of_eps(schedule, kind):
    data = mixture()
    t = (schedule.t_min + schedule.t_max) / 2
    x, when = torch.ones(2, 2, 3, dtype=torch.float64), torch.full((2,), t, dtype=torch.float64)
    expected = convert(data.network(schedule)(x, when), "eps", kind, schedule, t, x)
    torch.testing.assert_close(data.network(schedule, kind)(x, when), expected)


def test_one_gaussian_has_the_posterior_mean_of_the_textbook():
    x0 = GaussianMixture(torch.tensor([[2.0]], dtype=torch.float64), std=0.5).network(EDM(), "x0")
    x, sigma = torch.tensor([[5.0]], dtype=torch.float64), 3.0
    expected = (0.25 * x + sigma**2 * 2.0) / (0.25 + sigma**2)
    torch.testing.assert_close(x0(x, torch.tensor([sigma], dtype=torch.float64)), expected)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)])
def test_low_precision_states_are_computed_in_at_least_float32(dtype, tolerance):
    network = mixture().network(VPLinear())
    x = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(3)).to(dtype)
    low = network(x, torch.full((4,), 0.4))
    wide = network(x.double(), torch.full((4,), 0.4, dtype=torch.float64))
    assert low.dtype == dtype
    torch.testing.assert_close(low.double(), wide, rtol=tolerance, atol=tolerance)


def test_far_states_do_not_overflow():
    value = mixture(0.0).network(DiscreteVP())(torch.full((1, 2, 3), 1e6, dtype=torch.float64), torch.zeros(1))
    assert bool(value.isfinite().all())


def test_whole_numbers_as_means_are_refused():
    with pytest.raises(ArgumentError, match="means must be a floating point tensor"):
        GaussianMixture(torch.ones(2, 2, dtype=torch.int64), 0.1)


@pytest.mark.parametrize("means", [torch.tensor(1.0), torch.empty(0, 2)])
def test_means_need_at_least_one_row(means):
    with pytest.raises(ArgumentError, match="means must"):
        GaussianMixture(means, 0.1, torch.ones(1))


@pytest.mark.parametrize("weights", [[0.5, 0.6], [1.0, 0.0], [1.5, -0.5], [1.0], [math.nan, 0.5]])
def test_weights_that_are_no_probabilities_are_refused(weights):
    with pytest.raises(ArgumentError, match="weights must be 2 positive numbers summing to 1"):
        GaussianMixture(torch.zeros(2, 1), 0.1, torch.tensor(weights))


@pytest.mark.parametrize("std", [-0.1, math.inf, "0.1", True])
def test_a_std_that_is_no_number_from_zero_is_refused(std):
    with pytest.raises(ArgumentError, match="std must be a number"):
        GaussianMixture(torch.zeros(2, 1), std)


def test_unknown_kinds_are_refused_before_any_work():
    with pytest.raises(UnknownNameError, match="no prediction named"):
        mixture().network(EDM(), "noise")


@pytest.mark.parametrize("shape", [(4, 3, 2), (4, 6), (4,), (2, 3)])
def test_states_of_another_shape_are_refused(shape):
    with pytest.raises(ArgumentError, match="x must have shape"):
        mixture().network(EDM())(torch.zeros(shape, dtype=torch.float64), torch.ones(shape[:1]))


def test_no_weights_are_equal_weights():
    means, x = torch.randn(3, 2, dtype=torch.float64), torch.randn(4, 2, dtype=torch.float64)
    equal = torch.full((3,), 1 / 3, dtype=torch.float64)
    t, schedule = torch.full((4,), 0.3), VPLinear()
    plain = GaussianMixture(means, 0.1, weights=None).network(schedule)
    assert torch.allclose(plain(x, t), GaussianMixture(means, 0.1, equal).network(schedule)(x, t), rtol=1e-12)


@pytest.mark.parametrize("means", [[[0.0, 1.0]], None, torch.tensor([[1, 2]])])
def test_means_that_are_no_tensor_of_numbers_are_refused(means):
    with pytest.raises(ArgumentError, match="means must be a floating point tensor"):
        GaussianMixture(means, 0.1)

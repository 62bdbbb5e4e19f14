import math

import mpmath
import pytest
import torch

from deis.errors import DeisError
from deis.numerics.adaptive import integrate


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def single(function, low, high):
    return integrate(lambda owner, x: function(x)[:, None], double([low]), double([high]), torch.tensor([0]), 1)[0, 0]


@pytest.mark.parametrize(
    ("function", "low", "high", "exact"),
    [
        (torch.exp, 0.0, 1.0, math.e - 1),
        (torch.exp, 1.0, 0.0, 1 - math.e),
        (torch.sqrt, 0.0, 1.0, 2 / 3),
        (lambda x: (x - 0.3).abs(), 0.0, 1.0, 0.29),
        (lambda x: (x > 0.3).double(), 0.0, 1.0, 0.7),
        (lambda x: 1 / (x**2 + 1e-6), -1.0, 1.0, 2e3 * math.atan(1e3)),
        (lambda x: (300 * x).cos(), 0.0, 1.0, math.sin(300) / 300),
        (lambda x: x, 2.0, 2.0, 0.0),
    ],
)
def test_integrals_are_exact_where_the_integrand_is_smooth_and_where_it_is_not(function, low, high, exact):
    assert float(single(function, low, high)) == pytest.approx(exact, rel=1e-12, abs=1e-14)


def test_each_integral_is_the_sum_over_its_panels():
    start, end, owner = double([0.0, 1.0, 5.0]), double([1.0, 3.0, 4.0]), torch.tensor([0, 0, 1])
    value = integrate(lambda owner, x: torch.stack([x, x**2], 1), start, end, owner, 2)
    torch.testing.assert_close(value, double([[4.5, 9.0], [-4.5, -61 / 3]]), rtol=1e-14, atol=0)


def test_only_panels_that_disagree_are_halved():
    seen = []

    def function(owner, x):
        seen.append(owner.tolist())
        return torch.where(owner[:, None] == 1, (x - 0.3).abs(), x)[:, None]

    integrate(function, double([0.0, 0.0, 0.0]), double([1.0, 1.0, 1.0]), torch.arange(3), 3)
    assert seen[0] == [0, 1, 2]
    assert len(seen) > 2
    assert all(owners == [1, 1] for owners in seen[1:])


def test_a_short_interval_far_from_zero_is_not_halved_for_its_rounding():
    calls = []

    def function(owner, x):
        calls.append(len(owner))
        return (x - 1e3).sin()[:, None]

    start = 1e3 + torch.arange(50, dtype=torch.float64) * 1e-8
    integrate(function, start, start + 1e-8, torch.arange(50), 50)
    assert calls == [50]


def test_gradients_pass_through_ends_and_integrand():
    def value(start, end, power):
        return integrate(lambda owner, x: (x.abs() ** power)[:, None], start, end, torch.tensor([0]), 1)

    arguments = [double([0.2]).requires_grad_(), double([1.7]).requires_grad_(), double(1.5).requires_grad_()]
    assert torch.autograd.gradcheck(value, arguments)


def test_noise_does_not_converge():
    generator = torch.Generator().manual_seed(0)
    with pytest.raises(DeisError, match="does not converge between 0 and 1"):
        single(lambda x: torch.rand(x.shape, generator=generator, dtype=torch.float64), 0.0, 1.0)


def test_a_peak_agrees_with_mpmath():
    exact = mpmath.quad(lambda x: mpmath.exp(mpmath.tanh(200 * (x - mpmath.mpf("0.3")))), [0, 0.25, 0.3, 0.35, 1])
    assert float(single(lambda x: (200 * (x - 0.3)).tanh().exp(), 0.0, 1.0)) == pytest.approx(float(exact), rel=1e-13)

"""Noise from Brownian paths: its law, and that it depends on the path alone."""

import math
import re
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from deis import BrownianNoise, Draw, ProbabilityFlowODE, SampleNoise, Stochastic, VPLinear, make_grid, solve
from deis.errors import ArgumentError


def draw(noise, *span, shape=(1, 4000), dtype=torch.float64, number=0):
    return noise(Draw(number, span), torch.zeros(shape, dtype=dtype))


def length(span):
    return math.exp(span[1]) - math.exp(span[0])


@pytest.mark.parametrize(
    "span", [(0.0, 1.0), (-1.0, -3.0), (-9.0, 12.0), (5.0, 5.001), (200.0, 190.0), (-2000.0, 2000.0)]
)
def test_an_increment_over_the_root_of_its_length_is_standard_normal(span):
    values = draw(BrownianNoise([1]), *span, shape=(1, 20_000)).numpy().ravel()
    assert kstest(values, "norm").pvalue > 0.01
    assert values.mean() == pytest.approx(0, abs=3 / math.sqrt(20_000))
    assert values.var() == pytest.approx(1, abs=3 * math.sqrt(2 / 20_000))


def test_increments_of_stretches_side_by_side_are_independent():
    cuts = [-3.0, -1.5, -1.49, 0.0, 0.7, 4.0]
    parts = [draw(BrownianNoise([2]), *span).ravel() for span in pairwise(cuts)]
    for a, b in combinations(parts, 2):
        assert abs(float((a * b).mean())) < 3.5 / math.sqrt(4000)


def test_increments_of_stretches_that_overlap_have_the_covariance_of_the_overlap():
    a, b = (draw(BrownianNoise([3]), *span).ravel() for span in [(0.0, 1.5), (1.0, 2.0)])
    expected = length((1.0, 1.5)) / math.sqrt(length((0.0, 1.5)) * length((1.0, 2.0)))
    assert float((a * b).mean()) == pytest.approx(expected, abs=3 * math.sqrt((1 + expected**2) / 4000))


@pytest.mark.parametrize("count", [2, 3, 7, 16])
def test_the_increments_of_parts_add_up_to_that_of_the_whole(count):
    noise, ends = BrownianNoise([4]), (-1.3, 2.2)
    cuts = np.linspace(*ends, count + 1)
    parts = sum(math.sqrt(length(span)) * draw(noise, *span) for span in pairwise(cuts))
    torch.testing.assert_close(parts, math.sqrt(length(ends)) * draw(noise, *ends), rtol=0, atol=1e-6)


def test_an_increment_backwards_is_the_negative():
    noise = BrownianNoise([5])
    assert torch.equal(draw(noise, 0.3, 0.9), -draw(noise, 0.9, 0.3))


def test_the_number_of_the_draw_does_not_matter():
    noise = BrownianNoise([6])
    assert torch.equal(draw(noise, 0.0, 1.0, number=0), draw(noise, 0.0, 1.0, number=17))


def test_a_sample_does_not_depend_on_its_batch():
    batch = draw(BrownianNoise([8, 7, 9]), 0.0, 1.0, shape=(3, 2, 5))
    assert torch.equal(batch[1:2], draw(BrownianNoise([7]), 0.0, 1.0, shape=(1, 2, 5)))


def test_samples_and_their_start_are_independent():
    noise = BrownianNoise([10, 11])
    a, b = draw(noise, 0.0, 1.0, shape=(2, 4000))
    first = noise.initial((4000,), torch.float64)
    assert torch.equal(first, SampleNoise([10, 11]).initial((4000,), torch.float64))
    for pair in [(a, b), (a, first[0]), (a, first[1])]:
        assert abs(float((pair[0] * pair[1]).mean())) < 3.5 / math.sqrt(4000)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.complex64], ids=str)
def test_the_precision_only_rounds(dtype):
    wide = draw(BrownianNoise([12]), 0.0, 1.0, shape=(1, 6))
    value = draw(BrownianNoise([12]), 0.0, 1.0, shape=(1, 6), dtype=dtype)
    assert value.dtype == dtype
    assert torch.equal(value, wide.to(dtype))


def test_a_draw_without_a_span_is_that_of_the_sample():
    x = torch.zeros(2, 3)
    assert torch.equal(BrownianNoise([1, 2])(Draw(5), x), SampleNoise([1, 2])(Draw(5), x))


@pytest.mark.parametrize(
    ("span", "message"),
    [
        ((0.5, 0.5), "span must be longer than 1.5e-08, got (0.5, 0.5)"),
        ((0.5, 0.5 + 1e-12), "span must be longer than 1.5e-08"),
        ((0.0, 5000.0), "span must lie between the log times -2048 and 2048, got 5000.0"),
        ((math.nan, 1.0), "span must lie between the log times"),
        ((-math.inf, 1.0), "span must lie between the log times"),
    ],
    ids=str,
)
def test_bad_spans(span, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        draw(BrownianNoise([1]), *span)


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ([], "at least one seed"),
        ([-1], "whole numbers from 0"),
        ([2**63], "whole numbers from 0"),
        (3, "must be a row"),
    ],
    ids=str,
)
def test_bad_seeds(seeds, message):
    with pytest.raises(ArgumentError, match=message):
        BrownianNoise(seeds)


def test_it_needs_one_sample_a_seed():
    with pytest.raises(ArgumentError, match="must hold 2 samples, one a seed"):
        draw(BrownianNoise([1, 2]), 0.0, 1.0, shape=(3, 4))


@pytest.mark.parametrize("splitting", ["eps", "x0"])
def test_the_noise_that_a_state_gathers_does_not_depend_on_the_number_of_steps(splitting):
    # N = 0: what is left of the reverse SDE is its linear part and its noise, which any grid has exactly
    ode = ProbabilityFlowODE(VPLinear(), lambda x, t: torch.zeros_like(x), predicts=splitting, splitting=splitting)
    noise, x0 = BrownianNoise([20, 21]), torch.ones(2, 3, dtype=torch.float64)
    method = Stochastic("dpmpp-2m" if splitting == "x0" else "rhoab1", 0.8)
    ends = [solve(ode, x0, make_grid("t2")(ode, n), method, noise=noise).x for n in (1, 4, 11)]
    for end in ends[1:]:
        torch.testing.assert_close(end, ends[0], rtol=1e-5, atol=1e-6)

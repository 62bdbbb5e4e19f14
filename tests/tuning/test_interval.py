import math

import numpy as np
import pytest
import torch
from scipy.stats import gmean, norm, sem

from deis.tuning.interval import Interval, ratio, typical

ERRORS = torch.tensor([0.11, 2.3, 0.7, 0.052, 1.9, 0.33, 4.1], dtype=torch.float64)
OTHERS = torch.tensor([0.2, 2.1, 0.9, 0.1, 1.7, 0.4, 5.0], dtype=torch.float64)


def by_scipy(errors):
    """Geometric mean, with the normal 95 % interval of the mean logarithm."""
    logs = np.log(errors.numpy())
    return gmean(errors.numpy()), *np.exp(norm.interval(0.95, logs.mean(), sem(logs)))


def test_a_typical_error_is_the_geometric_mean_with_the_interval_of_the_mean_logarithm():
    found = typical(ERRORS)
    assert (found.value, found.low, found.high) == pytest.approx(by_scipy(ERRORS), rel=1e-4)
    assert found.value == pytest.approx(gmean(ERRORS.numpy()), rel=1e-13)


def test_a_ratio_is_that_of_the_same_samples():
    found = ratio(ERRORS, OTHERS)
    assert (found.value, found.low, found.high) == pytest.approx(by_scipy(ERRORS / OTHERS), rel=1e-4)
    assert found.value == pytest.approx(typical(ERRORS).value / typical(OTHERS).value, rel=1e-13)
    shuffled = ratio(ERRORS, OTHERS.flip(0))
    assert shuffled.high / shuffled.low > 3 * found.high / found.low  # the common difficulty does not drop out


def test_the_ratio_of_errors_to_themselves_is_exactly_1():
    assert ratio(ERRORS, ERRORS) == Interval(1.0, 1.0, 1.0)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    generator = torch.Generator().manual_seed(0)
    trials = [torch.randn(40, generator=generator, dtype=torch.float64).exp() for _ in range(2000)]
    covered = [found.low < 1 < found.high for found in map(typical, trials)]
    assert 0.93 < sum(covered) / len(covered) < 0.96


def test_one_sample_tells_nothing_of_chance():
    found = typical(torch.tensor([0.5], dtype=torch.float64))
    assert (found.value, found.low, found.high) == (0.5, 0.0, math.inf)


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_a_sample_that_is_lost_makes_all_infinite(bad):
    assert typical(torch.tensor([0.5, bad, 1.0])) == Interval(math.inf, math.inf, math.inf)
    assert ratio(torch.tensor([0.5, bad]), torch.tensor([1.0, 1.0])).value == math.inf


def test_a_wide_interval_does_not_overflow():
    found = typical(torch.tensor([1e-300, 1e300], dtype=torch.float64))
    assert (found.value, found.low, found.high) == (pytest.approx(1.0), 0.0, math.inf)


def test_it_reads_as_a_number_with_its_interval():
    assert str(Interval(0.51234, 0.4, 0.6543)) == "0.512 (0.4 to 0.654)"

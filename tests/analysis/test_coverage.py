import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deis import ArgumentError
from deis.analysis import density_coverage, precision_recall

MEASURES = [precision_recall, density_coverage]


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def radius(points, i, k):
    return sorted(math.dist(points[i], p) for j, p in enumerate(points) if j != i)[k - 1]


def by_definition(real, generated, k):
    """Precision, recall, density and coverage, ball by ball."""
    real, generated = real.tolist(), generated.tolist()
    near_real = np.array([[math.dist(x, y) <= radius(real, i, k) for y in generated] for i, x in enumerate(real)])
    near_own = np.array([[math.dist(x, y) <= radius(generated, j, k) for x in real] for j, y in enumerate(generated)])
    return near_real.any(0).mean(), near_own.any(0).mean(), near_real.sum(0).mean() / k, near_real.any(1).mean()


@given(st.integers(0, 2**20), st.integers(1, 5), st.integers(6, 12), st.integers(6, 12))
def test_measures_follow_their_definitions(seed, k, n, m):
    real, generated = normal(n, 2, seed=seed), 0.7 * normal(m, 2, seed=seed + 1) + 0.5
    precision, recall, density, coverage = by_definition(real, generated, k)
    assert precision_recall(real, generated, k) == pytest.approx((precision, recall), rel=1e-12)
    assert density_coverage(real, generated, k) == pytest.approx((density, coverage), rel=1e-12)


def test_a_set_covers_itself():
    x = normal(50, 4)
    assert precision_recall(x, x.flip(0)) == (1.0, 1.0)
    # every ball holds its centre and the k samples that it reaches to
    assert density_coverage(x, x.flip(0), k=5) == ((5 + 1) / 5, 1.0)


@pytest.mark.parametrize("measure", MEASURES)
def test_sets_far_apart_cover_nothing(measure):
    x = normal(50, 4)
    assert measure(x, x + 100) == (0.0, 0.0)


def test_copies_of_one_sample_cover_themselves():
    x = torch.full((8, 3), 0.1) + 1e6
    assert precision_recall(x, x) == (1.0, 1.0)


def test_a_lost_mode_costs_recall_and_coverage_only():
    modes = torch.tensor([[0.0, 0.0], [50.0, 0.0]]).repeat(200, 1)
    real, generated = normal(400, 2) + modes, normal(200, 2, seed=1)
    precision, recall = precision_recall(real, generated)
    density, coverage = density_coverage(real, generated)
    assert precision > 0.9
    assert density == pytest.approx(1.0, abs=0.15)  # more samples in the balls of fewer modes
    assert 0.4 < recall <= 0.5
    assert 0.4 < coverage <= 0.5


def test_outliers_of_the_model_cost_precision_and_density_only():
    real, generated = normal(200, 2), torch.cat([normal(200, 2, seed=1), normal(200, 2, seed=2) + 50])
    precision, recall = precision_recall(real, generated)
    density, coverage = density_coverage(real, generated)
    assert 0.4 < precision <= 0.5
    assert density == pytest.approx(0.5, abs=0.1)
    assert recall > 0.9
    assert coverage > 0.9


def test_an_outlier_of_the_data_blinds_precision_but_not_density():
    real = torch.cat([normal(100, 2), torch.tensor([[1000.0, 0.0]])])  # its ball holds all of x > 3
    generated = normal(100, 2, seed=1) + torch.tensor([20.0, 0.0])
    assert precision_recall(real, generated)[0] == 1.0
    assert density_coverage(real, generated)[0] == pytest.approx(1 / 5)


@pytest.mark.parametrize(("n", "m", "k"), [(30, 20, 5), (20, 40, 3), (12, 12, 1)])
def test_equal_distributions_have_the_density_and_coverage_of_the_paper(n, m, k):
    repeats = 400
    found = torch.tensor(
        [density_coverage(normal(n, 2, seed=2 * i), normal(m, 2, seed=2 * i + 1), k) for i in range(repeats)]
    )
    # lemma 2: no ball is covered whose k nearest among n - 1 real and m generated samples are all real
    covered = 1 - math.prod((n - i) / (n + m - i) for i in range(1, k + 1))
    error = 3 * found.std(0) / math.sqrt(repeats)
    assert float(found[:, 0].mean()) == pytest.approx(1.0, abs=float(error[0]))
    assert float(found[:, 1].mean()) == pytest.approx(covered, abs=float(error[1]))


@pytest.mark.parametrize("measure", MEASURES)
@given(st.integers(0, 2**20), st.floats(-50, 50), st.floats(0.1, 10))
def test_measures_know_no_order_origin_direction_and_unit(measure, seed, shift, scale):
    real, generated = normal(15, 3, seed=seed), normal(11, 3, seed=seed + 1) + 0.5
    turn = torch.linalg.qr(normal(3, 3, seed=seed)).Q
    order = torch.randperm(11, generator=torch.Generator().manual_seed(seed))
    expected = measure(real, generated)
    assert measure(real.flip(0), generated[order]) == expected
    assert measure(scale * real @ turn + shift, scale * generated @ turn + shift) == expected


@given(st.integers(0, 2**20))
def test_precision_is_the_recall_of_the_sets_exchanged(seed):
    real, generated = normal(15, 2, seed=seed), normal(11, 2, seed=seed + 1) + 0.5
    assert precision_recall(real, generated) == precision_recall(generated, real)[::-1]


@pytest.mark.parametrize("measure", MEASURES)
def test_more_neighbours_make_larger_balls(measure):
    real, generated = normal(60, 3), normal(50, 3, seed=1) + 0.5
    second = [measure(real, generated, k)[1] for k in (1, 3, 10, 49)]
    assert second == sorted(second)
    assert second[0] < second[-1]


@pytest.mark.parametrize("measure", MEASURES)
def test_blocks_do_not_change_a_measure(measure, monkeypatch):
    real, generated = normal(30, 2), normal(20, 2, seed=1)
    expected = measure(real, generated)
    monkeypatch.setattr("deis.analysis.distances._ENTRIES", 50)
    assert measure(real, generated) == expected


@pytest.mark.parametrize("measure", MEASURES)
def test_images_are_flattened(measure):
    real, generated = normal(30, 1, 2, 2), normal(20, 1, 2, 2, seed=1).requires_grad_()
    assert measure(real, generated) == measure(real.flatten(1), generated.detach().flatten(1))


def test_density_and_coverage_need_one_generated_sample_only():
    assert density_coverage(torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([[0.5]]), k=1) == (2.0, 2 / 3)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("k", [0, -1, 2.0, True, None])
def test_neighbours_are_counted_from_one(measure, k):
    with pytest.raises(ArgumentError, match="k must be a whole number of at least 1"):
        measure(normal(9, 2), normal(9, 2), k)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("k", [4, 9])
def test_more_neighbours_than_samples_are_refused(measure, k):
    with pytest.raises(ArgumentError, match=f"k must be below 4, the number of real samples, got {k}; take more"):
        measure(normal(4, 2), normal(20, 2), k)


def test_recall_needs_more_generated_samples_than_neighbours():
    with pytest.raises(ArgumentError, match="k must be below 3, the number of generated samples, got 3"):
        precision_recall(normal(20, 2), normal(3, 2))


@pytest.mark.parametrize("measure", MEASURES)
def test_sets_that_do_not_fit_together_are_refused(measure):
    with pytest.raises(ArgumentError, match="generated must have 2 features a sample, as real has, got 3"):
        measure(normal(9, 2), normal(9, 3))
    with pytest.raises(ArgumentError, match="real must have shape"):
        measure(normal(9), normal(9, 3))
    with pytest.raises(ArgumentError, match=r"generated must be finite in every sample \(9 of 9 are not\)"):
        measure(normal(9, 2), normal(9, 2) * math.nan)

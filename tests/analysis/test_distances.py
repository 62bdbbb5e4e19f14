import math

import numpy as np
import pytest
import scipy
import torch
from hypothesis import given
from hypothesis import strategies as st

from deis import ArgumentError
from deis.analysis import frechet_distance, mmd, sliced_wasserstein
from deis.analysis.distances import distance_blocks

DISTANCES = [frechet_distance, sliced_wasserstein, mmd]


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def exact_normal(mean, root, count=400):
    """Points whose sample mean is ``mean`` and whose sample covariance is ``root root^T``, exactly."""
    x = normal(count, len(mean), seed=count)
    x -= x.mean(0)
    own = torch.linalg.cholesky(x.T @ x / (count - 1))
    white = torch.linalg.solve_triangular(own, x.T, upper=False).T
    return white @ root.T + mean


def diagonal(*deviations):
    return torch.diag(torch.tensor(deviations, dtype=torch.float64))


def rotation(size, seed=1):
    return torch.linalg.qr(normal(size, size, seed=seed)).Q


def frechet_by_sqrtm(a, b):
    """The textbook formula, tr (C_a C_b)^{1/2}, by the Schur method of scipy."""
    a, b = a.numpy(), b.numpy()
    first, second = np.atleast_2d(np.cov(a.T)), np.atleast_2d(np.cov(b.T))
    cross = scipy.linalg.sqrtm(first @ second).real.trace()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + first.trace() + second.trace() - 2 * cross)


def test_frechet_distance_of_normals_with_commuting_covariances():
    a = exact_normal(torch.tensor([0.0, 1.0, 2.0]), diagonal(1, 2, 3))
    b = exact_normal(torch.tensor([3.0, 1.0, 2.0]), diagonal(2, 2, 1), 300)
    assert frechet_distance(a, b) == pytest.approx(9 + 1 + 0 + 4, rel=1e-12)


def test_frechet_distance_of_normals_with_rotated_covariances():
    first, second = diagonal(2, 1), rotation(2) @ diagonal(3, 0.5)
    product = first @ first.T @ second @ second.T
    # for 2 by 2 matrices tr (AB)^{1/2} = sqrt(tr AB + 2 sqrt(det AB))
    cross = math.sqrt(float(product.trace()) + 2 * math.sqrt(float(product.det())))
    a, b = exact_normal(torch.zeros(2), first), exact_normal(torch.zeros(2), second, 50)
    assert frechet_distance(a, b) == pytest.approx(4 + 1 + 9 + 0.25 - 2 * cross, rel=1e-12)


@pytest.mark.parametrize("size", [1, 2, 7, 30])
def test_frechet_distance_agrees_with_scipy(size):
    a, b = normal(80, size) @ normal(size, size, seed=1), normal(120, size, seed=2) @ normal(size, size, seed=3) + 1
    assert frechet_distance(a, b) == pytest.approx(frechet_by_sqrtm(a, b))


def test_frechet_distance_of_singular_covariances_keeps_all_digits():
    turn = rotation(4)  # in which all covariances are diagonal
    a = exact_normal(torch.zeros(4), turn @ diagonal(1, 2, 0, 0))
    b = exact_normal(torch.zeros(4), turn @ diagonal(2, 0, 3, 0))
    assert frechet_distance(a, b) == pytest.approx(1 + 4 + 9 + 0, rel=1e-12)


def test_frechet_distance_of_singular_covariances_agrees_with_scipy():
    a, b = normal(90, 3) @ normal(3, 6, seed=1), normal(70, 4, seed=2) @ normal(4, 6, seed=3)
    assert frechet_distance(a, b) == pytest.approx(frechet_by_sqrtm(a, b), rel=1e-6)


def test_frechet_distance_bears_features_that_never_change():
    a = torch.cat([torch.randn(60, 3, generator=torch.Generator().manual_seed(1)), torch.zeros(60, 2)], dim=1)
    assert frechet_distance(a, a + 1) == pytest.approx(5, rel=1e-6)


def test_frechet_distance_of_nearly_equal_sets_keeps_its_digits():
    a = exact_normal(torch.zeros(3), rotation(3) @ diagonal(1, 2, 3))
    assert frechet_distance(a, a) < 1e-25
    assert frechet_distance(a, a * (1 + 1e-9)) == pytest.approx(14e-18, rel=1e-4)


@pytest.mark.parametrize("count", [1, 7, 8])
def test_frechet_distance_needs_more_samples_than_features(count):
    with pytest.raises(ArgumentError, match=f"features_b must hold more samples than its 8 features, got {count}"):
        frechet_distance(torch.randn(60, 8), torch.randn(count, 8))


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**20))
def test_sliced_wasserstein_on_a_line_is_exact_for_all_sizes(n, m, seed):
    a, b = normal(n, 1, seed=seed), 3 * normal(m, 1, seed=seed + 1)
    # in m copies of each of a and n copies of each of b the optimal plan pairs equal ranks
    pairs = np.sort(np.repeat(a.numpy(), m)) - np.sort(np.repeat(b.numpy(), n))
    assert sliced_wasserstein(a, b, projections=3) == pytest.approx(np.sqrt(np.mean(pairs**2)), rel=1e-12)


@pytest.mark.parametrize(("n", "m"), [(20_000, 20_000), (20_000, 13_001)])
def test_sliced_wasserstein_of_normals_on_a_line_meets_the_closed_form(n, m):
    # at the midpoints of equal slices of probability an infinite sample has its quantiles
    first, second = (
        torch.special.ndtri((torch.arange(k, dtype=torch.float64) + 0.5) / k)[:, None] * s + mean
        for k, s, mean in ((n, 1.0, 2.0), (m, 3.0, -1.0))
    )
    assert sliced_wasserstein(first, second) ** 2 == pytest.approx(3**2 + 2**2, rel=1e-3)


def test_sliced_wasserstein_of_normals_in_the_plane_is_the_mean_of_closed_forms():
    mean, first, second = torch.tensor([1.0, -0.5]), diagonal(1, 0.5), rotation(2) @ diagonal(2, 0.2)
    a, b = exact_normal(torch.zeros(2), first, 4000), exact_normal(mean, second, 3999)
    angles = torch.arange(256, dtype=torch.float64) * math.pi / 256
    line = torch.stack([angles.cos(), angles.sin()], dim=1)
    squares = (line @ mean.double()) ** 2 + ((line @ first).norm(dim=1) - (line @ second).norm(dim=1)) ** 2
    # the mean of 1024 directions has a standard error of std / 32
    error = 3 * float(squares.std()) / 32 + 0.01
    assert sliced_wasserstein(a, b, projections=1024) ** 2 == pytest.approx(float(squares.mean()), abs=error)


@pytest.mark.parametrize("size", [1, 2, 16])
def test_sliced_wasserstein_spreads_a_shift_over_the_dimensions(size):
    a, shift = normal(10, size), torch.full((size,), 2.0)
    # (direction . v)^2 / |v|^2 is Beta(1/2, (d-1)/2) distributed: its mean is 1 / d and its variance below 2 / d^2
    squared = sliced_wasserstein(a, a + shift, projections=2000) ** 2
    assert squared / (4 * size) == pytest.approx(1 / size, abs=1e-12 if size == 1 else 4 * math.sqrt(2 / 2000) / size)


def test_sliced_wasserstein_follows_its_seed_and_no_other():
    a, b = normal(20, 3), normal(30, 3, seed=1)
    state = torch.get_rng_state()
    first = sliced_wasserstein(a, b, projections=4)
    assert torch.equal(torch.get_rng_state(), state)
    assert first == sliced_wasserstein(a, b, projections=4) == sliced_wasserstein(a, b, projections=4, seed=0)
    assert first != sliced_wasserstein(a, b, projections=4, seed=1)


def expected_kernel(shift, covariance, bandwidth):
    """E exp(-|z|^2 / (2 w^2)) for z ~ N(shift, covariance)."""
    wide = covariance / bandwidth**2 + torch.eye(len(shift), dtype=torch.float64)
    return float((-shift @ torch.linalg.solve(wide, shift) / (2 * bandwidth**2)).exp() / wide.det().sqrt())


@pytest.mark.parametrize("bandwidth", [0.5, 2.0])
def test_mmd_of_normals_is_the_closed_form_on_average(bandwidth):
    shift, first, second = torch.tensor([0.7, 0.2]).double(), diagonal(1, 0.5), rotation(2) @ diagonal(1.5, 0.3)
    p, q = first @ first.T, second @ second.T
    zero = torch.zeros(2, dtype=torch.float64)
    own = expected_kernel(zero, 2 * p, bandwidth) + expected_kernel(zero, 2 * q, bandwidth)
    exact = own - 2 * expected_kernel(shift, p + q, bandwidth)
    found = torch.tensor(
        [
            mmd(normal(9, 2, seed=n) @ first.T, normal(7, 2, seed=-n) @ second.T + shift, bandwidth=bandwidth)
            for n in range(1, 1001)
        ]
    )
    assert float(found.mean()) == pytest.approx(exact, abs=3 * float(found.std()) / math.sqrt(1000))


def test_mmd_is_a_sum_over_pairs_of_different_samples():
    a, b, width = normal(6, 3), normal(9, 3, seed=1), 1.3

    def kernel(x, y):
        return math.exp(-float(((x - y) ** 2).sum()) / (2 * width**2))

    def mean_of_pairs(x):
        return np.mean([kernel(p, q) for i, p in enumerate(x) for j, q in enumerate(x) if i != j])

    expected = mean_of_pairs(a) + mean_of_pairs(b) - 2 * np.mean([kernel(p, q) for p in a for q in b])
    assert mmd(a, b, bandwidth=width) == pytest.approx(expected, rel=1e-12)


def test_mmd_takes_the_median_distance_of_both_sets_together():
    a, b = normal(30, 3), normal(21, 3, seed=1) + 1
    median = np.median(scipy.spatial.distance.pdist(torch.cat([a, b]).numpy()))
    assert mmd(a, b) == pytest.approx(mmd(a, b, bandwidth=float(median)), rel=1e-12)


def test_mmd_of_many_samples_takes_the_median_of_some_in_proportion():
    a, b = normal(3000, 1).sort(dim=0).values, normal(1500, 1, seed=1).sort(dim=0).values + 2
    median = np.median(scipy.spatial.distance.pdist(torch.cat([a, b]).numpy()))
    assert mmd(a, b) == pytest.approx(mmd(a, b, bandwidth=float(median)), rel=1e-2)


def test_mmd_asks_for_a_bandwidth_where_samples_are_equal():
    a = torch.zeros(5, 2)
    with pytest.raises(ArgumentError, match="bandwidth must be given where most samples are equal"):
        mmd(a, a)
    assert mmd(a, a, bandwidth=1.0) == 0.0


@pytest.mark.parametrize("bandwidth", [0, -1.0, math.nan, math.inf, "median", True])
def test_mmd_refuses_other_bandwidths(bandwidth):
    with pytest.raises(ArgumentError, match="bandwidth must be a number above 0"):
        mmd(normal(5, 2), normal(5, 2), bandwidth=bandwidth)


def test_mmd_needs_two_samples_of_each():
    with pytest.raises(ArgumentError, match="b must hold at least 2 samples, got 1"):
        mmd(normal(5, 2), normal(1, 2))


@pytest.mark.parametrize("distance", DISTANCES)
@given(st.integers(0, 2**20), st.floats(-50, 50), st.floats(0.1, 10))
def test_distances_know_no_order_and_no_origin_and_scale(distance, seed, shift, scale):
    a, b = normal(12, 3, seed=seed), normal(17, 3, seed=seed + 1) * 0.5 + 1
    expected = distance(a, b)
    turned = distance(a[torch.randperm(12, generator=torch.Generator().manual_seed(seed))], b.flip(0))
    assert turned == pytest.approx(expected, rel=1e-10)
    assert distance(b, a) == pytest.approx(expected, rel=1e-10)
    assert distance(a + shift, b + shift) == pytest.approx(expected, rel=1e-8)
    power = {frechet_distance: 2, sliced_wasserstein: 1, mmd: 0}[distance]
    assert distance(scale * a, scale * b) == pytest.approx(scale**power * expected, rel=1e-8)


@pytest.mark.parametrize(("distance", "options"), [(frechet_distance, {}), (mmd, {}), (mmd, {"bandwidth": 0.7})])
@given(st.integers(0, 2**20))
def test_distances_know_no_directions(distance, options, seed):
    a, b, turn = normal(12, 3, seed=seed), normal(17, 3, seed=seed + 1) * 0.5 + 1, rotation(3, seed)
    assert distance(a @ turn, b @ turn, **options) == pytest.approx(distance(a, b, **options), rel=1e-8)


@pytest.mark.parametrize("distance", [frechet_distance, sliced_wasserstein])
def test_a_set_is_at_distance_zero_of_itself(distance):
    a = normal(20, 3)
    assert distance(a, a.flip(0)) == pytest.approx(0, abs=1e-13)


@pytest.mark.parametrize("distance", DISTANCES)
def test_samples_of_any_shape_and_precision_are_flattened_to_float64(distance):
    a, b = normal(20, 1, 2, 2).float(), normal(15, 1, 2, 2, seed=1).float().requires_grad_()
    assert distance(a, b) == distance(a.double().flatten(1), b.detach().double().flatten(1))


@pytest.mark.parametrize(("distance", "options"), [(sliced_wasserstein, {}), (mmd, {"bandwidth": 1.0})])
@pytest.mark.parametrize("entries", [1, 50])
def test_blocks_do_not_change_a_distance(distance, options, entries, monkeypatch):
    a, b = normal(13, 2), normal(20, 2, seed=1)
    expected = distance(a, b, **options)
    monkeypatch.setattr("deis.analysis.distances._ENTRIES", entries)
    assert distance(a, b, **options) == pytest.approx(expected, rel=1e-12)


def test_blocks_are_bounded_and_hold_every_distance():
    a, b = normal(3000, 2), normal(2000, 2, seed=1)
    blocks = list(distance_blocks(a, b))
    assert max(block.numel() for block in blocks) <= 2**22
    assert torch.allclose(torch.cat(blocks), (a[:, None] - b).norm(dim=2), rtol=1e-13)


def test_equal_samples_are_at_distance_zero_however_far_out():
    a = normal(40, 300) + 1e8
    (block,) = distance_blocks(a, a)
    assert torch.equal(block.diagonal(), torch.zeros(40, dtype=torch.float64))


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((20, 3)), "a must be a tensor, got 'ndarray'; pass torch.as_tensor"),
        (torch.zeros(20), r"a must have shape \(samples, features\) .* got \(20,\)"),
        (torch.zeros(0, 3), r"a must have shape .* at least one of each, got \(0, 3\)"),
        (torch.zeros(20, 0), r"a must have shape .* got \(20, 0\)"),
        (torch.zeros(20, 3, dtype=torch.complex64), "a must be real, got torch.complex64"),
        (
            torch.zeros(20, 3).index_fill(0, torch.tensor([4, 9]), math.nan),
            r"a must be finite .* \(2 of 20 are not\), got nan",
        ),
        (torch.full((20, 3), math.inf), r"a must be finite in every sample \(20 of 20 are not\), got inf"),
    ],
)
def test_what_is_no_set_of_samples_is_refused(distance, values, message):
    with pytest.raises(ArgumentError, match=message):
        distance(values, normal(20, 3))


@pytest.mark.parametrize("distance", DISTANCES)
def test_sets_of_different_widths_are_refused(distance):
    with pytest.raises(ArgumentError, match=r"b must have 3 features a sample, as .*a has, got 4"):
        distance(normal(20, 3), normal(20, 4))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"projections": 0}, "projections must be a whole number of at least 1, got 0"),
        ({"projections": 2.0}, "projections must be a whole number"),
        ({"seed": -1}, "seed must be a whole number from 0 to"),
        ({"seed": 2**63}, "seed must be a whole number from 0 to"),
        ({"seed": None}, "seed must be a whole number"),
    ],
)
def test_sliced_wasserstein_refuses_other_options(options, message):
    with pytest.raises(ArgumentError, match=message):
        sliced_wasserstein(normal(5, 2), normal(5, 2), **options)

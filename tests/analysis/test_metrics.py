import math

import pytest
import torch

from deis import ArgumentError
from deis.analysis import frechet_distance, geometric_mean_rmse, rmse


def exact_normal(mean, covariance, count=400):
    """Points whose sample mean and covariance are exactly those given."""
    x = torch.randn(count, len(mean), dtype=torch.float64, generator=torch.Generator().manual_seed(count))
    x -= x.mean(0)
    own = torch.linalg.cholesky(x.T @ x / (count - 1))
    white = torch.linalg.solve_triangular(own, x.T, upper=False).T
    return white @ torch.linalg.cholesky(covariance).T + mean


def rotation(angle):
    c, s = math.cos(angle), math.sin(angle)
    return torch.tensor([[c, -s], [s, c]], dtype=torch.float64)


def test_rmse_averages_over_all_entries():
    x = torch.zeros(2, 3, 4)
    x[0, 0, 0] = 2.0
    assert rmse(x, torch.zeros_like(x)) == pytest.approx(2 / math.sqrt(24))


def test_rmse_of_float32_is_computed_in_float64():
    assert rmse(torch.full((4,), 1e-30), torch.zeros(4)) == pytest.approx(1e-30)


def test_geometric_mean_is_over_samples_and_not_over_entries():
    x = torch.tensor([[1.0, 7.0], [0.02, 0.02]])
    assert geometric_mean_rmse(x, torch.zeros_like(x)) == pytest.approx(math.sqrt(5 * 0.02))


def test_a_sample_without_error_makes_the_geometric_mean_zero():
    assert geometric_mean_rmse(torch.tensor([[0.0], [1.0]]), torch.zeros(2, 1)) == 0.0


@pytest.mark.parametrize("measure", [rmse, geometric_mean_rmse])
def test_shapes_that_would_broadcast_are_refused(measure):
    with pytest.raises(ArgumentError, match=r"reference's shape \(2, 1\), got \(2, 3\)"):
        measure(torch.zeros(2, 3), torch.zeros(2, 1))


def test_geometric_mean_needs_samples():
    with pytest.raises(ArgumentError, match="first axis of samples"):
        geometric_mean_rmse(torch.tensor(1.0), torch.tensor(0.0))


def test_frechet_distance_of_normals_with_commuting_covariances():
    a = exact_normal(torch.tensor([0.0, 1.0, 2.0]), torch.diag(torch.tensor([1.0, 4.0, 9.0], dtype=torch.float64)))
    b = exact_normal(torch.tensor([3.0, 1.0, 2.0]), torch.diag(torch.tensor([4.0, 4.0, 1.0], dtype=torch.float64)), 300)
    assert frechet_distance(a, b) == pytest.approx(9 + 1 + 0 + 4, rel=1e-12)


def test_frechet_distance_of_normals_with_rotated_covariances():
    first = torch.diag(torch.tensor([4.0, 1.0], dtype=torch.float64))
    second = rotation(0.7) @ torch.diag(torch.tensor([9.0, 0.25], dtype=torch.float64)) @ rotation(0.7).T
    # for 2 by 2 matrices tr (AB)^{1/2} = sqrt(tr AB + 2 sqrt(det AB))
    cross = math.sqrt(float((first @ second).trace()) + 2 * math.sqrt(float((first @ second).det())))
    expected = float(first.trace() + second.trace()) - 2 * cross
    mean = torch.zeros(2)
    assert frechet_distance(exact_normal(mean, first), exact_normal(mean, second, 50)) == pytest.approx(expected)


def test_frechet_distance_is_symmetric_and_zero_for_equals():
    a, b = (torch.randn(60, 8, generator=torch.Generator().manual_seed(n)) for n in (1, 2))
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-10)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-10)


def test_frechet_distance_bears_features_that_never_change():
    a = torch.cat([torch.randn(60, 3, generator=torch.Generator().manual_seed(1)), torch.zeros(60, 2)], dim=1)
    assert frechet_distance(a, a + 1) == pytest.approx(5, rel=1e-6)


@pytest.mark.parametrize("count", [1, 7, 8])
def test_frechet_distance_needs_more_samples_than_features(count):
    with pytest.raises(ArgumentError, match=f"features_b must hold more samples than its 8 features, got {count}"):
        frechet_distance(torch.randn(60, 8), torch.randn(count, 8))


def test_frechet_distance_refuses_features_of_other_shapes():
    with pytest.raises(ArgumentError, match="features_b must have 3 features"):
        frechet_distance(torch.randn(60, 3), torch.randn(60, 4))
    with pytest.raises(ArgumentError, match="features_a must have shape"):
        frechet_distance(torch.randn(60), torch.randn(60, 4))

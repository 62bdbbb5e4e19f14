"""How far samples lie from a reference, and a set of samples from another; everything in float64."""

import torch
from torch import Tensor

from deis.errors import ArgumentError


def rmse(x: Tensor, reference: Tensor) -> float:
    """Root of the mean squared difference of all entries.

    :raises ArgumentError: if the shapes differ.

    >>> rmse(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
    1.4142135623730951
    """
    return float(_squares(x, reference).mean().sqrt())


def geometric_mean_rmse(x: Tensor, reference: Tensor) -> float:
    """Geometric mean over the samples of the RMSE of each: a typical error, which no single sample can dominate.

    :param x: shape (B, ...).
    :param reference: shape (B, ...).
    :raises ArgumentError: if the shapes differ, or there is no axis of samples.

    >>> geometric_mean_rmse(torch.tensor([[0.25], [4.0]]), torch.zeros(2, 1))
    1.0
    """
    squares = _squares(x, reference)
    if squares.dim() < 1:
        raise ArgumentError("x", "must have a first axis of samples", tuple(x.shape))
    return float((squares.reshape(len(squares), -1).mean(1).log().mean() / 2).exp())


def frechet_distance(features_a: Tensor, features_b: Tensor) -> float:
    """Squared Wasserstein-2 distance of the normal distributions that have the sample means and covariances.

    |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a^{1/2} C_b C_a^{1/2})^{1/2}): the form of arXiv 1706.08500, eq. 6, whose roots
    are of symmetric matrices.

    :param features_a: shape (n, d).
    :param features_b: shape (m, d).
    :raises ArgumentError: if the widths differ, or there are not more samples than features (singular covariances).

    >>> x = torch.tensor([[-1.0], [0.0], [1.0]])
    >>> frechet_distance(x, 2 * x + 3)  # (3 - 0)^2 + (2 - 1)^2
    10.0
    """
    a, b = _features(features_a, "features_a"), _features(features_b, "features_b")
    if a.shape[1] != b.shape[1]:
        raise ArgumentError("features_b", f"must have {a.shape[1]} features, as features_a has", b.shape[1])
    root = _root(_covariance(a))
    cross = torch.linalg.eigvalsh(root @ _covariance(b) @ root).clamp(min=0).sqrt().sum()
    spread = _covariance(a).trace() + _covariance(b).trace() - 2 * cross
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + spread.clamp(min=0))


def _squares(x: Tensor, reference: Tensor) -> Tensor:
    if x.shape != reference.shape:
        raise ArgumentError("x", f"must have the reference's shape {tuple(reference.shape)}", tuple(x.shape))
    wide = torch.promote_types(torch.promote_types(x.dtype, reference.dtype), torch.float64)
    return (x.to(wide) - reference.to(wide)).abs() ** 2


def _features(values: Tensor, name: str) -> Tensor:
    if values.dim() != 2:
        raise ArgumentError(name, "must have shape (samples, features)", tuple(values.shape))
    if len(values) <= values.shape[1]:
        rule = f"must hold more samples than its {values.shape[1]} features"
        raise ArgumentError(name, rule, len(values), "take more samples")
    return values.double()


def _covariance(x: Tensor) -> Tensor:
    centred = x - x.mean(0)
    return centred.T @ centred / (len(x) - 1)


def _root(symmetric: Tensor) -> Tensor:
    """Square root of a symmetric matrix that is positive up to rounding."""
    values, vectors = torch.linalg.eigh(symmetric)
    root: Tensor = vectors * values.clamp(min=0).sqrt() @ vectors.T
    return root

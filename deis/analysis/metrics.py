"""How far samples lie from their references, one by one; everything in float64."""

from typing import Any

import torch
from torch import Tensor

from deis.errors import ArgumentError


def rmse(x: Tensor, reference: Tensor) -> float:
    """Root of the mean squared difference of all entries.

    :raises ArgumentError: if the shapes differ, or there are no entries.

    >>> rmse(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
    1.4142135623730951
    """
    return float(_squares(x, reference).detach().mean().sqrt())


def per_sample_rmse(x: Tensor, reference: Tensor) -> Tensor:
    """RMSE of each sample, shape (B,), in float64.

    :param x: shape (B, ...).
    :param reference: shape (B, ...).
    :raises ArgumentError: if the shapes differ, there is no axis of samples, or there are no entries.

    >>> per_sample_rmse(torch.tensor([[3.0, 3.0], [0.0, 0.0]]), torch.zeros(2, 2))
    tensor([3., 0.], dtype=torch.float64)
    """
    squares = _squares(x, reference)
    if squares.dim() < 1:
        raise ArgumentError("x", "must have a first axis of samples", tuple(x.shape), "pass x[None] for one sample")
    return squares.reshape(len(squares), -1).mean(1).sqrt()


def geometric_mean_rmse(x: Tensor, reference: Tensor) -> float:
    """Geometric mean over the samples of the RMSE of each: a typical error, which no single sample can dominate.

    A sample without error makes it 0.

    :param x: shape (B, ...).
    :param reference: shape (B, ...).
    :raises ArgumentError: if the shapes differ, there is no axis of samples, or there are no entries.

    >>> geometric_mean_rmse(torch.tensor([[0.25], [4.0]]), torch.zeros(2, 1))
    1.0
    """
    return float(per_sample_rmse(x, reference).detach().log().mean().exp())


def _squares(x: Any, reference: Any) -> Tensor:
    for name, value in (("x", x), ("reference", reference)):
        if not isinstance(value, Tensor):
            raise ArgumentError(name, "must be a tensor", type(value).__name__, "pass torch.as_tensor of it")
    if x.shape != reference.shape:
        raise ArgumentError("x", f"must have the reference's shape {tuple(reference.shape)}", tuple(x.shape))
    if not x.numel():
        raise ArgumentError("x", "must hold at least one number", tuple(x.shape), "draw at least one sample")
    wide = torch.promote_types(torch.promote_types(x.dtype, reference.dtype), torch.float64)
    squares: Tensor = (x.to(wide) - reference.to(wide)).abs() ** 2
    return squares

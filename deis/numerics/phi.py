"""The phi functions of exponential integrators: phi_0 = exp, phi_{k+1}(z) = (phi_k(z) - 1/k!) / z.

Source: Hochbruck and Ostermann, Exponential integrators, Acta Numerica 19 (2010), eq. 2.10-2.11.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

Functions = Callable[[int, Tensor], Tensor]
"""phi_0 ... phi_order of z, along a new first axis."""

_RADIUS = 2.0  # Taylor inside, recurrence outside
_TERMS = 35  # 2^35 / 35! < 1e-29


def phi(order: int, z: Tensor) -> Tensor:
    """phi_0 ... phi_order of a scalar or diagonal ``z``, elementwise.

    :param z: float64 or complex128, any shape.
    :returns: shape (order + 1, *z.shape); relative error of about 1e-15 (order 8: 1e-13).

    >>> phi(2, torch.zeros((), dtype=torch.float64))
    tensor([1.0000, 1.0000, 0.5000], dtype=torch.float64)
    """
    if not order:
        return z.exp()[None]
    inside = z.abs() < _RADIUS
    small, large = torch.where(inside, z, 0.0), torch.where(inside, 1.0, z)
    far = [large.exp()]
    for k in range(order):
        far.append((far[-1] - 1 / math.factorial(k)) / large)
    value = torch.where(inside, _taylor(order, small), torch.stack(far))
    return torch.cat([z.exp()[None], value[1:]])


def _taylor(order: int, z: Tensor) -> Tensor:
    """sum_n z^n / (n + k)! for k = 0 ... order, by Horner's rule on all k at once."""
    inverse = torch.tensor([1 / math.factorial(n) for n in range(_TERMS + order)], dtype=torch.float64)
    terms = inverse.unfold(0, order + 1, 1).reshape(_TERMS, -1, *[1] * z.dim())
    total = torch.zeros((order + 1, *z.shape), dtype=z.dtype)
    for term in terms.flip(0):
        total = total * z + term
    return total


def phi_dense(order: int, matrix: Tensor) -> Tensor:
    """phi_0 ... phi_order of square matrices.

    One exponential of the block matrix [[A, I, 0], [0, 0, I], [0, 0, 0]] (Al-Mohy and Higham, SIAM J. Sci. Comput. 33
    (2011), theorem 2.1), which unlike an eigendecomposition is safe on defective matrices.

    :param matrix: float64 or complex128, shape (..., d, d).
    :returns: shape (order + 1, ..., d, d).

    >>> phi_dense(1, torch.zeros(1, 1, dtype=torch.float64)).flatten()
    tensor([1., 1.], dtype=torch.float64)
    """
    d = matrix.shape[-1]
    size = d * (order + 1)
    block = matrix.new_zeros((*matrix.shape[:-2], size, size))
    block[..., :d, :d] = matrix
    rows = torch.arange(size - d)
    block[..., rows, rows + d] = 1.0
    first = torch.linalg.matrix_exp(block)[..., :d, :]
    return torch.stack(first.split(d, dim=-1))


def phi_combinations(functions: Functions, matrix: Tensor, h: Tensor, fractions: Tensor, numbers: Tensor) -> Tensor:
    """sum_kf numbers[n, r, v, k, f] phi_k(fractions[f] h[n] matrix).

    :param functions: :func:`phi` or :func:`phi_dense`, as the matrix asks for.
    :param matrix: float64 or complex128, shape (\\*c).
    :param h: shape (n,).
    :param fractions: shape (F,).
    :param numbers: shape (n, R, V, K, F).
    :returns: shape (n, R, V, \\*c).
    """
    column = (len(h), len(fractions), *[1] * matrix.dim())
    values = functions(numbers.shape[3] - 1, (h[:, None] * fractions).reshape(column) * matrix)
    values = values.movedim(0, 1).reshape(len(h), -1, max(1, matrix.numel()))
    total = numbers.flatten(3).flatten(1, 2).to(values.dtype) @ values
    return total.reshape(*numbers.shape[:3], *matrix.shape)

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
_DENSE_TERMS = 18  # 1 / 18! < 2e-16


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
    """phi_0 ... phi_order of square matrices, by scaling and doubling.

    phi_k(2z) = 2^-k (e^z phi_k(z) + sum_{j=1}^k phi_j(z) / (k - j)!)  (Skaflestad and Wright, Appl. Numer. Math. 59
    (2009)), with E = e^z - 1 in the place of the exponential: E(2z) = E^2 + 2E keeps the digits of slow modes beside
    fast ones, which n squarings of 1 + E would leave with an error of 2^n roundings. Safe on defective matrices.

    :param matrix: float64 or complex128, shape (..., d, d).
    :returns: shape (order + 1, ..., d, d).

    >>> phi_dense(1, torch.zeros(1, 1, dtype=torch.float64)).flatten()
    tensor([1., 1.], dtype=torch.float64)
    """
    highest, one = max(order, 1), torch.eye(matrix.shape[-1], dtype=matrix.dtype)
    doublings = max(0, math.frexp(_norm(matrix))[1])
    z = matrix * 2.0**-doublings  # of norm below 1
    value = one * (1 / math.factorial(highest + _DENSE_TERMS))
    for n in range(highest + _DENSE_TERMS - 1, highest - 1, -1):
        value = z @ value + one * (1 / math.factorial(n))
    values = [value]
    for k in range(highest - 1, 0, -1):
        values.append(z @ values[-1] + one * (1 / math.factorial(k)))
    phis, less_one = torch.stack(values[::-1]), z @ values[-1]
    whole, mix = less_one + one, _doubling(highest).to(matrix.dtype)
    halves = 2.0 ** -torch.arange(1, highest + 1, dtype=torch.float64).reshape(-1, *[1] * matrix.dim())
    for _ in range(doublings):
        phis = halves * (less_one @ phis + torch.tensordot(mix, phis, dims=1))
        less_one, whole = less_one @ less_one + 2 * less_one, whole @ whole
    # 1 + E is right to a rounding of 1, the squares to 2^n roundings of themselves
    first = less_one + one
    decayed = first.detach().abs().sum(-1).amax(-1) < 2.0**-doublings
    return torch.cat([torch.where(decayed[..., None, None], whole, first)[None], phis])[: order + 1]


def _norm(matrices: Tensor) -> float:
    """Largest row sum of absolute values, which bounds all eigenvalues."""
    return float(matrices.detach().abs().sum(-1).max()) if matrices.numel() else 0.0


def _doubling(highest: int) -> Tensor:
    """1 / (k - j)! for 1 <= j <= k <= ``highest``, and 2 for j = k: the part of phi_k(2z) that has no E."""
    rows = [[1 / math.factorial(k - j) if j <= k else 0.0 for j in range(highest)] for k in range(highest)]
    return torch.tensor(rows, dtype=torch.float64, device="cpu") + torch.eye(highest, dtype=torch.float64, device="cpu")


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

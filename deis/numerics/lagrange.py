"""Lagrange bases: polynomials that are 1 at one node and 0 at the others."""

import torch
from torch import Tensor


def basis(nodes: Tensor, x: Tensor) -> Tensor:
    """Values of the Lagrange basis l_j over ``nodes`` at ``x``.

    :param nodes: distinct nodes, shape (..., k).
    :param x: points, shape (..., m).
    :returns: l_j(x_i), shape (..., k, m).

    >>> basis(torch.tensor([0.0, 1.0]), torch.tensor([0.0, 0.5, 2.0]))
    tensor([[ 1.0000,  0.5000, -1.0000],
            [ 0.0000,  0.5000,  2.0000]])
    """
    columns = []
    for j in range(nodes.shape[-1]):
        value = torch.ones_like(x)
        for m in range(nodes.shape[-1]):
            if m != j:
                value = value * (x - nodes[..., m, None]) / (nodes[..., j, None] - nodes[..., m, None])
        columns.append(value)
    return torch.stack(columns, dim=-2)


def monomials(nodes: Tensor) -> Tensor:
    """Coefficients a_jk of the Lagrange basis: l_j(x) = sum_k a_jk x^k.

    :param nodes: distinct nodes, shape (..., k).
    :returns: shape (..., k, k): one row for each basis function, lowest power first.

    >>> monomials(torch.tensor([0.0, 1.0]))
    tensor([[ 1., -1.],
            [ 0.,  1.]])
    """
    count = nodes.shape[-1]
    rows = []
    for j in range(count):
        row = torch.zeros_like(nodes)
        row[..., 0] = 1.0
        for m in range(count):
            if m != j:  # multiply by (x - x_m) / (x_j - x_m)
                shifted = torch.roll(row, 1, dims=-1)
                row = (shifted - nodes[..., m, None] * row) / (nodes[..., j, None] - nodes[..., m, None])
        rows.append(row)
    return torch.stack(rows, dim=-2)

"""Gauss-Legendre quadrature on panels."""

from functools import cache

import numpy as np
import torch
from torch import Tensor


@cache
def _rule(points: int) -> tuple[Tensor, Tensor]:
    nodes, weights = np.polynomial.legendre.leggauss(points)
    with torch.inference_mode(False):  # kept for later calls, which may need gradients
        return torch.from_numpy(nodes), torch.from_numpy(weights)


def panel_rule(edges: Tensor, points: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights of the composite Gauss-Legendre rule on the panels between ``edges``.

    Panels of zero length are allowed and contribute nothing.

    :param edges: ends of the panels, shape (..., panels + 1), rising or falling.
    :param points: points in each panel.
    :returns: nodes and signed weights, each of shape (..., panels * points).

    >>> x, w = panel_rule(torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64), 4)
    >>> torch.dot(w, x**7)
    tensor(0.1250, dtype=torch.float64)
    """
    nodes, weights = _rule(points)
    half = (edges[..., 1:] - edges[..., :-1]) / 2
    middle = (edges[..., 1:] + edges[..., :-1]) / 2
    x = middle[..., None] + half[..., None] * nodes
    w = half[..., None] * weights
    return x.flatten(-2), w.flatten(-2)


def uniform_edges(start: Tensor, end: Tensor, panels: int) -> Tensor:
    """Edges of equal panels from ``start`` to ``end``, shape (..., panels + 1)."""
    fraction = torch.linspace(0.0, 1.0, panels + 1, dtype=torch.float64)
    return start[..., None] + (end - start)[..., None] * fraction

"""Gauss-Legendre quadrature on panels."""

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor

_POINTS = 16
_MOST_PANELS = 1024
_AGREEMENT = 1e-13


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


def doubled(rule: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], start: Tensor, end: Tensor) -> Tensor | None:
    """An integral by Gauss-Legendre, with panels doubled until two results agree to 1e-13 of its size.

    :param rule: from nodes and weights of the panels, shape (..., panels * points), to the integral and its size, which
        broadcast.
    :returns: None if results do not agree with 1024 panels.

    >>> start, end = torch.tensor([0.0, 2.0], dtype=torch.float64)
    >>> doubled(lambda x, w: ((w * x.exp()).sum(), w.sum()), start, end)
    tensor(6.3891, dtype=torch.float64)
    """
    previous, panels = None, 1
    while panels <= _MOST_PANELS:
        value, size = rule(*panel_rule(uniform_edges(start, end, panels), _POINTS))
        if previous is not None and bool(((value - previous).detach().abs() <= _AGREEMENT * size.detach()).all()):
            return value
        previous, panels = value, 2 * panels
    return None

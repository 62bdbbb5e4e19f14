"""Inversion of monotone functions."""

from collections.abc import Callable

import torch
from torch import Tensor

from deis.numerics.derivative import derivative

_HALVINGS = 60  # more than the 53 bits of a float64 mantissa


def invert(function: Callable[[Tensor], Tensor], values: Tensor, low: float, high: float) -> Tensor:
    """Solve ``function(x) = values`` elementwise for x in [low, high], by bisection and a Newton step.

    ``function`` is monotone (rising or falling) and elementwise; ``values`` outside its range give the nearer end.
    The result is differentiable in ``values`` (implicit function theorem).

    >>> invert(torch.exp, torch.tensor([2.0, 0.5], dtype=torch.float64), -1.0, 1.0)
    tensor([ 0.6931, -0.6931], dtype=torch.float64)
    """
    with torch.no_grad():
        ends = function(torch.tensor([low, high], dtype=torch.float64))
        rising = ends[1] > ends[0]
        bottom = torch.full_like(values, low)
        top = torch.full_like(values, high)
        for _ in range(_HALVINGS):
            middle = (bottom + top) / 2
            above = (function(middle) > values) == rising
            bottom, top = torch.where(above, bottom, middle), torch.where(above, middle, top)
        root = (bottom + top) / 2
        slope = derivative(function, root)
        bounded = torch.minimum(torch.maximum(values, ends.min()), ends.max())
        root = torch.where(slope == 0, root, root - (function(root) - bounded) / slope).clamp(low, high)
    if not values.requires_grad:
        return root
    inside = (values >= ends.min()) & (values <= ends.max()) & (slope != 0)
    return root + (values - values.detach()) * torch.where(inside, 1 / slope, 0.0)

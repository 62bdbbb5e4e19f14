"""Inversion of monotone functions."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from deis.numerics.derivative import derivative

_CELLS = 512
_STEPS = 60  # more than the 53 bits of a float64 mantissa, should every step be a bisection
_EPS = torch.finfo(torch.float64).eps
_NOISE = 1e-9  # a relative step below which rounding may be all that is left


Function = Callable[[Tensor], Tensor]
Brackets = tuple[Tensor, Tensor, Tensor]


def invert(function: Function, values: Tensor, low: float, high: float) -> Tensor:
    """Solve ``function(x) = values`` elementwise for x in [low, high], by a table and Newton steps kept in a bracket.

    ``function`` is monotone (rising or falling) and elementwise; ``values`` outside its range give the nearer end.
    The result is differentiable in ``values`` (implicit function theorem).

    >>> invert(torch.exp, torch.tensor([2.0, 0.5], dtype=torch.float64), -1.0, 1.0)
    tensor([ 0.6931, -0.6931], dtype=torch.float64)
    """
    with torch.no_grad():
        ends = function(torch.tensor([low, high], dtype=torch.float64))
        bounded = torch.minimum(torch.maximum(values, ends.min()), ends.max())
        root, slope = _search(function, bounded, *_bracket(function, bounded, low, high), bool(ends[1] > ends[0]))
    if not values.requires_grad:
        return root
    inside = (values >= ends.min()) & (values <= ends.max()) & (slope != 0)
    return root + (values - values.detach()) * torch.where(inside, 1 / slope, 0.0)


def _bracket(function: Function, values: Tensor, low: float, high: float) -> Brackets:
    """Neighbours in a table of [low, high] between which the function passes the values, and a first guess."""
    table = torch.linspace(low, high, _CELLS + 1, dtype=torch.float64)
    if low > 0:  # such arguments may range over many scales
        scales = (table - low) / (high - low) * math.log(high / low)
        table = torch.cat([table, (low * scales.exp()).clamp(low, high)]).sort().values
    heights = function(table)
    sign = 1.0 if heights[-1] > heights[0] else -1.0
    place = torch.searchsorted(sign * heights, (sign * values).contiguous()).clamp(1, len(table) - 1)
    bottom, top = table[place - 1], table[place]
    share = (values - heights[place - 1]) / (heights[place] - heights[place - 1])
    return bottom, top, bottom + (top - bottom) * share.nan_to_num(0.5, 0.5, 0.5).clamp(0, 1)


def _search(
    function: Function, values: Tensor, bottom: Tensor, top: Tensor, root: Tensor, rising: bool
) -> tuple[Tensor, Tensor]:
    """Newton steps from ``root``, kept between ``bottom`` and ``top``, and the slopes at the end.

    A step that is not half the last is replaced by a bisection.
    """
    last, slope = top - bottom, torch.ones_like(root)
    for _ in range(_STEPS):
        residual, slope = function(root) - values, derivative(function, root)
        above = (residual > 0) == rising
        bottom, top = torch.where(above, bottom, root), torch.where(above, root, top)
        newton = torch.where(residual == 0, root, (root - residual / slope).clamp(bottom, top))
        step = (newton - root).abs()
        slow = ~(step <= last / 2)  # also where the slope is 0
        noise = step <= torch.where(slow, _NOISE, _EPS) * root.abs()  # the last steps go back and forth in the rounding
        done = noise | (residual.abs() <= 2 * _EPS * (values.abs() + (root * slope).abs()))
        following = torch.where(slow & ~done, (bottom + top) / 2, newton.where(~newton.isnan(), root))
        root, last = following, (following - root).abs()
        if done.all():
            break
    return root, slope

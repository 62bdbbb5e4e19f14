"""Derivatives of elementwise functions of time."""

from collections.abc import Callable

import torch
from torch import Tensor


def derivative(function: Callable[[Tensor], Tensor], t: Tensor) -> Tensor:
    """Derivative of an elementwise function at each ``t``, by automatic differentiation where the function allows it.

    The result keeps its dependence on ``t`` where ``t`` requires a gradient. Functions that torch cannot follow are
    differentiated by a fourth-order difference, to about 1e-11.

    >>> derivative(torch.sin, torch.zeros(2, dtype=torch.float64))
    tensor([1., 1.], dtype=torch.float64)
    """
    with torch.inference_mode(False), torch.enable_grad():
        point = t if t.requires_grad else t.detach().clone().requires_grad_()
        value = function(point)
        if not value.requires_grad:  # a constant, or a function that torch does not follow, as one of numpy
            return _difference(function, t.detach())
        (slope,) = torch.autograd.grad(
            value.sum(), point, create_graph=t.requires_grad, allow_unused=True, materialize_grads=True
        )
    return slope


_STEP = 2.0**-9


def _difference(function: Callable[[Tensor], Tensor], t: Tensor) -> Tensor:
    """Central differences of fourth order, with a step relative to ``t``."""
    h = _STEP * t.abs().clamp(min=_STEP)
    with torch.no_grad():
        near, far = (function(t + k * h) - function(t - k * h) for k in (1, 2))
    slope: Tensor = (8 * near - far) / (12 * h)
    return slope

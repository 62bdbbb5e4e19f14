"""Derivatives of elementwise functions of time."""

from collections.abc import Callable

import torch
from torch import Tensor


def derivative(function: Callable[[Tensor], Tensor], t: Tensor) -> Tensor:
    """Derivative of an elementwise function at each ``t``, by automatic differentiation.

    The result keeps its dependence on ``t`` where ``t`` requires a gradient.

    >>> derivative(torch.sin, torch.zeros(2, dtype=torch.float64))
    tensor([1., 1.], dtype=torch.float64)
    """
    with torch.inference_mode(False), torch.enable_grad():
        point = t if t.requires_grad else t.detach().clone().requires_grad_()
        value = function(point)
        if not value.requires_grad:  # a constant
            return torch.zeros_like(value)
        (slope,) = torch.autograd.grad(
            value.sum(), point, create_graph=t.requires_grad, allow_unused=True, materialize_grads=True
        )
    return slope

"""Elementwise functions of users, whatever they are written in, on tensors."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deis.errors import ArgumentError

Function = Callable[[Any], Any]
Values = Callable[[Tensor], Tensor]

_SLOPE_STEP = 2.0**-16  # of the span, for derivatives of functions that torch cannot differentiate


def on_tensors(name: str, function: Function, probe: Tensor) -> Values:
    """``function`` on float64 tensors of any shape, differentiable, be it written in torch, numpy or plain Python.

    :param name: what an error calls it.
    :param probe: arguments that it takes, shape (n,), with which it is tried.
    :raises ArgumentError: if it is not elementwise.

    >>> import math
    >>> on_tensors("f", math.sqrt, torch.tensor([1.0, 4.0], dtype=torch.float64))(torch.tensor([9.0]))
    tensor([3.], dtype=torch.float64)
    """

    def native(t: Tensor) -> Tensor:
        return torch.as_tensor(function(t)).to("cpu", torch.float64)

    def array(t: Tensor) -> Tensor:
        return torch.from_numpy(np.array(function(t.numpy()), dtype=np.float64))

    def one_by_one(t: Tensor) -> Tensor:
        return torch.tensor([float(function(v)) for v in t], dtype=torch.float64)

    def differences(values: Values, t: Tensor) -> Tensor:
        point, value = t.detach(), values(t.detach())
        low, high = (point - step).clamp(min=probe.min()), (point + step).clamp(max=probe.max())
        return value + (values(high) - values(low)) / (high - low) * (t - point) if t.requires_grad else value

    step = _SLOPE_STEP * (probe.max() - probe.min())
    with torch.inference_mode(False), torch.enable_grad():
        for values, differentiable in ((native, True), (array, False), (one_by_one, False)):
            t = probe.clone().requires_grad_(differentiable)
            try:
                result = values(t)
            except Exception as error:  # whatever a function does with what it was not written for
                reason = error
                continue
            if result.shape == t.shape and result.requires_grad == differentiable:
                outer = values if differentiable else partial(differences, values)
                return lambda t: outer(t.reshape(-1)).reshape(t.shape)
    raise ArgumentError(name, "must be an elementwise function in torch, numpy or plain Python", function) from reason

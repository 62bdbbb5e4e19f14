"""Control of the step: how large the error of a step is, and how long the next one should be."""

import math

import attrs
import torch
from torch import Tensor

_NEWEST, _BEFORE = 0.7, 0.4


@attrs.frozen
class Controller:
    """Step lengths from errors in units of the tolerance, for an estimate that behaves as h^order.

    The proportional-integral controller of Gustafsson, with the exponents of Hairer and Wanner, Solving ODEs II,
    section IV.2: h_{n+1} / h_n = e_n^{-0.7 / order} e_{n-1}^{0.4 / order}, where e is the error over the aimed one,
    safety^order; after a failure h_{n+1} / h_n = e_n^{-1 / order}.

    :param order: exponent of the estimate.
    :param safety: share that is aimed at of the longest step that the tolerance allows.
    :param shrink: least factor from one step to the next.
    :param grow: largest factor.

    >>> control = Controller(order=2, safety=0.9, shrink=0.2, grow=5.0)
    >>> round(control.after_success(0.81, 0.81), 12), control.after_failure(4.0), control.after_failure(float("nan"))
    (1.0, 0.45, 0.2)
    """

    order: int
    safety: float
    shrink: float
    grow: float

    def after_success(self, error: float, previous: float) -> float:
        """Factor after a step of ``error`` that follows one of ``previous``."""
        if error == 0:
            return self.grow
        wanted = math.pow(error, -_NEWEST / self.order) * math.pow(previous, _BEFORE / self.order)
        wanted *= math.pow(self.safety, _NEWEST - _BEFORE)
        return min(max(wanted, self.shrink), self.grow)

    def after_failure(self, error: float) -> float:
        """Factor after a step whose ``error``, above 1 or not a number, was too large."""
        return max(self.safety * math.pow(error, -1 / self.order), self.shrink) if error < math.inf else self.shrink


def sample_errors(error: Tensor, old: Tensor, new: Tensor, rtol: float, atol: float, batched: bool) -> Tensor:
    """Weighted root mean square of ``error``, in units of the tolerance atol + rtol max(\\|old\\|, \\|new\\|).

    Source: Hairer, Norsett and Wanner, Solving ODEs I, eq. II.4.10-11.

    :param batched: whether the first axis counts samples, each of which has a norm of its own.
    :returns: shape (B,); one number if not ``batched``.
    """
    ratio = (error / (atol + rtol * torch.maximum(old.abs(), new.abs()))).abs().square()
    return (ratio.reshape(len(ratio), -1).mean(1) if batched else ratio.mean()[None]).sqrt()

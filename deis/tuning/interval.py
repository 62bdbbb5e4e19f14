"""Typical errors and their ratios, with what chance makes of them."""

import math

import attrs
from torch import Tensor

_Z = 1.96  # of a standard normal, 95 % lie within so many deviations


@attrs.frozen
class Interval:
    """A positive number with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3g} ({self.low:.3g} to {self.high:.3g})"


def typical(errors: Tensor) -> Interval:
    """Geometric mean of errors, shape (B,), with the normal interval of the mean logarithm.

    >>> import torch
    >>> print(typical(torch.tensor([0.5, 2.0, 0.5, 2.0])))
    1 (0.456 to 2.19)
    """
    logs = errors.log()
    mean, spread = float(logs.mean()), _Z * float(logs.std()) / len(logs) ** 0.5 if len(logs) > 1 else math.inf
    if not math.isfinite(mean):
        return Interval(math.inf, math.inf, math.inf)
    return Interval(math.exp(mean), _exp(mean - spread), _exp(mean + spread))


def ratio(errors: Tensor, others: Tensor) -> Interval:
    """Geometric mean of the ratios of errors of the same samples: their common difficulty drops out.

    >>> import torch
    >>> print(ratio(torch.tensor([0.1, 1.0, 7.0]), torch.tensor([0.2, 2.0, 14.0])))
    0.5 (0.5 to 0.5)
    """
    return typical(errors / others)


def _exp(x: float) -> float:
    return math.exp(x) if x < 700 else math.inf

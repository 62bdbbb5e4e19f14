"""The time convention of a network."""

from typing import Any

import attrs
import torch
from torch import Tensor

from deis.errors import ArgumentError
from deis.fields import boolean, is_number


def _finite(instance: Any, attribute: Any, value: Any) -> None:
    if not is_number(value):
        raise ArgumentError(attribute.name, "must be a finite number", value)


def _real(instance: Any, attribute: Any, value: Any) -> None:
    real = isinstance(value, torch.dtype) and value != torch.bool and not value.is_complex
    if value is not None and not real:
        raise ArgumentError("dtype", "must be a real or whole-number torch.dtype", value, "for example torch.int64")


@attrs.frozen
class NetworkTime:
    """The time that a network is given: ``scale`` t + ``shift``.

    For a discrete network on 0 ... N-1: (1, 0) gives i, (1, 1) gives i + 1, (1/N, 1/N) gives (i + 1) / N; for a
    continuous one (1000, 0) gives 1000 t; for one whose time runs from noise to data (-1, 1) gives 1 - t.

    :param round: give the nearest whole number, for networks that know no other times.
    :param dtype: dtype of the time; None is float32, or the state's if that is wider. One of whole numbers, as
        ``torch.int64`` for networks that look the time up (``nn.Embedding``), rounds, too.

    >>> NetworkTime(999.0, dtype=torch.int64)(0.5004, torch.zeros(2, 3))
    tensor([500, 500])
    """

    scale: float = attrs.field(default=1.0, validator=_finite)
    shift: float = attrs.field(default=0.0, validator=_finite)
    round: bool = attrs.field(default=False, validator=boolean)
    dtype: torch.dtype | None = attrs.field(default=None, validator=_real)

    def __call__(self, t: float, x: Tensor) -> Tensor:
        """One entry a sample, shape ``x.shape[:1]``, on the device of ``x``."""
        real = x.real.dtype if x.is_complex() else x.dtype
        dtype = self.dtype or torch.promote_types(real, torch.float32)
        told = self.scale * t + self.shift
        if self.round or not dtype.is_floating_point:
            told = round(told)
        return torch.full(x.shape[:1], told, dtype=dtype, device=x.device)

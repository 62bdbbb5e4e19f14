"""Semilinear ODEs with a constant linear part and G = 1: the phi functions give every weight exactly."""

import math
from collections.abc import Callable
from typing import ClassVar

import attrs
import numpy as np
import torch
from torch import Tensor

from deis.errors import ArgumentError
from deis.fields import is_callable, is_number
from deis.numerics.lagrange import monomials
from deis.numerics.phi import phi, phi_dense
from deis.odes.base import SemilinearODE

Nonlinearity = Callable[[float, Tensor], Tensor]


def as_coefficient(value: object) -> Tensor:
    """A float64 or complex128 tensor on the CPU from a number or a tensor of numbers.

    :raises ArgumentError: if it is not numeric or not finite.
    """
    try:  # numpy reads Python numbers in double precision, torch in its default precision
        tensor = torch.as_tensor(value if isinstance(value, Tensor) else np.asarray(value), device="cpu")
        tensor = tensor.to(torch.complex128 if tensor.is_complex() else torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise ArgumentError("matrix", "must be a number or a tensor of numbers", value) from None
    if not tensor.isfinite().all():
        raise ArgumentError("matrix", "must be finite", value)
    return tensor


def as_domain(value: tuple[float, float]) -> tuple[float, float]:
    """Two different finite times."""
    if not isinstance(value, tuple | list) or len(value) != 2 or not all(map(is_number, value)) or value[0] == value[1]:
        raise ArgumentError("domain", "must be two different finite times", value)
    return float(value[0]), float(value[1])


def brief(matrix: Tensor) -> str:
    """A number, or the shape of a larger tensor."""
    return str(matrix.item()) if matrix.dim() == 0 else f"<{' x '.join(map(str, matrix.shape))}>"


class _ConstantODE(SemilinearODE):
    """What scalar, diagonal and dense constant linear parts share."""

    matrix: Tensor
    function: Nonlinearity
    domain: tuple[float, float]

    def linear(self, t: Tensor) -> Tensor:
        return self.matrix.expand((*t.shape, *self.matrix.shape))

    def transition(self, t: Tensor, s: Tensor) -> Tensor:
        return self._phi(0, t - s)[0]

    def nonlinearity(self, t: float, x: Tensor) -> Tensor:
        return self.function(t, x)

    def weights(self, s: Tensor, t: Tensor, nodes: Tensor, clock: str = "t") -> Tensor:
        if clock != "t":
            return super().weights(s, t, nodes, clock)
        # with theta = (r - s) / h:  int_0^1 exp((1 - theta) z) theta^k dtheta = k! phi_{k+1}(z)
        h, count = t - s, nodes.shape[-1]
        powers = self._phi(count, h)[1:].movedim(0, -1 - self.matrix.dim())  # (n, k, *c)
        factorials = torch.tensor([math.factorial(k) for k in range(count)], dtype=torch.float64)
        rows = monomials((nodes - s[..., None]) / h[..., None]) * factorials * h[..., None, None]
        flat = powers.reshape(*powers.shape[: h.dim() + 1], -1)
        return (rows.to(flat.dtype) @ flat).reshape(powers.shape)

    def _phi(self, order: int, h: Tensor) -> Tensor:
        """phi_0 ... phi_order of h L, shape (order + 1, n..., *c)."""
        z = h.reshape((*h.shape, *[1] * self.matrix.dim())) * self.matrix
        return phi(order, z) if self.block_axis is None else phi_dense(order, z)


@attrs.frozen(eq=False)
class DiagonalODE(_ConstantODE):
    """x' = L x + N(t, x) with L a constant number, or a tensor that multiplies the state elementwise.

    :param matrix: L, a float, a complex number or a tensor that broadcasts with the state.
    :param function: N(t, x).
    :param domain: times of start and end.

    >>> ode = DiagonalODE(-2.0, lambda t, x: x**2, domain=(0.0, 1.0))
    >>> ode.transition(torch.tensor([1.0], dtype=torch.float64), torch.tensor([0.0], dtype=torch.float64))
    tensor([0.1353], dtype=torch.float64)
    """

    matrix: Tensor = attrs.field(converter=as_coefficient, repr=brief)
    function: Nonlinearity = attrs.field(repr=False, validator=is_callable)
    domain: tuple[float, float] = attrs.field(default=(0.0, 1.0), converter=as_domain)


@attrs.frozen(eq=False)
class DenseODE(_ConstantODE):
    """x' = L x + N(t, x) with a constant square matrix L that acts on the last axis of the state.

    :param matrix: L, shape (d, d).
    :param function: N(t, x).
    :param domain: times of start and end.
    """

    block_axis: ClassVar[int] = -1

    matrix: Tensor = attrs.field(converter=as_coefficient, repr=brief)
    function: Nonlinearity = attrs.field(repr=False, validator=is_callable)
    domain: tuple[float, float] = attrs.field(default=(0.0, 1.0), converter=as_domain)

    def __attrs_post_init__(self) -> None:
        if self.matrix.dim() != 2 or self.matrix.shape[0] != self.matrix.shape[1]:
            raise ArgumentError("matrix", "must be square", tuple(self.matrix.shape))

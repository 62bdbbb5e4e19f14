"""Semilinear ODEs with a constant linear part and G = 1: the phi functions give every weight exactly."""

import math
from collections.abc import Callable
from functools import partial
from typing import ClassVar

import attrs
import numpy as np
import torch
from torch import Tensor

from deis.errors import ArgumentError
from deis.fields import is_callable, is_number
from deis.numerics.lagrange import monomials
from deis.numerics.phi import Functions, phi, phi_combinations, phi_dense
from deis.odes.base import Coefficient, ConstantForm, SemilinearODE

Nonlinearity = Callable[[float, Tensor], Tensor]

_SAME = 1e-7  # in |h L|: the error of first order is half its square
_ROUNDING = 1e-13  # in |h L|: what is left out
_ELEMENTS = 2**21


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

    invariant: ClassVar[bool] = True

    matrix: Tensor
    function: Nonlinearity
    domain: tuple[float, float]

    def linear(self, t: Tensor) -> Tensor:
        return self.matrix.expand((*t.shape, *self.matrix.shape))

    def transition(self, t: Tensor, s: Tensor) -> Tensor:
        h = t - s
        return self._combine(torch.ones((*h.shape, 1, 1), dtype=torch.float64), 0, h).squeeze(h.dim())

    def nonlinearity(self, t: float, x: Tensor) -> Tensor:
        return self.function(t, x)

    def linear_action(self, t: float, x: Tensor) -> Tensor:
        return self.apply(self.matrix.to(x.device, x.dtype) if self.matrix.dim() else self.matrix.item(), x)

    def rate(self, t: float) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda x, value: self.linear_action(t, x) + value

    def constant_form(self) -> ConstantForm:
        return ConstantForm(partial(phi_combinations, self._functions, self.matrix), "t", torch.ones_like)

    def weights(self, s: Tensor, t: Tensor, nodes: Tensor, clock: str = "t") -> Tensor:
        if clock != "t":
            return super().weights(s, t, nodes, clock)
        # with theta = (r - s) / h:  int_0^1 exp((1 - theta) z) theta^k dtheta = k! phi_{k+1}(z)
        h, count = t - s, nodes.shape[-1]
        factorials = torch.tensor([math.factorial(k) for k in range(count)], dtype=torch.float64)
        rows = monomials((nodes - s[..., None]) / h[..., None]) * factorials * h[..., None, None]
        return self._combine(rows, 1, h)

    def _combine(self, rows: Tensor, first: int, h: Tensor) -> Tensor:
        """sum_k rows_jk phi_{first + k}(h L), shape (n..., j, *c); steps that differ by rounding share their work."""
        rows, steps = rows.reshape(-1, *rows.shape[-2:]), h.reshape(-1)
        kinds, member = (steps, None) if h.requires_grad else _distinct(steps, self._norm)
        last, gap = first + rows.shape[-1], steps - kinds[member] if member is not None else None
        if gap is None or float(gap.abs().max()) * self._norm <= _ROUNDING:
            functions = self._phi(last - 1, kinds)[first:]
        else:  # to first order in the gap, phi_k' = phi_k - k phi_{k+1}
            values = self._phi(last, kinds)[first:]
            k = torch.arange(first, last).reshape(-1, *[1] * (values.dim() - 1))
            slopes = values[:-1] - k * values[1:]
            functions = torch.cat([values[:-1], self.compose(self.matrix.expand(slopes.shape), slopes)])
            rows = torch.cat([rows, gap[:, None, None] * rows], dim=-1)
        flat = functions.movedim(1, 0).flatten(2) if self.matrix.dim() else functions.mT[..., None]
        total = _multiply(rows.to(flat.dtype), flat, member)
        return total.reshape(*h.shape, rows.shape[-2], *self.matrix.shape)

    def _phi(self, order: int, h: Tensor) -> Tensor:
        """phi_0 ... phi_order of h L for h of shape (n,), a few at a time so that memory stays bounded."""
        # elements of a step in work
        work = self.matrix.numel() * (order + 1) ** (1 if self.block_axis is None else 2)
        column = (-1, *[1] * self.matrix.dim())
        parts = [part.reshape(column) * self.matrix for part in torch.split(h, max(1, _ELEMENTS // max(1, work)))]
        return torch.cat([self._functions(order, z) for z in parts], dim=1)

    @property
    def _functions(self) -> Functions:
        return phi if self.block_axis is None else phi_dense

    @property
    def _norm(self) -> float:
        """Bound of the eigenvalues of L."""
        size = self.matrix.detach().abs()
        return float((size if self.block_axis is None else size.sum(-1)).max()) if size.numel() else 0.0


def _distinct(h: Tensor, norm: float) -> tuple[Tensor, Tensor | None]:
    """One of each kind of step, and the kind of each (None if all differ); steps of a kind differ by 1e-7 / ``norm``.

    Times carry rounding errors, so that h L of equal steps differs by more than rounding where L is stiff.
    """
    bins, member = torch.unique((h * (norm / _SAME)).round(), return_inverse=True)
    if len(bins) == len(h):
        return h, None
    return torch.full_like(bins, math.inf).scatter_reduce(0, member, h, "amin"), member


def _multiply(rows: Tensor, matrices: Tensor, member: Tensor | None) -> Tensor:
    """rows[n] @ matrices[member[n]], without a copy of a matrix for each n."""
    if member is None:
        return rows @ matrices
    if len(matrices) == 1:
        return rows @ matrices[0]
    order = member.argsort()
    parts = [
        rows[i] @ matrix for i, matrix in zip(torch.split(order, member.bincount().tolist()), matrices, strict=True)
    ]
    return torch.cat(parts)[order.argsort()]


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


@attrs.frozen(eq=False)
class BlockDiagonalODE(_ConstantODE):
    """x' = L x + N(t, x) with a constant square matrix for each entry of the last axis but one of the state.

    The blocks may be coupled by N, or be independent systems of which each has its own linear part.

    :param matrix: L, shape (blocks, d, d), for states of shape (..., blocks, d).
    :param function: N(t, x).
    :param domain: times of start and end.

    >>> ode = BlockDiagonalODE(-torch.eye(2).expand(3, 2, 2), lambda t, x: x**2)
    >>> ode.apply(ode.linear(torch.tensor(0.0)), torch.ones(3, 2, dtype=torch.float64))[0]
    tensor([-1., -1.], dtype=torch.float64)
    """

    block_axis: ClassVar[int] = -1

    matrix: Tensor = attrs.field(converter=as_coefficient, repr=brief)
    function: Nonlinearity = attrs.field(repr=False, validator=is_callable)
    domain: tuple[float, float] = attrs.field(default=(0.0, 1.0), converter=as_domain)

    def __attrs_post_init__(self) -> None:
        if self.matrix.dim() != 3 or self.matrix.shape[1] != self.matrix.shape[2]:
            raise ArgumentError("matrix", "must have shape (blocks, d, d)", tuple(self.matrix.shape))

    def system_axes(self, x: Tensor) -> int:
        return min(2, x.dim())

    def fits(self, coefficient: torch.Size, state: torch.Size) -> bool:
        return coefficient[:-1] == state[-2:]

    def apply(self, coefficient: Coefficient, x: Tensor) -> Tensor:
        if not isinstance(coefficient, Tensor) or coefficient.dim() == 0:
            return coefficient * x
        wide = torch.promote_types(coefficient.dtype, x.dtype)
        return (coefficient.to(wide) @ x.to(wide)[..., None]).squeeze(-1)

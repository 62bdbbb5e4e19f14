"""What the linear part of an initial value problem is."""

from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
from torch import Tensor

from deis.errors import ArgumentError
from deis.odes.base import SemilinearODE
from deis.odes.constant import BlockDiagonalODE, DenseODE, DiagonalODE, Nonlinearity
from deis.odes.krylov import KrylovODE


@attrs.frozen
class Linear:
    """A linear part without its N: what makes the equation of the two.

    Made by :func:`diagonal`, :func:`dense`, :func:`block_diagonal` and :func:`matrix_free`, or of your own class.

    :param make: from N and a domain to the ODE.

    >>> Linear(lambda function, domain: DiagonalODE(-1.0, function, domain)).make(lambda t, y: y, (0.0, 2.0))
    DiagonalODE(matrix=-1.0, domain=(0.0, 2.0))
    """

    make: Callable[[Nonlinearity, tuple[float, float]], SemilinearODE]


def diagonal(values: Any) -> Linear:
    """L y is ``values * y``, elementwise.

    :param values: a number, or a tensor of any shape that broadcasts with the state.
    :raises ArgumentError: if it is not numeric or not finite.

    >>> import torch
    >>> k = torch.arange(5.0)
    >>> diagonal(-(k[:, None] ** 2 + k**2)).make(lambda t, y: y, (0.0, 1.0))  # heat equation in two dimensions
    DiagonalODE(matrix=<5 x 5>, domain=(0.0, 1.0))
    """
    return _checked(partial(DiagonalODE, values))


def dense(matrix: Any) -> Linear:
    """L is a square matrix, shape (d, d), on the last axis of the state.

    :raises ArgumentError: if it is none.

    >>> dense([[0.0, 1.0], [-1.0, 0.0]]).make(lambda t, y: y, (0.0, 1.0))
    DenseODE(matrix=<2 x 2>, domain=(0.0, 1.0))
    """
    return _checked(partial(DenseODE, matrix))


def block_diagonal(matrices: Any) -> Linear:
    """L is a square matrix for each system: shape (blocks, d, d), for states of shape (..., blocks, d).

    :raises ArgumentError: if the matrices are not square.

    >>> import torch
    >>> block_diagonal(torch.zeros(3, 2, 2)).make(lambda t, y: y, (0.0, 1.0))
    BlockDiagonalODE(matrix=<3 x 2 x 2>, domain=(0.0, 1.0))
    """
    return _checked(partial(BlockDiagonalODE, matrices))


def matrix_free(operator: Callable[[Tensor], Tensor], **options: Any) -> Linear:
    """L is known by its products only, as :class:`~deis.KrylovODE` takes them.

    :param operator: from y to L y, linear.
    :param options: those of :class:`~deis.KrylovODE`.
    :raises ArgumentError: if it cannot be called, and for options with wrong values.

    >>> type(matrix_free(lambda y: -y, axes=2).make(lambda t, y: y, (0.0, 1.0))).__name__
    'KrylovODE'
    """
    return _checked(partial(KrylovODE, operator, **options))


def _checked(make: Callable[..., SemilinearODE]) -> Linear:
    def some(t: float, y: Tensor) -> Tensor:
        return y

    make(some, domain=(0.0, 1.0))  # what is wrong shows here, where it was written
    return Linear(make)


_FIX = (
    "write deis.diagonal(L) if it multiplies elementwise, deis.dense(L) for a matrix, deis.block_diagonal(L) for a "
    "matrix of each system, deis.matrix_free(L) for a function"
)


def as_linear(value: Any) -> Linear:
    """A linear part from what :func:`~deis.solve_ivp` takes: None is 0, a number or a tensor of one axis a diagonal.

    :raises ArgumentError: for anything that could mean two things.
    """
    if isinstance(value, Linear):
        return value
    if value is None:
        return diagonal(0.0)
    if callable(value):
        raise ArgumentError("linear", "must say what it is", value, _FIX)
    if getattr(value, "ndim", 0) > 1 or (isinstance(value, list | tuple) and value and not _is_flat(value)):
        rule = "must say whether it is a matrix if it has two axes or more"
        raise ArgumentError("linear", rule, f"shape {tuple(getattr(value, 'shape', ())) or '(...)'}", _FIX)
    return diagonal(value)


def _is_flat(value: Any) -> bool:
    return not any(isinstance(entry, list | tuple) or getattr(entry, "ndim", 0) for entry in value)

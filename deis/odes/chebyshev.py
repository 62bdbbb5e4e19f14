"""Collocation at Chebyshev points, for fields on an interval with given values at its ends."""

import math
from typing import Any

import attrs
import torch
from torch import Tensor

from deis.errors import ArgumentError
from deis.fields import integer_in, is_number
from deis.odes.spectral import need_last


def differentiation_matrix(size: int) -> tuple[Tensor, Tensor]:
    """Points x_j = -cos(pi j / (size - 1)) and the matrix of d/dx of the polynomials through them.

    Differences of the points by a product of sines and the diagonal by the sum of a row, which loses least to rounding.
    Source: Trefethen, Spectral Methods in MATLAB (2000), chapter 6; Baltensperger and Trummer, SIAM J. Sci. Comput. 24
    (2003).

    :returns: shapes (size,) and (size, size), float64.

    >>> x, matrix = differentiation_matrix(5)
    >>> torch.allclose(matrix @ x**3, 3 * x**2)
    True
    """
    angles = torch.arange(size, dtype=torch.float64, device="cpu") * (math.pi / (size - 1))
    half = angles / 2
    gaps = 2 * (half[:, None] + half).sin() * (half[:, None] - half).sin()
    weights = torch.ones_like(angles)
    weights[0] = weights[-1] = 2.0
    weights[1::2] *= -1
    matrix = weights[:, None] / weights / gaps
    matrix.fill_diagonal_(0.0)
    return -angles.cos(), matrix - torch.diag(matrix.sum(1))


def _finite_pair(instance: Any, attribute: Any, value: Any) -> None:
    if not isinstance(value, tuple) or len(value) != 2 or not all(map(is_number, value)):
        raise ArgumentError(attribute.name, "must be two finite numbers", value)


def _rising(instance: Any, attribute: Any, value: Any) -> None:
    _finite_pair(instance, attribute, value)
    if value[0] >= value[1]:
        raise ArgumentError(attribute.name, "must be two finite numbers, the smaller first", value)


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@attrs.frozen
class Chebyshev:
    """Fields on an interval with constant values at its ends, by their values at the inner Chebyshev points.

    A coefficient is the value at a point less the straight line between the ends, which vanishes at both of them and
    has the same second derivative.

    :param size: number of inner points.
    :param interval: its ends.
    :param ends: values there.

    >>> basis = Chebyshev(12, ends=(1.0, 1.0))
    >>> u = 2 - basis.points**2
    >>> torch.allclose(basis.laplacian @ basis.to_coefficients(u), torch.tensor(-2.0).double())
    True
    """

    size: int = attrs.field(validator=integer_in(1, 4096))
    interval: tuple[float, float] = attrs.field(default=(-1.0, 1.0), converter=_as_tuple, validator=_rising)
    ends: tuple[float, float] = attrs.field(default=(0.0, 0.0), converter=_as_tuple, validator=_finite_pair)

    @property
    def points(self) -> Tensor:
        """Inner points from left to right, shape (size,), float64."""
        left, right = self.interval
        return left + (right - left) / 2 * (1 + differentiation_matrix(self.size + 2)[0][1:-1])

    @property
    def line(self) -> Tensor:
        """The straight line between the ends at the points, shape (size,)."""
        (left, right), (first, last) = self.interval, self.ends
        return first + (last - first) * ((self.points - left) / (right - left))

    @property
    def derivative(self) -> Tensor:
        """Matrix of d/dx on coefficients, without the slope of the line; shape (size, size)."""
        return self._inner(1)

    @property
    def laplacian(self) -> Tensor:
        """Matrix of d^2/dx^2 on coefficients, shape (size, size)."""
        return self._inner(2)

    def _inner(self, power: int) -> Tensor:
        left, right = self.interval
        matrix = differentiation_matrix(self.size + 2)[1] * (2 / (right - left))
        whole: Tensor = torch.linalg.matrix_power(matrix, power)
        return whole[1:-1, 1:-1].contiguous()

    def to_coefficients(self, values: Tensor) -> Tensor:
        """Coefficients from values at the points, along the last axis.

        :raises ArgumentError: if that axis has another length.
        """
        need_last("values", values, self.size)
        return values - self.line.to(values)

    def to_values(self, coefficients: Tensor) -> Tensor:
        """Values at the points from coefficients, along the last axis.

        :raises ArgumentError: if that axis has another length.
        """
        need_last("coefficients", coefficients, self.size)
        return coefficients + self.line.to(coefficients)

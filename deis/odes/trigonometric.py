"""Sine and cosine bases, orthonormal as the Fourier bases are, in which the second derivative is diagonal."""

import math
from functools import cached_property

import attrs
import torch
from torch import Tensor

from deis.numerics.constants import Constant
from deis.odes.spectral import counted, length_rule, need_last, size_rule


@attrs.frozen
class Sine:
    """Fields on [0, length] that vanish at both ends, u = sqrt(2 / (size + 1)) sum_k c_k sin(k x).

    The coefficients are found by the discrete sine transform of type I.

    :param size: number of points, which lie inside and are equally spaced.
    :param length: length of the interval.

    >>> basis = Sine(7, 1.0)
    >>> u = torch.sin(3 * torch.pi * basis.points)
    >>> torch.allclose(basis.to_values(basis.laplacian * basis.to_coefficients(u)), -((3 * torch.pi) ** 2) * u)
    True
    """

    size: int = attrs.field(validator=size_rule)
    length: float = attrs.field(default=1.0, validator=length_rule)

    @property
    def points(self) -> Tensor:
        """Shape (size,), float64."""
        return counted(1, self.size) * (self.length / (self.size + 1))

    @property
    def frequencies(self) -> Tensor:
        """Wavenumbers k, shape (size,)."""
        return counted(1, self.size) * (math.pi / self.length)

    @property
    def laplacian(self) -> Tensor:
        """Multipliers -k^2 of d^2/dx^2."""
        return -(self.frequencies**2)

    def to_coefficients(self, values: Tensor) -> Tensor:
        """Coefficients from values at the points, along the last axis.

        :raises ArgumentError: if that axis has another length.
        """
        need_last("values", values, self.size)
        return self._transform(values)

    def to_values(self, coefficients: Tensor) -> Tensor:
        """Values at the points from coefficients, along the last axis.

        :raises ArgumentError: if that axis has another length.
        """
        need_last("coefficients", coefficients, self.size)
        return self._transform(coefficients)

    def _transform(self, x: Tensor) -> Tensor:
        """sqrt(2 / (n + 1)) sum_j x_j sin(pi j k / (n + 1)), its own inverse."""
        if x.is_complex():
            return torch.complex(self._transform(x.real), self._transform(x.imag))
        # the odd extension is the imaginary part of what zeros extend
        spectrum: Tensor = torch.fft.rfft(torch.nn.functional.pad(x, (1, 0)), n=2 * (self.size + 1))
        return spectrum.imag[..., 1:-1] * -math.sqrt(2 / (self.size + 1))


@attrs.frozen
class Cosine:
    """Fields on [0, length] with zero slope at both ends, u = sqrt(2 / size) (c_0 / sqrt 2 + sum_k c_k cos(k x)).

    The coefficients are found by the discrete cosine transform of type II.

    :param size: number of points, the middles of as many equal cells.
    :param length: length of the interval.

    >>> basis = Cosine(7, 1.0)
    >>> u = torch.cos(3 * torch.pi * basis.points)
    >>> torch.allclose(basis.to_values(basis.laplacian * basis.to_coefficients(u)), -((3 * torch.pi) ** 2) * u)
    True
    """

    size: int = attrs.field(validator=size_rule)
    length: float = attrs.field(default=1.0, validator=length_rule)

    @property
    def points(self) -> Tensor:
        """Shape (size,), float64."""
        return (counted(0, self.size) + 0.5) * (self.length / self.size)

    @property
    def frequencies(self) -> Tensor:
        """Wavenumbers k, shape (size,)."""
        return counted(0, self.size) * (math.pi / self.length)

    @property
    def laplacian(self) -> Tensor:
        """Multipliers -k^2 of d^2/dx^2."""
        return -(self.frequencies**2)

    @cached_property
    def _turns(self) -> Constant:
        """sqrt(2 / n) exp(-pi i k / (2 n)), for k = 0 divided by sqrt 2: they move the points by half a cell."""
        turns = torch.polar(torch.ones_like(self.frequencies), counted(0, self.size) * (-math.pi / (2 * self.size)))
        turns *= math.sqrt(2 / self.size)
        turns[0] /= math.sqrt(2)
        return Constant(turns)

    def to_coefficients(self, values: Tensor) -> Tensor:
        """Coefficients from values at the points, along the last axis.

        :raises ArgumentError: if that axis has another length.
        """
        need_last("values", values, self.size)
        if values.is_complex():
            return torch.complex(self.to_coefficients(values.real), self.to_coefficients(values.imag))
        # the even extension is the real part, turned, of what zeros extend
        spectrum: Tensor = torch.fft.rfft(values, n=2 * self.size)[..., : self.size]
        return (spectrum * self._turns.like(values)).real

    def to_values(self, coefficients: Tensor) -> Tensor:
        """Values at the points from coefficients, along the last axis.

        :raises ArgumentError: if that axis has another length.
        """
        need_last("coefficients", coefficients, self.size)
        if coefficients.is_complex():
            return torch.complex(self.to_values(coefficients.real), self.to_values(coefficients.imag))
        spectrum: Tensor = torch.fft.fft(coefficients * self._turns.like(coefficients), n=2 * self.size)
        return spectrum.real[..., : self.size]

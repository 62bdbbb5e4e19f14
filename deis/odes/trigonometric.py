"""Sine and cosine bases, orthonormal as the Fourier bases are, in which the second derivative is diagonal."""

import abc
import math
from collections.abc import Callable
from functools import cached_property
from typing import ClassVar

import attrs
import torch
from torch import Tensor

from deis.numerics.constants import Constant
from deis.odes.spectral import counted, length_rule, need_last, size_rule


@attrs.frozen
class _Trigonometric(abc.ABC):
    """What the bases share: a size, a length and wavenumbers from the first on."""

    size: int = attrs.field(validator=size_rule)
    length: float = attrs.field(default=1.0, validator=length_rule)

    first: ClassVar[int]
    """Number of the first wave."""

    @property
    @abc.abstractmethod
    def points(self) -> Tensor:
        """Shape (size,), float64."""

    @property
    def frequencies(self) -> Tensor:
        """Wavenumbers k, shape (size,)."""
        return counted(self.first, self.size) * (math.pi / self.length)

    @property
    def laplacian(self) -> Tensor:
        """Multipliers -k^2 of d^2/dx^2."""
        return -(self.frequencies**2)

    def to_coefficients(self, values: Tensor) -> Tensor:
        """Coefficients from values at the points, along the last axis.

        :raises ArgumentError: if that axis has another length.
        """
        need_last("values", values, self.size)
        return _by_parts(self._analysed, values)

    def to_values(self, coefficients: Tensor) -> Tensor:
        """Values at the points from coefficients, along the last axis.

        :raises ArgumentError: if that axis has another length.
        """
        need_last("coefficients", coefficients, self.size)
        return _by_parts(self._summed, coefficients)

    @abc.abstractmethod
    def _analysed(self, values: Tensor) -> Tensor:
        """Coefficients of real values."""

    @abc.abstractmethod
    def _summed(self, coefficients: Tensor) -> Tensor:
        """Values of real coefficients."""


def _by_parts(transform: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """A real transform of real or complex numbers."""
    return torch.complex(transform(x.real), transform(x.imag)) if x.is_complex() else transform(x)


@attrs.frozen
class Sine(_Trigonometric):
    """Fields on [0, length] that vanish at both ends, u = sqrt(2 / (size + 1)) sum_k c_k sin(k x).

    The coefficients are found by the discrete sine transform of type I.

    :param size: number of points, which lie inside and are equally spaced.
    :param length: length of the interval.

    >>> basis = Sine(7, 1.0)
    >>> u = torch.sin(3 * torch.pi * basis.points)
    >>> torch.allclose(basis.to_values(basis.laplacian * basis.to_coefficients(u)), -((3 * torch.pi) ** 2) * u)
    True
    """

    first = 1

    @property
    def points(self) -> Tensor:
        return counted(self.first, self.size) * (self.length / (self.size + 1))

    def _analysed(self, values: Tensor) -> Tensor:
        """sqrt(2 / (n + 1)) sum_j x_j sin(pi j k / (n + 1)), its own inverse."""
        # the odd extension is the imaginary part of what zeros extend
        spectrum: Tensor = torch.fft.rfft(torch.nn.functional.pad(values, (1, 0)), n=2 * (self.size + 1))
        return spectrum.imag[..., 1:-1] * -math.sqrt(2 / (self.size + 1))

    def _summed(self, coefficients: Tensor) -> Tensor:
        return self._analysed(coefficients)


@attrs.frozen
class Cosine(_Trigonometric):
    """Fields on [0, length] with zero slope at both ends, u = sqrt(2 / size) (c_0 / sqrt 2 + sum_k c_k cos(k x)).

    The coefficients are found by the discrete cosine transform of type II.

    :param size: number of points, the middles of as many equal cells.
    :param length: length of the interval.

    >>> basis = Cosine(7, 1.0)
    >>> u = torch.cos(3 * torch.pi * basis.points)
    >>> torch.allclose(basis.to_values(basis.laplacian * basis.to_coefficients(u)), -((3 * torch.pi) ** 2) * u)
    True
    """

    first = 0

    @property
    def points(self) -> Tensor:
        return (counted(self.first, self.size) + 0.5) * (self.length / self.size)

    @cached_property
    def _turns(self) -> Constant:
        """sqrt(2 / n) exp(-pi i k / (2 n)), for k = 0 divided by sqrt 2: they move the points by half a cell."""
        turns = torch.polar(
            torch.ones_like(self.frequencies), counted(self.first, self.size) * (-math.pi / (2 * self.size))
        )
        turns *= math.sqrt(2 / self.size)
        turns[0] /= math.sqrt(2)
        return Constant(turns)

    def _analysed(self, values: Tensor) -> Tensor:
        # the even extension is the real part, turned, of what zeros extend
        spectrum: Tensor = torch.fft.rfft(values, n=2 * self.size)[..., : self.size]
        return (spectrum * self._turns.like(values)).real

    def _summed(self, coefficients: Tensor) -> Tensor:
        spectrum: Tensor = torch.fft.fft(coefficients * self._turns.like(coefficients), n=2 * self.size)
        return spectrum.real[..., : self.size]

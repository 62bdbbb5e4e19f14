"""Fourier bases, in which constant-coefficient differential operators are diagonal, on one and two axes.

They are orthonormal, so that the root mean square of a state is that of its values (of a real field, of which half of
the modes are kept, within a factor of sqrt 2) and tolerances mean the same in both.
"""

import math
from typing import Any

import attrs
import torch
from torch import Tensor

from deis.errors import ArgumentError
from deis.fields import boolean, integer_in, number_in

size_rule = integer_in(1, 2**24)
length_rule = number_in(0, open_low=True)
_number = number_in(-math.inf)


def need_last(name: str, tensor: Tensor, *sizes: int) -> None:
    """Refuse tensors whose last axes are not those of the basis, which a transform would cut off or fill up."""
    if tensor.shape[-len(sizes) :] != sizes:
        last = " x ".join(map(str, sizes))
        raise ArgumentError(name, f"must have {last} entries along the end of its shape", tuple(tensor.shape))


def counted(first: int, count: int) -> Tensor:
    """Whole numbers as float64 on the CPU, whatever torch's default device is."""
    return torch.arange(first, first + count, dtype=torch.float64, device="cpu")


@attrs.frozen
class Fourier:
    """Periodic fields of one dimension, u(x) = sum_k c_k exp(i k (x - origin)) / sqrt(size).

    :param size: number of points, which are equally spaced from ``origin`` on.
    :param length: period.
    :param origin: first point.
    :param real: real fields, of which the modes k >= 0 are kept (size // 2 + 1 coefficients); else complex ones, with
        as many coefficients as points, in the order of ``torch.fft``.

    >>> basis = Fourier(8, 2 * torch.pi)
    >>> u = torch.sin(2 * basis.points)
    >>> torch.allclose(basis.to_values(basis.derivative * basis.to_coefficients(u)), 2 * torch.cos(2 * basis.points))
    True
    """

    size: int = attrs.field(validator=size_rule)
    length: float = attrs.field(default=2 * math.pi, validator=length_rule)
    origin: float = attrs.field(default=0.0, validator=_number)
    real: bool = attrs.field(default=True, validator=boolean)

    @property
    def points(self) -> Tensor:
        """Shape (size,), float64."""
        return self.origin + counted(0, self.size) * (self.length / self.size)

    @property
    def modes(self) -> Tensor:
        """Number of periods of each mode along ``length``, shape (coefficients,)."""
        half = self.size // 2
        return counted(0, half + 1) if self.real else (counted(0, self.size) + half) % self.size - half

    @property
    def frequencies(self) -> Tensor:
        """Wavenumbers k, shape (coefficients,)."""
        return self.modes * (2 * math.pi / self.length)

    @property
    def derivative(self) -> Tensor:
        """Multipliers i k of d/dx; 0 for the mode of Nyquist's frequency, whose derivative vanishes at every point."""
        k = torch.where(2 * self.modes.abs() == self.size, 0.0, self.frequencies)
        return torch.complex(torch.zeros_like(k), k)

    @property
    def laplacian(self) -> Tensor:
        """Multipliers -k^2 of d^2/dx^2."""
        return -(self.frequencies**2)

    @property
    def dealiasing(self) -> Tensor:
        """1 for the modes below a third of ``size``, 0 for the others: products of the former alias to the latter only.

        Source: Orszag, J. Atmos. Sci. 28 (1971), 1074.
        """
        return (3 * self.modes.abs() < self.size).double()

    def to_coefficients(self, values: Tensor) -> Tensor:
        """Coefficients from values at the points, along the last axis.

        :raises ArgumentError: if that axis has another length.
        """
        need_last("values", values, self.size)
        coefficients: Tensor = (torch.fft.rfft if self.real else torch.fft.fft)(values, norm="ortho")
        return coefficients

    def to_values(self, coefficients: Tensor) -> Tensor:
        """Values at the points from coefficients, along the last axis.

        :raises ArgumentError: if that axis has another length.
        """
        need_last("coefficients", coefficients, self.size // 2 + 1 if self.real else self.size)
        values: Tensor = (torch.fft.irfft if self.real else torch.fft.ifft)(coefficients, n=self.size, norm="ortho")
        return values


def _pair(value: Any) -> Any:
    return tuple(value) if isinstance(value, tuple | list) else (value, value)


def _both(check: Any) -> Any:
    def validate(instance: Any, attribute: Any, value: Any) -> None:
        if len(value) != 2:
            raise ArgumentError(attribute.name, "must be one number for both axes, or two", value)
        for part in value:
            check(instance, attribute, part)

    return validate


@attrs.frozen
class Fourier2:
    """Real periodic fields of two dimensions, on the last two axes; each option is one number for both, or a pair.

    :param size: numbers of points.
    :param length: periods.
    :param origin: first points.

    >>> basis = Fourier2(8)
    >>> x, y = basis.points
    >>> u = torch.sin(x)[:, None] * torch.cos(2 * y)
    >>> torch.allclose(basis.to_values(basis.laplacian * basis.to_coefficients(u)), -5 * u)
    True
    """

    size: tuple[int, int] = attrs.field(converter=_pair, validator=_both(size_rule))
    length: tuple[float, float] = attrs.field(
        default=(2 * math.pi, 2 * math.pi), converter=_pair, validator=_both(length_rule)
    )
    origin: tuple[float, float] = attrs.field(default=(0.0, 0.0), converter=_pair, validator=_both(_number))

    @property
    def sides(self) -> tuple[Fourier, Fourier]:
        """The bases of both axes: all modes of the first, those from 0 on of the second."""
        first, last = zip(self.size, self.length, self.origin, strict=True)
        return Fourier(*first, real=False), Fourier(*last)

    @property
    def points(self) -> tuple[Tensor, Tensor]:
        """Points of each axis, shapes (size[0],) and (size[1],)."""
        first, last = self.sides
        return first.points, last.points

    @property
    def frequencies(self) -> tuple[Tensor, Tensor]:
        """Wavenumbers of each axis, shapes (size[0], 1) and (size[1] // 2 + 1,), which broadcast."""
        first, last = self.sides
        return first.frequencies[:, None], last.frequencies

    @property
    def derivative(self) -> tuple[Tensor, Tensor]:
        """Multipliers of d/dx and d/dy, shapes (size[0], 1) and (size[1] // 2 + 1,); see :attr:`Fourier.derivative`."""
        first, last = self.sides
        return first.derivative[:, None], last.derivative

    @property
    def laplacian(self) -> Tensor:
        """Multipliers of d^2/dx^2 + d^2/dy^2, shape (size[0], size[1] // 2 + 1)."""
        first, last = self.sides
        return first.laplacian[:, None] + last.laplacian

    @property
    def dealiasing(self) -> Tensor:
        """1 for the modes below a third of the size in both directions, shape (size[0], size[1] // 2 + 1)."""
        first, last = self.sides
        return first.dealiasing[:, None] * last.dealiasing

    def to_coefficients(self, values: Tensor) -> Tensor:
        """Coefficients from values at the points, along the last two axes.

        :raises ArgumentError: if these have other lengths.
        """
        need_last("values", values, *self.size)
        coefficients: Tensor = torch.fft.rfft2(values, norm="ortho")
        return coefficients

    def to_values(self, coefficients: Tensor) -> Tensor:
        """Values at the points from coefficients, along the last two axes.

        :raises ArgumentError: if these have other lengths.
        """
        need_last("coefficients", coefficients, self.size[0], self.size[1] // 2 + 1)
        values: Tensor = torch.fft.irfft2(coefficients, s=self.size, norm="ortho")
        return values

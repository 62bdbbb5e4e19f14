"""What problems on a doubly periodic rectangle share."""

import abc

from torch import Tensor

from deis.fields import integer_in
from deis.odes.spectral import Fourier2
from deis.problems.base import Problem

field_size = integer_in(4, 8192)
"""Accepts numbers of points along each axis."""


class PeriodicFields(Problem):
    """Real fields of two dimensions whose states hold coefficients of a :class:`~deis.Fourier2` basis.

    To write one, supply :attr:`basis`, and the ODE and the initial state in its coefficients, which fill the last two
    axes of the state.
    """

    @property
    @abc.abstractmethod
    def basis(self) -> Fourier2:
        """The basis of the states."""

    def values(self, x: Tensor) -> Tensor:
        return self.basis.to_values(x)

    @property
    def axes(self) -> tuple[Tensor, ...]:
        return self.basis.points

"""What methods of other libraries share: they integrate dv/dc as a black box."""

import abc
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import attrs
from torch import Tensor

from deis.fields import integer_in, number_in, one_of
from deis.integrators.base import BlackBox, Trajectory
from deis.integrators.rhs import FORMS, RightHandSide
from deis.odes.base import SemilinearODE


class Foreign(BlackBox):
    """A method of another library, on the ODE as it stands or on its rho form."""

    form: str
    max_nfe: int
    data: ClassVar[Mapping[str, tuple[int, int]]]
    """Order, and evaluations per step, of the library's methods."""

    @property
    @abc.abstractmethod
    def method(self) -> str:
        """The name of the method in the library."""

    @property
    def order(self) -> int:  # type: ignore[override]
        return self.data[self.method][0]

    @property
    def evaluations_per_step(self) -> int:  # type: ignore[override]
        return self.data[self.method][1]

    def integrate(
        self, ode: SemilinearODE, evaluate: Callable[[float, Tensor], Tensor], x0: Tensor, times: Tensor
    ) -> Trajectory:
        slope = RightHandSide(self, ode, evaluate, times, self.form, self.max_nfe)
        empty = x0.numel() == 0
        states = [x0] * (len(times) - 1) if empty else slope.states(self.trace(slope, slope.start(x0)))
        return Trajectory([x0, *states], tuple(times.tolist()))

    @abc.abstractmethod
    def trace(self, slope: RightHandSide, start: Tensor) -> list[Tensor]:
        """v at every time of ``slope.grid`` but the first, from v there.

        :raises DeisError: if the library gives up.
        """


def tolerance(least: float = 0.0) -> Any:
    """A field for a tolerance: above 0, or of at least ``least`` if that is given."""
    return attrs.field(default=1e-5, validator=number_in(least, open_low=least == 0.0))


def form() -> Any:
    """The field ``form``."""
    return attrs.field(default="raw", validator=one_of(FORMS))


def max_nfe() -> Any:
    """The field ``max_nfe``."""
    return attrs.field(default=100_000, validator=integer_in(1, 10**9))

"""What a problem is: a semilinear ODE with a state to start from, and how to look at it."""

import abc
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import attrs
from torch import Tensor, promote_types
from torch import float64 as _double

from deis.errors import ArgumentError
from deis.odes.base import SemilinearODE
from deis.registry import Registry

PROBLEMS: "Registry[Problem]" = Registry("problem")

Invariant = Callable[[Tensor], Tensor]
"""From a state, or states along further leading axes, to a real number each."""


@attrs.frozen
class Recipe:
    """How to solve a problem.

    :param integrator: name of an integrator, with options.
    :param intervals: number of steps; for a method that chooses its own, of times at which its states are wanted.
    :param grid: name of a grid.
    """

    integrator: str
    intervals: int
    grid: str = "t"


class Problem(abc.ABC):
    """A semilinear ODE with a state to start from."""

    @property
    @abc.abstractmethod
    def ode(self) -> SemilinearODE:
        """The equation, on its default domain."""

    @property
    @abc.abstractmethod
    def initial(self) -> Tensor:
        """The state at the start of the domain, float64 or complex128."""

    def exact(self, t: float) -> Tensor | None:
        """The solution at time ``t``, float64 or complex128; None where no closed form is known."""
        return None

    @property
    def recommended(self) -> Recipe:
        """Sensible integrator, steps and grid."""
        return Recipe("krogstad", 100)

    @property
    def converged(self) -> Recipe:
        """Integrator, steps and grid of a reference solution."""
        return attrs.evolve(self.recommended, intervals=10 * self.recommended.intervals)

    @property
    def orders(self) -> Mapping[str, float]:
        """Orders that registered integrators show on this problem, where they are known."""
        return MappingProxyType({})

    def values(self, x: Tensor) -> Tensor:
        """What a state, or states along further leading axes, stand for: values at the points, or components."""
        return x

    @property
    def axes(self) -> tuple[Tensor, ...]:
        """Coordinates of the points, one tensor for each of the last axes of :meth:`values`; none without space."""
        return ()

    @property
    def components(self) -> tuple[str, ...]:
        """Names along the axis of :meth:`values` before those of space; none where there is no such axis."""
        return ()

    @property
    def quantity(self) -> str:
        """What the values at the points are called where there is one field without a name."""
        return "u"

    @property
    def invariants(self) -> Mapping[str, Invariant]:
        """Functions of the state that the exact solution keeps constant."""
        return MappingProxyType({})


class SolvedProblem(Problem):
    """A problem whose solution is known: subclasses write :attr:`ode` and :meth:`exact`."""

    @property
    def initial(self) -> Tensor:
        """The solution at the start of the domain."""
        return self.exact(self.ode.domain[0])

    @abc.abstractmethod
    def exact(self, t: float) -> Tensor:
        """The solution at time ``t``, float64 or complex128."""


def _state(value: Any) -> Tensor:
    if not isinstance(value, Tensor) or not (value.is_floating_point() or value.is_complex()):
        got = value.dtype if isinstance(value, Tensor) else type(value).__name__
        raise ArgumentError("initial", "must be a floating point or complex tensor", got)
    return value.detach().to(promote_types(value.dtype, _double))


def _ode(instance: Any, attribute: Any, value: Any) -> None:
    if not isinstance(value, SemilinearODE):
        raise ArgumentError("ode", "must be a SemilinearODE", value)


@attrs.frozen(eq=False)
class InitialValueProblem(Problem):
    """Any semilinear ODE, from any state: what studies of convergence take where no solution is known.

    :param ode: the equation.
    :param initial: the state at the start of its domain; it is kept in double precision.

    >>> import torch
    >>> from deis import DiagonalODE
    >>> problem = InitialValueProblem(DiagonalODE(-1.0, lambda t, x: torch.sin(x)), torch.ones(3))
    >>> problem.initial.dtype, problem.exact(1.0)
    (torch.float64, None)
    """

    ode: SemilinearODE = attrs.field(validator=_ode)
    initial: Tensor = attrs.field(converter=_state, repr=lambda x: f"<{' x '.join(map(str, x.shape)) or 'number'}>")

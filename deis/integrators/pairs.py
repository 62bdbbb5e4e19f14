"""Pairs of methods that share their evaluations of N and differ by one order: their difference estimates the error."""

import abc
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import attrs
import torch
from torch import Tensor

from deis.errors import ArgumentError, CapabilityError
from deis.integrators.base import BlackBox, Integrator, unstack
from deis.integrators.frames import Evaluate, Frame
from deis.integrators.moments import moment_weights, row_order
from deis.integrators.plan import Row, Stage, Step
from deis.integrators.polynomial import PolynomialEIAB
from deis.integrators.rosenbrock import ExponentialRosenbrock
from deis.integrators.starting import starting_step
from deis.odes.base import SemilinearODE


class Pair(abc.ABC):
    """One step at a time of a method that estimates its error."""

    order: int
    """Of the more accurate method, with which the solution goes on; the estimate behaves as h^order."""
    points: int
    """How many times, the newest included, the step looks back at."""

    def frame(
        self, ode: SemilinearODE, evaluate: Evaluate, span: tuple[float, float], x: Tensor, first: Tensor | None
    ) -> Frame:
        """The coordinates of a step over ``span`` from ``x``, where N is ``first`` if it is known."""
        return Frame(ode, evaluate, x, first)

    @abc.abstractmethod
    def step(self, ode: SemilinearODE, times: tuple[float, ...], end: float) -> Step:
        """The step, with an error row, from the last but one of ``times`` to the last.

        :param times: at most ``points`` times at which N is known or about to be, and the end of the step.
        :param end: where the integration ends.
        :raises CapabilityError: if the ODE lacks something that the method needs, or the method has no error row.
        """


@attrs.frozen
class EmbeddedPair(Pair):
    """A one-step method whose plans have error rows."""

    method: Integrator
    points = 1

    @property
    def order(self) -> int:  # type: ignore[override]
        return self.method.order

    def step(self, ode: SemilinearODE, times: tuple[float, ...], end: float) -> Step:
        (step,) = self.method.plan(ode, times[-2:]).steps
        if step.error is None:
            raise CapabilityError(
                f"{self.method!r} does not estimate its error; choose a tableau with embedded weights, for example "
                "RhoRungeKutta('bogacki-shampine'), or a PolynomialEIAB with two steps or more"
            )
        return step


@attrs.frozen
class RosenbrockPair(Pair):
    """An exponential Rosenbrock method with an embedded one."""

    method: ExponentialRosenbrock
    points = 1

    @property
    def order(self) -> int:  # type: ignore[override]
        return self.method.order

    def frame(
        self, ode: SemilinearODE, evaluate: Evaluate, span: tuple[float, float], x: Tensor, first: Tensor | None
    ) -> Frame:
        return self.method.frame(ode, evaluate, *span, x)

    def step(self, ode: SemilinearODE, times: tuple[float, ...], end: float) -> Step:
        return self.method.step(ode, *times[-2:])


@attrs.frozen
class AdamsPair(Pair):
    """An exponential Adams method and the one with a point less.

    Until there are enough points, steps are Runge-Kutta steps on as many nodes, whatever the method's ``start``: a ramp
    has no error estimate.
    """

    method: PolynomialEIAB

    @property
    def order(self) -> int:  # type: ignore[override]
        return row_order(self.method.moments, self.method.steps)

    @property
    def points(self) -> int:  # type: ignore[override]
        return self.method.steps

    def step(self, ode: SemilinearODE, times: tuple[float, ...], end: float) -> Step:
        count, known = self.method.steps, len(times) - 1
        grid = torch.tensor(times, dtype=torch.float64)
        if known < count:
            best, less = (starting_step(ode, self.method.clock, grid, known - 1, k) for k in (count, count - 1))
            return attrs.evolve(best, error=_difference(best, less))
        state, before = ode.transition(grid[-1], grid[-2]), grid[:-1].flip(0)  # newest first
        values, fewer = self._weights(ode, grid, before), self._weights(ode, grid, before[:-1])
        # a correction belongs to a step that another follows
        corrected = self.method.corrector and times[-1] != end
        correct = Row(state, self._weights(ode, grid, grid.flip(0))) if corrected else None
        return Step(times[-2], times[-1], [Stage(times[-2])], Row(state, values), correct, _error(values, fewer))

    def _weights(self, ode: SemilinearODE, grid: Tensor, nodes: Tensor) -> list[Any]:
        """Weights of the last step of ``grid`` on ``nodes``."""
        method = self.method
        return unstack(moment_weights(method.moments, ode, grid[-2:-1], grid[-1:], nodes[None], method.clock)[0], 1)


def _difference(best: Step, less: Step) -> Row:
    """The result of ``best`` less that of ``less``, whose stages are the first ones of ``best``."""
    own, further = len(less.stages), len(best.stages) - len(less.stages)
    values = less.advance.values
    return _error(best.advance.values, (*values[:own], *[0.0] * further, *values[own:]))


def _error(best: Sequence[Any], less: Sequence[Any]) -> Row:
    pairs = list(zip_longest(best, less, fillvalue=0.0))
    if any(isinstance(a, Tensor) and isinstance(b, Tensor) and a.shape != b.shape for a, b in pairs):
        raise CapabilityError(
            "coefficients of a matrix-free linear part cannot be subtracted, as an error estimate needs"
        )
    return Row(0.0, [a - b for a, b in pairs])


def as_pair(method: Integrator) -> Pair:
    """The pair that a method is part of.

    :raises ArgumentError: if it is none.
    """
    if isinstance(method, ExponentialRosenbrock) and method.method.embedded is not None:
        return RosenbrockPair(method)
    if isinstance(method, BlackBox) or method.stochastic:
        raise ArgumentError("method", "must be deterministic and have a plan", method)
    if not isinstance(method, PolynomialEIAB):
        return EmbeddedPair(method)
    if method.steps < 2 or method.lower_final:
        raise ArgumentError("method", "must have two steps or more, and no lower_final", method)
    return AdamsPair(method)

"""What an integrator is: a frozen value that turns an ODE and a grid into a plan."""

import abc
from collections.abc import Callable, Generator, Sequence
from typing import Any, ClassVar, NamedTuple

import attrs
import torch
from torch import Tensor

from deis.errors import ArgumentError, CapabilityError
from deis.fields import is_integer
from deis.grids import Times
from deis.integrators.own_grid import OwnGrid
from deis.integrators.plan import Plan
from deis.odes.base import Clock, SemilinearODE
from deis.registry import Registry

INTEGRATORS: "Registry[Integrator]" = Registry("integrator")

_MOST_INTERVALS = 100_000


class Integrator(abc.ABC):
    """A recipe for coefficients.

    To implement one, subclass, decorate with ``attrs.frozen`` (options as fields), register it, and supply:

    1. :attr:`order`: the order of convergence on smooth problems, start included, as class data or a property.
    2. :meth:`plan`: from an ODE and times to a :class:`~deis.Plan`.
    3. :attr:`evaluations_per_step`, or :meth:`nfe` where steps differ.
    4. :attr:`stochastic`, if it adds noise.
    5. :attr:`own_grid`, if it runs on times of its own only.

    The ``repr`` is its label.
    """

    order: int
    evaluations_per_step: int = 1
    stochastic: ClassVar[bool] = False
    source: ClassVar[str] = ""
    """Paper and equation."""
    own_grid: OwnGrid | None = None
    """The only times on which it runs, in the place of a grid that is common to several methods."""

    @abc.abstractmethod
    def plan(self, ode: SemilinearODE, times: Times) -> Plan:
        """Coefficients of every step.

        :param ode: the problem.
        :param times: a grid, or strictly monotone times; :func:`~deis.grids.as_times` makes a tensor of either.
        :raises ArgumentError: if the times are not strictly monotone.
        :raises CapabilityError: if the ODE lacks something that the method needs.
        """

    def nfe(self, intervals: int) -> int:
        """Number of evaluations of N on a grid of that many intervals."""
        return self.evaluations_per_step * intervals

    def intervals_for(self, nfe: int) -> int:
        """Number of intervals that uses exactly ``nfe`` evaluations.

        :raises ArgumentError: if there is none; the nearest budgets are named.
        """
        intervals = self.most_intervals(nfe)
        if self.nfe(intervals) != nfe:
            near = self.own_grid.counts if self.own_grid else (intervals, intervals + 1)
            rule = f"must be a number of evaluations that {self!r} can make"
            raise ArgumentError("nfe", rule, nfe, self._offer(near))
        return intervals

    def most_intervals(self, nfe: int) -> int:
        """Largest number of intervals that uses at most ``nfe`` evaluations.

        :raises ArgumentError: if not even one interval fits.
        """
        if not is_integer(nfe) or not 1 <= nfe <= _MOST_INTERVALS:
            raise ArgumentError("nfe", f"must be a whole number from 1 to {_MOST_INTERVALS}", nfe)
        if self.own_grid:
            return self._most_of_its_own(nfe, self.own_grid.counts)
        if self.nfe(1) > nfe:
            raise ArgumentError("nfe", f"must be at least {self.nfe(1)} for {self!r}", nfe)
        intervals = 1
        while self.nfe(intervals + 1) <= nfe:
            intervals += 1
        return intervals

    def _most_of_its_own(self, nfe: int, counts: Sequence[int]) -> int:
        fitting = [count for count in counts if self.nfe(count) <= nfe]
        if not fitting:
            rule = f"must be at least {min(map(self.nfe, counts))} for {self!r}"
            raise ArgumentError("nfe", rule, nfe, self._offer(counts))
        return max(fitting, key=self.nfe)

    def _offer(self, counts: Sequence[int]) -> str:
        return f"ask for {' or '.join(str(self.nfe(count)) for count in counts)}"

    def need_clock(self, ode: SemilinearODE, name: str) -> Clock:
        """The clock of the ODE that this method runs in.

        :raises CapabilityError: if the ODE does not have it; both sides are named.
        """
        try:
            return ode.clock(name)
        except CapabilityError as error:
            raise CapabilityError(f"{self!r} needs the clock {name!r}: {error}; choose another by clock=") from None


def as_integrator(value: "Integrator | Plan | str") -> Integrator:
    """An integrator, the registered one of a name, or what a ready plan does.

    :raises UnknownNameError: if there is none of that name.
    :raises ArgumentError: for anything else.
    """
    if isinstance(value, str):
        return INTEGRATORS.create(value)
    if isinstance(value, Plan):
        from deis.integrators.planned import Planned  # which is an integrator, and so comes after this module

        return Planned((value,))
    if not isinstance(value, Integrator):
        fix = f"write {value.__name__}()" if isinstance(value, type) else "for example deis.PolynomialEIAB()"
        raise ArgumentError("integrator", "must be an integrator or the name of one", value, fix)
    return value


class Account(NamedTuple):
    """How a method that makes its steps as it goes has fared."""

    accepted: int | None = None
    """Number of steps; None if it is not known."""
    rejected: int = 0
    """Number of steps whose error was too large, so that they were made again."""
    diagnosis: str = ""
    """Why the run ended early; empty if it did not."""


@attrs.frozen(eq=False)
class Trajectory:
    """What a method that makes its steps as it goes has done."""

    states: Sequence[Tensor]
    """States at the given times; of a run that ended early, at those reached and where it stopped."""
    times: tuple[float, ...]
    """Times of the states."""
    account: Account = attrs.field(factory=Account)


class BlackBox(Integrator):
    """A method that makes its steps as it goes: it has no plan, and brings its own loop."""

    differentiable: ClassVar[bool] = True
    """Whether gradients pass through :meth:`integrate`."""
    chooses_steps: ClassVar[bool] = True
    """Whether it chooses its steps by tolerances; else it makes one on each interval of the grid."""

    def plan(self, ode: SemilinearODE, times: Times) -> Plan:
        """Not available.

        :raises CapabilityError: always.
        """
        raise CapabilityError(f"{self!r} makes its steps as it goes and has no plan; call solve instead")

    def nfe(self, intervals: int) -> int:
        """Not available.

        :raises CapabilityError: always.
        """
        fix = (
            "set its tolerances instead of nfe" if self.chooses_steps else "give the times of its steps instead of nfe"
        )
        raise CapabilityError(f"{self!r} keeps no number of evaluations; {fix}")

    def form_of(self, ode: SemilinearODE) -> SemilinearODE:
        """The form of the ODE that is integrated.

        :raises CapabilityError: if the ODE lacks it.
        """
        return ode

    @abc.abstractmethod
    def integrate(
        self, ode: SemilinearODE, evaluate: Callable[[float, Tensor], Tensor], x0: Tensor, times: Tensor
    ) -> Trajectory:
        """States at every one of ``times``, the first of them ``x0``.

        :param ode: what :meth:`form_of` returned.
        :param evaluate: N(t, x) of that form, counted and checked.
        """


def need_steps(method: Integrator) -> None:
    """Refuse a method that makes a step on each interval of a grid and keeps no budget by which to make one.

    :raises CapabilityError: if it is such a method.
    """
    if isinstance(method, BlackBox) and not method.chooses_steps:
        raise CapabilityError(f"{method!r} makes one step on each interval of a grid; call deis.solve with its times")


def least_intervals(method: Integrator) -> int:
    """Intervals of the smallest grid on which a method shows what it needs."""
    return min(method.own_grid.counts) if method.own_grid else 1


def usual_nfe(method: Integrator, default: int) -> int | None:
    """The budget where none is given: that of a single plan, else ``default``; None where the method chooses it."""
    if isinstance(method, BlackBox):
        return None
    only = method.own_grid and method.own_grid.only
    return method.nfe(only) if only else default


Steps = Generator[tuple[float, Tensor], None, Account]
"""Time and state at the end of each step, and at last the account of them."""


class Stepping(BlackBox):
    """A black box whose steps can be followed while they are made; subclasses write :meth:`steps`."""

    @abc.abstractmethod
    def steps(
        self, ode: SemilinearODE, evaluate: Callable[[float, Tensor], Tensor], x0: Tensor, times: Tensor
    ) -> Steps:
        """Make the steps; every one of ``times`` is the end of one. Arguments as of :meth:`integrate`."""

    def integrate(
        self, ode: SemilinearODE, evaluate: Callable[[float, Tensor], Tensor], x0: Tensor, times: Tensor
    ) -> Trajectory:
        run, wanted = self.steps(ode, evaluate, x0, times), frozenset(times.tolist())
        states, time, x = {float(times[0]): x0}, float(times[0]), x0
        try:
            while True:
                time, x = next(run)
                if time in wanted:
                    states[time] = x
        except StopIteration as end:
            states[time] = x
            return Trajectory(list(states.values()), tuple(states), end.value)


def lookback(times: Tensor, index: Tensor, points: int) -> Tensor:
    """Times t_n, t_{n-1}, ... of the newest ``points`` grid points at each step n in ``index``.

    :returns: shape (len(index), points).
    """
    return times[index[:, None] - torch.arange(points)]


def unstack(weights: Tensor, count: int) -> list[Any]:
    """Split the first ``count`` axes of a tensor into nested lists; scalars without gradient become numbers."""
    if weights.dim() == count and not weights.requires_grad:
        return weights.tolist()
    if count == 1:
        return list(weights.unbind(0))
    return [unstack(part, count - 1) for part in weights.unbind(0)]

"""Time grids: how many points, and where."""

import abc
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Set
from itertools import pairwise
from numbers import Real

import attrs
import torch
from torch import Tensor

from deis.errors import ArgumentError, UnknownNameError
from deis.fields import is_integer, number_in, one_of
from deis.numerics.host import on_host
from deis.odes.base import SemilinearODE
from deis.registry import Registry

GRIDS: "Registry[GridFamily]" = Registry("grid")


def _is_time(value: object) -> bool:
    real = isinstance(value, Real) and not isinstance(value, bool)
    return real or (isinstance(value, Tensor) and value.is_floating_point())


def _times(values: "Iterable[float] | Tensor") -> tuple[float, ...]:
    try:
        if isinstance(values, Tensor) and values.is_floating_point():
            points = tuple(map(float, values.tolist()))
        elif isinstance(values, bytes | Set | Mapping) or not all(map(_is_time, given := tuple(values))):
            raise TypeError
        else:
            points = tuple(map(float, given))
    except (TypeError, ValueError, OverflowError):
        raise ArgumentError("times", "must be numbers", values) from None
    if len(points) < 2:
        raise ArgumentError("times", "must hold at least two times", points)
    if not all(map(math.isfinite, points)):
        raise ArgumentError("times", "must be finite", points)
    rising = points[1] > points[0]
    for before, after in pairwise(points):
        if before == after or (after > before) != rising:
            rule = f"must be strictly monotone, but {before!r} is followed by {after!r}"
            raise ArgumentError("times", rule, points)
    return points


@attrs.frozen
class TimeGrid:
    """Strictly monotone times, from where integration starts to where it ends.

    >>> TimeGrid([1.0, 0.5, 0.1]).intervals
    2
    """

    times: tuple[float, ...] = attrs.field(converter=_times)

    @property
    def intervals(self) -> int:
        """Number of steps."""
        return len(self.times) - 1

    def tensor(self) -> Tensor:
        """The times as float64, shape (intervals + 1,)."""
        return torch.tensor(self.times, dtype=torch.float64)

    def reversed(self) -> "TimeGrid":
        """The same points in the other direction: for a diffusion ODE, from data to noise."""
        return TimeGrid(self.times[::-1])

    def check_inside(self, domain: tuple[float, float]) -> None:
        """Refuse times outside a domain, given as two times in any order.

        :raises ArgumentError: if a time lies outside by more than rounding.
        """
        low, high = sorted(domain)
        margin = 1e-9 * (high - low)
        for time in self.times:
            if not low - margin <= time <= high + margin:
                raise ArgumentError("times", f"must lie between {low:g} and {high:g}, where the ODE is defined", time)

    def __iter__(self) -> Iterator[float]:
        return iter(self.times)

    def __len__(self) -> int:
        return len(self.times)


def as_times(times: "Times") -> Tensor:
    """Strictly monotone float64 times, shape (intervals + 1,), from a grid, a tensor or numbers.

    A float64 tensor is returned as it is, with its gradient.

    :raises ArgumentError: if the times are not strictly monotone.
    """
    grid = times if isinstance(times, TimeGrid) else TimeGrid(times)
    return times if isinstance(times, Tensor) and times.dtype == torch.float64 else grid.tensor()


Times = TimeGrid | Tensor | Iterable[float]
"""What a grid can be given as."""


class GridFamily(abc.ABC):
    """Makes a grid of any number of intervals on the domain of an ODE.

    To add one: subclass, decorate with ``attrs.frozen``, register it, and write :meth:`points`.
    """

    def __call__(self, ode: SemilinearODE, intervals: int) -> TimeGrid:
        """The grid of ``intervals`` steps over the ODE's domain.

        :raises ArgumentError: for a number of intervals below 1, or if the points are not strictly monotone.
        """
        if not is_integer(intervals) or intervals < 1:
            raise ArgumentError("intervals", "must be a whole number of at least 1", intervals)
        with on_host():
            times = self.points(ode, intervals).tolist()
        return TimeGrid([ode.domain[0], *times[1:-1], ode.domain[1]])

    @abc.abstractmethod
    def points(self, ode: SemilinearODE, intervals: int) -> Tensor:
        """``intervals + 1`` times from ``ode.domain[0]`` to ``ode.domain[1]``, float64."""


@GRIDS.register("t")
@GRIDS.register("t2", power=2.0)
@GRIDS.register("t3", power=3.0)
@GRIDS.register("rho", clock="rho")
@GRIDS.register("rho7", clock="rho", power=7.0)
@GRIDS.register("log", clock="log_rho")
@GRIDS.register("vp-t", clock="vp_t")
@GRIDS.register("vp-t2", clock="vp_t", power=2.0)
@GRIDS.register("vp-t3", clock="vp_t", power=3.0)
@GRIDS.register("default", clock="vp_t", power=3.0)
@attrs.frozen
class PowerGrid(GridFamily):
    """Uniform in clock^(1/power): t, power 2 is the papers' quadratic grid; rho, power 7 that of Karras et al.

    :param clock: name of a clock of the ODE.
    :param power: exponent, above 0; a clock that takes negative values allows 1 only.
    :param shift: above 1, the points crowd at the start, below 1 at the end: the share u of the way becomes
        u / (u + shift (1 - u)); on flow matching's time this is its time shift (arXiv 2403.03206, eq. 23).
    """

    clock: str = "t"
    power: float = attrs.field(default=1.0, validator=number_in(0, open_low=True))
    shift: float = attrs.field(default=1.0, validator=number_in(0, open_low=True))

    def points(self, ode: SemilinearODE, intervals: int) -> Tensor:
        hand = ode.clock(self.clock)
        ends = hand.of(torch.tensor(ode.domain, dtype=torch.float64))
        if self.power != 1 and bool((ends < 0).any()):
            raise ArgumentError(
                "power", f"must be 1 on the clock {self.clock!r}, which takes negative values", self.power
            )
        root = ends ** (1 / self.power)
        share = torch.linspace(0.0, 1.0, intervals + 1, dtype=torch.float64)
        fraction = share / (share + self.shift * (1 - share))
        return hand.time((root[0] + fraction * (root[1] - root[0])) ** self.power)


@GRIDS.register("cosine")
@attrs.frozen
class CosineGrid(GridFamily):
    """Dense at the end of the domain: t = end + (start - end) (1 - cos(pi u / 2)), u uniform from 1 to 0."""

    def points(self, ode: SemilinearODE, intervals: int) -> Tensor:
        start, end = ode.domain
        u = torch.linspace(1.0, 0.0, intervals + 1, dtype=torch.float64)
        return end + (start - end) * (1 - (u * (math.pi / 2)).cos())


@GRIDS.register("ddim-linear")
@GRIDS.register("ddim-quadratic", spacing="quadratic")
@attrs.frozen
class IntegerGrid(GridFamily):
    """Whole-number times for networks trained on 0 ... N-1 (arXiv 2010.02502, appendix D.2).

    :param spacing: ``linear``: round(i (N-1) / S); ``quadratic``: round(i^2 (N-1) / S^2), for i = 0 ... S intervals.
    """

    spacing: str = attrs.field(default="linear", validator=one_of(["linear", "quadratic"]))

    def points(self, ode: SemilinearODE, intervals: int) -> Tensor:
        start, end = ode.domain
        if start != round(start) or end != round(end):
            raise ArgumentError("domain", "must start and end at whole numbers for an integer grid", ode.domain)
        if abs(start - end) < intervals:
            raise ArgumentError("intervals", f"must be at most {abs(start - end):g} on an integer grid", intervals)
        u = torch.linspace(1.0, 0.0, intervals + 1, dtype=torch.float64)
        times = (end + (start - end) * u ** (2 if self.spacing == "quadratic" else 1)).round()
        sign = math.copysign(1.0, start - end)  # times that coincide after rounding move apart by one
        ahead = torch.arange(intervals, -1, -1, dtype=torch.float64)
        return end + sign * (torch.cummax((sign * (times - end) - ahead).flip(0), 0).values.flip(0) + ahead)


_PATTERN = re.compile(r"(vp-t|t|rho)(\d+(?:\.\d+)?)")


def make_grid(text: "str | GridFamily") -> GridFamily:
    """The grid family that ``text`` describes: a registered name, or t, rho or vp-t with any power, as in ``t1.5``.

    :raises UnknownNameError: if there is no such family; near misses are shown.

    >>> make_grid("rho7"), make_grid("t1.5")
    (PowerGrid(clock='rho', power=7.0, shift=1.0), PowerGrid(clock='t', power=1.5, shift=1.0))
    """
    if isinstance(text, GridFamily):
        return text
    match = _PATTERN.fullmatch(text) if isinstance(text, str) and text not in GRIDS else None
    if match:
        return PowerGrid(match[1].replace("-", "_"), float(match[2]))
    if not isinstance(text, str):
        raise UnknownNameError("grid", text, GRIDS)
    return GRIDS.create(text)

"""Grids whose steps are lengthened and shortened smoothly."""

import math
from collections.abc import Iterable
from typing import Any

import attrs
import torch
from torch import Tensor

from deis.errors import ArgumentError
from deis.fields import is_number, need
from deis.grids import GridFamily
from deis.odes.base import Clock, SemilinearODE


def grid_clock(ode: SemilinearODE) -> Clock:
    """The variable in which grids are deformed: log rho where the ODE has it, otherwise time."""
    return ode.clock("log_rho" if "log_rho" in ode.clocks else "t")


def times_of(ode: SemilinearODE, base: Tensor, logs: Tensor) -> Tensor:
    """The grid ``base`` with steps multiplied by exp(logs) and then scaled so that the ends stay.

    Steps are measured in :func:`grid_clock`; the times are differentiable in ``logs``.

    :param base: times, shape (n + 1,), float64.
    :param logs: shape (n,), float64.
    """
    hand = grid_clock(ode)
    places = hand.of(base)
    steps = (places[1:] - places[:-1]) * (logs - logs.mean()).exp()
    inner = places[0] + (steps * ((places[-1] - places[0]) / steps.sum())).cumsum(0)[:-1]
    return torch.cat([base[:1], hand.time(inner), base[-1:]])


def _family(instance: object, attribute: object, value: Any) -> None:
    need("grid", value, GridFamily, "for example PowerGrid()")


def _row(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(values)


def _bends(instance: object, attribute: object, value: tuple[float, ...]) -> None:
    for one in value:
        if not is_number(one):
            raise ArgumentError("bends", "must be finite numbers", one)


@attrs.frozen
class BentGrid(GridFamily):
    """A grid whose steps are multiplied by exp(sum_m bends[m] cos(pi (m + 1) u)), u being the share of the steps made.

    :param grid: the grid that is bent.
    :param bends: amplitudes of the slow to the fast cosines; none leaves the grid as it is.

    >>> from deis import Bernoulli, PowerGrid
    >>> [round(t, 3) for t in BentGrid(PowerGrid(), (0.5,))(Bernoulli().ode, 2)]  # a longer first step
    [0.0, 0.67, 1.0]
    """

    grid: GridFamily = attrs.field(validator=_family)
    bends: tuple[float, ...] = attrs.field(converter=_row, validator=_bends)

    def points(self, ode: SemilinearODE, intervals: int) -> Tensor:
        share = (torch.arange(intervals, dtype=torch.float64) + 0.5) / intervals
        modes = torch.arange(1, len(self.bends) + 1, dtype=torch.float64)[:, None]
        logs = torch.tensor(self.bends, dtype=torch.float64) @ (math.pi * modes * share).cos()
        return times_of(ode, self.grid(ode, intervals).tensor(), logs)

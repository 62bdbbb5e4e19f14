"""The times that a method brings itself."""

from collections.abc import Sequence

import attrs
from torch import Tensor

from deis.errors import ArgumentError
from deis.grids import GridFamily, TimeGrid
from deis.odes.base import SemilinearODE

_ROUNDING = 1e-9  # of the distance of the ends


def same_times(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two rows of times agree to rounding.

    >>> same_times([0.0, 0.3, 1.0], [0.0, 0.1 + 0.2, 1.0]), same_times([0.0, 1.0], [1.0, 0.0])
    (True, False)
    """
    margin = _ROUNDING * abs(one[-1] - one[0])
    return len(one) == len(other) and all(abs(a - b) <= margin for a, b in zip(one, other, strict=True))


@attrs.frozen
class OwnGrid(GridFamily):
    """Given times, one row for each number of intervals that there is.

    :param grids: in either direction; a grid that is made of them runs as the domain does.
    """

    grids: tuple[TimeGrid, ...]

    @property
    def counts(self) -> tuple[int, ...]:
        """The numbers of intervals that there are."""
        return tuple(grid.intervals for grid in self.grids)

    @property
    def only(self) -> int | None:
        """The number of intervals, if there is but one."""
        return self.counts[0] if len(self.counts) == 1 else None

    def points(self, ode: SemilinearODE, intervals: int) -> Tensor:
        """The times of so many intervals, from one end of the ODE's domain to the other.

        :raises ArgumentError: if there are none, or if they end elsewhere.
        """
        if intervals not in self.counts:
            raise ArgumentError("intervals", f"must be {' or '.join(map(str, self.counts))}", intervals)
        (start, end), grid = ode.domain, self.grids[self.counts.index(intervals)]
        grid = grid if (grid.times[0] < grid.times[-1]) == (start < end) else grid.reversed()
        ends = grid.times[0], grid.times[-1]
        if not same_times(ode.domain, ends):
            rule = f"must be a plan from {start:g} to {end:g}, over the whole domain of the ODE"
            raise ArgumentError("integrator", rule, ends, "call deis.solve with plan.times and a state of yours")
        return grid.tensor()

    def holds(self, times: TimeGrid) -> bool:
        """Whether these times are among them, in either direction.

        >>> OwnGrid((TimeGrid([1.0, 0.5, 0.0]),)).holds(TimeGrid([0.0, 0.5, 1.0]))
        True
        """
        return any(same_times(grid.times, row) for grid in self.grids for row in (times.times, times.times[::-1]))

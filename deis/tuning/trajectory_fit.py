"""Grids on which the local errors along solved trajectories are small, by dynamic programming."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import attrs
import torch
from torch import Tensor

from deis.analysis.metrics import per_sample_rmse
from deis.analysis.reference import FIFTH_ORDER
from deis.errors import ArgumentError, CapabilityError, NonFiniteError
from deis.fields import is_integer
from deis.grids import TimeGrid, make_grid
from deis.integrators.base import Integrator
from deis.integrators.combine import combine
from deis.integrators.exponential_euler import ExponentialEuler
from deis.integrators.plan import HERE, Step
from deis.numerics.host import on_host
from deis.odes.base import SemilinearODE
from deis.solve import solve
from deis.tuning.grid import GridObjective

_REACH: Final = 3  # longest step, in mean steps; the cost of longer ones, by equal spacing, says little
_POWERS: Final = (0.0, 0.5, 1.0)  # of the share of a local error that is left at the end
_FINER: Final = 4  # steps of the pilot solve between two points


@attrs.frozen(eq=False)
class TrajectoryFit(GridObjective):
    """Makes the sum of local errors along trajectories small, over all choices among the points where they are known.

    A step from one point to another is judged by its error on the path, with the path's N at equal spacing before it
    as history. An error along the data stays and one across it shrinks like sigma, so that errors are carried to the
    end by (sigma(end) / sigma(t))^power with several powers, and by 1 where an ODE has no noise level. Of the grids
    that this gives, and the default one, that with the smallest error at the end of the trajectories is taken. Methods
    with stages are judged as :class:`~deis.ExponentialEuler` in their splitting. (arXiv 2405.11326, section 3;
    2503.21774, section 3.)

    :param states: on the path, shape (points + 1, B, ...), double precision.
    :param times: shape (points + 1,), the whole domain.
    :param slopes: x'(t) there, of the shape of ``states``.
    :raises ArgumentError: if the shapes differ.
    """

    states: Tensor = attrs.field(repr=False)
    times: Tensor = attrs.field()
    slopes: Tensor = attrs.field(repr=False)

    @slopes.validator
    def _fits(self, attribute: Any, value: Tensor) -> None:
        if value.shape != self.states.shape or self.times.shape != self.states.shape[:1]:
            shapes = [tuple(one.shape) for one in (self.states, self.times, value)]
            raise ArgumentError("states, times, slopes", "must have one row a time", shapes, "use TrajectoryFit.of")

    @classmethod
    def of(
        cls, ode: SemilinearODE, x0: Tensor, *, integrator: Integrator | str = FIFTH_ORDER, points: int = 64
    ) -> "TrajectoryFit":
        """From a fine solve, whose steps are a quarter as long as the distance of the points.

        :param x0: initial states, shape (B, ...); about 16 samples suffice.
        :param integrator: of the fine solve.
        :param points: intervals between the points, which lie as on the default grid.
        :raises ArgumentError: if ``points`` is no whole number above 0.

        >>> from deis import DiagonalODE
        >>> from deis.integrators.base import as_integrator
        >>> ode = DiagonalODE(-1.0, lambda t, x: x.sin())
        >>> fit = TrajectoryFit.of(ode, torch.ones(4, 1).double(), points=12)
        >>> fit.optimise(as_integrator("tab1"), ode, TimeGrid([0.0, 0.4, 0.8, 1.0])).intervals
        3
        """
        if not is_integer(points) or points < 1:
            raise ArgumentError("points", "must be a whole number of at least 1", points)
        family = make_grid("default" if "vp_t" in ode.clocks else "t")
        with torch.no_grad():
            fine = solve(ode, x0, family(ode, _FINER * points), integrator, keep_states=True)
            assert fine.states is not None
            states, times = fine.states[::_FINER], fine.times[::_FINER]
            slopes = [ode.rate(t)(x, ode.nonlinearity(t, x)) for t, x in zip(times, states, strict=True)]
        return cls(torch.stack(states), TimeGrid(times).tensor(), torch.stack(slopes))

    def optimise(self, integrator: Integrator, ode: SemilinearODE, start: TimeGrid) -> TimeGrid:
        points, edges = len(self.times) - 1, start.intervals
        if edges > points:
            fix = f"make it with points={4 * edges} or more"
            raise ArgumentError("TrajectoryFit", f"must know at least {edges} intervals", points, fix)
        ends = float(self.times[0]), float(self.times[-1])
        if ends != (start.times[0], start.times[-1]):
            raise ArgumentError("TrajectoryFit", f"must begin and end with {start.times[::edges]}", ends)
        with on_host(), torch.no_grad():
            judged = self._costs(integrator, ode, min(points, -(-_REACH * points // edges)))
            carried = self._carried(ode)
            paths = [cheapest_path(cost * carried**power, edges) for cost in judged for power in _POWERS]
            grids = dict.fromkeys([start, *(TimeGrid(self.times[path]) for path in paths)])
            return min(grids, key=lambda grid: self._error(integrator, ode, grid))

    def _error(self, integrator: Integrator, ode: SemilinearODE, grid: TimeGrid) -> float:
        """Mean logarithm of the samples' RMSE at the end."""
        try:
            end = solve(ode, self.states[0], grid, integrator).x
        except NonFiniteError:
            return torch.inf
        return float(per_sample_rmse(end, self.states[-1]).log().mean())

    def _carried(self, ode: SemilinearODE) -> Tensor:
        try:
            _, sigma = ode.marginal(self.times)
        except CapabilityError:
            return torch.ones_like(self.times)
        return sigma[-1] / sigma

    def _costs(self, integrator: Integrator, ode: SemilinearODE, reach: int) -> Tensor:
        """Local errors of the step from each point to each later one, infinite beyond ``reach``.

        :returns: of the predicted state, and its geometric mean with that of the corrected state, shape (2, M, M).
        """
        count = len(self.times)
        costs = torch.full((2, count, count), torch.inf, dtype=torch.float64)
        method, path = integrator, None
        for chosen, spacing in _spaced(count, reach):
            plan = method.plan(ode, self.times[chosen])
            if path is None:
                if not all(map(_plain, plan.steps)):
                    method = ExponentialEuler(predict=plan.splitting)
                    plan = method.plan(ode, self.times[chosen])
                path = self._path(ode.split(plan.splitting))
            for step, (n, (i, j)) in zip(plan.steps, enumerate(pairwise(chosen)), strict=True):
                if j - i == spacing:
                    costs[:, i, j] = path.errors(step, chosen[: n + 1], j)
        return costs

    def _path(self, form: SemilinearODE) -> "_Path":
        """N of another splitting is what gives the same slopes."""
        if form.block_axis is not None:
            raise CapabilityError(f"{type(form).__name__} has a matrix linear part, by which no slope can be divided")
        linear, weight = (_beside(part(self.times), self.slopes) for part in (form.linear, form.weight))
        return _Path(form, self.states, (self.slopes - linear * self.states) / weight)


def _beside(coefficient: Tensor, states: Tensor) -> Tensor:
    """Coefficients of each time, shape (M, *c), as factors of states, shape (M, ...)."""
    missing = [1] * (states.dim() - coefficient.dim())
    return coefficient.reshape(len(coefficient), *missing, *coefficient.shape[1:]).to(states.device)


class _Path(NamedTuple):
    """States and values of N at all points, and the form of the ODE that the values belong to."""

    form: SemilinearODE
    states: Tensor
    values: Tensor

    def errors(self, step: Step, before: Sequence[int], end: int) -> Tensor:
        """Of a step to the point ``end``; its start and its history are the points ``before``, in the order of time.

        :returns: the predicted state's, geometric mean over the samples, and its mean with the corrected one's, (2,).
        """
        x, known = self.states[before[-1]], [self.values[k] for k in reversed(before)]
        logs = [self._log(combine(self.form.combine, step.advance, x, known), end)]
        if step.correct is not None:
            logs.append(self._log(combine(self.form.combine, step.correct, x, [self.values[end], *known]), end))
        return torch.stack([logs[0], torch.stack(logs).mean()]).exp()

    def _log(self, x: Tensor, end: int) -> Tensor:
        return per_sample_rmse(x, self.states[end]).log().mean()


def _plain(step: Step) -> bool:
    """Whether a step evaluates N where it starts, and nowhere else."""
    stage = step.stages[0]
    return len(step.stages) == 1 and stage.row is HERE and stage.time == step.start and not step.draws


def _spaced(count: int, reach: int) -> Iterator[tuple[list[int], int]]:
    """Choices of points at equal spacing, after a first interval of at most it; their spacing.

    Each step of that length is in one of them; the last point, where nothing is corrected, ends them all.
    """
    for spacing in range(1, reach + 1):
        for first in range(1, min(spacing, count - 1) + 1):
            chosen = [0, *range(first, count, spacing)]
            yield chosen if chosen[-1] == count - 1 else [*chosen, count - 1], spacing


def cheapest_path(cost: Tensor, edges: int) -> list[int]:
    """The path from the first node to the last with exactly so many edges, each forward, whose costs add up to least.

    :param cost: of the edge from i to j, shape (M, M); infinite for none.
    :returns: edges + 1 nodes; of equal paths, that whose last nodes come first.
    :raises ArgumentError: if there is no such path.

    >>> cost = torch.tensor([[9.0, 1.0, 1.5, 9.0], [9.0, 9.0, 1.0, 3.0], [9.0, 9.0, 9.0, 1.0], [9.0] * 4])
    >>> cheapest_path(cost, 2), cheapest_path(cost, 3)
    ([0, 2, 3], [0, 1, 2, 3])
    """
    forward = cost.where(torch.ones_like(cost, dtype=torch.bool).triu(1), torch.inf)
    total, before = forward[0], []
    for _ in range(edges - 1):
        total, nearest = (total[:, None] + forward).min(0)
        before.append(nearest.tolist())
    if not bool(total[-1].isfinite()):
        raise ArgumentError("edges", f"must be those of a path through {len(cost)} nodes", edges)
    path = [len(cost) - 1]
    for nearest in reversed(before):
        path.append(nearest[path[-1]])
    return [0, *reversed(path)]

"""A plan whose numbers are functions of parameters."""

import operator
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Final

import attrs
import torch
from torch import Tensor

from deis.errors import CapabilityError
from deis.grids import TimeGrid
from deis.integrators.base import Integrator
from deis.integrators.plan import Plan, Row, Stage, Step
from deis.odes.base import Coefficient, SemilinearODE
from deis.solve import make_plan
from deis.tuning.bent import grid_clock, times_of

PARTS: Final = ("grid", "times", "rows", "points")
_REACH: Final = 5.0  # of the logarithm of a step's length, so that no two times meet
_SCALES: Final = (1.0, 0.5, 0.3, 0.03)
"""What a parameter of each kind is multiplied by, so that equal differences change a plan alike."""


def folded(plan: Plan, ode: SemilinearODE) -> Plan:
    """The same plan without corrections: what a correction adds to the new state, the next step adds.

    Both rows of a corrected step begin with the same multiple of the state, so that their difference is a combination
    of values of N only. The states in between are those that were predicted; the last is the same.

    :param ode: what the plan was made for; it multiplies coefficients, which may be matrices.
    :raises CapabilityError: if a step makes more than one evaluation, or one elsewhere than where it starts.
    """
    times: Any = operator.mul if ode.block_axis is None else ode.compose
    steps: list[Step] = []
    waiting: list[Any] = []  # coefficients of N that the state at hand lacks, newest first
    for step in plan.steps:
        if len(step.stages) != 1 or step.stages[0].time != step.start or step.draws:
            raise CapabilityError("coefficients are learnt for plans with one evaluation a step, made where it starts")
        advance = step.advance
        late = [times(advance.state, coefficient) for coefficient in waiting]
        steps.append(Step(step.start, step.end, step.stages, Row(advance.state, _sum(advance.values, late))))
        waiting = []
        if step.correct is not None:
            first, *others = step.correct.values
            # N at the end, then those of the step; what was late for the predicted state is no part of the difference
            waiting = [first, *_sum(others, [-1 * value for value in advance.values])]
    return Plan(steps, plan.splitting, plan.provenance)


def _sum(a: Sequence[Coefficient], b: Sequence[Coefficient]) -> list[Any]:
    longest = max(len(a), len(b))
    padded = [[*row, *[0.0] * (longest - len(row))] for row in (a, b)]
    return [x + y for x, y in zip(*padded, strict=True)]


@attrs.frozen(eq=False)
class Trained:
    """What parameters stand for: a plan with tensors for numbers, and the times at which N is asked for."""

    plan: Plan
    times: Tensor
    """Times of the evaluations, shape (n,), float64."""

    def numbers(self) -> Plan:
        """The plan without gradients, numbers as numbers."""
        return self.plan.map(lambda c: c.detach() if isinstance(c, Tensor) else c)


@attrs.frozen(eq=False)
class Trainable:
    """A multistep plan on one ODE as a function of parameters; all zero, it is the integrator's own.

    The parameters are: logarithms of the steps' lengths; shares of a step by which the times of evaluations move; for
    each row shares of its sum that move from value to value; for each point at which N is asked for, the share of the
    state by which it grows, and the share of a step of the last N by which it moves. As the sums stay, a constant N is
    integrated exactly, wherever it is asked for. N of all earlier steps, up to ``width``, have a part in a row
    (arXiv 2403.01329; 2502.17423).

    :param integrator: with one evaluation a step.
    :param ode: of which L and G are used.
    :param grid: the times to start from.
    :param width: most values of N in a row.
    :param parts: which parameters count: ``grid`` (lengths of steps), ``times`` (of evaluations), ``rows``, ``points``
        (of evaluations).
    :raises CapabilityError: if the integrator makes other steps.
    """

    integrator: Integrator
    ode: SemilinearODE
    grid: TimeGrid
    width: int = 8
    parts: tuple[str, ...] = PARTS

    def __attrs_post_init__(self) -> None:
        _ = self._widths

    @cached_property
    def _widths(self) -> tuple[int, ...]:
        """Values of N in the row of each step."""
        plan = folded(make_plan(self.ode, self.grid, self.integrator), self.ode)
        least = [len(step.advance.values) for step in plan.steps]
        return tuple(min(n + 1, max(self.width, own)) for n, own in enumerate(least))

    @property
    def size(self) -> int:
        """Number of parameters."""
        return sum(self._sizes)

    @property
    def _sizes(self) -> tuple[int, ...]:
        """Number of parameters of each kind."""
        n = self.grid.intervals
        return n, n, sum(self._widths), 2 * (n - 1)

    def __call__(self, parameters: Tensor) -> Trained:
        """The plan of parameters, shape (size,), float64."""
        lengths, shifts, rows, points = (
            kind * scale if part in self.parts else torch.zeros_like(kind)
            for kind, scale, part in zip(torch.split(parameters, list(self._sizes)), _SCALES, PARTS, strict=True)
        )
        times = times_of(self.ode, self.grid.tensor(), _REACH * (lengths / _REACH).tanh())
        plan = folded(self.integrator.plan(self.ode, times), self.ode)
        when = self._moved(times, shifts)
        steps = [
            Step(step.start, step.end, [stage], _shared(step.advance, part))
            for step, stage, part in zip(
                plan.steps, self._stages(plan, when, points), torch.split(rows, list(self._widths)), strict=True
            )
        ]
        return Trained(Plan(steps, plan.splitting), when)

    def _stages(self, plan: Plan, when: Tensor, shares: Tensor) -> list[Stage]:
        """Where N is asked for; the first time at the initial state."""
        first, *others = when.detach().tolist()
        if "points" not in self.parts:
            return [Stage(first), *map(Stage, others)]
        moved = zip(others, plan.steps[1:], shares.view(-1, 2) if others else (), strict=True)
        return [Stage(first), *(Stage(time, _point(step.advance, *both)) for time, step, both in moved)]

    def _moved(self, times: Tensor, shifts: Tensor) -> Tensor:
        """Times moved by shares of the step that follows, in the domain; the first stays."""
        hand = grid_clock(self.ode)
        places = hand.of(times)
        low, high = places.detach().min(), places.detach().max()
        moved = places[1:-1] + shifts[1:] * (places[2:] - places[1:-1])
        return torch.cat([times[:1], hand.time(moved.clamp(low, high))])


def _point(row: Row, growth: Tensor, share: Tensor) -> Row:
    """The state, grown, and moved by a share of what a row would add if all its values were the last N."""
    return Row(1 + growth, [share * _total(row)])


def _shared(row: Row, part: Tensor) -> Row:
    """The row with shares of the sum of its values moved from one to another."""
    total, shares = _total(row), part - part.mean()
    return Row(
        row.state, [value + share * total for value, share in zip(_filled(row.values, len(part)), shares, strict=True)]
    )


def _total(row: Row) -> Any:
    return sum(row.values[1:], start=row.values[0])


def _filled(values: Iterable[Coefficient], count: int) -> list[Coefficient]:
    known = list(values)
    return known + [0.0] * (count - len(known))

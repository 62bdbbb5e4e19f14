"""The coefficients of every step on one time grid, as a value without state."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple
from weakref import ReferenceType

import attrs
import torch
from torch import Tensor

from deis.errors import ArgumentError
from deis.odes.base import Coefficient, SemilinearODE

Span = tuple[float, float]
"""Start and end, in the logarithm of a Brownian motion's time."""

_ROUNDING = 1e-12


def as_number(value: Any) -> Coefficient:
    """A Python number for a scalar that carries no gradient; anything else as it is."""
    if isinstance(value, Tensor) and value.dim() == 0 and not value.requires_grad:
        return value.item()
    return float(value) if isinstance(value, int) else value


def _numbers(values: Iterable[Any]) -> tuple[Coefficient, ...]:
    return tuple(map(as_number, values))


class Draw(NamedTuple):
    """One standard normal tensor that a plan uses: what a source of noise is asked for.

    :param number: number of the draw in the plan, from 0.
    :param span: a stretch of Brownian motion, whose increment over the root of its length is wanted; None for noise
        that has nothing to do with any other.
    """

    number: int
    span: Span | None = None


def _draws(draws: "Iterable[Span | None]") -> "tuple[Span | None, ...]":
    return tuple(None if span is None else (float(span[0]), float(span[1])) for span in draws)


def _stages(stages: "Iterable[Stage]") -> "tuple[Stage, ...]":
    return tuple(stages)


def _steps(steps: "Iterable[Step]") -> "tuple[Step, ...]":
    return tuple(steps)


@attrs.frozen(eq=False)
class Row:
    """A linear combination: ``state`` times the state at the start of the step, ``values`` times N, and noise.

    The values are this step's stages in the order of evaluation, then the history, newest first. The coefficients of
    ``noise`` belong to the step's draws.
    """

    state: Coefficient = attrs.field(converter=as_number)
    values: tuple[Coefficient, ...] = attrs.field(default=(), converter=_numbers)
    noise: tuple[Coefficient, ...] = attrs.field(default=(), converter=_numbers)
    _all: tuple[Coefficient, ...] = attrs.field(init=False, repr=False)

    @_all.default
    def _joined(self) -> tuple[Coefficient, ...]:
        return (self.state, *self.values, *self.noise)

    def coefficients(self) -> tuple[Coefficient, ...]:
        """All numbers of the row."""
        return self._all

    def map(self, function: Callable[[Coefficient], Coefficient]) -> "Row":
        """The row with ``function`` applied to every coefficient."""
        return Row(function(self.state), map(function, self.values), map(function, self.noise))


HERE = Row(1.0)
"""The row that gives the state itself."""


def _here(row: Row) -> Row:
    plain = not row.values and not row.noise and isinstance(row.state, float) and row.state == 1
    return HERE if plain else row


@attrs.frozen(eq=False)
class Stage:
    """One evaluation of N: its time, and the row that gives the point."""

    time: float
    row: Row = attrs.field(default=HERE, converter=_here)


@attrs.frozen(eq=False)
class Step:
    """One step from ``start`` to ``end``; a step of no length changes the state where it is.

    A row's values multiply N at this step's stages, in the order of evaluation, then N of earlier steps, newest first.
    """

    start: float
    end: float
    stages: tuple[Stage, ...] = attrs.field(converter=_stages)
    advance: Row
    correct: Row | None = None
    """Replaces the state at ``end`` once N is known there; its first value is that N, the others as in ``advance``."""
    error: Row | None = None
    """Its value estimates the local error."""
    draws: tuple[Span | None, ...] = attrs.field(default=(), converter=_draws)
    """Standard normal tensors that the rows may use."""

    @property
    def history(self) -> int:
        """How many values of earlier steps this step reads."""
        own = len(self.stages)
        widths = [len(s.row.values) - i for i, s in enumerate(self.stages)]
        widths += [len(row.values) - own for row in (self.advance, self.error) if row]
        return max(*widths, len(self.correct.values) - own - 1 if self.correct else 0, 0)

    def rows(self) -> Iterator[Row]:
        """Every row of the step."""
        yield from (stage.row for stage in self.stages)
        yield from (row for row in (self.advance, self.correct, self.error) if row is not None)


def _chained(instance: Any, attribute: Any, steps: tuple[Step, ...]) -> None:
    if not steps:
        raise ArgumentError("steps", "must hold at least one step", steps)
    for before, after in pairwise(steps):
        if before.end != after.start:
            raise ArgumentError("steps", f"must start where the last one ended ({before.end:g})", after.start)
    for n, step in instance.kinds:
        _check_reach(n, step)
    for before, step in pairwise(steps):
        first = step.stages[0]
        if before.correct is not None and (first.row is not HERE or first.time != step.start):
            raise ArgumentError("steps", "must evaluate N at the new point first after a correction", step)
    if steps[-1].correct is not None:
        raise ArgumentError("steps", "must not end on a correction, which needs one more evaluation", steps[-1].correct)


def _check_reach(n: int, step: Step) -> None:
    """Refuse rows that read values of N which do not exist yet: step ``n`` finds ``n`` values in the history."""
    if not step.stages:
        raise ArgumentError("stages", "must hold at least one evaluation of N", step)
    own = len(step.stages)
    rows = [(stage.row, i) for i, stage in enumerate(step.stages)] + [(step.advance, own)]
    rows += [(row, width) for row, width in ((step.correct, own + 1), (step.error, own)) if row is not None]
    for row, width in rows:
        if len(row.noise) > len(step.draws):
            rule = f"must use at most the {len(step.draws)} draws of step {n} as noise"
            raise ArgumentError("row", rule, len(row.noise))
        if len(row.values) > width + n:
            rule = f"must read at most {width + n} values in step {n} (its stages, and one value of each earlier step)"
            raise ArgumentError("row", rule, len(row.values))


@attrs.frozen(eq=False)
class Plan:
    """What an integrator does on one ODE and one grid: coefficients, and nothing that depends on the state.

    :param steps: the steps, each starting where the one before it ended.
    :param splitting: the splitting of the ODE whose N is asked for.
    :param provenance: where the plan comes from (integrator, ODE, version).
    :param signature: tells the linear part that it was made for; empty for a plan that is taken for any.

    Two plans are equal when all their times and coefficients agree to rounding (1e-12 of the largest in the row).
    """

    steps: tuple[Step, ...] = attrs.field(converter=_steps, validator=_chained, repr=lambda steps: f"<{len(steps)}>")
    splitting: str = "N"
    provenance: Mapping[str, str] = attrs.field(factory=dict)
    signature: tuple[float, ...] = attrs.field(default=(), repr=False)
    checked: "list[ReferenceType[SemilinearODE]]" = attrs.field(factory=list, init=False, repr=False)  # of the last ODE
    _cast: "dict[tuple[torch.dtype, torch.device], Plan]" = attrs.field(factory=dict, init=False, repr=False)

    @property
    def times(self) -> tuple[float, ...]:
        """The grid, one time more than there are steps."""
        return (self.steps[0].start, *(step.end for step in self.steps if step.end != step.start))

    @property
    def nfe(self) -> int:
        """Number of evaluations of N."""
        return sum(len(step.stages) for step in self.steps)

    @property
    def history(self) -> int:
        """How many values of N of earlier steps are kept."""
        return max(step.history for _, step in self.kinds)

    @property
    def stochastic(self) -> bool:
        """Whether a step adds noise."""
        return any(step.draws for _, step in self.kinds)

    @cached_property
    def kinds(self) -> tuple[tuple[int, Step], ...]:
        """The first step of each kind, with its number: steps of a kind share their rows."""
        found: dict[tuple[int, ...], tuple[int, Step]] = {}
        for n, step in enumerate(self.steps):
            rows = (id(step.advance), id(step.correct), id(step.error), *[id(stage.row) for stage in step.stages])
            found.setdefault((len(step.draws), *rows), (n, step))
        return tuple(found.values())

    def distinct_rows(self) -> "Iterator[tuple[Step, Row]]":
        """The rows of every kind of step, with the step."""
        yield from ((step, row) for _, step in self.kinds for row in step.rows())

    @property
    def is_complex(self) -> bool:
        """Whether a coefficient is complex."""
        return complex in self._types or any(c.is_complex() for c in self.tensors())

    @cached_property
    def _types(self) -> frozenset[type]:
        return frozenset(type(c) for _, row in self.distinct_rows() for c in row.coefficients())

    def coefficients(self) -> Iterator[Coefficient]:
        """Every coefficient, step by step."""
        for step in self.steps:
            for row in step.rows():
                yield from row.coefficients()

    def tensors(self) -> tuple[Tensor, ...]:
        """The coefficients that are tensors (diagonal, matrix or carrying a gradient); those of shared rows once."""
        if self._types <= {float, complex}:
            return ()
        return tuple(c for _, row in self.distinct_rows() for c in row.coefficients() if isinstance(c, Tensor))

    def map(self, function: Callable[[Coefficient], Coefficient]) -> "Plan":
        """The plan with ``function`` applied to every coefficient; steps that share rows go on sharing them."""
        new: dict[int, Row] = {id(HERE): HERE}
        for _, row in self.distinct_rows():
            if id(row) not in new:
                new[id(row)] = row.map(function)

        def step(old: Step) -> Step:
            stages = [Stage(stage.time, new[id(stage.row)]) for stage in old.stages]
            correct, error = (row and new[id(row)] for row in (old.correct, old.error))
            return Step(old.start, old.end, stages, new[id(old.advance)], correct, error, old.draws)

        return attrs.evolve(self, steps=map(step, self.steps))

    def to(self, dtype: torch.dtype, device: torch.device | str) -> "Plan":
        """The plan with diagonal and matrix coefficients in a state's precision and on its device.

        Numbers stay numbers, complex coefficients complex. What was cast once is kept, unless it carries gradients.
        """
        if not self.tensors():
            return self

        def move(c: Coefficient) -> Coefficient:
            if not isinstance(c, Tensor) or c.dim() == 0:
                return c
            return c.to(device, dtype.to_complex() if c.is_complex() else dtype)

        where = dtype, torch.device(device)
        moved = self._cast.get(where) or self.map(move)
        if not any(c.requires_grad for c in moved.tensors()):
            self._cast[where] = moved
        return moved

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Plan):
            return NotImplemented
        return _shape(self) == _shape(other) and all(
            _close(a, b) for s, o in zip(self.steps, other.steps, strict=True) for a, b in _pairs(s, o)
        )

    __hash__ = None  # type: ignore[assignment]


def _shape(plan: Plan) -> tuple[Any, ...]:
    widths = [[(len(row.values), len(row.noise)) for row in step.rows()] for step in plan.steps]
    kinds = [(s.correct is None, s.error is None, [span is None for span in s.draws]) for s in plan.steps]
    return plan.splitting, widths, kinds


def _pairs(a: Step, b: Step) -> Iterator[tuple[tuple[Coefficient, ...], tuple[Coefficient, ...]]]:
    for x, y in zip(a.rows(), b.rows(), strict=True):
        yield x.coefficients(), y.coefficients()
    yield (a.start, a.end), (b.start, b.end)
    yield tuple(stage.time for stage in a.stages), tuple(stage.time for stage in b.stages)
    for one, other in zip(a.draws, b.draws, strict=True):
        yield one or (), other or ()


def _close(a: tuple[Coefficient, ...], b: tuple[Coefficient, ...]) -> bool:
    x, y = ([torch.as_tensor(c, dtype=torch.complex128, device="cpu").detach() for c in row] for row in (a, b))
    if any(p.shape != q.shape for p, q in zip(x, y, strict=True)):
        return False
    largest = max((float(c.abs().max()) for c in (*x, *y)), default=0.0)
    return all(bool((p - q).abs().max() <= _ROUNDING * largest) for p, q in zip(x, y, strict=True))

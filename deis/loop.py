"""The one loop. It knows numbers and asks for N; whoever drives it brings the network."""

from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from deis.integrators.plan import HERE, Coefficient, Plan, Row

Apply = Callable[[Coefficient, Tensor], Tensor]
Noise = Callable[[int, Tensor], Tensor]


class Ask(NamedTuple):
    """The loop wants N at ``point`` and ``time``: send it the value."""

    step: int
    time: float
    point: Tensor


class Reached(NamedTuple):
    """The loop has reached ``state`` at ``time``, after ``step`` steps: no answer is wanted."""

    step: int
    time: float
    state: Tensor


Loop = Generator[Ask | Reached, Tensor | None, None]


def march(plan: Plan, apply: Apply, x: Tensor, noise: Noise | None = None) -> Loop:
    """Run ``plan`` from the state ``x``.

    Nothing here looks at a tensor's content, so that no device is waited for; kept are the history, the state, the
    next state and, with a corrector, one more value and the state before. Half precision states are accumulated in
    float32, points are handed out in the precision of ``x``.

    :param apply: coefficient times state, as :meth:`SemilinearODE.apply`.
    :param noise: standard normal values for (step, state), for plans that add noise.
    """
    dtype = x.dtype
    x = x.to(accumulation_dtype(dtype))
    kept = plan.history
    history: tuple[Tensor, ...] = ()
    pending: tuple[Row, Tensor, tuple[Tensor, ...]] | None = None
    for n, step in enumerate(plan.steps):
        values: tuple[Tensor, ...] = ()
        for stage in step.stages:
            point = combine(apply, stage.row, x, values + history)
            value = yield Ask(n, stage.time, point.to(dtype))
            assert value is not None, "the driver answers every Ask"
            if pending is not None:
                row, before, known = pending
                pending = None
                x = combine(apply, row, before, (value, *known))
                del before, known
                yield Reached(n, step.start, x.to(dtype))
            values = (*values, value)
            del point, value  # what is not needed any more is let go at once
        known = values + history
        following = combine(apply, step.advance, x, known)
        if step.noise is not None:
            assert noise is not None, "a plan that adds noise needs a source of it"
            following = _add(apply, following, step.noise, noise(n, following))
        if step.correct is not None:
            pending = step.correct, x, known
        else:
            yield Reached(n + 1, step.end, following.to(dtype))
        x = following
        history = (values[0], *history)[:kept]
        del values, known, following


def combine(apply: Apply, row: Row, state: Tensor, values: tuple[Tensor, ...]) -> Tensor:
    """The linear combination that ``row`` stands for."""
    if row is HERE:
        return state
    total = apply(row.state, state)
    for coefficient, value in zip(row.values, values, strict=False):
        total = _add(apply, total, coefficient, value)
    return total


def _add(apply: Apply, total: Tensor, coefficient: Coefficient, value: Tensor) -> Tensor:
    if isinstance(coefficient, Tensor):
        return total.add_(apply(coefficient, value))
    # a zero weight must not turn an Inf of an old value into NaN
    return total.add_(value, alpha=coefficient) if coefficient != 0 else total


def accumulation_dtype(dtype: torch.dtype) -> torch.dtype:
    """The precision in which a state of ``dtype`` is accumulated."""
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


def drive(loop: Loop, evaluate: Callable[[Ask], Tensor]) -> Iterator[Reached]:
    """Answer every :class:`Ask` by ``evaluate`` and pass on every :class:`Reached`."""
    try:
        event = next(loop)
        while True:
            if isinstance(event, Ask):
                event = loop.send(evaluate(event))
            else:
                yield event
                event = next(loop)
    except StopIteration:
        return

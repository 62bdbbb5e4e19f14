"""The one loop. It knows numbers and asks for N; whoever drives it brings the network."""

from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from deis.integrators.combine import Combine, combine
from deis.integrators.plan import Draw, Plan, Row, Span, Step

Noise = Callable[[Draw, Tensor], Tensor]


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


class _Known(NamedTuple):
    """What the rows of a step combine: the state at its start, values of N, and draws of noise."""

    state: Tensor
    values: tuple[Tensor, ...]
    noise: tuple[Tensor, ...]


class Carried(NamedTuple):
    """What one step hands to the next."""

    x: Tensor
    """The state, in the precision in which it is accumulated."""
    history: tuple[Tensor, ...] = ()
    """Values of N of earlier steps, newest first."""
    pending: tuple[Row, _Known] | None = None
    """A correction that waits for N at the state, and what it combines."""
    draws: int = 0
    """How many draws of noise were made."""

    def tensors(self) -> "tuple[tuple[Tensor, ...], Callable[..., Carried]]":
        """All tensors, and what makes the same of as many others."""
        h, waiting, draws = len(self.history), self.pending, self.draws
        if waiting is None:
            return (self.x, *self.history), lambda x, *history: Carried(x, history, None, draws)
        row, known = waiting
        v = h + len(known.values)

        def rebuilt(x: Tensor, state: Tensor, *others: Tensor) -> Carried:
            return Carried(x, others[:h], (row, _Known(state, others[h:v], others[v:])), draws)

        return (self.x, known.state, *self.history, *known.values, *known.noise), rebuilt


Advance = Generator[Ask | Reached, Tensor | None, Carried]


def march(plan: Plan, add: Combine, x: Tensor, noise: Noise | None = None) -> Loop:
    """Run ``plan`` from the state ``x``.

    Nothing here looks at a tensor's content, so that no device is waited for; kept are the history, the state, the
    next state and, with a corrector, one more value, the state before and its noise. Half precision states are
    accumulated in float32, points are handed out in the precision of ``x``.

    :param add: sum of coefficients times states, as :meth:`SemilinearODE.combine`.
    :param noise: standard normal values for (draw, state), for plans that add noise.
    """
    kept, dtype = plan.history, x.dtype
    held = [Carried(x.to(accumulation_dtype(dtype)))]  # a list, so that a step can let go of what it replaces
    del x
    for n, step in enumerate(plan.steps):
        held.append((yield from advance(n, step, add, held.pop(), kept, dtype, noise)))


def advance(
    n: int, step: Step, add: Combine, carried: Carried, kept: int, dtype: torch.dtype, noise: Noise | None = None
) -> Advance:
    """One step of a plan, the ``n``-th.

    :param kept: how many values of N later steps read.
    :param dtype: precision of the points and states that are handed out.
    :returns: what the next step needs.
    """
    x, history, pending, draws = carried
    del carried
    values: tuple[Tensor, ...] = ()
    drawn = _drawn(noise, step.draws, draws, x)
    for stage in step.stages:
        point = combine(add, stage.row, x, values + history, drawn)
        value = yield Ask(n, stage.time, point.to(dtype))
        assert value is not None, "the driver answers every Ask"
        if pending is not None:
            row, before = pending
            pending = None
            x = combine(add, row, before.state, (value, *before.values), before.noise)
            del before
            yield Reached(n, step.start, x.to(dtype))
        values = (*values, value)
        del point, value  # what is not needed any more is let go at once
    known = values + history
    following = combine(add, step.advance, x, known, drawn)
    if step.correct is not None:
        pending = step.correct, _Known(x, known, drawn)
    else:
        yield Reached(n + 1, step.end, following.to(dtype))
    return Carried(following, (values[0], *history)[:kept], pending, draws + len(drawn))


def _drawn(noise: Noise | None, spans: tuple[Span | None, ...], number: int, x: Tensor) -> tuple[Tensor, ...]:
    """The noise of a step whose first draw is the plan's ``number``-th."""
    if not spans:
        return ()
    assert noise is not None, "a plan that adds noise needs a source of it"
    return tuple(noise(Draw(number + i, span), x) for i, span in enumerate(spans))


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

"""The one loop. It knows numbers, and asks for N; whoever runs it brings the network."""

from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from deis.integrators.combine import Combine, combine
from deis.integrators.plan import Draw, Plan, Row, Span, Step

Noise = Callable[[Draw, Tensor], Tensor]


class Reached(NamedTuple):
    """The loop has reached ``state`` at ``time``, after ``step`` steps."""

    step: int
    time: float
    state: Tensor


Evaluation = Callable[[int, float, Tensor], Tensor]
"""N of the number of the step, from 0, the time and the point."""


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


def march(plan: Plan, add: Combine, x: Tensor, evaluate: Evaluation, noise: Noise | None = None) -> Iterator[Reached]:
    """Run ``plan`` from the state ``x``; what it reaches comes as soon as it is known.

    Nothing here looks at a tensor's content, so that no device is waited for; kept are the history, the state, the
    next state and, with a corrector, one more value, the state before and its noise. Half precision states are
    accumulated in float32, points are handed out in the precision of ``x``.

    :param add: sum of coefficients times states, as :meth:`SemilinearODE.combine`.
    :param evaluate: N.
    :param noise: standard normal values for (draw, state), for plans that add noise.
    """
    kept, dtype = plan.history, narrow(x.dtype)
    held = [Carried(x.to(accumulation_dtype(x.dtype)))]  # a list, so that a step can let go of what it replaces
    del x
    for n, step in enumerate(plan.steps):
        held.append((yield from advance(n, step, add, held.pop(), kept, dtype, evaluate, noise)))


def advance(
    n: int,
    step: Step,
    add: Combine,
    carried: Carried,
    kept: int,
    dtype: torch.dtype | None,
    evaluate: Evaluation,
    noise: Noise | None = None,
) -> Generator[Reached, None, Carried]:
    """One step of a plan, the ``n``-th.

    :param kept: how many values of N later steps read.
    :param dtype: precision of the points and states that are handed out, if it is not that in which they accumulate.
    :returns: what the next step needs.
    """
    x, history, pending, draws = carried
    del carried
    known = list(history)  # before it, the values of this step
    drawn = _drawn(noise, step.draws, draws, x) if step.draws else ()
    for i, stage in enumerate(step.stages):
        point = combine(add, stage.row, x, known, drawn)
        value = evaluate(n, stage.time, point if dtype is None else point.to(dtype))
        if pending is not None:
            row, before = pending
            pending = None
            x = combine(add, row, before.state, (value, *before.values), before.noise)
            del before
            yield Reached(n, step.start, x if dtype is None else x.to(dtype))
        known.insert(i, value)
        del point, value  # what is not needed any more is let go at once
    following = combine(add, step.advance, x, known, drawn)
    if step.correct is not None:
        pending = step.correct, _Known(x, tuple(known), drawn)
    else:
        yield Reached(n + 1, step.end, following if dtype is None else following.to(dtype))
    return Carried(following, (known[0], *history)[:kept], pending, draws + len(drawn))


def _drawn(noise: Noise | None, spans: tuple[Span | None, ...], number: int, x: Tensor) -> tuple[Tensor, ...]:
    """The noise of a step whose first draw is the plan's ``number``-th."""
    assert noise is not None, "a plan that adds noise needs a source of it"
    return tuple(noise(Draw(number + i, span), x) for i, span in enumerate(spans))


def accumulation_dtype(dtype: torch.dtype) -> torch.dtype:
    """The precision in which a state of ``dtype`` is accumulated."""
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


def narrow(dtype: torch.dtype) -> torch.dtype | None:
    """``dtype`` if states are accumulated in another one, else None."""
    return None if accumulation_dtype(dtype) == dtype else dtype

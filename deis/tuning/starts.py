"""Learning from several starts, of which the most promising goes on."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import attrs

from deis.errors import DeisError
from deis.grids import TimeGrid, make_grid
from deis.integrators.base import as_integrator
from deis.tuning.candidates import Candidate
from deis.tuning.learn import Learnt, Training, learn
from deis.tuning.pairs import Pairs
from deis.tuning.trainable import Trainable

_STARTS: Final = 2  # from the candidates; the default sampler is the last
_SHARE: Final = 8  # of the steps of Adam that are made, those by which starts are compared


@attrs.frozen(eq=False)
class Start:
    """A candidate, and its plan as a function of parameters."""

    candidate: Candidate
    trainable: Trainable


def starts(ranked: Iterable[Candidate], pairs: Pairs, nfe: int) -> list[Start]:
    """The first candidates that extrapolate differently and can be learnt, and the default sampler.

    Which one learning starts from matters: the errors have several minima, and the best candidate is not always near
    the best of them.
    """
    ode = pairs.ensemble.ode
    found: dict[object, Start] = {}
    default = [Candidate(as_integrator("default"), make_grid("default"))]
    for group, room in ((ranked, _STARTS), (default, _STARTS + 1)):
        for candidate in group:
            kind = [getattr(candidate.integrator, name, None) for name in ("predict", "clock")]
            if len(found) == room or tuple(kind) in found:
                continue
            try:
                times = TimeGrid(candidate.plan(ode, nfe).times)
                found[tuple(kind)] = Start(candidate, Trainable(candidate.integrator, ode, times))
            except DeisError:  # stages, or a clock that the ODE lacks
                continue
    return list(found.values())


def learn_best(
    field: Sequence[Start],
    pairs: Pairs,
    apart: Pairs,
    training: Training,
    state: Path | None,
    tick: Callable[[], object],
) -> tuple[Start, Learnt]:
    """Learn a little from each start, and then wholly from the one that has come farthest on the pairs set apart.

    Arguments are those of :func:`~deis.tuning.learn.learn`; of the result, ``calls`` are those of all starts.
    """
    spent = 0
    best, least = field[0], float("inf")
    for start in field if len(field) > 1 else ():
        short = attrs.evolve(training, iterations=-(-training.steps(start.trainable.grid.intervals) // _SHARE))
        tried = learn(start.trainable, pairs, apart, short, tick=tick)
        spent += tried.calls
        if tried.least < least:
            best, least = start, tried.least
    found = learn(best.trainable, pairs, apart, training, state, tick)
    return best, attrs.evolve(found, calls=found.calls + spent)


def steps(field: Sequence[Start], training: Training, nfe: int) -> int:
    """How many steps of Adam :func:`learn_best` makes at most."""
    whole = training.steps(nfe)
    return whole + (len(field) * -(-whole // _SHARE) if len(field) > 1 else 0)

"""Contenders judged on samples that nothing was chosen by."""

import math
from collections.abc import Callable, Sequence

import attrs
from torch import Tensor

from deis.integrators.plan import Plan
from deis.tuning.choose import Scored
from deis.tuning.interval import Interval, ratio, typical
from deis.tuning.pairs import Pairs, errors


@attrs.frozen(eq=False)
class Contender:
    """A plan that is judged.

    :param role: ``learnt``, ``chosen``, ``member`` (another of the family) or ``published``.
    :param pilot: geometric mean of the errors of the pilot samples that it met last.
    """

    role: str
    title: str
    grid: str
    plan: Plan
    pilot: float

    @classmethod
    def of(cls, role: str, scored: Scored) -> "Contender":
        """A candidate that was measured."""
        candidate = scored.candidate
        return cls(role, candidate.title, candidate.spacing, scored.plan, math.exp(scored.score))


@attrs.frozen(eq=False)
class Standing:
    """A contender, and how it does on the samples that judge.

    :param error: geometric mean of the errors of the samples that judge.
    :param to_best: ratio of its errors to those of the best published sampler, sample by sample.
    """

    role: str
    title: str
    grid: str
    plan: Plan
    pilot: float
    error: Interval
    to_best: Interval


def judged(
    field: Sequence[Contender], judges: Pairs, tick: Callable[[Contender], object] = lambda one: None
) -> list[Standing]:
    """The contenders in the order of their errors; at least one of them is published.

    :param tick: called with each that was measured.
    """
    measured: list[tuple[Contender, Tensor]] = []
    for one in field:
        measured.append((one, errors(one.plan, judges)))
        tick(one)
    rivals = [found for one, found in measured if one.role == "published"]
    rival = min(rivals, key=lambda found: typical(found).value)
    rows = [
        Standing(one.role, one.title, one.grid, one.plan, one.pilot, typical(found), ratio(found, rival))
        for one, found in measured
    ]
    return sorted(rows, key=lambda row: row.error.value)

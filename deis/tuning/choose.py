"""The best candidate by measurement: successive halving, then continuous refinement of grids."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import attrs
import torch
from scipy.optimize import minimize
from torch import Tensor, float64
from torch.quasirandom import SobolEngine

from deis.errors import DeisError
from deis.grids import GridFamily, PowerGrid
from deis.integrators.plan import Plan
from deis.tuning.bent import BentGrid
from deis.tuning.candidates import Candidate, candidates, variants
from deis.tuning.pairs import Pairs, errors

_LEAST: Final = 8  # pairs of the first round
_ROUNDS: Final = 3
_KEPT: Final = 4  # of so many candidates one goes on to the next round
_SCATTERED: Final = 10  # integrators that meet many grids
_POWERS: Final = (1.2, 4.5)
_SHIFTS: Final = (0.5, 2.0)
_GRIDS: Final = 10  # spread evenly over such exponents and shifts
_BEAM: Final = 3  # candidates that are bred at a time
_BROODS: Final = 2
_TRIES: Final = 9  # grids that are tried for each
_FINALISTS: Final = 12
_BENT: Final = 2  # candidates whose grids are bent
_BENDS: Final = 5
_FAILED: Final = 1e3  # a logarithm of an error that is larger than all others
_BENDINGS: Final = 40  # that are tried for each


@attrs.frozen(eq=False)
class Scored:
    """A candidate with its errors.

    :param errors: RMSE of each pilot sample, shape (B,).
    """

    candidate: Candidate
    plan: Plan
    errors: Tensor

    @property
    def grid(self) -> PowerGrid:
        """The grid of a candidate whose grid has an exponent."""
        grid = self.candidate.grid
        assert isinstance(grid, PowerGrid)
        return grid

    @property
    def score(self) -> float:
        """Mean logarithm of the errors, which no single sample can dominate."""
        value = float(self.errors.log().mean())
        return value if math.isfinite(value) else math.inf


Tick = Callable[[Plan, int], object]


def choose(pairs: Pairs, nfe: int, tick: Tick = lambda plan, samples: None) -> tuple[list[Scored], list[Scored]]:
    """The best candidates for ``pairs`` in the order of their errors, and every published sampler on its best grid.

    All candidates meet a few pairs; a quarter of them goes on to twice as many, and so on. The best are then bred: each
    other value of one option is tried, and the exponents and shifts of the best grids are refined (Nelder-Mead). A
    published sampler has the grid that was best on the last pairs that it met.

    :param tick: called with each plan that was run, and on how many samples.
    """
    sizes = [max(min(_LEAST, len(pairs)), len(pairs) >> back) for back in range(_ROUNDS, 0, -1)]
    few, *more = (pairs[:size] for size in sizes)
    scored = _sorted(_measure(candidates(pairs.ensemble.ode), few, nfe, tick))
    met, scattered = scored, _scattered(_distinct(scored)[:_SCATTERED])
    for middle in more:
        kept = scored[: max(_FINALISTS, -(-len(scored) // _KEPT))]
        scored = _sorted([*_onward(kept, middle, tick), *_measure(scattered, middle, nfe, tick)])
        met, scattered = [*scored, *met], []
    for _ in range(_BROODS):
        scored = _brood(scored, middle, nfe, tick)
    ranked = _sorted(_onward(scored[:_FINALISTS], pairs, tick))
    bent = [found for one in _distinct(ranked)[:_BENT] for found in _bent(one, pairs, nfe, tick)]
    return _sorted([*ranked, *bent]), _published(met)


def _scattered(scored: Iterable[Scored]) -> list[Candidate]:
    """The integrators on grids that are spread evenly over exponents and shifts, by Sobol's sequence."""
    engine = SobolEngine(2)  # type: ignore[no-untyped-call]
    shares = engine.draw(_GRIDS + 1, dtype=float64)[1:]  # the first is a corner
    (low, small), (high, large) = zip(_POWERS, _SHIFTS, strict=True)
    spread = [(low * (high / low) ** p, small * (large / small) ** s) for p, s in shares.tolist()]
    return [
        attrs.evolve(one.candidate, grid=attrs.evolve(one.grid, power=power, shift=shift), name="")
        for one in scored
        for power, shift in spread
    ]


def _brood(scored: Sequence[Scored], pairs: Pairs, nfe: int, tick: Tick) -> list[Scored]:
    """The candidates and their offspring, best first."""
    known = {one.candidate for one in scored}
    parents = _distinct(scored)[:_BEAM]
    others = dict.fromkeys(other for one in parents for other in variants(one.candidate) if other not in known)
    grown = _sorted([*scored, *_measure(others, pairs, nfe, tick)])
    refined = [found for one in _distinct(grown)[:_BEAM] for found in _refined(one, pairs, nfe, tick)]
    return _sorted([*grown, *refined])


def _measure(field: Iterable[Candidate], pairs: Pairs, nfe: int, tick: Tick) -> list[Scored]:
    """The candidates that have a plan of so many evaluations, measured."""
    found = []
    for candidate in field:
        try:
            plan = candidate.plan(pairs.ensemble.ode, nfe)
        except DeisError:  # not for this ODE, or not for this budget
            continue
        found.append(Scored(candidate, plan, errors(plan, pairs)))
        tick(plan, len(pairs))
    return found


def _onward(scored: Iterable[Scored], pairs: Pairs, tick: Tick) -> list[Scored]:
    """The same candidates on all of ``pairs``, the first of which they have met."""
    found = []
    for one in scored:
        if new := pairs[len(one.errors) :]:
            one = attrs.evolve(one, errors=torch.cat([one.errors, errors(one.plan, new)]))
            tick(one.plan, len(new))
        found.append(one)
    return found


def _sorted(scored: Iterable[Scored]) -> list[Scored]:
    return sorted(scored, key=lambda one: one.score)


def _published(scored: Sequence[Scored]) -> list[Scored]:
    """The first of each name, of those that have one; best first where the errors were sorted."""
    found: dict[str, Scored] = {}
    for one in scored:
        if one.candidate.name:
            found.setdefault(one.candidate.name, one)
    return list(found.values())


def _distinct(scored: Sequence[Scored]) -> list[Scored]:
    """The first candidate of each integrator, of those whose grid has an exponent."""
    found: dict[object, Scored] = {}
    for one in scored:
        if isinstance(one.candidate.grid, PowerGrid):
            found.setdefault(one.candidate.integrator, one)
    return list(found.values())


def _refined(start: Scored, pairs: Pairs, nfe: int, tick: Tick) -> list[Scored]:
    """The candidate on the best exponent and shift of its grid that are found."""
    grid = start.grid

    def moved(logs: list[float]) -> GridFamily:
        return attrs.evolve(grid, power=grid.power * math.exp(logs[0]), shift=grid.shift * math.exp(logs[1]))

    return _simplex(start, moved, (0.12, 0.25), _TRIES, pairs, nfe, tick)


def _bent(start: Scored, pairs: Pairs, nfe: int, tick: Tick) -> list[Scored]:
    """The candidate on the best bent grid that is found."""
    modes = min(_BENDS, len(start.plan.times) - 2)
    if not modes:
        return []
    return _simplex(
        start, lambda bends: BentGrid(start.candidate.grid, tuple(bends)), (0.25,) * modes, _BENDINGS, pairs, nfe, tick
    )


def _simplex(
    start: Scored,
    grid_of: Callable[[list[float]], GridFamily],
    spread: Sequence[float],
    tries: int,
    pairs: Pairs,
    nfe: int,
    tick: Tick,
) -> list[Scored]:
    """The best candidate on the grids of ``tries`` parameters, by the method of Nelder and Mead from zero."""
    tried: list[Scored] = []

    def score(parameters: Sequence[float]) -> float:
        if not any(parameters):
            return start.score
        other = attrs.evolve(start.candidate, grid=grid_of([float(p) for p in parameters]), name="")
        found = _measure([other], pairs, nfe, tick)
        tried.extend(found)
        return min([one.score for one in found], default=_FAILED)

    zero = [0.0] * len(spread)
    corners = [[size * (i == j) for j in range(len(spread))] for i, size in enumerate(spread)]
    options = {"maxfev": tries, "initial_simplex": [zero, *corners]}
    minimize(score, zero, method="Nelder-Mead", options=options)
    return _sorted(tried)[:1]

"""tune: the best member, grid and coefficients for a model and a budget, by measurement."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import torch
from torch import Tensor
from tqdm import tqdm

from deis.analysis.store import fingerprint
from deis.diffusion.ode import ProbabilityFlowODE
from deis.errors import ArgumentError, DeisError
from deis.fields import as_integer, is_integer
from deis.grids import TimeGrid, make_grid
from deis.integrators.base import as_integrator
from deis.integrators.plan import Plan
from deis.integrators.signature import signature
from deis.odes.base import SemilinearODE
from deis.problems import InitialValueProblem
from deis.tuning.candidates import Candidate
from deis.tuning.choose import Scored, choose
from deis.tuning.contest import Contender, Standing, judged
from deis.tuning.ensemble import Ensemble, samples
from deis.tuning.interval import Interval
from deis.tuning.learn import learn
from deis.tuning.pairs import Pairs, make_pairs
from deis.tuning.trainable import Trainable
from deis.tuning.training import Training
from deis.version import __version__

PILOT: Final = 10**12
"""Seed of the first pilot sample: far from those that people draw."""
LEARNING: Final = 2 * 10**12
"""Seed of the first pair that is learnt from."""
HELD_OUT: Final = 3 * 10**12
"""Seed of the first sample that judges."""
_REFERENCE: Final = 240  # network calls of solutions, or so many times the budget:
_TIMES: Final = 12
_LEAST_PILOT: Final = 8
_MOST: Final = 1_000_000
_MEMBERS: Final = 5  # of the family that are judged, too

History = tuple[tuple[int, float, float], ...]
_of: Final = Contender.of


@attrs.frozen(eq=False)
class Tuned:
    """What :func:`tune` returns."""

    plan: Plan
    """With provenance; :func:`~deis.solve`, :func:`~deis.sample` and :func:`~deis.save_plans` take it."""
    table: tuple[Standing, ...]
    """All contenders on the held-out samples, best first."""
    history: History
    """Of learning: iterations, mean logarithm of the errors that are learnt from, and of those set apart."""
    doubt: float
    """Geometric mean of the held-out solutions' own uncertainty."""
    calls: int
    """Network calls that tuning takes, each on one sample: solutions count where they came from the store, too, and
    gradients do not."""
    seconds: Mapping[str, float]
    """Of each part: ``pilot solutions``, ``choose``, ``solutions to learn from``, ``learn``, ``held-out solutions``,
    ``judge``."""

    @property
    def gain(self) -> Interval:
        """Ratio of the plan's errors to those of the best published sampler, on the held-out samples."""
        return next(row.to_best for row in self.table if row.role == self.plan.provenance["tuned"])


def tune(
    ode: Ensemble | ProbabilityFlowODE | Callable[[Sequence[int]], ProbabilityFlowODE],
    nfe: int,
    *,
    shape: Sequence[int] = (),
    pilot: int = 64,
    held_out: int = 128,
    pairs: int = 0,
    training: Training | None = None,
    data: Tensor | None = None,
    strength: float = 1.0,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    batch: int = 128,
    store: Path | None = None,
    state: Path | None = None,
) -> Tuned:
    """The best plan of ``nfe`` network calls for a model, found by measurement.

    Members of the family on many grids, and all published samplers, are compared on pilot samples with their converged
    solutions; with ``pairs``, the grid and the coefficients of the best are learnt. Samples that nothing was chosen by
    judge, and a learnt plan that is worse than its start there is not returned. Equal arguments give equal plans.

    :param ode: a probability-flow ODE, with guidance and conditions as it is to be sampled; or a function that makes
        that of the samples of some seeds; or any :class:`~deis.Ensemble`, to which the arguments from ``data`` to
        ``batch`` and ``shape`` belong already.
    :param nfe: network calls.
    :param shape: shape of one sample.
    :param pilot: samples that candidates are compared on.
    :param held_out: samples that judge.
    :param pairs: samples that grid and coefficients are learnt from; 0 to choose only.
    :param training: how they are learnt.
    :param data: images to start from (image-to-image), shape (n, *shape).
    :param strength: share of the time from data to noise at which sampling begins.
    :param store: folder in which solutions are kept for the next call.
    :param state: file in which the progress of learning is kept, to go on after an interruption.
    :raises ArgumentError: for numbers out of range.
    :raises OutputError: if a file cannot be written.

    >>> from deis import GaussianMixture, VPLinear
    >>> ode = GaussianMixture(torch.tensor([[-1.0], [1.0]]), std=0.2).ode(VPLinear())
    >>> tuned = tune(ode, 5, shape=(1,), pilot=16, held_out=32)
    >>> tuned.plan.nfe, tuned.gain.value < 1
    (5, True)
    """
    nfe, pilot, held_out, pairs = map(as_integer, (nfe, pilot, held_out, pairs))
    _check({"nfe": (nfe, 1), "pilot": (pilot, _LEAST_PILOT), "held_out": (held_out, 2), "pairs": (pairs, 0)})
    ensemble = ode
    if not isinstance(ensemble, Ensemble):
        ensemble = samples(ensemble, shape, data=data, strength=strength, dtype=dtype, device=device, batch=batch)
    bench = _Bench(ensemble, nfe, store)
    known = bench.solved("pilot solutions", range(PILOT, PILOT + pilot))
    with bench.timed("choose", "plan") as bar:
        chosen, published = choose(known, nfe, lambda plan, count: bench.ran(plan, count, bar))
    learnt = bench.learnt(chosen, known, pairs, training or Training(), state) if pairs else None
    judges = bench.solved("held-out solutions", range(HELD_OUT, HELD_OUT + held_out))
    field = [_of("chosen", chosen[0]), *(_of("member", one) for one in chosen[1:_MEMBERS])]
    field += [*(_of("published", one) for one in published), *([learnt[0]] if learnt else [])]
    with bench.timed("judge", "plan", len(field)) as bar:
        rows = judged(field, judges, lambda one: bench.ran(one.plan, len(judges), bar))
    return _tuned(bench, rows, learnt[1] if learnt else (), known, judges, pairs)


def reference_nfe(nfe: int) -> int:
    """Network calls of the solutions that plans of ``nfe`` calls are judged by."""
    return max(_REFERENCE, _TIMES * nfe)


@attrs.define(eq=False)
class _Bench:
    """Where plans of one ensemble and one budget are made and measured; it counts the network calls."""

    ensemble: Ensemble
    nfe: int
    store: Path | None
    calls: int = 0
    seconds: dict[str, float] = attrs.field(factory=dict)

    @contextmanager
    def timed(self, title: str, unit: str, total: int | None = None) -> Iterator[Any]:
        """A progress bar, in terminals only, of a part whose seconds are kept."""
        began = time.perf_counter()
        with tqdm(total=total, desc=title, unit=unit, disable=None, leave=False) as bar:
            yield bar
        self.seconds[title] = time.perf_counter() - began

    def ran(self, plan: Plan, count: int, bar: Any) -> None:
        """Take in that a plan was run for so many samples."""
        self.calls += plan.nfe * count
        bar.update()

    def solved(self, title: str, seeds: range) -> Pairs:
        """Pairs of seeds."""
        with self.timed(title, "sample", len(seeds)) as bar:
            pairs = make_pairs(self.ensemble, seeds, reference_nfe(self.nfe), self.store, bar.update)
        self.calls += pairs.calls * len(pairs)
        return pairs

    def learnt(
        self, chosen: Sequence[Scored], apart: Pairs, count: int, training: Training, state: Path | None
    ) -> tuple[Contender, History] | None:
        """The plan that is learnt from :func:`_start`; None where that finds none."""
        start = _start([one.candidate for one in chosen], self.ensemble.ode, self.nfe)
        if start is None:
            return None
        candidate, trainable = start
        pairs = self.solved("solutions to learn from", range(LEARNING, LEARNING + count))
        with self.timed("learn", "step", trainable.size + training.iterations) as bar:
            found = learn(trainable, pairs, apart, training, state, bar.update)
        self.calls += found.calls
        grid = f"learnt from {candidate.spacing}"
        return Contender("learnt", candidate.title, grid, found.plan, math.exp(found.least)), found.history


def _start(ranked: Sequence[Candidate], ode: SemilinearODE, nfe: int) -> tuple[Candidate, Trainable] | None:
    """The first that makes one evaluation a step, or else the default sampler."""
    for candidate in (*ranked, Candidate(as_integrator("default"), make_grid("default"))):
        try:
            return candidate, Trainable(candidate.integrator, ode, TimeGrid(candidate.plan(ode, nfe).times))
        except DeisError:  # stages, or a clock that the ODE lacks
            continue
    return None


def _tuned(
    bench: _Bench,
    rows: Sequence[Standing],
    history: History,
    known: Pairs,
    judges: Pairs,
    pairs: int,
) -> Tuned:
    """The better of the learnt and the chosen plan, with provenance, and what is known of all."""
    best = next(row for row in rows if row.role in ("learnt", "chosen"))
    rival = next(row for row in rows if row.role == "published")
    ode = bench.ensemble.ode
    problem = InitialValueProblem(bench.ensemble.ode_of(known.seeds[:1]), bench.ensemble.initial_of(known.seeds[:1]))
    about = {
        "tuned": best.role,
        "integrator": best.title,
        "grid": best.grid,
        "ode": repr(ode),
        "model": fingerprint(problem, ode.domain, []),
        "nfe": str(bench.nfe),
        "pilot seeds": _seeds(known),
        "held-out seeds": _seeds(judges),
        "learning seeds": f"{LEARNING}-{LEARNING + pairs - 1}" if best.role == "learnt" else "",
        "error": str(best.error),
        "gain": f"{best.to_best} times the error of {rival.title} on {rival.grid}",
        "deis": __version__,
        "torch": torch.__version__,
    }
    form = ode.split(best.plan.splitting)
    plan = attrs.evolve(best.plan, provenance=about, signature=signature(form, best.plan.times))
    doubt = float(judges.doubt.log().mean().exp())
    return Tuned(plan, tuple(rows), history, doubt, bench.calls, bench.seconds)


def _check(given: Mapping[str, tuple[Any, int]]) -> None:
    for name, (value, least) in given.items():
        if not is_integer(value) or not least <= value <= _MOST:
            raise ArgumentError(name, f"must be a whole number from {least} to {_MOST}", value)


def _seeds(pairs: Pairs) -> str:
    return f"{pairs.seeds[0]}-{pairs.seeds[-1]}"

"""A plan tuned for one budget, and everything that its report tells."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import attrs
import torch
from torch import Tensor
from tqdm import tqdm

from deis.errors import DeisError
from deis.grids import make_grid
from deis.integrators.plan import Plan
from deis.study.outcomes import Estimate
from deis.study.tune_record import PUBLISHED, Row, TunedBudget
from deis.tuning import Candidate, Ensemble, Pairs, Standing, Training, candidates, make_pairs
from deis.tuning.interval import typical
from deis.tuning.pairs import errors, final_state
from deis.tuning.tune import HELD_OUT, reference_nfe, tune

_RIVALS: Final = 3  # published samplers that are given more calls
_TIMES: Final = 3  # up to so many times the plan's
_SHOWN: Final = ("vp-t2", "vp-t3")  # grids

Distance = Callable[[Tensor, Sequence[int]], Estimate]
"""A distance of samples, shape (B, ...), from the data; their seeds."""


@attrs.frozen
class Effort:
    """On how many samples plans are tuned, and how they are learnt; as in :func:`~deis.tune`."""

    pilot: int = 64
    held_out: int = 128
    pairs: int = 0
    training: Training = attrs.field(factory=Training)


def progress_file(folder: Path, nfe: int) -> Path:
    """Where learning of a plan is kept, to go on after an interruption."""
    return folder / f"progress-{nfe:03d}.safetensors"


def tune_budget(
    ensemble: Ensemble, nfe: int, folder: Path, effort: Effort, distance: Distance | None = None
) -> TunedBudget:
    """Tune a plan of ``nfe`` network calls, and measure it and the published samplers.

    :param folder: where solutions are kept in ``references``, and learning in :func:`progress_file`.
    :param distance: a distance from the data that is measured, too.
    :raises ArgumentError: for numbers out of range.
    :raises OutputError: if a file cannot be written.
    """
    store, state = folder / "references", progress_file(folder, nfe)
    tuned = tune(ensemble, nfe, store=store, state=state, **attrs.asdict(effort, recurse=False))
    judges = make_pairs(ensemble, range(HELD_OUT, HELD_OUT + effort.held_out), reference_nfe(nfe), store)
    rows = tuple(_row(one, judges, distance) for one in tqdm(tuned.table, "distances", disable=None, leave=False))
    best = next(row for row in rows if row.role == tuned.plan.provenance["tuned"])
    tried = _TIMES * best.nfe
    intervals = len(tuned.plan.times) - 1
    return TunedBudget(
        nfe=nfe,
        plan=tuned.plan,
        rows=rows,
        history=tuned.history,
        doubt=tuned.doubt,
        calls=tuned.calls,
        seconds=tuned.seconds,
        grids={name: make_grid(name)(ensemble.ode, intervals).times for name in _SHOWN},
        equal_calls=_equal_calls(best, rows, judges, tried),
        tried=tried,
        converged=distance(judges.solution.cpu(), judges.seeds) if distance else None,
    )


def _row(standing: Standing, judges: Pairs, distance: Distance | None) -> Row:
    frechet = distance and _distance(standing.plan, judges, distance)
    shown = {name: getattr(standing, name) for name in ("role", "title", "grid", "pilot", "error", "to_best")}
    return Row(nfe=standing.plan.nfe, frechet=frechet, **shown)


@torch.no_grad()
def _distance(plan: Plan, judges: Pairs, distance: Distance) -> Estimate | None:
    """That of the samples of a plan; None if one is not finite."""
    x = torch.cat([final_state(plan, batch).cpu() for batch in judges.split()])
    return distance(x, judges.seeds) if bool(x.isfinite().all()) else None


def _equal_calls(best: Row, rows: Sequence[Row], judges: Pairs, most: int) -> int | None:
    """Least network calls with which one of the best published samplers comes as near as the plan."""
    known = {(one.title, one.spacing): one for one in candidates(judges.ensemble.ode) if one.name}
    published = [row for row in rows if row.role == PUBLISHED]
    if published[0].error.value <= best.error.value:
        return published[0].nfe
    rivals = [known[row.title, row.grid] for row in published[:_RIVALS]]
    for calls in tqdm(range(best.nfe + 1, most + 1), "published samplers", disable=None, leave=False):
        if min(_error(one, judges, calls) for one in rivals) <= best.error.value:
            return int(calls)
    return None


def _error(candidate: Candidate, judges: Pairs, calls: int) -> float:
    try:
        plan = candidate.plan(judges.ensemble.ode, calls)
    except DeisError:  # not for this budget
        return torch.inf
    return typical(errors(plan, judges)).value

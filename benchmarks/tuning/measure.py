"""What tuning gains: chosen and learnt plans against every published sampler on its best grid, on held-out samples.

    OMP_NUM_THREADS=2 python -m benchmarks.tuning.measure --model digits --pairs 512

One file a model in ``results/tuning``; a run goes on where the last one ended. Every error is the geometric mean over
the samples of the RMSE to a converged solution; ratios are those of the errors of the same samples, with a 95 %
interval. Only the grids of the published samplers are chosen on the held-out samples: each on each of five grids on
the first of them, then the leading ones on all. Plans that are learnt for the zoo's models become their presets.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Final

import attrs
import click
import torch
from torch import Tensor
from tqdm import tqdm

import deis
from benchmarks.members import SUBJECTS
from benchmarks.training import write_json
from deis.study import frechet_to_digits
from deis.tuning.candidates import NAMED, NAMED_GRIDS, Candidate
from deis.tuning.ensemble import Ensemble, samples
from deis.tuning.interval import Interval, ratio, typical
from deis.tuning.pairs import Batch, Pairs, errors, final_state, make_pairs
from deis.tuning.tune import HELD_OUT, Tuned, tune
from deis.zoo.models import MODELS
from deis.zoo.presets import FOLDER

RESULTS: Final = Path(__file__).parents[1] / "results" / "tuning"
STORE: Final = Path("deis-results") / "references"  # which git ignores
_LEADING: Final = 6
_DRAWN: Final = 4096  # samples whose Frechet distance is measured: that of fewer depends much on their seeds


def ensemble(model: str) -> Ensemble:
    """Samples of a model; those of the zoo in the model's own precision, as users draw them."""
    subject = SUBJECTS[model]()
    return samples(subject.load, subject.shape, dtype=torch.float32 if model == "digits" else torch.float64)


def published(judges: Pairs, nfe: int, screen: int) -> Iterator[tuple[Candidate, deis.Plan]]:
    """The leading published samplers of all grids, judged on the first ``screen`` samples."""
    first, found = judges[:screen], []
    for name, grid in tqdm(list(product(NAMED, NAMED_GRIDS)), desc=f"published, {nfe} calls", disable=None):
        candidate = Candidate(deis.INTEGRATORS.create(name), deis.make_grid(grid), name)
        try:
            plan = candidate.plan(judges.ensemble.ode, nfe)
        except deis.DeisError:  # too few calls for its stages
            continue
        found.append((typical(errors(plan, first)).value, candidate, plan))
    for _, candidate, plan in sorted(found, key=lambda row: row[0])[:_LEADING]:
        yield candidate, plan


def frechet(plan: deis.Plan, judged: Ensemble) -> float:
    """Frechet distance of the plan's samples to the digits."""
    ends = []
    for seeds in judged.split(range(HELD_OUT, HELD_OUT + _DRAWN)):
        start = judged.initial_of(seeds).to(judged.dtype)
        with torch.no_grad():
            ends.append(final_state(plan, Batch(judged.ode_of(seeds), start, start)))
    return frechet_to_digits()(torch.cat(ends))


def measured(model: str, nfe: int, pairs: int, judges: Pairs, screen: int) -> dict[str, Any]:
    """The chosen and the learnt plan of one budget, and the best published sampler."""
    tuned = tune(judges.ensemble, nfe, pairs=pairs, store=STORE)
    if model in MODELS and pairs:
        deis.save_plans(FOLDER / model, [tuned.plan])
    leading = [(errors(plan, judges), candidate, plan) for candidate, plan in published(judges, nfe, screen)]
    rival = min(leading, key=lambda row: typical(row[0]).value)
    rows: dict[str, Any] = {
        "published": {
            "sampler": rival[1].title,
            "grid": rival[1].spacing,
            **row(model, rival[2], rival[0], None, judges),
        }
    }
    for one in tuned.table:
        if one.role in ("chosen", "learnt"):
            own = row(model, one.plan, errors(one.plan, judges), rival[0], judges)
            rows[one.role] = {"sampler": one.title, "grid": one.grid, **own}
    about = {"returned": tuned.plan.provenance["tuned"], "calls": tuned.calls, "history": tuned.history}
    return {**rows, **about, "seconds": seconds(tuned)}


def row(model: str, plan: deis.Plan, found: Tensor, rival: Tensor | None, judges: Pairs) -> dict[str, Any]:
    """What is known of one plan."""
    known: dict[str, Any] = {"error": rounded(typical(found))}
    known |= {"ratio": rounded(ratio(found, rival))} if rival is not None else {}
    return known | ({"frechet": round(frechet(plan, judges.ensemble), 5)} if model in MODELS else {})


def seconds(tuned: Tuned) -> dict[str, float]:
    """What each part took, to a tenth."""
    return {part: round(time, 1) for part, time in tuned.seconds.items()}


def rounded(interval: Interval) -> Sequence[float]:
    """The value and its interval in four digits."""
    return [float(f"{x:.4g}") for x in attrs.astuple(interval)]


@click.command(help=__doc__)
@click.option("--model", type=click.Choice(list(SUBJECTS)), required=True)
@click.option("--nfe", "budgets", default="5,8,10,15", show_default=True)
@click.option("--pairs", default=0, show_default=True, help="Pairs that grid and coefficients are learnt from.")
@click.option("--held-out", "count", default=1024, show_default=True)
@click.option("--screen", default=128, show_default=True, help="Samples on which all published samplers are tried.")
def main(model: str, budgets: str, pairs: int, count: int, screen: int) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{model}.json"
    content = json.loads(path.read_text()) if path.exists() else {"model": model, "budgets": {}}
    judges = make_pairs(ensemble(model), range(HELD_OUT, HELD_OUT + count), 240, STORE)
    doubt = float(judges.doubt.log().mean().exp())
    content |= {"held_out": count, "screen": screen, "doubt": doubt, "torch": torch.__version__}
    content |= {"threads": torch.get_num_threads()}
    for nfe in map(int, budgets.split(",")):
        if content["budgets"].get(str(nfe), {}).get("pairs") == pairs:
            continue
        content["budgets"][str(nfe)] = {"pairs": pairs, **measured(model, nfe, pairs, judges, screen)}
        write_json(path, content)


if __name__ == "__main__":
    main()

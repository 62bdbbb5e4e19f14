"""``deis tune``: plans for one model, by measurement."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
from torch import Tensor

from deis import save_plans
from deis.analysis.store import fingerprint
from deis.cli.data import read_samples
from deis.cli.options import BUDGETS, Given, Parsed, ode_by_seed, precision, sampling_options, usage
from deis.cli.record import options
from deis.cli.tune_table import table
from deis.errors import ArgumentError, DeisError, OutputError
from deis.files import output_folder
from deis.problems import InitialValueProblem
from deis.study.measures import measure
from deis.study.outcomes import Estimate
from deis.study.record import versions
from deis.study.tune_budget import Distance, Effort, progress_file, tune_budget
from deis.study.tune_record import RECORD, TunedBudget, TuneRecord, read_record, write_record
from deis.study.tune_report import PAGE, tune_report
from deis.study.tune_words import cost, losses, verdict
from deis.text import listed
from deis.tuning import Ensemble, Training, samples
from deis.zoo import Model
from deis.zoo.classifier import FEATURES

_MOST: Final = 1_000_000
_DIGITS: Final = (1, 8, 8)


@click.command(
    epilog="\b\nExamples:\n  deis tune --model digits --nfe 5,8,10 --pairs 512 --outdir tuned\n"
    "  deis sample --model digits --integrator tuned/plan-008.json --outdir out\n"
    "  deis tune --images out/samples.npz --strength 0.6 --label 3 --nfe 5 --outdir variations"
)
@click.option("--nfe", type=BUDGETS, default="5,10", show_default=True, help="Budgets of network calls.")
@click.option(
    "--pilot", type=click.IntRange(8, _MOST), default=64, show_default=True, help="Samples that samplers are chosen by."
)
@click.option(
    "--held-out", type=click.IntRange(2, _MOST), default=128, show_default=True, help="Samples that judge them."
)
@click.option(
    "--pairs",
    type=click.IntRange(0, _MOST),
    default=0,
    show_default=True,
    help="Samples that grid and coefficients are learnt from; 0: choose only.",
)
@click.option(
    "--iterations", type=click.IntRange(1, _MOST), help=f"Steps of learning.  [default: {Training().iterations}]"
)
@click.option("--images", type=Parsed("file", read_samples), help="An .npz of samples to start from (image-to-image).")
@click.option(
    "--strength",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    show_default=True,
    help="Share of the way from --images to noise at which sampling begins.",
)
@sampling_options(seeds="", grid="", outdir="deis-results/tune", batch=128)
def tune(**params: Any) -> None:
    """Tune a plan of network calls for a model: sampler, grid and, with --pairs, coefficients.

    Every published sampler and hundreds of others are compared on pilot samples with their converged solutions; the
    best is judged on held-out samples. Seeds are fixed, from 10^12 on: far from those that people draw.

    Writes plan-NNN.json for each budget, which other commands take as --integrator, a record, and a report. Budgets
    that are finished stay: after an interruption the same command goes on, and further budgets may be added. Solutions
    are kept in the folder references.
    """
    ensemble, task = _task(params)
    outdir, wanted = params["outdir"], params["nfe"].value
    kept, stale = _kept(outdir, task, force=params["force"])
    training = Training(iterations=_iterations(params))
    effort = Effort(params["pilot"], params["held_out"], params["pairs"], training)
    found = dict(kept)
    try:
        for nfe in wanted:
            if nfe not in kept:
                found[nfe] = tune_budget(ensemble, nfe, outdir, effort, _distance(params))
                _write(outdir, params, task, found, stale)
                progress_file(outdir, nfe).unlink(missing_ok=True)
            _say(found[nfe], "" if nfe not in kept else " (finished before)")
    except KeyboardInterrupt:
        done = [str(nfe) for nfe in sorted(found)]
        stays = f"the plans of {listed(done)} network calls stay in {outdir}" if done else "no plan is finished"
        raise DeisError(f"interrupted: {stays}; the same command goes on") from None
    _write(outdir, params, task, found, stale)
    click.echo(f"Plans, record and report: {outdir / PAGE}\nUse one: --integrator {_plan(outdir, found[wanted[0]])}")


def _task(params: dict[str, Any]) -> tuple[Ensemble, dict[str, str]]:
    """What is tuned for, and all that the plans depend on; everything is checked here."""
    model: Model = params["model"].value
    images: Given[Tensor] | None = params["images"]
    data = images.value if images else None
    with usage():
        _check(params, model, data)
    dtype, ode_of, device = precision(params), ode_by_seed(params), params["device"].value
    strength = params["strength"]
    ensemble = samples(
        ode_of, model.shape, data=data, strength=strength, dtype=dtype, device=device, batch=params["batch"]
    )
    names = ("label", "guidance", "pilot", "held_out", "pairs", "strength", "dtype")
    ode = ensemble.ode
    first = InitialValueProblem(ode, ensemble.initial_of([0]))
    return ensemble, {
        "model": params["model"].text,
        "network": fingerprint(first, ode.domain, []),
        **{name: str(params[name]) for name in names},
        "iterations": str(_iterations(params)) if params["pairs"] else "none",
        "images": hashlib.sha256(data.numpy().tobytes()).hexdigest() if data is not None else "none",
    }


def _iterations(params: Mapping[str, Any]) -> int:
    return params["iterations"] or Training().iterations


def _check(params: Mapping[str, Any], model: Model, data: Tensor | None) -> None:
    strength, iterations = params["strength"], params["iterations"]
    if data is None and strength < 1:
        raise ArgumentError("strength", "must be 1 without images", strength, "give --images to start from")
    if data is not None and strength == 1:
        rule = "must be below 1 with images, which hardly count at 1"
        raise ArgumentError("strength", rule, strength, "for example --strength 0.6")
    if data is not None and data.shape[1:] != model.shape:
        rule = f"must hold samples of shape {model.shape}, as the model has them"
        raise ArgumentError("images", rule, tuple(data.shape[1:]))
    if iterations is not None and not params["pairs"]:
        raise ArgumentError("iterations", "must be left out where nothing is learnt", iterations, "give --pairs 512")


def _kept(outdir: Path, task: Mapping[str, str], *, force: bool) -> tuple[dict[int, TunedBudget], list[Path]]:
    """The budgets that are finished, and the plans of another task that are to be replaced with its record."""
    try:
        record = read_record(outdir)
    except ArgumentError:  # none, or none that is sound: whatever lies there was not written by this command
        record = None
    if record is not None and record.task == task:
        output_folder(outdir, [RECORD, PAGE], force=True)
        return {budget.nfe: budget for budget in record.budgets}, []
    names = [path.name for path in sorted(outdir.glob("plan-*.json"))]
    if record is not None and not force:
        other = next(name for name in (*task, *record.task) if record.task.get(name) != task.get(name))
        raise OutputError(
            f"{outdir} holds plans for {other.replace('_', ' ')} {record.task.get(other)}, not {task.get(other)}; "
            "choose another folder, or use --force to replace them"
        )
    output_folder(outdir, [*names, RECORD, PAGE], force=force)
    return {}, [outdir / name for name in names]


def _distance(params: Mapping[str, Any]) -> Distance | None:
    """The Frechet distance to the digits, for models of digits and enough samples."""
    model: Model = params["model"].value
    if model.shape != _DIGITS or params["held_out"] <= FEATURES:
        return None
    label = params["label"]

    def distance(x: Tensor, seeds: Sequence[int]) -> Estimate:
        return measure("frechet", x, label=label, classes=model.labels(seeds) if label is None else None)

    return distance


def _write(
    outdir: Path, params: dict[str, Any], task: Mapping[str, str], found: Mapping[int, TunedBudget], stale: list[Path]
) -> None:
    """Plans, record and report of what is finished."""
    budgets = tuple(found[nfe] for nfe in sorted(found))
    for budget in budgets:
        save_plans(outdir, [budget.plan])
    written = {_plan(outdir, budget) for budget in budgets}
    while stale:
        path = stale.pop()
        if path not in written:
            path.unlink(missing_ok=True)
    given = options(params) | {"nfe": ",".join(map(str, sorted(found)))}
    write_record(outdir, TuneRecord(task, given, budgets, versions()))
    tune_report(outdir)


def _plan(outdir: Path, budget: TunedBudget) -> Path:
    """The file of a plan."""
    return outdir / f"plan-{budget.plan.nfe:03d}.json"


def _say(budget: TunedBudget, note: str) -> None:
    head = f"NFE {budget.nfe}{note}"
    click.echo("\n".join([head, *table(budget), verdict(budget), *losses(budget), cost(budget), ""]))

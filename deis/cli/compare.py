"""``deis compare``: integrators at equal budgets."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import click
from click.core import ParameterSource
from torch import Tensor
from tqdm import tqdm

from deis import Integrator
from deis.analysis import Reference, geometric_mean_rmse
from deis.cli.compare_problem import compare_on_problem
from deis.cli.options import ALL, BUDGETS, METHODS, PLANS, PROBLEM, check_plan, requested, sampling_options
from deis.cli.record import options
from deis.cli.tables import blocks, cell, wins, write_csv
from deis.files import output_folder
from deis.study import Request, Result, budgeted, criterion, frechet_to_digits, reference_samples, watched, winners
from deis.study import compare as measure
from deis.study.figures import comparison_figure, write_figure
from deis.study.record import versions, write_json
from deis.zoo.classifier import FEATURES

_FILES: Final = ("compare.csv", "compare.json", "compare.png")
_REFERENCE: Final = 240  # network calls, or this many times the largest budget if that is more:
_TIMES: Final = 5
_INTEGRATORS: Final = "default,ddim,tab1,tab2,tab3,rhoab3,dpmpp-2m,unipc-3,edm-heun,rhork-kutta3,ipndm"
_MEASURES: Final = {"geometric_rmse": "error per sample", "frechet": "Frechet distance"}


@click.command(
    epilog="\b\nExamples:\n  deis compare --model digits-exact --integrators ddim,tab3,sddim --nfe 5,10 --outdir out\n"
    "  deis compare --problem ho1 --integrators krogstad,exp-adams4,etd2rk --nfe 40,80,160 --outdir out"
)
@click.option("--problem", type=PROBLEM, help="Compare on a problem, not on a model; see deis list problems.")
@click.option(
    "--integrators",
    type=METHODS,
    default=_INTEGRATORS,
    show_default=True,
    help=f"See deis list; {PLANS}. {ALL}: every one without noise that keeps a budget.",
)
@click.option("--nfe", type=BUDGETS, default="5,10,20", show_default=True, help="Budgets of network calls.")
@sampling_options(seeds="0-255", outdir="deis-results/compare", batch=256)
@click.pass_context
def compare(context: click.Context, /, **params: Any) -> None:
    """Compare integrators at equal budgets of network calls.

    All start from the same noise and are judged by their error to a converged solution and by the distance of their
    samples to the data. The error per sample is the geometric mean of the samples' RMSE. A method that cannot make a
    budget exactly makes as many calls as fit into it.

    With --problem, a call is an evaluation of the nonlinearity, and errors are those at the end. Integrators, budgets
    and grid are then by default the problem's own; methods that choose their own steps are solved once each.
    """
    if params["problem"] is not None:
        given = {name for name in params if context.get_parameter_source(name) != ParameterSource.DEFAULT}
        compare_on_problem(params, given)
    else:
        del params["problem"]
        _compare_on_model(params)


def _compare_on_model(params: dict[str, Any]) -> None:
    methods, outdir = params["integrators"].value, params["outdir"]
    request = requested(params)
    planned = _planned(request, methods, params["nfe"].value)
    output_folder(outdir, _FILES, force=params["force"])
    frechet = frechet_to_digits(params["label"]) if len(request.seeds) > FEATURES else None
    reference, results = _run(request, methods, planned, frechet)
    distance = frechet(reference.x) if frechet and reference else None
    click.echo("\n".join(_report(results, reference, distance)))
    _write(outdir, params, results, reference, distance)
    click.echo(f"Table, record and plot: {outdir}\n\n{_verdict(results)}")


def _planned(request: Request, methods: dict[str, Integrator], budgets: Sequence[int]) -> list[Result]:
    """What will be measured; everything that can be refused is refused here, before any network call."""
    planned = budgeted(methods, budgets)
    for row in planned:
        if row.nfe is not None:
            check_plan(request.ode, request.grid, methods[row.integrator], row.nfe)
    if all(row.nfe is None for row in planned):
        raise click.UsageError(f"no integrator can make any of these budgets: {planned[0].note}")
    return planned


def _run(
    request: Request,
    methods: dict[str, Integrator],
    planned: Sequence[Result],
    frechet: Callable[[Tensor], float] | None,
) -> tuple[Reference | None, list[Result]]:
    """Reference and results; no reference where every method is stochastic."""
    needed = any(row.nfe is not None and not methods[row.integrator].stochastic for row in planned)
    most = max(_REFERENCE, _TIMES * max(row.nfe or 0 for row in planned))
    calls = sum(row.nfe or 0 for row in planned) + needed * (most + most // 2)
    with tqdm(total=calls * request.batches, unit="call", disable=None, leave=False) as bar:
        seen = watched(request, bar.update)
        bar.set_description("reference")
        reference = reference_samples(seen, most) if needed else None
        bar.set_description("compare")
        return reference, measure(seen, methods, planned, reference, frechet)


def _report(results: Sequence[Result], reference: Reference | None, distance: float | None) -> list[str]:
    """The lines of the table, a block a budget, its best with a star; then the reference and the notes."""
    leading = list(winners(results).values())
    rows = [["", "integrator", "NFE", "error/sample", "RMSE", "Frechet", "seconds"]]
    rows += [["*" if row in leading else "", *_cells(row)] for row in results]
    notes = list(dict.fromkeys(f"{row.integrator}: {row.note}" for row in results if row.note))
    if reference is not None:
        rows.append(["", "reference", str(reference.nfe), "-", "-", cell(distance), "-"])
        notes.append(f"The reference is uncertain by {reference.uncertainty():.1e} (RMSE).")
    if all(row.frechet is None for row in results):
        notes.append(f"No Frechet distance: it takes more than {FEATURES} seeds.")
    lines = blocks(rows, "llrrrrr", [row.budget for row in results])
    return [*lines, *([""] if reference else []), *notes]


def _cells(row: Result) -> list[str]:
    calls = "-" if row.nfe is None else str(row.nfe)
    return [row.integrator, calls, *map(cell, (row.geometric_rmse, row.rmse, row.frechet, row.seconds))]


def _verdict(results: Sequence[Result]) -> str:
    """One sentence: which integrator is best at each budget."""
    leading = winners(results)
    if not leading:
        if all(row.seconds is None for row in results):
            return "No integrator could be measured."
        return f"No integrator is ranked: with noise there is no error, and no Frechet distance up to {FEATURES} seeds."
    best = wins({budget: row.integrator for budget, row in leading.items()})
    return f"Best by {_MEASURES[criterion(results)]}: {best}."


def _write(
    outdir: Path,
    params: dict[str, Any],
    results: Sequence[Result],
    reference: Reference | None,
    distance: float | None,
) -> None:
    table, record, plot = (outdir / name for name in _FILES)
    write_csv(table, results)
    uncertainty = reference.uncertainty(geometric_mean_rmse) if reference else None
    content = {
        "options": options(params),
        "integrators": {name: repr(method) for name, method in params["integrators"].value.items()},
        "grid": repr(params["grid"].value),
        "reference": reference and {"nfe": reference.nfe, "uncertainty": reference.uncertainty(), "frechet": distance},
        "results": [attrs.asdict(row) for row in results],
        "best": {budget: row.integrator for budget, row in winners(results).items()},
        "versions": versions(),
    }
    write_json(record, content)
    title = f"{params['model'].text}, grid {params['grid'].text}, {len(params['seeds'].value)} samples"
    levels = {"geometric_rmse": uncertainty, "frechet": distance}
    write_figure(plot, comparison_figure(results, title, levels))

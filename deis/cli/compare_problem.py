"""``deis compare --problem``: integrators on a problem, at equal budgets of evaluations."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import click

from deis import BlackBox, Integrator, Problem
from deis.analysis import Reference, WorkPoint
from deis.cli.options import ALL, BUDGETS, METHODS, Parsed, usage
from deis.cli.record import options
from deis.cli.solve import GRID, reference_of
from deis.cli.tables import blocks, cell, wins, write_csv
from deis.files import output_folder
from deis.integrators.base import as_integrator
from deis.study import budgeted
from deis.study.figures import write_figure
from deis.study.problem_comparison import check, compare_on, fitting, leaders, seconds, work_figure
from deis.study.record import versions, write_json
from deis.study.solving import value_rmse

FOR_MODELS: Final = ("model", "label", "guidance", "seeds", "batch", "device", "dtype")
"""Options of the command that say nothing about a problem."""

INTEGRATORS: Final = ("etd2rk", "etdrk4", "krogstad", "hochbruck-ostermann", "exp-adams2", "exp-adams4")
"""Those that are compared by default, beside the one that the problem recommends."""

_FRACTIONS: Final = (4, 2, 1)  # of the recommended work, for budgets
_FILES: Final = ("compare.csv", "compare.json", "compare.png")


def compare_on_problem(params: dict[str, Any], given: set[str]) -> None:
    """Compare integrators on the problem that the options name.

    :param params: the options of the command.
    :param given: names of those that were given.
    """
    wrong = [f"--{name}" for name in FOR_MODELS if name in given]
    if wrong:
        raise click.UsageError(f"--problem takes the place of a model; leave out {', '.join(wrong)}")
    params = _filled({name: value for name, value in params.items() if name not in FOR_MODELS}, given)
    problem, grid, budgets = (params[name].value for name in ("problem", "grid", "nfe"))
    methods: dict[str, Integrator] = params["integrators"].value
    if params["integrators"].text == ALL:
        methods = fitting(problem, methods, grid)
    with usage():
        check(problem, methods, grid)
    _need_some(methods, budgets)
    outdir: Path = params["outdir"]
    output_folder(outdir, _FILES, force=params["force"])
    reference = reference_of(problem)
    rows = compare_on(problem, methods, budgets, grid, reference)
    doubt = reference.uncertainty(value_rmse(problem))
    click.echo("\n".join(_report(rows, reference, doubt)))
    _write(outdir, params, rows, reference, doubt)
    click.echo(f"Table, record and plot: {outdir}\n\n{_verdict(rows)}")


def _filled(params: dict[str, Any], given: set[str]) -> dict[str, Any]:
    """The options with the problem's own defaults in place of those for models."""
    problem: Problem = params["problem"].value
    recipe = problem.recommended
    defaults: dict[str, tuple[Parsed[Any], str]] = {
        "integrators": (METHODS, ",".join(dict.fromkeys([recipe.integrator, *INTEGRATORS]))),
        "nfe": (BUDGETS, ",".join(map(str, _budgets(problem)))),
        "grid": (GRID, recipe.grid),
    }
    filled = {name: kind.convert(text, None, None) for name, (kind, text) in defaults.items() if name not in given}
    return params | filled


def _budgets(problem: Problem) -> list[int]:
    """A quarter, a half and all of the evaluations that the problem's own recipe makes, or of four a time it asks."""
    recipe = problem.recommended
    method = as_integrator(recipe.integrator)
    calls = 4 * recipe.intervals if isinstance(method, BlackBox) else method.nfe(recipe.intervals)
    return [max(1, calls // fraction) for fraction in _FRACTIONS]


def _need_some(methods: Mapping[str, Integrator], budgets: Sequence[int]) -> None:
    """Refuse budgets that are too small for every method that keeps one."""
    planned = budgeted({name: method for name, method in methods.items() if not isinstance(method, BlackBox)}, budgets)
    if planned and all(row.nfe is None for row in planned):
        raise click.UsageError(f"no integrator can make any of these budgets: {planned[0].note}")


def _report(rows: Sequence[WorkPoint], reference: Reference, doubt: float) -> list[str]:
    """The lines of the table, a block a budget, its best with a star; then the reference and the notes."""
    leading = list(leaders(rows).values())
    head = ["", "integrator", "NFE", "intervals", "error", "seconds"]
    body = [["*" if row in leading else "", row.integrator, *_cells(row)] for row in rows]
    known = f", uncertain by {doubt:.1e}" if doubt else ""
    notes = list(dict.fromkeys(f"{row.integrator}: {row.note}" for row in rows if row.note))
    lines = blocks([head, *body], "llrrrr", [row.budget for row in rows])
    return [*lines, f"Errors are root mean squares at the end, to the reference: {reference.method}{known}.", *notes]


def _cells(row: WorkPoint) -> list[str]:
    counts = ["-" if count is None else str(count) for count in (row.nfe, row.intervals)]
    return [*counts, cell(row.error), cell(seconds(row))]


def _verdict(rows: Sequence[WorkPoint]) -> str:
    """One sentence: which integrator is best at each budget."""
    leading = {budget: row.integrator for budget, row in leaders(rows).items()}
    if not leading:
        return "No integrator that keeps a budget could be measured."
    return f"Best by error: {wins(leading)}."


def _write(outdir: Path, params: dict[str, Any], rows: Sequence[WorkPoint], reference: Reference, doubt: float) -> None:
    table, record, plot = (outdir / name for name in _FILES)
    problem: Problem = params["problem"].value
    figure = work_figure(rows, f"{params['problem'].text}, grid {params['grid'].text}", doubt)
    write_csv(table, rows)
    content = {
        "options": options(params),
        "problem": repr(problem),
        "integrators": {
            name: repr(params["integrators"].value[name]) for name in dict.fromkeys(r.integrator for r in rows)
        },
        "grid": repr(params["grid"].value),
        "reference": {"method": reference.method, "nfe": reference.nfe, "uncertainty": doubt},
        "results": [attrs.asdict(row) for row in rows],
        "best": {budget: row.integrator for budget, row in leaders(rows).items()},
        "versions": versions(),
    }
    write_json(record, content)
    write_figure(plot, figure)

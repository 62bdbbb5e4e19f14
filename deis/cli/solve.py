"""``deis solve``: a problem by one integrator."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import click
import numpy as np
import torch
from tqdm import tqdm

from deis import BlackBox, DeisError, Problem, Solution, make_grid
from deis.analysis import Reference
from deis.analysis.converged import converged
from deis.cli.options import INTEGRATOR, MOST_NFE, PROBLEM, Folder, Parsed, usage
from deis.cli.solve_report import Findings, lines, record, title
from deis.files import output_folder, whole_file
from deis.integrators.base import as_integrator
from deis.study.portraits import animation, png, portrait, solution_figure
from deis.study.record import write_json
from deis.study.solving import Frames, Setup, Tick, Watched, drifts, end_error, frames

_FILES: Final = ("solution.npz", "solution.png", "solution.gif", "solve.json")
_DTYPES: Final = {
    str(d).removeprefix("torch."): d for d in (torch.float32, torch.float64, torch.complex64, torch.complex128)
}
GRID: Final = Parsed("grid", make_grid)
_TIMES: Final = "Steps; of a method that chooses its own, times at which its states are wanted."


@click.command(
    epilog="\b\nExamples:\n  deis solve --problem burgers:size=128 --integrator krogstad --intervals 100 --outdir out\n"
    "  deis solve --problem robertson"
)
@click.option("--problem", type=PROBLEM, default="burgers", show_default=True, help="See deis list problems.")
@click.option("--integrator", type=INTEGRATOR, help="See deis list integrators.  [default: the problem's]")
@click.option("--intervals", type=click.IntRange(1, MOST_NFE), help=f"{_TIMES}  [default: the problem's]")
@click.option("--grid", type=GRID, help="Where the steps lie: t, t2 ...  [default: the problem's]")
@click.option("--dtype", type=click.Choice(list(_DTYPES)), help="Precision of the state.  [default: the problem's]")
@click.option("--frames", type=click.IntRange(2, 10_000), default=200, show_default=True, help="Most states kept.")
@click.option("--errors/--no-errors", default=True, show_default=True, help="Measure error and order, by more solves.")
@click.option("--outdir", type=Folder(path_type=Path), default="deis-results/solve", show_default=True)
@click.option("--force", is_flag=True, help="Replace results that exist.")
def solve(**params: Any) -> None:
    """Solve a problem, and say how well.

    The error at the end is that to the exact solution, or to a converged one whose own uncertainty is told; the order
    is measured by halving the steps. Writes states and what they stand for as numbers, a picture (of fields in a plane
    also an animation), and a record of how they came about.
    """
    setup, outdir = _setup(params), params["outdir"]
    output_folder(outdir, _FILES, force=params["force"])
    with _progress("solve", setup.calls) as tick:
        solution = setup.solve(tick)
    found = _judged(setup, solution, errors=params["errors"])
    click.echo("\n".join(lines(params, setup, found)))
    _write(outdir, params, setup, found)
    click.echo(f"Numbers, picture and record: {outdir}")


def _setup(params: dict[str, Any]) -> Setup:
    """The setup that the options describe; what was left out of them is filled in."""
    problem: Problem = params["problem"].value
    recipe = problem.recommended
    for name, kind in (("integrator", INTEGRATOR), ("grid", GRID)):
        params[name] = params[name] or kind.convert(getattr(recipe, name), None, None)
    method, grid = params["integrator"].value, params["grid"].value
    own = method.own_grid and method.own_grid.only  # of a plan
    params["intervals"] = params["intervals"] or own or recipe.intervals
    params["dtype"] = params["dtype"] or str(problem.initial.dtype).removeprefix("torch.")
    with usage():
        return Setup(problem, method, grid, params["intervals"], _DTYPES[params["dtype"]])


@contextmanager
def _progress(name: str, calls: int | None) -> Iterator[Tick]:
    """A bar, moved on by what it yields."""
    with tqdm(total=calls, desc=name, unit="call", disable=None, leave=False) as bar:
        yield bar.update


def reference_of(problem: Problem) -> Reference:
    """What errors are measured to, with a bar that counts the evaluations."""
    recipe = problem.converged
    method, calls = as_integrator(recipe.integrator), None
    if not isinstance(method, BlackBox):
        calls = method.nfe(recipe.intervals) + method.nfe(max(1, recipe.intervals // 2))
    with _progress("reference", calls) as tick:
        return converged(Watched(problem, tick))


def _judged(setup: Setup, solution: Solution, *, errors: bool) -> Findings:
    """What can be said about a solution; notes say what cannot."""
    found = Findings(solution, drifts(setup.problem, solution))
    if solution.diagnosis:
        return found.noting(f"The solution ends at t = {solution.times[-1]:g}: the method {solution.diagnosis}")
    if not errors:
        return found
    try:
        reference = reference_of(setup.problem)
        found = attrs.evolve(found, error=end_error(setup.problem, solution.x, reference))
        return attrs.evolve(found, curve=setup.convergence(reference))
    except DeisError as error:
        return found.noting(f"Not everything could be measured: {error}")


def _write(outdir: Path, params: dict[str, Any], setup: Setup, found: Findings) -> None:
    """Write all files; pictures are drawn before the first one."""
    kept = frames(setup.problem, found.solution, params["frames"])
    shown = portrait(setup.problem, kept, title(params, setup, found.solution))
    pictures = {"solution.png": png(solution_figure(shown))}
    if shown.planes:
        pictures["solution.gif"] = animation(shown)
    _write_numbers(outdir / "solution.npz", setup.problem, kept)
    for name, content in pictures.items():
        with whole_file(outdir / name) as file:
            file.write(content)
    if not shown.planes:
        (outdir / "solution.gif").unlink(missing_ok=True)  # of an earlier solution, of a plane
    write_json(outdir / "solve.json", record(params, setup, found))


def _write_numbers(path: Path, problem: Problem, kept: Frames) -> None:
    axes = dict(zip("xyz", problem.axes, strict=False))
    arrays = {"values": kept.values, "state": kept.states, **axes}
    plain = {name: array.resolve_conj().numpy() for name, array in arrays.items()}
    with whole_file(path) as file:
        np.savez(file, t=np.array(kept.times), **plain)  # type: ignore[arg-type]  # its stub takes every keyword for allow_pickle

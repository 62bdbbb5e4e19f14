"""What one cell of a study takes: samples or a solution, measured, and the files that hold them."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from deis.analysis import rmse
from deis.errors import CapabilityError, DeisError
from deis.grids import make_grid
from deis.integrators.base import Integrator
from deis.integrators.fitted import fitted
from deis.solve import solve
from deis.study.batches import Request, draw
from deis.study.cells import Cell, Findings, write_result
from deis.study.measures import METRICS, Error, measure
from deis.study.methods import OWN
from deis.study.outcomes import Estimate
from deis.study.references import solution
from deis.study.targets import ModelTarget, ProblemTarget

_SAMPLES: Final = 16
_TRAJECTORIES: Final = 4


def _largest(x: Tensor, y: Tensor) -> float:
    return float((x - y).abs().max())


_NORMS: Final[Mapping[str, Callable[[Tensor, Tensor], float]]] = {"error_max": _largest, "error_rms": rmse}


def finish(cell: Cell, folder: Path) -> None:
    """Compute a cell and write its files; what cannot be computed leaves a note.

    :raises OutputError: if a file cannot be written.
    :raises WeightsError: if a network cannot be loaded.
    """
    of = _of_model if isinstance(cell.target, ModelTarget) else _of_problem
    try:
        result = of(cell, folder)
    except DeisError as error:
        if isinstance(error, OSError):  # no property of the cell: the next attempt may succeed
            raise
        result = Findings(note=str(error))
    write_result(folder, cell, result)


def _of_model(cell: Cell, folder: Path) -> Findings:
    assert isinstance(cell.target, ModelTarget)
    target, sampling = cell.target, cell.sampling
    errors = {name: metric for name in sampling.metrics if isinstance(metric := METRICS[name], Error)}
    distances = [name for name in sampling.metrics if name not in errors]
    kind: dict[str, Any] = {"label": target.label, "classes": target.classes(sampling.seeds)}
    if cell.method is None:
        known = solution(target, sampling, folder)
        metrics, note = _measured(distances, lambda name: measure(name, known.x, **kind))
        uncertainty = {name: known.uncertainty(metric.norm) for name, metric in errors.items()}
        arrays = _arrays(known.x, known.states, known.times)
        return Findings(known.nfe, known.method, metrics, uncertainty, note, arrays)
    request, method = target.request(sampling.seeds, _common(cell), sampling.batch), cell.method.integrator
    calls = _calls(method, cell.budget)
    drawn = draw(request, method, calls)

    def estimate(name: str) -> Estimate:
        known = solution(target, sampling, folder) if name in errors else None
        return measure(name, drawn.x, **kind, reference=known)

    names = distances if method.stochastic else sampling.metrics
    metrics, note = _measured(names, estimate)
    arrays = _arrays(drawn.x, *_trajectory(request, method, calls))
    return Findings(drawn.nfe, "", metrics, {}, note, arrays, (drawn.seconds, drawn.seconds_in_network))


def _of_problem(cell: Cell, folder: Path) -> Findings:
    assert isinstance(cell.target, ProblemTarget)
    known = solution(cell.target, cell.sampling, folder)
    uncertainty = {name: known.uncertainty(norm) for name, norm in _NORMS.items()}
    if cell.method is None:
        arrays = _arrays(known.x[None], known.states[:, None], known.times)
        return Findings(known.nfe, known.method, {}, uncertainty, "", arrays)
    problem, asked = cell.target.problem, cell.method.integrator
    ode, method = problem.ode, fitted(asked, problem.ode)
    if method.stochastic:
        raise CapabilityError(f"{method!r} adds noise, and {cell.target.title} is no diffusion model")
    calls = _calls(method, cell.budget)
    times = (method.own_grid or make_grid(_common(cell)))(ode, 1 if calls is None else method.intervals_for(calls))
    with torch.no_grad():
        found = solve(ode, problem.initial, times, method, keep_states=True)

    def estimate(name: str) -> Estimate:
        value, doubt = known.error(found.x, _NORMS[name]), uncertainty[name]
        return Estimate(value, max(0.0, value - doubt), value + doubt)

    metrics, note = _measured(_NORMS, estimate)
    assert found.states is not None
    arrays = _arrays(found.x[None], torch.stack(found.states)[:, None], found.times)
    seconds = found.seconds_in_network, found.seconds_in_solver
    return Findings(found.nfe, repr(method), metrics, {}, note, arrays, (sum(seconds), seconds[0]))


def _common(cell: Cell) -> str:
    """A grid that is not the method's own; if it chooses its steps, it learns from it only where they start and end."""
    return "t" if cell.grid in ("", OWN) else cell.grid


def _calls(method: Integrator, budget: int | None) -> int | None:
    """The most evaluations within a budget; None where the method chooses them."""
    return None if budget is None else method.nfe(method.most_intervals(budget))


def _measured(names: Iterable[str], estimate: Callable[[str], Estimate]) -> tuple[dict[str, Estimate], str]:
    """What can be measured, and why the rest cannot."""
    metrics: dict[str, Estimate] = {}
    notes: list[str] = []
    for name in names:
        try:
            metrics[name] = estimate(name)
        except DeisError as error:
            if isinstance(error, OSError):
                raise
            notes.append(f"{name}: {error}")
    return metrics, "; ".join(notes)


def _trajectory(request: Request, method: Integrator, calls: int | None) -> tuple[Tensor, tuple[float, ...]]:
    """States of the first samples at all times, shape (times, samples, ...), and the times."""
    path = request.sample(request.seeds[:_TRAJECTORIES], method, calls, keep_states=True)
    assert path.states is not None
    return torch.stack(path.states), path.times


def _arrays(samples: Tensor, trajectory: Tensor, times: tuple[float, ...]) -> dict[str, Tensor]:
    """What is kept of the states, for pictures: float32, complex numbers as pairs along a last axis."""
    kept = {"samples": samples[:_SAMPLES], "trajectory": trajectory[:, :_TRAJECTORIES]}
    plain = {name: torch.view_as_real(x.resolve_conj()) if x.is_complex() else x for name, x in kept.items()}
    return {name: x.float() for name, x in plain.items()} | {"times": torch.tensor(times, dtype=torch.float64)}

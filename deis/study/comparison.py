"""Integrators compared at equal budgets of network calls, on the same noise."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import attrs
import torch
from torch import Tensor

from deis.analysis.metrics import geometric_mean_rmse, rmse
from deis.analysis.reference import CoarseReferenceError, Reference, reference
from deis.diffusion.noise import SampleNoise
from deis.errors import ArgumentError, CapabilityError, NonFiniteError
from deis.integrators.base import Integrator
from deis.problems import InitialValueProblem
from deis.study.batches import Request, draw


@attrs.frozen
class Result:
    """One integrator at one budget; None stands for what was not or cannot be measured, and ``note`` says why."""

    integrator: str
    budget: int
    nfe: int | None = None
    geometric_rmse: float | None = None
    """Geometric mean of the per-sample RMSE to the reference."""
    rmse: float | None = None
    frechet: float | None = None
    seconds: float | None = None
    note: str = ""


def budgeted(integrators: Mapping[str, Integrator], budgets: Sequence[int]) -> list[Result]:
    """What will be measured: the network calls that each integrator makes within each budget, or why it makes none."""
    return [_planned(name, method, budget) for budget in budgets for name, method in integrators.items()]


def compare(
    request: Request,
    integrators: Mapping[str, Integrator],
    planned: Iterable[Result],
    target: Reference | None,
    frechet: Callable[[Tensor], float] | None = None,
) -> list[Result]:
    """Measure everything that is planned.

    :param target: reference samples; None if no integrator is deterministic. An error that they are too coarse to
        measure is left out, with a note.
    :param frechet: distance of samples to the data; None to leave it out.
    """
    return [
        row if row.nfe is None else _measured(request, integrators[row.integrator], row, target, frechet)
        for row in planned
    ]


def reference_samples(request: Request, nfe: int = 240, store: Path | None = None) -> Reference:
    """Converged float64 solutions of the same noise, on the CPU.

    :param store: folder in which they are kept, a batch a file.
    """
    parts = []
    for seeds in request.split():
        ode = request.ode_of(seeds)
        _, sigma = ode.marginal(torch.tensor(ode.domain[0], dtype=torch.float64))
        start = SampleNoise(seeds).initial(request.shape, torch.float64, request.device) * float(sigma)
        parts.append(reference(InitialValueProblem(ode, start), nfe=nfe, grid="vp-t2", store=store))
    states = torch.cat([part.states.cpu() for part in parts], dim=1)
    checks = torch.cat([part.check.cpu() for part in parts if part.check is not None], dim=1)
    return attrs.evolve(parts[0], states=states, check=checks)


def winners(results: Sequence[Result]) -> dict[int, Result]:
    """The best result of each budget: by error per sample, or by Frechet distance if no error is known."""
    measure = criterion(results)
    found: dict[int, Result] = {}
    for row in results:
        value, leader = getattr(row, measure), found.get(row.budget)
        if value is not None and (leader is None or value < getattr(leader, measure)):
            found[row.budget] = row
    return found


def criterion(results: Iterable[Result]) -> str:
    """The field by which results are ranked: the error per sample, or the Frechet distance if no error is known."""
    return "frechet" if all(row.geometric_rmse is None for row in results) else "geometric_rmse"


def _planned(name: str, method: Integrator, budget: int) -> Result:
    try:
        return Result(name, budget, method.nfe(method.most_intervals(budget)))
    except (ArgumentError, CapabilityError) as error:
        return Result(name, budget, note=str(error))


def _measured(
    request: Request,
    method: Integrator,
    row: Result,
    target: Reference | None,
    frechet: Callable[[Tensor], float] | None,
) -> Result:
    try:
        drawn = draw(request, method, row.nfe)
    except NonFiniteError as error:
        return attrs.evolve(row, note=str(error))
    row = attrs.evolve(row, seconds=drawn.seconds, frechet=frechet(drawn.x) if frechet else None)
    if method.stochastic or target is None:
        return row
    try:
        typical, mean = target.error(drawn.x, geometric_mean_rmse), target.error(drawn.x, rmse)
    except CoarseReferenceError as error:
        return attrs.evolve(row, note=str(error))
    return attrs.evolve(row, rmse=mean, geometric_rmse=typical)

"""Grids made for one integrator and one number of evaluations against the default ones, on the exact digits mixture.

    OMP_NUM_THREADS=1 python -m benchmarks.tuning.grids

Geometric mean over the samples of the RMSE to a solution of fourth order with 400 steps from the same noise; what the
grids are fitted to are samples of other seeds.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from tqdm import tqdm

import deis
from benchmarks.training import write_json
from deis.analysis import geometric_mean_rmse
from deis.tuning.coefficient_bound import CoefficientBound
from deis.tuning.ensemble import samples
from deis.tuning.gradient_fit import GradientFit
from deis.tuning.grid import GridObjective, optimise_grid
from deis.tuning.pairs import make_pairs
from deis.tuning.trajectory_fit import TrajectoryFit

RESULTS: Final = Path(__file__).parents[1] / "results" / "tuning" / "grids.json"
BUDGETS: Final = (5, 8, 10)
INTEGRATORS: Final = ("polynomial:predict=x0:clock=vp_t:steps=4:corrector=true", "tab3")
GRIDS: Final = ("t2", "vp-t3")
SEEDS: Final = range(64)
FITTED: Final = range(1000, 1064)
APART: Final = range(2000, 2032)
PAIR_NFE: Final = 200


def objectives(ode: deis.ProbabilityFlowODE, shape: tuple[int, ...]) -> Iterator[tuple[str, GridObjective, float]]:
    """Objectives by title, and the seconds that their solutions took."""
    yield "CoefficientBound()", CoefficientBound(), 0.0
    yield "CoefficientBound(power=2.0)", CoefficientBound(power=2.0), 0.0
    yield "CoefficientBound(apart=False)", CoefficientBound(apart=False), 0.0
    ensemble = samples(ode, shape, dtype=torch.float64)
    path, seconds = timed(lambda: TrajectoryFit.of(ode, ensemble.initial_of(FITTED[:32])))
    yield "TrajectoryFit", path, seconds
    pairs, seconds = timed(lambda: [make_pairs(ensemble, seeds, PAIR_NFE) for seeds in (FITTED, APART)])
    yield "GradientFit", GradientFit(*pairs), seconds


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What ``work`` returns, and the seconds it took."""
    began = time.perf_counter()
    return work(), time.perf_counter() - began


def main() -> None:
    """Measure, print and save."""
    torch.set_num_threads(1)
    model = deis.zoo.load("digits-exact")
    ode = model.ode()

    def solved(integrator: deis.Integrator | str, grid: str | deis.TimeGrid, nfe: int) -> Tensor:
        options = {"grid": grid, "nfe": nfe, "dtype": torch.float64}
        return deis.sample(ode, model.shape, SEEDS, integrator=integrator, **options).x

    fine = deis.PolynomialEIAB(steps=4, start="runge-kutta")
    exact = solved(fine, "t2", fine.nfe(400))
    found: list[dict[str, Any]] = []
    known = list(objectives(ode, model.shape))
    for integrator in INTEGRATORS:
        for nfe in tqdm(BUDGETS, desc=integrator[:10]):
            row = {"integrator": integrator, "nfe": nfe}
            for name in GRIDS:
                found.append({**row, "grid": name, "error": geometric_mean_rmse(solved(integrator, name, nfe), exact)})
            for title, objective, before in known:
                grid, seconds = timed(lambda: optimise_grid(integrator, ode, nfe, objective))  # noqa: B023
                error = geometric_mean_rmse(solved(integrator, grid, nfe), exact)
                cost = {"seconds": round(seconds, 2), "seconds_for_solutions": round(before, 2)}
                found.append({**row, "grid": title, "error": error, **cost, "times": list(grid.times)})
            tqdm.write(
                "\n".join(f"{one['error']:.4f} {one.get('seconds', 0.0):6.1f} s  {one['grid']}" for one in found[-7:])
            )
    write_json(RESULTS, {"samples": len(SEEDS), "cells": found})


if __name__ == "__main__":
    main()

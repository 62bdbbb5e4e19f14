"""The same network under the variance-exploding schedule: methods and grids by network calls.

At equal ratio of signal to noise the two schedules differ by a scaling only: with alpha and t of VP at the lambda of
VE, eps_VE(x, sigma) = eps_VP(alpha x, t) exactly.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks.paper.experiment import Experiment, Found, Table, main
from benchmarks.paper.plots import Panel, by_calls, curves
from benchmarks.paper.samples import errors, request
from benchmarks.paper.tables import by_budget
from deis import VE, ProbabilityFlowODE
from deis.study import Request, reference_samples

METHODS = {
    "DDIM": "ddim",
    "tAB3": "tab3",
    "tAB3 in VP time": "tab3:clock=vp_t",
    "rhoAB3": "rhoab3",
    "rho2Heun": "rhork-heun2",
    "rho3Kutta": "rhork-kutta3",
}


def exploding(ode: ProbabilityFlowODE, schedule: VE) -> ProbabilityFlowODE:
    """The VE model with the samples of a VP model, whose range of lambda holds that of ``schedule``."""
    vp = ode.schedule

    def network(x: Tensor, t: Tensor) -> Tensor:
        s = vp.time_of_lambda(schedule.lambda_(t.double()))
        alpha = vp.alpha(s).to(x.dtype).reshape(-1, *[1] * (x.dim() - 1))
        return ode.network(alpha * x, s.to(x.dtype))

    return ProbabilityFlowODE(schedule, network)


def measure(
    seeds: int,
    budgets: Sequence[int],
    grids: Sequence[str],
    methods: Mapping[str, str],
    sigma_min: float,
    sigma_max: float,
    converged: int,
) -> dict[str, Any]:
    """Rows of each grid; the same noise for all."""
    schedule = VE(sigma_min=sigma_min, sigma_max=sigma_max)

    def wanted(grid: str) -> Request:
        vp = request(range(seeds), grid)
        return attrs.evolve(vp, ode_of=lambda chosen: exploding(vp.ode_of(chosen), schedule))

    target = reference_samples(wanted("vp-t2"), converged)
    labels = {text: name for name, text in methods.items()}
    return {
        grid: [
            {**row, "integrator": labels[row["integrator"]]} for row in errors(wanted(grid), labels, budgets, target)
        ]
        for grid in grids
    }


def figure(found: Found) -> Figure:
    """Error per sample against network calls, a panel a grid."""
    ticks = sorted({row["budget"] for rows in found.values() for row in rows})
    return curves(
        [
            Panel(f"grid {grid}", by_calls(rows, "geometric_rmse"), "error per sample", ticks=ticks)
            for grid, rows in found.items()
        ]
    )


def tables(found: Found) -> Mapping[str, Table]:
    """Errors and Frechet distances, a row a grid and method."""
    rows = [{**row, "grid": grid} for grid, rows in found.items() for row in rows]
    names, head = ["grid", "integrator"], ["grid", "method"]
    return {value: by_budget(rows, value, names, head) for value in ("geometric_rmse", "frechet")}


EXPERIMENT = Experiment(
    __doc__,
    options={
        "converged": 160,
        "seeds": 150,
        "budgets": [5, 10, 20],
        "grids": ["t", "rho7", "vp-t2"],
        "methods": METHODS,
        "sigma_min": 0.011,
        "sigma_max": 50.0,
    },
    quick={
        "converged": 80,
        "seeds": 36,
        "budgets": [4],
        "methods": {"DDIM": "ddim", "tAB3": "tab3"},
        "grids": ["vp-t2"],
    },
    measure=measure,
    figure=figure,
    tables=tables,
)

if __name__ == "__main__":
    main(EXPERIMENT, __file__)

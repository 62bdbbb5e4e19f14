"""Frechet distance by network calls for every method of the DEIS paper (its tables of FID by NFE)."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.paper.experiment import Experiment, Found, Table, main
from benchmarks.paper.plots import Panel, curves, with_bars
from benchmarks.paper.samples import SET, data_sets, frechet_of_sets, request, row_of
from benchmarks.paper.tables import plus_minus
from deis import INTEGRATORS
from deis.study import budgeted, draw

METHODS = {
    "DDIM": "ddim",
    "rho2Heun": "rhork-heun2",
    "rho3Kutta": "rhork-kutta3",
    "rho4RK": "rhork-rk4",
    "rhoAB1": "rhoab1",
    "rhoAB2": "rhoab2",
    "rhoAB3": "rhoab3",
    "tAB1": "tab1",
    "tAB2": "tab2",
    "tAB3": "tab3",
    "iPNDM": "ipndm",
    "PNDM": "pndm",
}
CONVERGED, CALLS = "polynomial:predict=x0:steps=4:corrector=true", 60


def measure(sets: int, budgets: Sequence[int], grid: str, methods: Mapping[str, str]) -> dict[str, Any]:
    """Distances of ``sets`` sets of samples from the same noise for all methods, of the converged ones, and of data."""
    wanted = request(range(sets * SET), grid)
    integrators = {name: INTEGRATORS.create(text) for name, text in methods.items()}
    rows = []
    for row in tqdm(budgeted(integrators, budgets), unit="run", leave=False, disable=None):
        if row.nfe is not None:
            x = draw(wanted, integrators[row.integrator], row.nfe).x
            rows.append(
                {"integrator": row.integrator, "budget": row.budget, "nfe": row.nfe, "frechet": frechet_of_sets(x)}
            )
    converged = draw(wanted, INTEGRATORS.create(CONVERGED), CALLS).x
    return {"rows": rows, "converged": frechet_of_sets(converged), "data": frechet_of_sets(data_sets(sets))}


def figure(found: Found) -> Figure:
    """Distance against network calls; bars are standard deviations."""
    series: dict[str, dict[int, Any]] = {}
    for row in found["rows"]:
        series.setdefault(row["integrator"], {})[row["nfe"]] = with_bars(row["nfe"], row["frechet"])
    budgets = sorted({row["budget"] for row in found["rows"]})
    names = {name: list(points.values()) for name, points in series.items()}
    level = found["converged"]["mean"]
    return curves([Panel("", names, "Frechet distance to the data", level=level, ticks=budgets)])


def tables(found: Found) -> Mapping[str, Table]:
    """Mean and standard deviation over the sets."""
    budgets = sorted({row["budget"] for row in found["rows"]})

    def cell(name: str, budget: int) -> str:
        try:
            row = row_of(found["rows"], integrator=name, budget=budget)
        except ValueError:
            return "-"
        return plus_minus(row["frechet"]) + (f" ({row['nfe']})" if row["nfe"] < budget else "")

    names = dict.fromkeys(row["integrator"] for row in found["rows"])
    rows = [[name, *(cell(name, budget) for budget in budgets)] for name in names]
    floor = [[name, plus_minus(found[name])] for name in ("converged", "data")]
    return {
        "frechet": [["method", *(f"{budget} calls" for budget in budgets)], *rows],
        "floor": [["samples", "Frechet distance"], *floor],
    }


EXPERIMENT = Experiment(
    __doc__,
    options={"sets": 4, "budgets": [5, 10, 12, 15, 20, 50], "grid": "t2", "methods": METHODS},
    quick={"sets": 1, "budgets": [5], "methods": {"DDIM": "ddim", "rho4RK": "rhork-rk4"}},
    measure=measure,
    figure=figure,
    tables=tables,
)

if __name__ == "__main__":
    main(EXPERIMENT, __file__)

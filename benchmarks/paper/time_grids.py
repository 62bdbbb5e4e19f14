"""Error by the power p of the time grid: uniform in t^(1/p), from linear (1) to quadratic (2) and cubic (3) times."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from benchmarks.paper.experiment import Experiment, Found, Table, main
from benchmarks.paper.plots import Panel, curves
from benchmarks.paper.samples import errors, request
from benchmarks.paper.tables import by_budget
from deis.study import reference_samples
from deis.study.figures import Point

METHODS = {
    "DDIM": "ddim",
    "tAB3": "tab3",
    "rhoAB3": "rhoab3",
    "iPNDM": "ipndm",
    "rho3Kutta": "rhork-kutta3",
}


def measure(
    seeds: int, budgets: Sequence[int], powers: Sequence[float], methods: Mapping[str, str], converged: int
) -> dict[str, Any]:
    """Rows of the trained network; the same noise for all."""
    target = reference_samples(request(range(seeds)), converged)
    labels = {text: name for name, text in methods.items()}
    rows = []
    for power in powers:
        for row in errors(request(range(seeds), f"t{power:g}"), labels, budgets, target):
            rows.append({**row, "integrator": labels[row["integrator"]], "power": power})
    return {"rows": sorted(rows, key=lambda row: (list(methods).index(row["integrator"]), row["power"]))}


def figure(found: Found) -> Figure:
    """Error per sample against the power, a panel a budget."""
    budgets = sorted({row["budget"] for row in found["rows"]})
    panels = []
    for budget in budgets:
        series: dict[str, list[Point]] = {}
        for row in found["rows"]:
            if row["budget"] == budget and row["geometric_rmse"]:
                series.setdefault(row["integrator"], []).append(Point(row["power"], row["geometric_rmse"]))
        panels.append(Panel(f"{budget} calls", series, "error per sample", "power p of the grid"))
    return curves(panels)


def tables(found: Found) -> Mapping[str, Table]:
    """Errors and Frechet distances, a row a method and grid."""
    rows = [{**row, "grid": f"t{row['power']:g}"} for row in found["rows"]]
    names = ["integrator", "grid"]
    return {value: by_budget(rows, value, names, ["method", "grid"]) for value in ("geometric_rmse", "frechet")}


EXPERIMENT = Experiment(
    __doc__,
    options={
        "converged": 160,
        "seeds": 150,
        "budgets": [5, 10, 20],
        "powers": [1.0, 1.5, 2.0, 3.0],
        "methods": METHODS,
    },
    quick={
        "converged": 80,
        "seeds": 36,
        "budgets": [4],
        "powers": [1.0, 2.0],
        "methods": {"DDIM": "ddim", "tAB3": "tab3"},
    },
    measure=measure,
    figure=figure,
    tables=tables,
)

if __name__ == "__main__":
    main(EXPERIMENT, __file__)

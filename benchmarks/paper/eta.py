"""Frechet distance by amount of noise eta and number of steps S (table 1 of the DDIM paper)."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.paper.experiment import Experiment, Found, Table, main
from benchmarks.paper.plots import Panel, curves, with_bars
from benchmarks.paper.samples import SET, frechet_of_sets, request
from benchmarks.paper.tables import plus_minus
from deis import StochasticDDIM
from deis.study import draw


def measure(sets: int, steps: Sequence[int], etas: Sequence[float], grid: str) -> dict[str, Any]:
    """Distances of ``sets`` sets of samples from the same noise for all."""
    wanted = request(range(sets * SET), grid)
    cells = [(eta, count) for count in steps for eta in etas]
    return {
        "rows": [
            {"eta": eta, "steps": count, "frechet": frechet_of_sets(draw(wanted, StochasticDDIM(eta), count).x)}
            for eta, count in tqdm(cells, unit="run", leave=False, disable=None)
        ]
    }


def figure(found: Found) -> Figure:
    """Distance against steps, a line an eta; bars are standard deviations."""
    series: dict[str, list[Any]] = {}
    for row in found["rows"]:
        series.setdefault(f"eta = {row['eta']:g}", []).append(with_bars(row["steps"], row["frechet"]))
    ticks = sorted({row["steps"] for row in found["rows"]})
    return curves([Panel("", series, "Frechet distance to the data", "steps S", ticks=ticks)])


def tables(found: Found) -> Mapping[str, Table]:
    """Mean and standard deviation over the sets."""
    steps = sorted({row["steps"] for row in found["rows"]})
    rows: dict[float, dict[int, str]] = {}
    for row in found["rows"]:
        rows.setdefault(row["eta"], {})[row["steps"]] = plus_minus(row["frechet"])
    body = [[f"{eta:g}", *(cells[count] for count in steps)] for eta, cells in rows.items()]
    return {"eta": [["eta", *(f"S = {count}" for count in steps)], *body]}


EXPERIMENT = Experiment(
    __doc__,
    options={"sets": 4, "steps": [10, 20, 50, 100], "etas": [0.0, 0.2, 0.5, 1.0], "grid": "t2"},
    quick={"sets": 1, "steps": [5], "etas": [0.0, 1.0]},
    measure=measure,
    figure=figure,
    tables=tables,
)

if __name__ == "__main__":
    main(EXPERIMENT, __file__)

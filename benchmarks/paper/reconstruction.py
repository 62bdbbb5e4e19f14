"""Error of encoding and decoding held-out images by number of steps S (table 2 of the DDIM paper)."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.paper.experiment import Experiment, Found, Table, main
from benchmarks.paper.plots import Panel, by_calls, curves
from benchmarks.paper.samples import held_out
from deis import zoo
from deis.diffusion.inversion import reconstruct
from deis.text import number

METHODS = {"DDIM": "ddim", "tAB3": "tab3"}


def measure(images: int, steps: Sequence[int], grid: str, methods: Mapping[str, str]) -> dict[str, Any]:
    """Mean squared error a dimension, of pixels scaled to [0, 1] as in the paper: a row a method and S."""
    x, labels = held_out(images)
    ode = zoo.load("digits").ode(labels)
    runs = [(name, count) for name in methods for count in steps]
    rows = []
    for name, count in tqdm(runs, unit="run", leave=False, disable=None):
        error = reconstruct(ode, x, nfe=count, integrator=methods[name], grid=grid).error
        squares = (error / 2) ** 2  # the network sees [-1, 1]
        rows.append(
            {
                "integrator": name,
                "nfe": count,
                "error": float(squares.mean()),
                "standard_error": float(squares.std()) / images**0.5,
            }
        )
    return {"rows": rows}


def figure(found: Found) -> Figure:
    """Error against steps in each direction."""
    return curves([Panel("", by_calls(found["rows"], "error"), "mean squared error", "steps S in each direction")])


def tables(found: Found) -> Mapping[str, Table]:
    """A row a method."""
    steps = list(dict.fromkeys(row["nfe"] for row in found["rows"]))
    cells: dict[str, list[str]] = {}
    for row in found["rows"]:
        cells.setdefault(row["integrator"], []).append(number(row["error"]))
    return {"error": [["method", *(f"S = {count}" for count in steps)], *([name, *of] for name, of in cells.items())]}


EXPERIMENT = Experiment(
    __doc__,
    options={"images": 50, "steps": [10, 20, 50, 100, 200, 500], "grid": "t2", "methods": METHODS},
    quick={"images": 4, "steps": [5, 10]},
    measure=measure,
    figure=figure,
    tables=tables,
)

if __name__ == "__main__":
    main(EXPERIMENT, __file__)

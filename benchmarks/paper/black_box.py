"""An adaptive black-box solver at several tolerances, DOPRI5 on the ODE as it stands and on its rho form."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.paper.experiment import Experiment, Found, Table, main
from benchmarks.paper.plots import Panel, by_calls, curves
from benchmarks.paper.samples import judged, request
from deis import Dopri5, Integrator, PolynomialEIAB
from deis.study import draw, reference_samples
from deis.text import number

FORMS = {"raw": "DOPRI5", "rho": "DOPRI5 in rho"}


def measure(
    seeds: int, tolerances: Sequence[float], forms: Mapping[str, str], budgets: Sequence[int], converged: int
) -> dict[str, Any]:
    """Rows of DOPRI5 at each tolerance (relative and absolute), and of tAB3 at each budget; the same noise for all."""
    wanted = request(range(seeds))
    target = reference_samples(wanted, converged)
    runs: list[tuple[str, float | None, Integrator, int | None]] = [
        (title, tolerance, Dopri5(tolerance, tolerance, form), None)
        for form, title in forms.items()
        for tolerance in tolerances
    ]
    rows = []
    runs += [("tAB3, t2", None, PolynomialEIAB(steps=4), budget) for budget in budgets]
    for title, tolerance, method, budget in tqdm(runs, unit="run", leave=False, disable=None):
        drawn = draw(wanted, method, budget)
        rows.append({"integrator": title, "tolerance": tolerance, "nfe": drawn.nfe, **judged(drawn.x, target)})
    return {"rows": rows}


def figure(found: Found) -> Figure:
    """Error per sample and Frechet distance against network calls."""
    titles = {"geometric_rmse": "error per sample", "frechet": "Frechet distance to the data"}
    return curves([Panel("", by_calls(found["rows"], value), title) for value, title in titles.items()])


def tables(found: Found) -> Mapping[str, Table]:
    """A row a run."""
    rows = [
        [
            row["integrator"],
            number(row["tolerance"]),
            str(row["nfe"]),
            number(row["geometric_rmse"]),
            number(row["frechet"]),
        ]
        for row in found["rows"]
    ]
    return {"runs": [["method", "tolerance", "calls", "error per sample", "Frechet distance"], *rows]}


EXPERIMENT = Experiment(
    __doc__,
    options={
        "converged": 160,
        "seeds": 150,
        "tolerances": [1e-1, 1e-2, 1e-3, 1e-4],
        "forms": FORMS,
        "budgets": [5, 10, 20, 50],
    },
    quick={"converged": 80, "seeds": 36, "tolerances": [1e-1], "budgets": [5]},
    measure=measure,
    figure=figure,
    tables=tables,
)

if __name__ == "__main__":
    main(EXPERIMENT, __file__)

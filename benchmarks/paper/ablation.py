"""Error by network calls from Euler to tAB3 on optimised times, an ingredient at a time (DEIS, fig. 3 and 4, ablation).

The network's samples hold its own fitting error as well; on the exact mixture the discretisation error is the only one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from benchmarks.paper.experiment import Experiment, Found, Table, main
from benchmarks.paper.plots import Panel, by_calls, curves
from benchmarks.paper.samples import errors, request
from benchmarks.paper.tables import by_budget
from deis.study import reference_samples

STEPS = {
    "Euler, t": ["euler", "t"],
    "EI on the score, t": ["ei-score", "t"],
    "EI on eps (DDIM), t": ["ddim", "t"],
    "tAB1, t": ["tab1", "t"],
    "tAB2, t": ["tab2", "t"],
    "tAB3, t": ["tab3", "t"],
    "tAB3, t2": ["tab3", "t2"],
    "tAB3, t3": ["tab3", "t3"],
    "Euler, t2": ["euler", "t2"],
    "DDIM, t2": ["ddim", "t2"],
}
MODELS = {"digits": "trained network", "digits-exact": "exact mixture"}


def measure(seeds: int, budgets: Sequence[int], steps: Mapping[str, Sequence[str]], converged: int) -> dict[str, Any]:
    """Rows of both models; the same noise for all."""
    found: dict[str, Any] = {}
    for model in MODELS:
        target = reference_samples(request(range(seeds), model=model), converged)
        rows = []
        for name, (method, grid) in steps.items():
            wanted = request(range(seeds), grid, model)
            rows += [{**row, "integrator": name} for row in errors(wanted, [method], budgets, target)]
        found[model] = rows
    return found


def figure(found: Found) -> Figure:
    """Error per sample against network calls."""
    return curves(
        [
            Panel(title, by_calls(found[model], "geometric_rmse"), "error per sample", ticks=_budgets(found))
            for model, title in MODELS.items()
        ]
    )


def tables(found: Found) -> Mapping[str, Table]:
    """Errors of both models, and the Frechet distance of the network's samples."""
    head = ["method, grid"]
    return {
        "network": by_budget(found["digits"], "geometric_rmse", head=head),
        "mixture": by_budget(found["digits-exact"], "geometric_rmse", head=head),
        "mixture-rmse": by_budget(found["digits-exact"], "rmse", head=head),
        "frechet": by_budget(found["digits"], "frechet", head=head),
    }


def _budgets(found: Found) -> list[int]:
    return sorted({row["budget"] for row in found["digits"]})


EXPERIMENT = Experiment(
    __doc__,
    options={"converged": 160, "seeds": 150, "budgets": [5, 10, 20, 50], "steps": STEPS},
    quick={
        "converged": 80,
        "seeds": 36,
        "budgets": [4],
        "steps": {name: STEPS[name] for name in ("Euler, t", "tAB3, t2")},
    },
    measure=measure,
    figure=figure,
    tables=tables,
)

if __name__ == "__main__":
    main(EXPERIMENT, __file__)

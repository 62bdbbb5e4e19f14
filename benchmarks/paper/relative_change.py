"""How fast eps and the score change along a trajectory, and how well eps is extrapolated (DEIS, fig. 3 and 4)."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks.paper.experiment import Experiment, Found, Table, main
from benchmarks.paper.plots import Panel, curves
from benchmarks.paper.samples import request
from deis import ProbabilityFlowODE, make_grid, sample
from deis.numerics.lagrange import basis
from deis.study.figures import Point
from deis.text import number

DEGREES = (0, 1, 2, 3)


def measure(seeds: int, grids: Sequence[str], intervals: int, finer: int) -> dict[str, Any]:
    """Changes on the fine grid, and extrapolation over each interval of the coarse one, whose points it holds."""
    wanted = request(range(seeds))
    ode = wanted.ode_of(wanted.seeds)
    found: dict[str, Any] = {}
    for grid in grids:
        times, eps = trajectory(ode, wanted.shape, wanted.seeds, grid, intervals * finer)
        sigma = ode.schedule.sigma(times)
        found[grid] = {
            "times": times[1:].tolist(),
            "eps": changes(times, eps),
            "score": changes(times, -eps / sigma[:, None, None]),
            "ends": times[finer::finer].tolist(),
            "extrapolation": {str(r): extrapolation(times[::finer], eps[::finer], r) for r in DEGREES},
        }
    return found


def trajectory(
    ode: ProbabilityFlowODE, shape: Sequence[int], seeds: Sequence[int], grid: str, intervals: int
) -> tuple[Tensor, Tensor]:
    """Times and the network's eps along converged solutions, shape (intervals + 1, B, d)."""
    times = make_grid(grid)(ode, intervals)
    states = sample(ode, shape, seeds, grid=times, keep_states=True).states
    assert states is not None
    with torch.no_grad():
        eps = [ode.nonlinearity(t, x).flatten(1).double() for t, x in zip(times, states, strict=True)]
    return times.tensor(), torch.stack(eps)


def changes(times: Tensor, values: Tensor) -> list[float]:
    """|v_n - v_{n-1}| / |v_n|, divided by the time between them: mean over the samples."""
    size = (values[1:] - values[:-1]).norm(dim=2) / values[1:].norm(dim=2)
    rates: list[float] = (size.mean(1) / times.diff().abs()).tolist()
    return rates


def extrapolation(times: Tensor, values: Tensor, degree: int) -> list[float]:
    """Relative error at the end of each interval of the polynomial through the points before: mean over the samples.

    The first intervals have fewer points behind them, and take all of those.
    """
    errors = []
    for n in range(len(times) - 1):
        first = max(0, n - degree)
        weights = basis(times[first : n + 1], times[n + 1 : n + 2])[:, 0]
        guess = torch.einsum("k,kbd->bd", weights, values[first : n + 1])
        errors.append(float(((guess - values[n + 1]).norm(dim=1) / values[n + 1].norm(dim=1)).mean()))
    return errors


def figure(found: Found) -> Figure:
    """Changes by time, then extrapolation by time on each grid."""
    some = found["t2"]
    kinds = {
        name: [Point(t, y) for t, y in list(zip(some["times"], some[name], strict=True))[4::5]]
        for name in ("eps", "score")
    }
    panels = [Panel("change along a trajectory", kinds, "relative change per unit of t", "time t")]
    for grid, of in found.items():
        series = {
            f"degree {r}": [Point(t, y) for t, y in zip(of["ends"], errors, strict=True)]
            for r, errors in of["extrapolation"].items()
        }
        panels.append(Panel(f"extrapolation, grid {grid}", series, "relative error of eps", "end of the interval, t"))
    return curves(panels)


def tables(found: Found) -> Mapping[str, Table]:
    """Changes at some times; the extrapolation error of every interval."""
    some = found["t2"]
    places = [
        min(range(len(some["times"])), key=lambda i: abs(some["times"][i] - t)) for t in (1, 0.5, 0.1, 0.01, 0.001)
    ]
    change = [[name, *(number(some[name][i]) for i in places)] for name in ("eps", "score")]
    tables = {"change": [["relative change per unit of t", *(f"t = {some['times'][i]:.2g}" for i in places)], *change]}
    for grid, of in found.items():
        rows = [[degree, *map(number, errors)] for degree, errors in of["extrapolation"].items()]
        tables[f"extrapolation-{grid}"] = [["degree", *(f"t = {t:.2g}" for t in of["ends"])], *rows]
    return tables


EXPERIMENT = Experiment(
    __doc__,
    options={"seeds": 100, "grids": ["t", "t2"], "intervals": 10, "finer": 20},
    quick={"seeds": 10, "grids": ["t2"], "intervals": 5, "finer": 4},
    measure=measure,
    figure=figure,
    tables=tables,
)

if __name__ == "__main__":
    main(EXPERIMENT, __file__)

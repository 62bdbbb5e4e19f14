"""What is spent ahead of the network: the plan of every registered method, noise, and adaptive steps.

    OMP_NUM_THREADS=1 python -m benchmarks.plans

Processor time in milliseconds, the least of several runs; written to ``results/plans.json``.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click
import torch

import deis
from benchmarks.training import write_json

RESULTS: Final = Path(__file__).parent / "results" / "plans.json"
INTERVALS: Final = 20
SHAPE: Final = (3, 32, 32)
SAMPLES: Final = 16


def milliseconds(work: Callable[[], Any], repeats: int) -> float:
    """Processor time of ``work``, the least of ``repeats``."""
    spent = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        spent.append(1000 * (time.process_time() - began))
    return round(min(spent), 2)


def plan_times(repeats: int) -> dict[str, float]:
    """Time of the plan of 20 steps on the linear VP schedule, by name."""
    ode = deis.ProbabilityFlowODE(deis.VPLinear(), lambda x, t: x)
    methods = {name: deis.INTEGRATORS.create(name) for name in deis.INTEGRATORS}
    times = deis.make_grid("default")(ode, INTERVALS)
    return {
        name: milliseconds(lambda method=method: deis.make_plan(ode, times, method), repeats)  # type: ignore[misc]
        for name, method in methods.items()
        if not isinstance(method, deis.BlackBox)
    }


def noise_times(repeats: int) -> dict[str, float]:
    """Time of a draw for 16 samples of shape (3, 32, 32)."""
    x, draw = torch.zeros(SAMPLES, *SHAPE), deis.Draw(0, (0.1, 0.7))
    sources = {source.__name__: source(range(SAMPLES)) for source in (deis.SampleNoise, deis.BrownianNoise)}
    return {name: milliseconds(lambda noise=noise: noise(draw, x), repeats) for name, noise in sources.items()}  # type: ignore[misc]


def step_times(repeats: int) -> dict[str, float]:
    """Time of an adaptive step, failed ones included, around a network that costs nothing."""
    ode = deis.ProbabilityFlowODE(deis.VPLinear(), lambda x, t: 0.5 * x)
    x0, found = torch.ones(1, 2, dtype=torch.float64), {}
    for name in deis.INTEGRATORS:
        method = deis.INTEGRATORS.create(name)
        if isinstance(method, deis.Adaptive):
            solution = deis.solve(ode, x0, ode.domain, method)
            whole = milliseconds(lambda method=method: deis.solve(ode, x0, ode.domain, method), repeats)  # type: ignore[misc]
            found[name] = round(whole / (solution.steps + solution.rejected), 2)
    return found


@click.command(help=__doc__)
@click.option("--repeats", default=20, show_default=True, type=click.IntRange(1))
@click.option("--out", default=RESULTS, show_default=True, type=click.Path(path_type=Path))
def main(repeats: int, out: Path) -> None:
    torch.set_num_threads(1)
    record = {
        "plan of 20 steps": plan_times(repeats),
        "draw for 16 samples of (3, 32, 32)": noise_times(repeats),
        "adaptive step": step_times(max(1, repeats // 4)),
        "torch": torch.__version__,
    }
    write_json(out, record)
    for title, rows in record.items():
        click.echo(f"{title}: {rows}")


if __name__ == "__main__":
    main()

"""Overhead of one step against a hand-written loop of the same combination and diffusers' DEIS, side by side.

    python benchmarks/overhead.py

The network costs nothing (it returns a constant tensor), so that what is timed is the solver alone. One step of tab3
combines five terms; the hand-written loop is what one would write in eager PyTorch. Medians over interleaved repeats.
"""

import json
import pathlib
import platform
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

import deis

INTERVALS = 50
REPEATS = 60
RESULTS = pathlib.Path(__file__).parent / "results" / "overhead.json"


def plan_milliseconds(ode: deis.SemilinearODE) -> float:
    """Median time of a tab3 plan of 20 intervals."""
    times = deis.make_grid("t2")(ode, 20).tensor()
    integrator = deis.PolynomialEIAB(steps=4)
    return 1e3 * statistics.median(timed(lambda: integrator.plan(ode, times)) for _ in range(REPEATS))


def best(run: Callable[[], object]) -> float:
    """Seconds of the quickest of three calls, which leaves out the caches that the others emptied."""
    return min(timed(run) for _ in range(3))


def timed(run: Callable[[], object]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def ours(plan: deis.Plan, ode: deis.ProbabilityFlowODE, x: Tensor) -> Callable[[], object]:
    """The loop of this package, with all of solve's checks."""
    return lambda: deis.solve(ode, x, plan.times, plan)


def by_hand(plan: deis.Plan, value: Tensor, x0: Tensor) -> Callable[[], object]:
    """An eager loop over the same coefficients."""
    table = [(step.advance.state, *step.advance.values) for step in plan.steps]

    def network(x: Tensor, t: Tensor) -> Tensor:
        return value

    def run() -> Tensor:
        x, history = x0, [torch.zeros_like(x0)] * 3
        for step, row in zip(plan.steps, table, strict=True):
            e0 = network(x, torch.full(x.shape[:1], step.start))
            e1, e2, e3 = history
            a, c0, c1, c2, c3 = (*row, *[0.0] * (5 - len(row)))
            x = a * x + c0 * e0 + c1 * e1 + c2 * e2 + c3 * e3
            history = [e0, e1, e2]
        return x

    return run


def by_diffusers(value: Tensor, x0: Tensor) -> Callable[[], float]:
    """The DEIS scheduler of diffusers: order 3, which is its highest; its set-up is not timed."""
    from diffusers import DEISMultistepScheduler

    scheduler = DEISMultistepScheduler(solver_order=3)

    def loop() -> float:
        scheduler.set_timesteps(INTERVALS)
        x = x0
        began = time.perf_counter()
        for t in scheduler.timesteps:
            x = scheduler.step(value, t, x).prev_sample
        return time.perf_counter() - began

    return lambda: min(loop() for _ in range(3))


def measure(shape: tuple[int, ...]) -> dict[str, float]:
    """Microseconds a step of each, medians of interleaved repeats."""
    x, value = torch.randn(shape), torch.randn(shape)
    ode = deis.ProbabilityFlowODE(deis.VPLinear(), lambda x, t: value)
    plan = deis.PolynomialEIAB(steps=4).plan(ode, deis.make_grid("t2")(ode, INTERVALS).tensor())
    theirs = by_diffusers(value, x)
    loop, hand = ours(plan, ode, x), by_hand(plan, value, x)
    seconds: dict[str, list[float]] = {"deis": [], "by_hand": [], "diffusers": []}
    with torch.no_grad():
        for repeat in range(REPEATS + 5):
            sample = {"deis": best(loop), "by_hand": best(hand), "diffusers": theirs()}
            if repeat >= 5:  # warm
                for name, s in sample.items():
                    seconds[name].append(s)
    return {name: 1e6 * statistics.median(s) / INTERVALS for name, s in seconds.items()}


def main() -> None:
    """Measure, print and save."""
    torch.set_num_threads(1)
    ode = deis.ProbabilityFlowODE(deis.VPLinear(), lambda x, t: x)
    result: dict[str, object] = {"torch": torch.__version__, "python": platform.python_version()}
    result["plan_ms_tab3_20"] = round(plan_milliseconds(ode), 3)
    print(f"plan of tab3 with 20 intervals: {result['plan_ms_tab3_20']} ms")
    for shape in [(16, 1, 8, 8), (64, 3, 32, 32)]:
        micro = measure(shape)
        ratios = {f"{name}_over_by_hand": micro[name] / micro["by_hand"] for name in ("deis", "diffusers")}
        result[str(shape)] = {k: round(v, 3) for k, v in {**micro, **ratios}.items()}
        print(shape, result[str(shape)])
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

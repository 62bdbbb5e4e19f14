"""What a step of Krogstad's method costs outside the nonlinearity of the Kuramoto-Sivashinsky equation."""

import statistics
from collections.abc import Mapping
from typing import Any, Final

import deis
from benchmarks.stiff import ks
from benchmarks.stiff.measure import least_times
from deis.problems.waves import KuramotoSivashinsky

STEPS: Final = 400
PROMISED: Final = 0.35


def measured(repeats: int, size: int = 512, steps: int = STEPS) -> dict[str, Any]:
    """Shares of the time outside N, with the plan and without it, and a hand-written loop beside them."""
    problem = KuramotoSivashinsky(size=size)
    ode, x0, times = problem.ode, problem.initial, ks.grid(problem, steps)
    plan = deis.make_plan(ode, times, "krogstad")
    shares: dict[str, list[float]] = {"share": [], "share with plan": []}

    def solved(method: deis.Plan | str, name: str) -> None:
        solution = deis.solve(ode, x0, times, method)
        whole = solution.seconds_in_solver + solution.seconds_in_network
        shares[name].append(solution.seconds_in_solver / whole)

    def only_n() -> None:
        for _ in range(plan.nfe):
            ode.nonlinearity(0.0, x0)

    spent = least_times(
        {
            "solve": lambda: solved(plan, "share"),
            "plan and solve": lambda: solved("krogstad", "share with plan"),
            "plan": lambda: deis.make_plan(ode, times, "krogstad"),
            "by hand": ks.by_torch(plan, ode, x0),
            "N alone": only_n,
        },
        repeats,
    )
    micro = {f"{name}, us a step": 1e6 * value / steps for name, value in spent.items()}
    medial = {name: statistics.median(values) for name, values in shares.items()}
    by_hand = 1 - spent["N alone"] / spent["by hand"]
    ratio = spent["solve"] / spent["by hand"]
    return {
        "size": size,
        "steps": steps,
        **micro,
        **medial,
        "share by hand": by_hand,
        "solve over by hand": ratio,
        "promised share": PROMISED,
    }


def lines(record: Mapping[str, Any]) -> list[str]:
    """A short table."""
    return [
        f"size {record['size']}: {record['share']:.1%} of a step outside N, {record['share with plan']:.1%} with the "
        f"plan; by hand {record['share by hand']:.1%}; {record['solve over by hand']:.3g} times the loop by hand",
        ", ".join(f"{name}: {value:.3g}" for name, value in record.items() if name.endswith("us a step")),
    ]

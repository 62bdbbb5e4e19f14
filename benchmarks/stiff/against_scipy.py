"""Seconds to an error of 1e-6 on the Kuramoto-Sivashinsky equation: exponential integrators, and the methods of scipy.

scipy solves the same equations, written in numpy, which spares it the conversions; each method with the loosest of many
tolerances that reaches the error. It is told of the Jacobian nothing, all of it, or that of L alone, which is diagonal:
what it takes L for then is what an exponential integrator takes it for. A run that takes ``LIMIT`` times as long as
ours by Krogstad's method is cut off.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs
import numpy as np
from scipy.integrate import solve_ivp
from torch import Tensor

import deis
from benchmarks.stiff import ks
from benchmarks.stiff.measure import CutOffError, Watched, least_times
from deis.problems.waves import KuramotoSivashinsky

TARGET: Final = 1e-6
KROGSTAD: Final = "krogstad"
METHODS: Final = (KROGSTAD, "exp-adams4", "exp-adams5", "polynomial:steps=4:corrector=true:start=runge-kutta")
STEPS: Final = tuple(range(100, 1650, 50))
TOLERANCES: Final = tuple(10 ** (-n / 2) for n in range(10, 20))
PROMISED: Final = {512: 8, 2048: 50}
LIMIT: Final = 100
REFERENCE: Final = 6000  # steps
_SHORT: Final = 1.0  # seconds of a run that is worth its repeats

Settings = Mapping[str, Mapping[str, Any]]


def settings(field: ks.RealView) -> dict[str, Settings]:
    """Options of scipy's methods, by what they are told of the Jacobian."""
    whole, diagonal = {"jac": field.jacobian}, {"jac": field.diagonal}
    return {
        "nothing": {"LSODA": {}, "BDF": {}, "Radau": {}, "DOP853": {}},
        "all": {"LSODA": whole, "BDF": whole, "Radau": whole},
        "L alone": {"LSODA": {"lband": 0, "uband": 0}, "BDF": diagonal, "Radau": diagonal},
    }


def ours(problem: KuramotoSivashinsky, method: str, reference: Tensor, repeats: int) -> dict[str, Any]:
    """The fewest steps of a method that reach the error, and their time, with the plan."""
    ode, x0 = problem.ode, problem.initial
    for steps in STEPS:
        times = ks.grid(problem, steps)
        try:
            solution = deis.solve(ode, x0, times, method)
        except deis.NonFiniteError:  # too few steps to be stable
            continue
        error = ks.difference(problem, solution.x, reference)
        if error <= TARGET:
            break
    spent = least_times(
        {
            "seconds": lambda: deis.solve(ode, x0, times, method),
            "seconds of the plan": lambda: deis.make_plan(ode, times, method),
        },
        repeats,
    )
    return {"steps": steps, "evaluations": solution.nfe, "error": error, **spent}


def by_hand(problem: KuramotoSivashinsky, steps: int, repeats: int) -> dict[str, float]:
    """Seconds of Krogstad's method as one would write it, without its plan."""
    plan = deis.make_plan(problem.ode, ks.grid(problem, steps), KROGSTAD)
    in_torch = ks.by_torch(plan, problem.ode, problem.initial)
    in_numpy = ks.by_numpy(plan, ks.RealView.of(problem), problem.initial)
    return least_times({"torch": in_torch, "numpy": in_numpy}, repeats)


@attrs.frozen(eq=False)
class Run:
    """What became of a run of scipy."""

    seconds: float
    evaluations: int
    state: Tensor | None
    """At the end; None if the run was cut off, or failed."""


def scipy_run(
    problem: KuramotoSivashinsky, method: str, options: Mapping[str, Any], tolerance: float, limit: float
) -> Run:
    """One run, which is cut off after ``limit`` seconds."""
    field, x0 = Watched(ks.RealView.of(problem), limit), ks.real_view(problem.initial)
    began = time.perf_counter()
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # in steps that are then rejected
            found = solve_ivp(field, problem.ode.domain, x0, method, rtol=tolerance, atol=tolerance, **options)
        state = ks.complex_view(found.y[:, -1]) if found.success else None
    except CutOffError:
        state = None
    return Run(time.perf_counter() - began, field.calls, state)


def theirs(run: Callable[[float], Run], error_of: Callable[[Tensor], float], repeats: int) -> dict[str, Any]:
    """The loosest tolerance that reaches the error, and its time; or where the run was cut off.

    :param run: of a tolerance.
    """
    for tolerance in TOLERANCES:
        found = run(tolerance)
        record: dict[str, Any] = {"rtol": tolerance, "evaluations": found.evaluations}
        if found.state is None:
            return {**record, "cut off at": found.seconds}
        record["error"] = error_of(found.state)
        if record["error"] <= TARGET:
            again = [run(tolerance).seconds for _ in range(repeats)] if found.seconds < _SHORT else [found.seconds]
            return {**record, "seconds": min(again)}
    return {**record, "missed": True}


def compared(size: int, repeats: int, limit: int = LIMIT) -> dict[str, Any]:
    """Both sides at one number of points."""
    problem = KuramotoSivashinsky(size=size)
    reference, uncertainty = ks.converged(problem, REFERENCE)
    mine = {method: ours(problem, method, reference, repeats) for method in METHODS}
    most = limit * mine[KROGSTAD]["seconds"]

    def row(method: str, options: Mapping[str, Any]) -> dict[str, Any]:
        return theirs(
            lambda tolerance: scipy_run(problem, method, options, tolerance, most),
            lambda x: ks.difference(problem, x, reference),
            repeats,
        )

    table = {
        told: {method: row(method, options) for method, options in methods.items()}
        for told, methods in settings(ks.RealView.of(problem)).items()
    }
    ratios = {
        method: {told: quickest(rows) / found["seconds"] for told, rows in table.items()}
        for method, found in mine.items()
    }
    return {
        "uncertainty of the reference": uncertainty,
        "promised ratio": PROMISED.get(size),
        "deis": mine,
        "by hand": by_hand(problem, mine[KROGSTAD]["steps"], repeats),
        "scipy": table,
        "ratios": ratios,
    }


def quickest(rows: Mapping[str, Mapping[str, Any]]) -> float:
    """Seconds of the quickest method; a run that was cut off counts with what it took, which is too little."""
    return min((row.get("seconds", row.get("cut off at", float("inf"))) for row in rows.values()), default=0.0)


def measured(repeats: int, sizes: tuple[int, ...] = (512, 2048)) -> dict[str, Any]:
    """The comparison at every size."""
    return {f"size {size}": compared(size, repeats) for size in sizes}


def lines(record: Mapping[str, Any]) -> list[str]:
    """A short table."""
    found = []
    for size, part in record.items():
        for method, mine in part["deis"].items():
            ratios = ", ".join(f"{told} {ratio:.3g}" for told, ratio in part["ratios"][method].items())
            found.append(
                f"{size}, {method}: {mine['steps']} steps, {mine['evaluations']} evaluations, "
                f"error {mine['error']:.1e}, {mine['seconds']:.3g} s; quickest of scipy over it, told: {ratios}"
            )
        for told, rows in part["scipy"].items():
            found.append(f"  scipy told {told}: " + ", ".join(f"{method} {_time(row)}" for method, row in rows.items()))
        found.append("  Krogstad by hand: " + ", ".join(f"{by} {spent:.3g} s" for by, spent in part["by hand"].items()))
    return found


def _time(row: Mapping[str, Any]) -> str:
    if "seconds" in row:
        return f"{row['seconds']:.3g} s"
    return f"cut off at {row['cut off at']:.3g} s" if "cut off at" in row else "missed"

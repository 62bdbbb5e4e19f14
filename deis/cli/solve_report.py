"""What ``deis solve`` prints and records."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from deis.analysis import ErrorCurve
from deis.cli.record import options
from deis.integrators.base import BlackBox
from deis.solve import Solution
from deis.study.record import versions
from deis.study.solving import Drift, EndError, Setup


@attrs.frozen(eq=False)
class Findings:
    """A solution, and what could be measured of it; None for what could not."""

    solution: Solution
    drifts: Mapping[str, Drift]
    error: EndError | None = None
    curve: ErrorCurve | None = None
    notes: tuple[str, ...] = ()

    def noting(self, note: str) -> "Findings":
        """The same with one more note."""
        return attrs.evolve(self, notes=(*self.notes, note))


def title(params: dict[str, Any], setup: Setup, solution: Solution) -> str:
    """What was solved, by which method, in how many steps."""
    where = "" if isinstance(setup.method, BlackBox) else f" on grid {params['grid'].text}"
    return f"{params['problem'].text}, {params['integrator'].text}, {solution.steps} steps{where}"


def lines(params: dict[str, Any], setup: Setup, found: Findings) -> list[str]:
    """The report, a fact a line, and the notes."""
    facts = list(_facts(params, setup, found))
    width = max(len(name) for name, _ in facts)
    return [title(params, setup, found.solution), *(f"  {name:<{width}}  {fact}" for name, fact in facts), *found.notes]


def _facts(params: dict[str, Any], setup: Setup, found: Findings) -> Iterator[tuple[str, str]]:
    solution = found.solution
    yield "NFE", str(solution.nfe)
    if isinstance(setup.method, BlackBox):
        yield "rejected", f"{solution.rejected} steps"
    yield "seconds", f"{solution.seconds_in_network:.2g} in N, {solution.seconds_in_solver:.2g} in the solver"
    if found.error:
        yield from _error(found.error)
    if found.curve:
        yield "order", _order(found.curve, setup.problem.orders.get(params["integrator"].text))
    for name, drift in found.drifts.items():
        yield name, f"{drift.start:.6g} at the start, changes by {drift.largest:.1e} at most"


def _error(error: EndError) -> Iterator[tuple[str, str]]:
    known = "" if error.resolved else ", which the reference does not resolve"
    yield "error", f"{error.rms:.1e} (rms), {error.largest:.1e} (largest), {error.relative:.1e} (rms, relative){known}"
    doubt = f", uncertain by {error.uncertainty:.1e} (rms)" if error.uncertainty else ""
    yield "reference", f"{error.reference}{doubt}"


def _order(curve: ErrorCurve, expected: float | None) -> str:
    """The measured order, and the one that is known of the problem or stated by the method."""
    stated = f"{curve.claimed} where the problem is smooth" if expected is None else f"{expected:g} is expected"
    if curve.fit is None:
        return f"not measured, as fewer than two errors rise above what is known of the reference; {stated}"
    counts = f"{curve.intervals[0]} to {curve.intervals[-1]} intervals"
    span = "" if math.isinf(curve.fit.high) else f", 95 % interval {curve.fit.low:.2f} to {curve.fit.high:.2f}"
    return f"{curve.fit.order:.2f} ({counts}{span}); {stated}"


def record(params: dict[str, Any], setup: Setup, found: Findings) -> dict[str, Any]:
    """How the results came about, and what was found, as JSON knows it."""
    problem, solution = setup.problem, found.solution
    return {
        "options": options(params),
        "problem": repr(problem),
        "integrator": repr(setup.method),
        "grid": repr(setup.grid),
        "recipes": {name: attrs.asdict(getattr(problem, name)) for name in ("recommended", "converged")},
        "end": solution.times[-1],
        "nfe": solution.nfe,
        "steps": solution.steps,
        "rejected": solution.rejected,
        "diagnosis": solution.diagnosis,
        "seconds_in_network": solution.seconds_in_network,
        "seconds_in_solver": solution.seconds_in_solver,
        "error": found.error and {**attrs.asdict(found.error), "resolved": found.error.resolved},
        "order": found.curve and _fit(found.curve, problem.orders.get(params["integrator"].text)),
        "invariants": {name: attrs.asdict(drift) for name, drift in found.drifts.items()},
        "notes": list(found.notes),
        "versions": versions(),
    }


def _fit(curve: ErrorCurve, expected: float | None) -> dict[str, Any]:
    """A convergence study; what is not finite is None, because JSON knows no infinity."""
    fit = {} if curve.fit is None else attrs.asdict(curve.fit)
    fit = {name: value for name, value in fit.items() if name != "marks"}
    errors = [error if math.isfinite(error) else None for error in curve.errors]
    known = {name: value if math.isfinite(value) else None for name, value in fit.items()}
    return {"intervals": curve.intervals, "errors": errors, "claimed": curve.claimed, "expected": expected, **known}

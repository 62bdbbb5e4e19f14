"""Measured orders of convergence, with the interval in which the data put them."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import attrs
import torch
from torch import Tensor
from tqdm import tqdm

from deis.analysis.inputs import Grid, check_end, labelled, make_times, whole_numbers
from deis.analysis.order import OrderFit, fit_order
from deis.analysis.reference import Reference
from deis.analysis.reference import reference as solved
from deis.errors import ArgumentError, CapabilityError, NonFiniteError
from deis.fields import need
from deis.grids import TimeGrid
from deis.integrators.base import BlackBox, Integrator
from deis.problems import Problem
from deis.solve import solve
from deis.text import columns, number

INTERVALS: Final = (8, 16, 32, 64, 128, 256)
SLACK: Final = 0.15
"""The claimed order may lie so far outside the interval: errors of finite steps bend the line."""


def _largest(x: Tensor) -> float:
    return float(x.abs().max())


def _root_mean_square(x: Tensor) -> float:
    return float((x.abs() ** 2).mean().sqrt())


NORMS: Final[Mapping[str, Callable[[Tensor], float]]] = MappingProxyType({"max": _largest, "rms": _root_mean_square})


@attrs.frozen
class ErrorCurve:
    """Errors of one integrator in one norm, relative to the size of the reference."""

    integrator: str
    norm: str
    claimed: int
    """The order that the integrator states, on smooth problems that are not stiff."""
    intervals: tuple[int, ...]
    nfe: tuple[int, ...]
    errors: tuple[float, ...]
    fit: OrderFit | None
    """None if fewer than two points rise above the noise."""

    @property
    def agrees(self) -> bool | None:
        """Whether the claimed order lies in the interval widened by 0.15; None if that is wider than an order."""
        if self.fit is None or self.fit.high - self.fit.low > 1:
            return None
        return self.fit.low - SLACK <= self.claimed <= self.fit.high + SLACK


@attrs.frozen
class ConvergenceStudy:
    """What :func:`convergence` returns; printed, it is a table of orders."""

    curves: tuple[ErrorCurve, ...]
    reference: str
    """How the reference was found."""

    def curve(self, integrator: Integrator | str, norm: str = "rms") -> ErrorCurve:
        """The errors of one integrator, given as it was given to the study.

        :raises ArgumentError: if it was not measured.
        """
        label = integrator if isinstance(integrator, str) else repr(integrator)
        for curve in self.curves:
            if (curve.integrator, curve.norm) == (label, norm):
                return curve
        raise ArgumentError("integrator", "must be one that was measured, in the norm 'max' or 'rms'", (label, norm))

    def to_rows(self) -> list[dict[str, Any]]:
        """One flat record for each integrator, norm and number of intervals, as for a CSV file."""
        return [
            {
                "integrator": curve.integrator,
                "norm": curve.norm,
                "intervals": intervals,
                "nfe": nfe,
                "error": error,
                "mark": curve.fit.marks[i] if curve.fit else "",
                "claimed": curve.claimed,
                "order": curve.fit and curve.fit.order,
                "low": curve.fit and curve.fit.low,
                "high": curve.fit and curve.fit.high,
                "constant": curve.fit and curve.fit.constant,
                "agrees": curve.agrees,
            }
            for curve in self.curves
            for i, (intervals, nfe, error) in enumerate(zip(curve.intervals, curve.nfe, curve.errors, strict=True))
        ]

    def __str__(self) -> str:
        names = ["integrator", "norm", "claimed", "order", "95 % interval", "constant", "points", "error", "agrees"]
        return "\n".join([*columns([names, *map(_line, self.curves)], "llrrrrrr"), f"reference: {self.reference}"])


def _line(curve: ErrorCurve) -> list[str]:
    fit, words = curve.fit, {True: "yes", False: "no", None: "cannot tell"}
    finest = f"{number(curve.errors[-1])} ({curve.intervals[-1]})"
    measured = ["-", "-", "-", f"0/{len(curve.errors)}"]
    if fit is not None:
        span = f"{fit.low:.2f} ... {fit.high:.2f}"
        measured = [f"{fit.order:.2f}", span, number(fit.constant), f"{fit.marks.count('used')}/{len(fit.marks)}"]
    return [curve.integrator, curve.norm, str(curve.claimed), *measured, finest, words[curve.agrees]]


def convergence(
    problem: Problem,
    integrators: Iterable[Integrator | str] | Integrator | str,
    intervals: Iterable[int] = INTERVALS,
    *,
    grid: Grid = "t",
    reference: Reference | None = None,
) -> ConvergenceStudy:
    """Errors on ever finer grids, and the orders fitted to them by :func:`fit_order`.

    With two numbers of intervals, the order is eq. :eq:`measured-order` of the page on error analysis.

    Noise that is known beforehand is rounding, once a step, and the uncertainty of the reference.

    :param problem: an ODE with its initial state.
    :param integrators: deterministic integrators with a plan, or their names.
    :param intervals: numbers of intervals, rising.
    :param grid: a grid family, its name, or a function from (domain, intervals) to times.
    :param reference: the solution at the end of the grids; None for :func:`~deis.analysis.reference` with four times
        the largest number of evaluations.
    :raises ArgumentError: for integrators that add noise, and for intervals that do not rise.
    :raises CapabilityError: if the ODE lacks something that an integrator needs, or one has no plan; before any solve.

    >>> from deis import Bernoulli
    >>> study = convergence(Bernoulli(), ["tab0", "tab1"])
    >>> [round(curve.fit.order, 1) for curve in study.curves if curve.norm == "rms"]
    [1.0, 2.1]
    >>> study.curve("tab1").agrees
    True
    """
    need("problem", problem, Problem, "for example InitialValueProblem(ode, x0)")
    counts, ode, methods = whole_numbers("intervals", intervals, rising=True), problem.ode, labelled(integrators)
    grids = [make_times(ode, grid, count) for count in counts]
    for method in methods.values():
        if isinstance(method, BlackBox):
            raise CapabilityError(f"{method!r} chooses its own steps and has no order in them; use work_precision")
        method.plan(ode, grids[0])  # what it lacks shows before any work
    most = max(method.nfe(counts[-1]) for method in methods.values())
    target = solved(problem, nfe=max(240, 4 * most)) if reference is None else reference
    check_end(target, grids[-1])
    curves = []
    with tqdm(total=len(methods) * len(counts), desc="convergence", disable=None, leave=False) as bar:
        for label, method in methods.items():
            states = []
            for times in grids:
                states.append(_end(problem, times, method))
                bar.update()
            curves += [_curve(label, method, norm, counts, states, target) for norm in NORMS]
    return ConvergenceStudy(tuple(curves), target.method)


def _end(problem: Problem, times: TimeGrid, method: Integrator) -> Tensor | None:
    """The state at the end; None if the solve overflowed."""
    try:
        with torch.no_grad():
            return solve(problem.ode, problem.initial, times, method).x
    except NonFiniteError:
        return None


def _curve(
    label: str,
    method: Integrator,
    norm: str,
    counts: tuple[int, ...],
    states: Sequence[Tensor | None],
    target: Reference,
) -> ErrorCurve:
    size = NORMS[norm](target.x)
    unit = size if size > 0 else 1.0
    errors = tuple(math.inf if x is None else NORMS[norm](x.to(target.x.device) - target.x) / unit for x in states)
    known = target.uncertainty(lambda a, b: NORMS[norm](a - b)) / unit
    noise = [max(known, torch.finfo(torch.float64).eps * n) for n in counts]  # each step rounds once
    nfe = tuple(map(method.nfe, counts))
    return ErrorCurve(label, norm, method.order, counts, nfe, errors, fit_order(counts, errors, noise))

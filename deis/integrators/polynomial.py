"""Exponential Adams methods: N is extrapolated by a polynomial in a clock and integrated exactly against L."""

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from deis.fields import boolean, integer_in, one_of, text
from deis.grids import Times, as_times
from deis.integrators.alike import alike, mean_length
from deis.integrators.base import INTEGRATORS, Integrator, lookback, unstack
from deis.integrators.moments import MOMENTS, moment_weights, row_order
from deis.integrators.plan import Plan, Row, Stage, Step
from deis.integrators.starting import extra_evaluations, starting_step
from deis.odes.base import Coefficient, SemilinearODE

_register = INTEGRATORS.register


@_register("polynomial")
@_register("default", predict="x0", clock="vp_t", steps=4, corrector=True, moments="bh1")
@_register("ei-score", predict="score", steps=1)
@_register("tab0", clock="t", steps=1)
@_register("tab1", clock="t", steps=2)
@_register("tab2", clock="t", steps=3)
@_register("tab3", clock="t", steps=4)
@_register("rhoab1", clock="rho", steps=2)
@_register("rhoab2", clock="rho", steps=3)
@_register("rhoab3", clock="rho", steps=4)
@_register("logrhoab1", clock="log_rho", steps=2)
@_register("logrhoab2", clock="log_rho", steps=3)
@_register("logrhoab3", clock="log_rho", steps=4)
@_register("lms", predict="eps", clock="rho", steps=4)
@_register("exp-adams1", steps=1)
@_register("exp-adams2", steps=2, start="runge-kutta")
@_register("exp-adams3", steps=3, start="runge-kutta")
@_register("exp-adams4", steps=4, start="runge-kutta")
@_register("exp-adams5", steps=5, start="runge-kutta")
@_register("dpm-2m", predict="eps", clock="lambda", steps=2, moments="bh2")
@_register("dpm-3m", predict="eps", clock="lambda", steps=3)
@_register("dpm-3m-published", predict="eps", clock="lambda", steps=3, moments="published")
@_register("dpmpp-2m", predict="x0", clock="lambda", steps=2, moments="bh2")
@_register("dpmpp-2m-taylor", predict="x0", clock="lambda", steps=2)
@_register("dpmpp-3m", predict="x0", clock="lambda", steps=3)
@_register("dpmpp-3m-published", predict="x0", clock="lambda", steps=3, moments="published")
@_register("unipc-1", predict="x0", clock="lambda", steps=1, corrector=True, moments="bh2")
@_register("unipc-2", predict="x0", clock="lambda", steps=2, corrector=True, moments="bh2")
@_register("unipc-3", predict="x0", clock="lambda", steps=3, corrector=True, moments="bh2")
@_register("unipc-4", predict="x0", clock="lambda", steps=4, corrector=True, moments="bh2")
@_register("unipc-1-bh1", predict="x0", clock="lambda", steps=1, corrector=True, moments="bh1")
@_register("unipc-2-bh1", predict="x0", clock="lambda", steps=2, corrector=True, moments="bh1")
@attrs.frozen
class PolynomialEIAB(Integrator):
    """The family of exponential Adams methods (DEIS, DPM-Solver++ multistep, UniPC and their relatives).

    One step integrates  x_t = Psi(t, s) x_s + int_s^t Psi(t, r) G(r) P(r) dr  exactly, P being the polynomial through
    the newest values of N (eq. :eq:`weights` of the theory page). With four points and more, large steps are unstable
    on some equations (Burgers, Korteweg-de Vries, Kuramoto-Sivashinsky).

    :param predict: splitting of the ODE, that is, what is extrapolated; None for the ODE's own.
    :param clock: variable in which P is a polynomial.
    :param steps: number of points of P, 1 to 6 (the paper's ``ab_order`` is ``steps - 1``).
    :param corrector: correct each point with the value of N found there, at no further evaluation.
    :param start: ``ramp`` (1, 2, ... points, which caps the order at 2, with corrector 3) or ``runge-kutta`` (full
        order, some further evaluations in the first steps).
    :param lower_final: use fewer points in the last steps, as the published samplers do below 15 steps.
    :param moments: ``exact``, or the number that a published method puts for the leading moment of a row: ``bh1`` and
        ``bh2`` in rows of two values (UniPC; ``bh2`` is also the midpoint form of DPM-Solver++(2M)), ``halved`` in rows
        of three, which makes them of order 2, ``published`` (DPM-Solver++(3M) as it is shipped) both of the last. A
        Runge-Kutta start keeps the exact ones.
    """

    predict: str | None = attrs.field(default=None, validator=attrs.validators.optional(text))
    clock: str = attrs.field(default="t", validator=text)
    steps: int = attrs.field(default=4, validator=integer_in(1, 6))
    corrector: bool = attrs.field(default=False, validator=boolean)
    start: str = attrs.field(default="ramp", validator=one_of(["ramp", "runge-kutta"]))
    lower_final: bool = attrs.field(default=False, validator=boolean)
    moments: str = attrs.field(default="exact", validator=one_of(MOMENTS))

    source = "arXiv 2204.13902, eq. 14-15; corrector: 2302.04867; other moments: 2211.01095, 2302.04867"

    @property
    def order(self) -> int:  # type: ignore[override]
        """``steps``, one more with the corrector; a ramp caps it at 2 (with corrector 3), ``lower_final`` at 2."""
        order = row_order(self.moments, self.steps)
        if self.corrector:  # whose row reads N at a point with the predictor's error
            order = min(order + 1, row_order(self.moments, self.steps + 1))
        capped = min(order, 2 + self.corrector) if self.start == "ramp" else order
        return min(capped, 2) if self.lower_final else capped

    def nfe(self, intervals: int) -> int:
        extra = [extra_evaluations(n + 1, self._target) for n in range(min(intervals, self._starting))]
        return intervals + sum(extra)

    def plan(self, ode: SemilinearODE, times: Times) -> Plan:
        times = as_times(times)
        form = ode if self.predict is None else ode.split(self.predict)
        self.need_clock(form, self.clock)  # before any work
        intervals = len(times) - 1
        first, kind, states = self._kinds(form, times)
        advance = self._rows(form, times, lambda n: self._points(n, intervals), first)
        correct = self._corrections(form, times, first)
        rows = [
            (Row(state, advance[n]), Row(state, correct[n]) if n in correct else None)
            for n, state in zip(first, states, strict=True)
        ]
        steps = [starting_step(form, self.clock, times, n, self._target) for n in range(min(self._starting, intervals))]
        points = times.tolist()
        for n, k in enumerate(kind, start=len(steps)):
            steps.append(Step(points[n], points[n + 1], [Stage(points[n])], rows[k][0], correct=rows[k][1]))
        return Plan(steps, form.splitting)

    def _kinds(self, form: SemilinearODE, times: Tensor) -> tuple[list[int], list[int], list[Coefficient]]:
        """A step of each kind after the start, the kind of each such step, and Psi over a step of each kind."""
        intervals = len(times) - 1
        index = torch.arange(min(self._starting, intervals), intervals)
        h = times[1:] - times[:-1]
        if not len(index) or not form.invariant or self.clock != "t" or times.requires_grad:
            states = unstack(form.transition(times[index + 1], times[index]), 1)
            return index.tolist(), list(range(len(index))), states
        count = torch.tensor([self._points(int(n), intervals) for n in index])
        back = index[:, None] - torch.arange(self.steps)
        lengths = torch.where(torch.arange(self.steps) < count[:, None], h[back.clamp(min=0)], 0.0)
        last = index == intervals - 1  # without a correction
        first, kind = alike(lengths, torch.stack([count, last], dim=1), float(times.abs().max()))
        length = mean_length(h[index], kind)
        states = unstack(form.transition(length, torch.zeros_like(length)), 1)
        return index[first].tolist(), kind.tolist(), states

    @property
    def _starting(self) -> int:
        """Number of steps that a Runge-Kutta start makes."""
        return self.steps - 1 if self.start == "runge-kutta" else 0

    @property
    def _target(self) -> int:
        """Nodes of a starting step: its local error must be of the order of the method."""
        return self.steps - 1 + self.corrector

    def _points(self, n: int, intervals: int) -> int:
        """Number of points of the polynomial in step ``n``."""
        left = intervals - n if self.lower_final else self.steps
        return min(self.steps, n + 1, left)

    def _rows(
        self, form: SemilinearODE, times: Tensor, points: Callable[[int], int], steps: Sequence[int], ahead: int = 0
    ) -> dict[int, list[Any]]:
        """Weights of each step, on ``ahead`` grid points at its end and the newest ``points(n)`` before it."""
        rows: dict[int, list[Any]] = {}
        for count in sorted({points(n) for n in steps}):
            index = torch.tensor([n for n in steps if points(n) == count])
            nodes = lookback(times, index + ahead, count + ahead)
            weights = moment_weights(self.moments, form, times[index], times[index + 1], nodes, self.clock)
            rows.update(zip(index.tolist(), unstack(weights, 2), strict=True))
        return dict(sorted(rows.items()))

    def _corrections(self, form: SemilinearODE, times: Tensor, steps: Sequence[int]) -> dict[int, list[Any]]:
        if not self.corrector:
            return {}
        intervals = len(times) - 1
        followed = [n for n in steps if n < intervals - 1]  # nothing is evaluated at the end of the last step
        return self._rows(form, times, lambda n: self._points(n, intervals), followed, ahead=1)

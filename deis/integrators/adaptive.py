"""Methods that choose their steps so that an estimate of the local error keeps a tolerance."""

import math
from collections.abc import Generator
from itertools import zip_longest
from typing import Any

import attrs
import torch
from torch import Tensor

from deis.errors import DeisError
from deis.fields import boolean, integer_in, number_in, one_of, text
from deis.integrators.base import INTEGRATORS, Account, Integrator, Stepping, Steps, as_integrator
from deis.integrators.controller import Controller, sample_errors
from deis.integrators.exponential_runge_kutta import ExponentialRungeKutta
from deis.integrators.frames import Evaluate, Frame
from deis.integrators.pairs import as_pair
from deis.integrators.plan import Row, Step
from deis.integrators.polynomial import PolynomialEIAB
from deis.integrators.rho_runge_kutta import RhoRungeKutta
from deis.integrators.rosenbrock import ExponentialRosenbrock
from deis.numerics.host import on_host
from deis.odes.base import SemilinearODE

_GRAIN = 4 * torch.finfo(torch.float64).eps  # steps below it, relative to the clock, do not move it
_GROWN = 1e3  # of the state, near a singularity
_UNRESOLVED = 0.1  # rounding of the state, in units of the tolerance

_register = INTEGRATORS.register


def _pairs(instance: Any, attribute: Any, value: Integrator) -> None:
    as_pair(value)


@_register("adaptive-heun21", method=RhoRungeKutta("heun2"))
@_register("adaptive-bs32", method=RhoRungeKutta("bogacki-shampine"))
@_register("adaptive-dp54", method=RhoRungeKutta("dormand-prince"))
@_register("adaptive-adams32", method=PolynomialEIAB("x0", "lambda", steps=3))
@_register("adaptive-exprb32", method=ExponentialRosenbrock("exprb32"))
@_register("adaptive-exprb43", method=ExponentialRosenbrock("exprb43"))
@_register("dpm-solver-12", method=ExponentialRungeKutta("dpm-solver-2", "eps"), rtol=0.05, atol=0.0078)
@_register("dpm-solver-23", method=ExponentialRungeKutta("dpm-solver-3", "eps"), rtol=0.05, atol=0.0078)
@attrs.frozen
class Adaptive(Stepping):
    """Steps of a method that estimates its error, as long as a tolerance allows.

    The rows of a step are planned when its length is known. A step is accepted if its estimated error, in each sample,
    is at most ``atol`` + ``rtol`` times the larger of the states at its ends, in the root mean square over the entries;
    else it is made again, shorter, without a second evaluation at its start. Every requested time is the end of a step.
    The length of the steps follows the proportional-integral controller of Gustafsson.

    :param method: a one-step method with an embedded one, or a member of the exponential Adams family with ``steps`` of
        2 or more, compared with the one that has a point less; or the name of one. The solution goes on with the more
        accurate result. An Adams method begins with Runge-Kutta steps of its order, whatever its ``start``, and
        evaluates nothing for a step that fails later.
    :param rtol: relative tolerance.
    :param atol: absolute tolerance.
    :param clock: variable in which steps grow and shrink; None for ``lambda`` where the ODE has it, else ``t``.
    :param norm: ``sample``: the first axis of the state counts samples, unless the linear part or a state without axes
        leaves none, and the worst one decides; ``all``: one norm over the whole state.
    :param first: length of the first step that is tried, as a share of the whole range of the clock.
    :param safety: share that is aimed at of the longest step that the tolerance allows.
    :param shrink: least factor from one step to the next.
    :param grow: largest factor.
    :param most_steps: number of steps, failed ones included, at which it gives up.
    :param partial: when it gives up, return what was reached: ``Solution.times`` then ends there and
        ``Solution.diagnosis`` says why; else this is an error.
    :raises ArgumentError: for a method that adds noise, has no plan, or is an Adams method that has nothing to be
        compared with.

    >>> from deis import Bernoulli, ExponentialRungeKutta, solve
    >>> problem = Bernoulli()
    >>> solution = solve(problem.ode, problem.initial, [0, 1], Adaptive(ExponentialRungeKutta("etd3rk"), 1e-4, 1e-4))
    >>> bool((solution.x - problem.exact(1.0)).abs() < 1e-4)
    True
    >>> solution.nfe == solution.steps + 2 * (solution.steps + solution.rejected)  # a failed step is begun but once
    True
    """

    method: Integrator = attrs.field(
        default=RhoRungeKutta("bogacki-shampine"), converter=as_integrator, validator=_pairs
    )
    rtol: float = attrs.field(default=1e-3, validator=number_in(0))
    atol: float = attrs.field(default=1e-4, validator=number_in(0, open_low=True))
    clock: str | None = attrs.field(default=None, validator=attrs.validators.optional(text))
    norm: str = attrs.field(default="sample", validator=one_of(["sample", "all"]))
    first: float = attrs.field(default=0.01, validator=number_in(0, 1, open_low=True))
    safety: float = attrs.field(default=0.9, validator=number_in(0, 1, open_low=True, open_high=True))
    shrink: float = attrs.field(default=0.2, validator=number_in(0, 1, open_low=True, open_high=True))
    grow: float = attrs.field(default=5.0, validator=number_in(1, open_low=True))
    most_steps: int = attrs.field(default=10_000, validator=integer_in(1, 10**9))
    partial: bool = attrs.field(default=False, validator=boolean)

    source = "Hairer and Wanner (1996), section IV.2; DPM-Solver-12 and -23: arXiv 2206.00927, appendix C"

    @property
    def order(self) -> int:  # type: ignore[override]
        return as_pair(self.method).order

    @property
    def evaluations_per_step(self) -> int:  # type: ignore[override]
        return self.method.evaluations_per_step

    def form_of(self, ode: SemilinearODE) -> SemilinearODE:
        predict = getattr(self.method, "predict", None)
        return ode if predict is None else ode.split(predict)

    def steps(self, ode: SemilinearODE, evaluate: Evaluate, x0: Tensor, times: Tensor) -> Steps:
        if x0.numel() == 0:
            yield from ((time, x0) for time in times.tolist()[1:])
            return Account()
        run = _Run(self, ode, evaluate, x0, times)
        for target in times.tolist()[1:]:
            diagnosis = yield from run.go(target)
            if diagnosis and not self.partial:
                raise DeisError(f"{self!r} {diagnosis}")
            if diagnosis:
                break
        return Account(run.accepted, run.rejected, diagnosis)


class _Run:
    """One solve: where it stands, and what it knows of the way there."""

    def __init__(self, method: Adaptive, ode: SemilinearODE, evaluate: Evaluate, x0: Tensor, times: Tensor) -> None:
        self._method, self._ode, self._evaluate = method, ode, evaluate
        self._pair = as_pair(method.method)
        self._control = Controller(self._pair.order, method.safety, method.shrink, method.grow)
        self._clock = method.clock or ("lambda" if "lambda" in ode.clocks else "t")
        self._hand = method.need_clock(ode, self._clock)
        self._batched = method.norm == "sample" and x0.dim() > ode.system_axes(x0)
        self.time, self._end = float(times[0]), float(times[-1])
        self.x = self._start = x0
        self.accepted = self.rejected = 0
        self._earlier: tuple[float, ...] = ()  # newest first, as is the history
        self._history: tuple[Tensor, ...] = ()
        self._first: Tensor | None = None  # N at the present time, if it is known
        self._frame: Frame | None = None  # at the present time, once a step was tried
        self._length = method.first * abs(self._place(self._end) - self._place(self.time))
        self._errors = torch.ones(1)  # of the last step, sample by sample
        self._previous = 1.0  # error of the last step that was accepted

    def go(self, target: float) -> Generator[tuple[float, Tensor], None, str]:
        """Make steps until ``target``; at last the diagnosis if it cannot be reached."""
        failed = False
        while self.time != target:
            if self.accepted + self.rejected >= self._method.most_steps:
                return self._diagnosis(f"made {self._method.most_steps} steps", self._outlook())
            end, length = self._next(target)
            if length <= _GRAIN * max(abs(self._place(self.time)), abs(self._place(target))) or end == self.time:
                return self._diagnosis("needs steps below rounding", "N may jump here; end here and start again")
            frame = self._frame or self._pair.frame(self._ode, self._evaluate, (self.time, end), self.x, self._first)
            step = self._planned(frame.ode, end)
            known = frame.values(step, self._history)
            self._frame = frame = attrs.evolve(frame, first=known[0])  # kept for another try
            after = frame.combine(step.advance, known)
            error = self._error(frame, step, known, after)
            if error <= 1:
                factor = self._control.after_success(error, self._previous)
                self._length = length * (min(factor, 1.0) if failed else factor)
                self._previous = max(error, 1e-4)
                self._accept(frame, step, known, after)
                yield self.time, self.x
            else:
                self._length = length * self._control.after_failure(error)
                self.rejected += 1
            failed = not error <= 1
        return ""

    def _place(self, time: float) -> float:
        with on_host():
            return float(self._hand.of(torch.tensor(time, dtype=torch.float64)))

    def _next(self, target: float) -> tuple[float, float]:
        """End and length of the next step, one of the fewest equal ones that lead to ``target``."""
        place, goal = self._place(self.time), self._place(target)
        count = max(1, math.ceil(abs(goal - place) / self._length * (1 - _GRAIN)))
        if count == 1:
            return target, abs(goal - place)
        with on_host():
            end = self._hand.time(torch.tensor(place + (goal - place) / count, dtype=torch.float64))
        return float(end), abs(goal - place) / count

    def _planned(self, ode: SemilinearODE, end: float) -> Step:
        with on_host():
            return self._pair.step(ode, (*reversed(self._earlier), self.time, end), self._end)

    def _error(self, frame: Frame, step: Step, known: tuple[Tensor, ...], after: Tensor) -> float:
        assert step.error is not None
        method = self._method
        with torch.no_grad():
            estimate, new = (frame.state(z) for z in (frame.combine(step.error, known), after))
            self._errors = sample_errors(estimate, self.x, new, method.rtol, method.atol, self._batched)
            return float(self._errors.nan_to_num(math.inf).max())

    def _accept(self, frame: Frame, step: Step, known: tuple[Tensor, ...], after: Tensor) -> None:
        self.x, self._first = frame.state(after), known[len(step.stages) - 1] if _ends_on_its_result(step) else None
        if step.correct is not None:
            self._first = self._evaluate(step.end, self.x)
            self.x = frame.combine(step.correct, (self._first, *known))
        kept = self._pair.points - 1
        self._earlier = (self.time, *self._earlier)[:kept]
        self._history = (known[0], *self._history)[:kept]
        self._frame = None
        self.time = step.end
        self.accepted += 1

    def _diagnosis(self, what: str, otherwise: str) -> str:
        """What happened, where, in which samples, and the likely reason: ``otherwise`` if no other shows."""
        worst, failing = int(self._errors.argmax()), int((~(self._errors <= 1)).sum())
        samples = f"sample {worst} of {len(self._errors)} is the worst; {failing} of them fail" if self._batched else ""
        return (
            f"{what} and stopped at t = {self.time:g} after {self.accepted} good and {self.rejected} failed ones, "
            f"with a length of {self._length:.2g} in {self._clock} and {float(self._errors[worst]):.3g} times the "
            f"tolerated error{samples and f' ({samples})'}: {self._reason() or otherwise}"
        )

    def _reason(self) -> str:
        method, (start, now) = self._method, (float(x.detach().abs().max()) for x in (self._start, self.x))
        with torch.no_grad():
            grain = torch.finfo(self.x.dtype).eps * self.x
            unresolved = sample_errors(grain, self.x, self.x, method.rtol, method.atol, self._batched).max()
        if float(unresolved) > _UNRESOLVED:
            return f"{self.x.dtype} does not resolve these tolerances; raise rtol and atol, or use float64"
        if now > _GROWN * start > 0:
            return f"the state has grown from {start:.2g} to {now:.2g} and may be singular here; end earlier"
        return ""

    def _outlook(self) -> str:
        more = abs(self._place(self._end) - self._place(self.time)) / self._length
        return (
            f"about {more:.2g} steps are left; loosen rtol and atol, or raise most_steps, or choose a method of higher "
            "order or, if the ODE is stiff for this one, a method that is exact in the linear part"
        )


def _ends_on_its_result(step: Step) -> bool:
    """Whether the last stage of ``step`` is where it ends, so that its value is the first one of the next step."""
    last = step.stages[-1]
    return last.time == step.end and _same(last.row, step.advance)


def _same(one: Row, other: Row) -> bool:
    pairs: Any = zip_longest(one.coefficients(), other.coefficients(), fillvalue=0.0)
    return all(not torch.as_tensor(a - b).any() for a, b in pairs)

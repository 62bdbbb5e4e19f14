"""How far a plan's coefficients amplify errors of N, and what to do where it is too far."""

import math
from collections.abc import Callable, Sequence
from typing import Final

import attrs
import torch
from torch import Tensor

from deis.fields import need
from deis.integrators.plan import Plan, Row, Step
from deis.odes.base import Coefficient
from deis.text import columns, number

MOST_AMPLIFICATION: Final = 25.0
"""Sum of absolute weights over weight sum from which on a step is warned of: six points on equal steps have 22.8."""
MOST_INNER: Final = 100.0
"""Largest weight of a stage over that of the whole step from which on a step is warned of: tableaux have up to 3."""


@attrs.frozen
class StepStability:
    """Sizes of one step's coefficients; of diagonal and matrix coefficients, the largest absolute entries."""

    start: float
    end: float
    growth: float
    """Of the coefficient of the state, |Psi| for an exponential method."""
    absolute: float
    """Sum of the absolute weights of N: how far errors of size 1 in N move the state."""
    total: float
    """Absolute value of the sum of the weights: how far N = 1 moves the state."""
    amplification: float
    """Largest ratio of the two among all rows of the step; 1 if every weight has the same sign."""
    inner: float
    """Largest sum of absolute weights among the stages, over that of the whole step; 0 for one evaluation a step."""
    flips: bool
    """Whether the state is multiplied by a real number below -1, which no flow of a real L does."""


@attrs.frozen
class Stability:
    """What :func:`stability` returns; printed, it is a table with its warnings."""

    steps: tuple[StepStability, ...]
    bound: float
    """How far errors of size 1 in every value of N can move the state, anywhere in the plan."""
    amplification: float
    """The same over what errors would do if a step's weights all had one sign: the largest ratio along the plan."""
    warnings: tuple[str, ...]

    @property
    def worst(self) -> StepStability:
        """The step that amplifies errors of N the most."""
        return max(self.steps, key=lambda step: step.amplification)

    def __str__(self) -> str:
        names = ["step", "from t", "to t", "growth", "sum |w|", "|sum w|", "ratio"]
        rows = [
            [str(n), *(number(v, 4) for v in (s.start, s.end, s.growth, s.absolute, s.total)), number(s.amplification)]
            for n, s in enumerate(self.steps, start=1)
        ]
        whole = (
            f"errors of size 1 in N move the state by {number(self.bound)} at most, {number(self.amplification)} times "
            "as far as weights of one sign would"
        )
        return "\n".join([*columns([names, *rows], "r" * len(names)), whole, *(self.warnings or ("no warnings",))])


def stability(plan: Plan) -> Stability:
    """Growth of a plan's coefficients, and the errors of N that they amplify, with warnings in plain words.

    What is bounded is the linear recursion  e_{n+1} = |Psi| e_n + sum_j |w_j|  of errors of size 1 in every value of N;
    that N itself answers to the errors of its points is left out, for a plan does not know N.

    A step is warned of if its weights are not finite, if it amplifies errors of N by 25 or more, if a stage weighs N
    100 times as much as the whole step does (an integrating factor that overflows), or if it multiplies the state by a
    real number below -1 (an explicit step too long for L).

    :param plan: the coefficients, for example of :func:`~deis.make_plan`.
    :raises ArgumentError: if it is no plan.

    >>> from deis import DiagonalODE, make_plan
    >>> ode = DiagonalODE(0.0, lambda t, x: x)
    >>> found = stability(make_plan(ode, [0.0, 0.25, 0.5, 0.75, 1.0], "tab2"))
    >>> round(found.worst.amplification, 3), found.warnings  # Adams-Bashforth 3: (23 + 16 + 5) / 12
    (3.667, ())
    """
    need("plan", plan, Plan, "make one by make_plan(ode, times, ...)")
    steps = tuple(map(_sizes, plan.steps))
    errors = steady = bound = largest = 0.0
    for step in steps:
        errors = step.growth * errors + step.absolute
        steady = step.growth * steady + step.total
        bound, largest = max(bound, errors), max(largest, _ratio(errors, steady))
    return Stability(steps, bound, largest, tuple(filter(None, (_warning(steps, *kind) for kind in _KINDS))))


def _sizes(step: Step) -> StepStability:
    last = step.correct or step.advance  # a correction replaces the state that the prediction gave
    absolute, total = _weights(last)
    pairs = [_weights(row) for row in step.rows() if row is not step.error]
    stages = [_weights(stage.row)[0] for stage in step.stages]
    return StepStability(
        step.start,
        step.end,
        _size(_double(last.state)),
        absolute,
        total,
        max(_ratio(*pair) for pair in pairs),
        _ratio(max(stages), absolute) if max(stages) > 0 else 0.0,
        _flips(step.advance.state),
    )


def _weights(row: Row) -> tuple[float, float]:
    """Sum of the absolute weights of a row, and absolute value of their sum."""
    weights = list(map(_double, row.values))
    zero = torch.zeros((), dtype=torch.float64)
    return _size(sum((w.abs() for w in weights), zero)), _size(sum(weights, zero))


def _double(c: Coefficient) -> Tensor:
    """A coefficient in double precision on the CPU, without gradient."""
    x = torch.as_tensor(c, dtype=None if isinstance(c, Tensor) else torch.complex128).detach().cpu()
    return x.to(torch.promote_types(x.dtype, torch.float64))


def _size(x: Tensor) -> float:
    return float(x.abs().max())


def _ratio(absolute: float, total: float) -> float:
    if absolute == 0:
        return 1.0
    return absolute / total if total else math.inf


def _flips(state: Coefficient) -> bool:
    if isinstance(state, complex) or (isinstance(state, Tensor) and state.is_complex()):
        return False
    return bool((_double(state).real < -1).any())


def _overflows(step: StepStability) -> bool:
    sizes = (step.growth, step.absolute, step.total, step.inner)
    return not all(map(math.isfinite, sizes)) or math.isnan(step.amplification)


def _amplified(step: StepStability) -> str:
    return (
        f"errors of N are amplified {step.amplification:.3g}-fold: the weights add up to {step.total:.2g} but their "
        f"absolute values to {step.absolute:.2g}; take fewer points, or a grid with smaller ratios of steps"
    )


_KINDS: tuple[tuple[Callable[[StepStability], bool], Callable[[StepStability], str]], ...] = (
    (
        _overflows,
        lambda s: (
            "coefficients are not finite; take smaller steps, or an exponential method in place of one with "
            "an integrating factor"
        ),
    ),
    (lambda s: not _overflows(s) and s.amplification >= MOST_AMPLIFICATION, _amplified),
    (
        lambda s: not _overflows(s) and s.inner >= MOST_INNER,
        lambda s: (
            f"a stage weighs N {s.inner:.3g} times as much as the whole step does, so that its rounding errors "
            "spoil the result: an integrating factor grows against a stiff L; take smaller steps, or an exponential "
            "method such as PolynomialEIAB"
        ),
    ),
    (
        lambda s: s.flips,
        lambda s: (
            f"the state is multiplied by a number below -1 (size {s.growth:.3g}), which no flow of a real L "
            "does: the step is too long for an explicit method; take smaller steps, or an exponential method"
        ),
    ),
)
"""What is warned of: a test of a step, and the sentence about the worst one."""


def _warning(
    steps: Sequence[StepStability], is_bad: Callable[[StepStability], bool], say: Callable[[StepStability], str]
) -> str:
    """One sentence for all steps of a kind, about the one that amplifies most; empty if there is none."""
    bad = [n for n, step in enumerate(steps) if is_bad(step)]
    if not bad:
        return ""
    n = max(bad, key=lambda n: (steps[n].amplification, steps[n].inner, steps[n].growth))
    others = f" ({len(bad)} of {len(steps)} steps are alike)" if len(bad) > 1 else ""
    return f"In step {n + 1} (t = {steps[n].start:.4g} to {steps[n].end:.4g}) {say(steps[n])}{others}."

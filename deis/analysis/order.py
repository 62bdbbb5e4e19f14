"""The order of convergence that a sequence of errors shows, and how sure it is."""

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

import attrs

from deis.analysis.inputs import whole_numbers
from deis.analysis.reference import MARGIN
from deis.errors import ArgumentError

_ENOUGH = 3  # points that say something about their own scatter
_CONFIDENCE = 0.95
_BEND = 0.25  # of an order, from which on a coarse point counts as pre-asymptotic


@attrs.frozen
class OrderFit:
    """A straight line through errors: error = constant * intervals^-order."""

    order: float
    low: float
    high: float
    """Ends of the 95 % confidence interval of the order; infinite for two points."""
    constant: float
    marks: tuple[str, ...]
    """What became of each point: ``used``, ``coarse`` (pre-asymptotic), ``floor`` (noise) or ``not finite``."""


def fit_order(
    intervals: Sequence[int], errors: Sequence[float], noise: Sequence[float] | float = 0.0
) -> OrderFit | None:
    """The order of convergence of a sequence of errors; None if fewer than two points rise above the noise.

    The order is the slope of a line through log error against log intervals. Points within 10 times the noise, which is
    given or is a level at which the errors stay, are left out, and so are the coarsest points if they lie off the line
    through the others.

    :param intervals: numbers of intervals, rising.
    :param errors: one each; those that are not finite are left out.
    :param noise: known size of the noise in every error; errors below 10 times as much are left out.
    :raises ArgumentError: if the intervals do not rise from 1 or more, the lengths differ, or something is no number.

    >>> fit = fit_order([10, 20, 40, 80], [3e-2, 7.5e-3, 1.875e-3, 4.6875e-4])
    >>> round(fit.order, 6), round(fit.constant, 6)  # 3 / n^2
    (2.0, 3.0)
    """
    intervals, errors = whole_numbers("intervals", intervals, rising=True), _floats("errors", errors)
    known = _floats("noise", [noise] * len(errors) if isinstance(noise, int | float) else noise)
    if not len(intervals) == len(errors) == len(known):
        sizes = (len(intervals), len(errors), len(known))
        raise ArgumentError("intervals", "must be as many as there are errors and values of noise", sizes)
    finite = [i for i, error in enumerate(errors) if math.isfinite(error)]
    above = [i for i in finite if errors[i] > 0 and errors[i] >= MARGIN * known[i]]
    level = _plateau(*_logs(above, intervals, errors))
    above = [i for i in above if math.log(errors[i]) >= level + math.log(MARGIN)]
    used = above[_coarse(*_logs(above, intervals, errors)) :]
    if len(used) < 2:
        return None
    marks = ["not finite"] * len(errors)
    for group, mark in ((finite, "floor"), (above, "coarse"), (used, "used")):
        for i in group:
            marks[i] = mark
    slope, intercept, margin = _line_through(*_logs(used, intervals, errors))
    return OrderFit(-slope, -slope - margin, -slope + margin, math.exp(intercept), tuple(marks))


def _floats(name: str, values: Sequence[float]) -> list[float]:
    try:
        return list(map(float, values))
    except (TypeError, ValueError):
        raise ArgumentError(name, "must be a row of numbers", values) from None


def _logs(points: Sequence[int], intervals: Sequence[int], errors: Sequence[float]) -> tuple[list[float], list[float]]:
    return [math.log(intervals[i]) for i in points], [math.log(errors[i]) for i in points]


def _plateau(x: Sequence[float], y: Sequence[float]) -> float:
    """Log of the level at which the errors stay at the fine end; -inf if they fall to the last.

    They stay where every slope from there on is less than half the usual one before it.
    """
    slopes = [(b - a) / (q - p) for (p, q), (a, b) in zip(pairwise(x), pairwise(y), strict=True)]
    for i in range(1, len(slopes)):
        usual = median(slopes[:i])
        if usual < 0 and all(slope > usual / 2 for slope in slopes[i:]):
            return max(y[i + 1 :])
    return -math.inf


def _coarse(x: Sequence[float], y: Sequence[float]) -> int:
    """How many of the coarsest points lie off the line through the finer ones, of which three are kept at least.

    A point does if it bends the line by a quarter of an order, and lies outside the interval in which the scatter of
    the others predicts it.
    """
    for begin in range(max(len(x) - _ENOUGH, 0)):
        slope, intercept, _ = _line_through(x[begin + 1 :], y[begin + 1 :])
        off = abs(y[begin] - slope * x[begin] - intercept)
        if off <= _BEND * (x[begin + 1] - x[begin]) or off <= _prediction(x[begin + 1 :], y[begin + 1 :], x[begin]):
            return begin
    return max(len(x) - _ENOUGH, 0)


def _line_through(x: Sequence[float], y: Sequence[float]) -> tuple[float, float, float]:
    """Slope and intercept of the regression line, and half the width of the slope's confidence interval."""
    from scipy import stats  # slow to import

    found = stats.linregress(x, y)
    if len(x) < _ENOUGH:
        return float(found.slope), float(found.intercept), math.inf
    return float(found.slope), float(found.intercept), _quantile(len(x)) * float(found.stderr)


def _prediction(x: Sequence[float], y: Sequence[float], at: float) -> float:
    """Half the width of the interval in which a further point at ``at`` lies."""
    slope, intercept, _ = _line_through(x, y)
    mean = sum(x) / len(x)
    scatter = sum((b - slope * a - intercept) ** 2 for a, b in zip(x, y, strict=True)) / (len(x) - 2)
    leverage = 1 + 1 / len(x) + (at - mean) ** 2 / sum((a - mean) ** 2 for a in x)
    return _quantile(len(x)) * math.sqrt(scatter * leverage)


def _quantile(points: int) -> float:
    """Of Student's t, for a line through so many points."""
    from scipy import special

    return float(special.stdtrit(points - 2, (1 + _CONFIDENCE) / 2))

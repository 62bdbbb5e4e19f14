"""Work-precision plots of a study's cells, as SVG inside a page."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import attrs
from markupsafe import Markup

from deis.study.figures import CALLS, Curve, Point, svg, swatch, work_precision
from deis.study.outcomes import Outcome
from deis.study.ranking import merit, metrics
from deis.study.tables import heading


@attrs.frozen
class Plot:
    """A drawn panel; ``timing`` tells whether it shows seconds, which no two runs share."""

    svg: Markup
    caption: str
    timing: bool


@attrs.frozen
class _Work:
    """What a horizontal axis shows of a cell."""

    title: str
    of: Callable[[Outcome], float | None]
    timing: bool = False


_CALLS: Final = _Work(CALLS, lambda one: one.nfe)
_SECONDS: Final = _Work("seconds", lambda one: one.timing.seconds if one.timing else None, timing=True)


def legend(names: Sequence[str]) -> Mapping[str, Markup]:
    """The look of each series, in the order of :func:`plots`."""
    return {name: Markup(svg(swatch(look), f"legend {look}")) for look, name in enumerate(names)}


def plots(outcomes: Sequence[Outcome], names: Mapping[str, str], reference: Outcome | None, salt: str) -> list[Plot]:
    """Every metric against network calls, and the one that ranks also against seconds.

    :param names: the series that each cell belongs to, by cell.
    :param salt: tells the drawings of this target from those of others.
    """
    wanted = [(metric, _CALLS) for metric in metrics(outcomes)]
    first = merit(outcomes)
    wanted[1:1] = [(first, _SECONDS)] if first else []
    drawn = [_plot(outcomes, names, reference, metric, work, salt) for metric, work in wanted]
    return [plot for plot in drawn if plot]


def _level(reference: Outcome | None, metric: str) -> float | None:
    """What the converged solution reaches: its distance to the data, or its uncertainty."""
    if reference and metric in reference.metrics:
        return reference.metrics[metric].value
    return reference.uncertainty.get(metric) if reference else None


def _plot(
    outcomes: Sequence[Outcome],
    names: Mapping[str, str],
    reference: Outcome | None,
    metric: str,
    work: _Work,
    salt: str,
) -> Plot | None:
    series: dict[str, list[Point]] = {names[one.id]: [] for one in outcomes}
    for one in outcomes:
        x, estimate = work.of(one), one.metrics.get(metric)
        if x and estimate and estimate.value > 0:  # the axes are logarithmic
            series[names[one.id]].append(Point(x, estimate.value, estimate.low, estimate.high))
    curves = [
        Curve(look, tuple(sorted(points, key=lambda point: point.x)))
        for look, points in enumerate(series.values())
        if points
    ]
    if not curves:
        return None
    calls = () if work.timing else sorted({one.cell.budget or one.nfe or 0 for one in outcomes} - {0})
    figure = work_precision(curves, work.title, heading(metric), _level(reference, metric), calls)
    return Plot(
        Markup(svg(figure, f"{salt} {metric} {work.title}")), f"{heading(metric)} against {work.title}", work.timing
    )

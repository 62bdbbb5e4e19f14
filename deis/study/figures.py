"""Work-precision figures: PNG for a file, SVG for a page; only writing SVG sets options of matplotlib, for its time."""

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any, Final

import attrs
import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from deis.files import whole_file
from deis.study.comparison import Result

_OUTLIER: Final = 5
_WHISKER: Final = 1.5  # Tukey's fence, in logarithms
_MARGIN: Final = 0.04  # of the height
_DECADES: Final = 3  # a longer axis has ticks at powers of ten only
_LEGEND: Final = 24  # entries of a column
_MARKERS: Final = "osD^vPX<>*ph8"
_AXES: Final = {"geometric_rmse": "error per sample", "frechet": "Frechet distance to the data"}
CALLS: Final = "network calls (NFE)"
_THEMED: Final = {
    "#000000": "currentColor",
    "#ffffff": "var(--paper)",
    "#e6e6e6": "var(--rule)",
    "#666666": "var(--soft)",
}


@attrs.frozen
class Point:
    """A measurement, with its 95 % interval where it has one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@attrs.frozen
class Curve:
    """The measurements of one integrator; ``look`` numbers its colour, marker and dashes."""

    look: int
    points: tuple[Point, ...]


def panel(axes: Any, curves: Sequence[Curve], xlabel: str, ylabel: str, level: float | None = None) -> list[Any]:
    """Draw curves on logarithmic axes, and return the handle of each.

    :param level: height of the line of the reference; None for no line.
    """
    handles = [_curve(axes, curve) for curve in curves]
    if level:
        axes.axhline(level, color="0.4", linestyle=":", linewidth=1.2, zorder=1)
    _finish(axes, [point for curve in curves for point in curve.points])
    axes.set(xlabel=xlabel, ylabel=ylabel)
    return handles


def comparison_figure(results: Sequence[Result], title: str, reference: Mapping[str, float | None]) -> Figure:
    """Error and Frechet distance against network calls, one line an integrator.

    :param reference: what the converged solution reaches in each measure.
    """
    names = list(dict.fromkeys(row.integrator for row in results))
    fields = [field for field in _AXES if any(getattr(row, field) for row in results)]
    budgets = sorted({row.budget for row in results})
    figure, panels = panels_with_legend(len(fields), len(names))
    handles: dict[str, Any] = {}
    for axes, field in zip(panels, fields, strict=True):
        curves = {name: _measured(results, name, field, look) for look, name in enumerate(names)}
        curves = {name: curve for name, curve in curves.items() if curve.points}
        drawn = panel(axes, list(curves.values()), CALLS, _AXES[field], reference[field])
        mark_calls(axes, budgets)
        handles |= dict(zip(curves, drawn, strict=True))
        if reference[field]:
            handles["reference"] = axes.get_lines()[-1]
    add_legend(figure, title, [*names, "reference"], handles)
    return figure


def panels_with_legend(count: int, names: int) -> tuple[Figure, list[Any]]:
    """A figure of ``count`` panels side by side, with room for so many names; one without panels has empty axes."""
    figure = Figure(figsize=(4 * count + 2.8 * _columns(names), 4), layout="constrained")
    return figure, list(figure.subplots(1, max(1, count), squeeze=False)[0][:count])


def add_legend(figure: Figure, title: str, names: Sequence[str], handles: Mapping[str, Any]) -> None:
    """The title above the panels, and beside them the handles that there are, in the order of ``names``."""
    shown = [name for name in names if name in handles]
    labels = ["\n  ".join(wrap(name.replace(":", ": "), 32)).replace(": ", ":") for name in shown]
    lines, columns = [handles[name] for name in shown], _columns(len(names) - 1)
    figure.legend(lines, labels, loc="outside right center", ncols=columns, frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=10)


def _columns(names: int) -> int:
    return 1 + names // _LEGEND


def mark_calls(axes: Any, calls: Sequence[int]) -> None:
    """Put the ticks of the horizontal axis at these numbers of network calls."""
    axes.xaxis.set_major_locator(FixedLocator(list(calls)))
    axes.xaxis.set_major_formatter("{x:.0f}")


def work_precision(
    curves: Sequence[Curve], xlabel: str, ylabel: str, level: float | None = None, calls: Sequence[int] = ()
) -> Figure:
    """One panel without a legend, for a page that has one of its own.

    :param level: height of the line of the reference; None for no line.
    :param calls: ticks of the horizontal axis; none, to choose them.
    """
    figure = Figure(figsize=(4.6, 3.4), layout="constrained")
    axes = figure.subplots()
    panel(axes, curves, xlabel, ylabel, level)
    if calls:
        mark_calls(axes, calls)
    return figure


def swatch(look: int) -> Figure:
    """The line and marker of one look, for a legend."""
    figure = Figure(figsize=(0.42, 0.17))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.plot([0, 0.5, 1], [0, 0, 0], markevery=[1], **_style(look))
    axes.set(xlim=(0, 1), ylim=(-1, 1))
    axes.axis("off")
    return figure


def svg(figure: Figure, salt: str) -> str:
    """The figure as inline SVG that takes its colours from the page: equal figures give equal text.

    :param salt: makes the identifiers differ from those of the page's other figures.
    """
    file = io.BytesIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context({"svg.hashsalt": salt, "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    text = file.getvalue().decode()
    text = text[text.index("<svg") :]
    text = re.sub(r'\s*<defs>\s*<style.*?</style>\s*</defs>|<!--.*?-->| id="[A-Za-z0-9.]+_\d+"', "", text, flags=re.S)
    text = re.sub(r"font-family: [^;\"]*", "font-family: sans-serif", text)
    text = re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', 'aria-hidden="true"', text, count=1)
    for ink, themed in _THEMED.items():
        text = text.replace(ink, themed)
    return text


def write_figure(path: Path, figure: Figure) -> None:
    """Write a figure as PNG, whole or not at all."""
    with whole_file(path) as file:
        figure.savefig(file, format="png", dpi=200)


def _measured(results: Sequence[Result], name: str, field: str, look: int) -> Curve:
    values = {row.nfe: getattr(row, field) for row in results if row.integrator == name and getattr(row, field)}
    return Curve(look, tuple(Point(float(calls), values[calls]) for calls in sorted(filter(None, values))))


def _curve(axes: Any, curve: Curve) -> Any:
    style = _style(curve.look)
    sure = [point for point in curve.points if point.low is not None and point.high is not None and point.low > 0]
    if sure:
        x, low, high = zip(*((point.x, point.low, point.high) for point in sure), strict=True)
        axes.vlines(x, low, high, color=style["color"], linewidth=1, alpha=0.4, zorder=1.5)
    return axes.plot([point.x for point in curve.points], [point.y for point in curve.points], **style)[0]


def _finish(axes: Any, points: Sequence[Point]) -> None:
    """Scales, and a range that single failures do not stretch: their lines leave at the top."""
    values = [point.y for point in points]
    low, typical = np.quantile(values, (0.25, 0.75))
    top = min(1.5 * max(values), max(_OUTLIER * typical, typical * (typical / low) ** _WHISKER))
    x = [point.x for point in points if point.y < top]
    bottom = min(values) / max(1.25, (top / min(values)) ** _MARGIN)
    axes.set(xscale="log", xlim=(min(x) / 1.15, max(x) * 1.15), yscale="log", ylim=(bottom, top))
    for axis, (first, last) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if last / first < 10**_DECADES else (1,)))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter("{x:g}")
    axes.grid(color="0.9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _style(look: int) -> dict[str, Any]:
    marker = _MARKERS[look % len(_MARKERS)]
    return {
        "color": f"C{look % 10}",
        "marker": marker,
        "linestyle": "-" if look < 10 else "--",
        "linewidth": 1.2,
        "markersize": 9 if marker == "*" else 6,
        "markeredgecolor": "white",
        "markeredgewidth": 0.5,
    }

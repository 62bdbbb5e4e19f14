"""The look of the figures: panels of curves side by side, and rows of images."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from deis.files import whole_file
from deis.study.figures import Curve, Point, mark_calls, panel
from deis.study.images import mosaic

CALLS: Final = "network calls (NFE)"

Series = Mapping[str, Sequence[Point]]
"""Points of curves, by their name in the legend."""


@attrs.frozen
class Panel:
    """Curves on common logarithmic axes.

    :param level: height of a dotted line, and ``ticks`` numbers on the horizontal axis; none to leave them out.
    """

    title: str
    series: Series
    ylabel: str
    xlabel: str = CALLS
    level: float | None = None
    ticks: Sequence[int] = ()


def curves(panels: Sequence[Panel]) -> Figure:
    """Panels side by side with one legend: a name looks the same in all of them."""
    names = list(dict.fromkeys(name for one in panels for name in one.series))
    figure = Figure(figsize=(4 * len(panels) + 1.8, 3.6), layout="constrained")
    handles: dict[str, Any] = {}
    for axes, one in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        drawn = [Curve(names.index(name), tuple(points)) for name, points in one.series.items()]
        handles |= dict(zip(one.series, panel(axes, drawn, one.xlabel, one.ylabel, one.level), strict=True))
        if one.ticks:
            mark_calls(axes, one.ticks)
        axes.set_title(one.title, fontsize=10)
    figure.legend(list(handles.values()), list(handles), loc="outside right center", frameon=False, fontsize=8)
    return figure


def by_calls(rows: Sequence[Mapping[str, Any]], value: str, name: str = "integrator") -> Series:
    """A series a method: ``value`` of its rows against their network calls."""
    series: dict[str, dict[float, Point]] = {}
    for row in rows:
        if row[value]:
            series.setdefault(row[name], {})[row["nfe"]] = Point(row["nfe"], row[value])
    return {key: list(points.values()) for key, points in series.items()}


def with_bars(x: float, of: Mapping[str, Any]) -> Point:
    """A mean with its standard deviation."""
    return Point(x, of["mean"], of["mean"] - of["deviation"], of["mean"] + of["deviation"])


def as_text(levels: Tensor) -> list[str]:
    """Grey images in [0, 1], shape (B, 8, 8), for a result file: 64 bytes in hexadecimal each."""
    return [bytes((255 * image).round().int().flatten().tolist()).hex() for image in levels]


def images(rows: Mapping[str, Sequence[str]]) -> Figure:
    """Rows of images as :func:`as_text` has them, with a name each."""
    levels = [[list(bytes.fromhex(image)) for image in row] for row in rows.values()]
    tiles = (np.array(levels).reshape(len(rows), -1, 8, 8) / 255).astype(np.float32)
    down, across = tiles.shape[:2]
    figure = Figure(figsize=(2.3 + 0.45 * across, 0.3 + 0.45 * down), layout="constrained")
    axes = figure.subplots()
    axes.imshow(mosaic(tiles), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_yticks([9 * i + 4.5 for i in range(down)], list(rows), fontsize=8)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def write(path: Path, figure: Figure) -> None:
    """Write a figure as a small PNG, whole or not at all."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=150, bbox_inches="tight")
    with whole_file(path) as target, Image.open(file) as drawn:
        drawn.convert("P", palette=Image.Palette.ADAPTIVE).save(target, format="png", optimize=True)

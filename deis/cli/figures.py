"""Figures of the results, made without any global state of matplotlib."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import imsave
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator
from numpy.typing import NDArray

from deis.files import whole_file
from deis.study import Result

_WIDTH: Final = 1200  # pixels that an image grid may take, as far as its samples allow
_LARGEST: Final = 8
_LINE: Final = 0.85
_OUTLIER: Final = 5
_MARKERS: Final = "osD^vPX<>*ph8"
_AXES: Final = {"geometric_rmse": "error per sample", "frechet": "Frechet distance to the data"}


def image_grid(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Images in [0, 1], shape (B, H, W), enlarged pixel by pixel and laid out near a square with light lines."""
    count, height, width = images.shape
    across = int(np.ceil(np.sqrt(count)))
    down = -(-count // across)
    scale = int(np.clip(_WIDTH // (across * (width + 1)), 1, _LARGEST))
    line = max(1, scale // 4)
    tiles = np.full((down, across, height * scale + line, width * scale + line), _LINE, dtype=np.float32)
    large = images.repeat(scale, axis=1).repeat(scale, axis=2)
    tiles.reshape(-1, *tiles.shape[2:])[:count, line:, line:] = large
    grid = tiles.swapaxes(1, 2).reshape(down * tiles.shape[2], across * tiles.shape[3])
    return np.pad(grid, ((0, line), (0, line)), constant_values=_LINE)


def write_image(path: Path, image: NDArray[np.float32]) -> None:
    """Write grey levels in [0, 1] as PNG, whole or not at all."""
    grey = (255 * image).round().astype(np.uint8)
    with whole_file(path) as file:
        imsave(file, np.stack([grey] * 3, axis=-1), format="png")


def comparison_figure(results: Sequence[Result], title: str, reference: Mapping[str, float | None]) -> Figure:
    """Error and Frechet distance against network calls, one line an integrator.

    :param reference: what the converged solution reaches in each measure.
    """
    names = list(dict.fromkeys(row.integrator for row in results))
    fields = [field for field in _AXES if any(getattr(row, field) for row in results)]
    figure = Figure(figsize=(4 * len(fields) + 2.8, 4), layout="constrained")
    handles: dict[str, Any] = {}
    for axes, field in zip(figure.subplots(1, max(1, len(fields)), squeeze=False)[0], fields, strict=False):
        for number, name in enumerate(names):
            points = {row.nfe: getattr(row, field) for row in results if row.integrator == name and getattr(row, field)}
            if points:
                handles[name] = axes.plot(*zip(*sorted(points.items()), strict=True), **_style(number))[0]
        _finish(axes, results, field)
        if reference[field]:
            handles["reference"] = axes.axhline(reference[field], color="0.4", linestyle=":", linewidth=1.2, zorder=1)
    shown = [name for name in [*names, "reference"] if name in handles]
    labels = ["\n  ".join(wrap(name.replace(":", ": "), 32)).replace(": ", ":") for name in shown]
    figure.legend([handles[name] for name in shown], labels, loc="outside right center", frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=10)
    return figure


def write_figure(path: Path, figure: Figure) -> None:
    """Write a figure as PNG, whole or not at all."""
    with whole_file(path) as file:
        figure.savefig(file, format="png", dpi=200)


def _finish(axes: Any, results: Sequence[Result], field: str) -> None:
    """Scales, ticks at the budgets, and a range that single failures do not stretch: their lines leave at the top."""
    values = [getattr(row, field) for row in results if getattr(row, field)]
    top = min(1.5 * max(values), _OUTLIER * float(np.quantile(values, 0.75)))
    calls = [row.nfe for row in results if row.nfe and 0 < (getattr(row, field) or 0) < top]
    axes.set(xscale="log", xlim=(min(calls) / 1.15, max(calls) * 1.15), xlabel="network calls (NFE)")
    axes.set(yscale="log", ylim=(min(values) / 1.25, top), ylabel=_AXES[field])
    axes.xaxis.set_major_locator(FixedLocator(sorted({row.budget for row in results})))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(color="0.9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _style(number: int) -> dict[str, Any]:
    return {
        "color": f"C{number % 10}",
        "marker": _MARKERS[number % len(_MARKERS)],
        "linestyle": "-" if number < 10 else "--",
        "linewidth": 1.2,
        "markersize": 9 if _MARKERS[number % len(_MARKERS)] == "*" else 6,
        "markeredgecolor": "white",
        "markeredgewidth": 0.5,
    }

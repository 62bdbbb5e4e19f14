"""Solutions as pictures: curves over time, fields over space and time, snapshots and animations of planes."""

import io
from collections.abc import Sequence
from typing import Any, Final

import attrs
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from deis.problems import Problem
from deis.study.solving import Frames, spread

Array = NDArray[np.float64]

_SNAPSHOTS: Final = 5
_ANIMATED: Final = 60  # most frames of an animation,
_DURATION: Final = 80  # each shown for so many milliseconds
_COLOURS: Final = 255
_SPREAD: Final = 1e4  # of steps on a grid that is meant for a logarithmic axis
_SMALL: Final = 1e-2  # a component so much smaller than another one is not seen beside it
_FLOOR: Final = 1e-6  # of a logarithmic axis, relative to the largest value of the smallest component
_BALANCE: Final = 0.1
_LEGEND: Final = 12  # entries of a column


@attrs.frozen(eq=False)
class Portrait:
    """Real fields along a solution.

    :param times: shape (T,).
    :param fields: shape (T, fields, *space).
    :param names: one a field.
    :param axes: coordinates along each axis of space.
    """

    title: str
    times: Array
    fields: Array
    names: tuple[str, ...]
    axes: tuple[Array, ...]

    @property
    def planes(self) -> bool:
        """Whether the fields live in two dimensions."""
        return len(self.axes) == 2


def portrait(problem: Problem, found: Frames, title: str) -> Portrait:
    """What the states of a solution stand for, as real fields: of complex ones the modulus and the real part.

    Complex numbers without space are shown as real and imaginary part.
    """
    axes = tuple(axis.numpy() for axis in problem.axes)
    values: Any = found.values.resolve_conj().numpy()
    space = values.shape[values.ndim - len(axes) :]
    values = values.reshape(len(found.times), -1, *space)
    names = problem.components or _numbered(problem.quantity if axes else "x", values.shape[1])
    if np.iscomplexobj(values):
        parts: list[tuple[str, Any]]
        parts = [("|{}|", np.abs), ("Re {}", np.real)] if axes else [("Re {}", np.real), ("Im {}", np.imag)]
        fields = [part(values[:, i : i + 1]) for i in range(len(names)) for _, part in parts]
        values, names = np.concatenate(fields, 1), tuple(form.format(name) for name in names for form, _ in parts)
    return Portrait(title, np.array(found.times), values, tuple(names), axes)


def solution_figure(shown: Portrait) -> Figure:
    """Curves over time, or fields over space and time, or snapshots of planes."""
    draw = _snapshots if shown.planes else _space_time if shown.axes else _curves
    return draw(shown)


def animation(shown: Portrait) -> bytes:
    """The planes of a portrait in the course of time, as an animated GIF."""
    count = len(shown.names)
    figure = Figure(figsize=(3.4 * count + 0.6, 3.6), layout="constrained", dpi=100)
    canvas: Any = FigureCanvasAgg(figure)
    panels = figure.subplots(1, count, squeeze=False)[0]
    scales = [_scale(shown.fields[:, i]) for i in range(count)]
    images = [_plane(axes, shown, 0, i, scales[i]) for i, axes in enumerate(panels)]
    for axes, image, name in zip(panels, images, shown.names, strict=True):
        figure.colorbar(image, ax=axes, label=name, shrink=0.8)
        axes.set(xlabel="x", ylabel="y")
    title, frames = figure.suptitle(" ", fontsize=10), []
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # found once, it stays
    for n in spread(len(shown.times), _ANIMATED):
        for i, image in enumerate(images):
            image.set_data(shown.fields[n, i].T)
        title.set_text(f"{shown.title}, {_time(shown.times[n])}")
        canvas.draw()
        frames.append(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    some = Image.fromarray(np.concatenate([frames[0], frames[len(frames) // 2], frames[-1]]))
    colours = some.quantize(_COLOURS, dither=Image.Dither.NONE)  # one palette, so that nothing flickers
    first, *others = [Image.fromarray(frame).quantize(palette=colours, dither=Image.Dither.NONE) for frame in frames]
    file = io.BytesIO()
    first.save(file, format="GIF", save_all=True, append_images=others, duration=_DURATION, loop=0)
    return file.getvalue()


def png(figure: Figure) -> bytes:
    """A figure as PNG."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=200)
    return file.getvalue()


def _numbered(letter: str, count: int) -> tuple[str, ...]:
    return (letter,) if count == 1 else tuple(f"{letter}{i}" for i in range(1, count + 1))


def _time(t: float) -> str:
    return f"t = {t:.4g}"


def _curves(shown: Portrait) -> Figure:
    count = len(shown.names)
    figure = Figure(figsize=(7.5 if count > 1 else 6.4, 4), layout="constrained")
    axes = figure.subplots()
    times, values = shown.times, shown.fields
    if _over_decades(times):
        axes.set_xscale("log")
        times, values = times[times > 0], values[times > 0]
    largest = np.abs(values).max(0)
    if values.min() >= 0 and 0 < largest.min() < _SMALL * largest.max():
        values = np.where(values > 0, values, np.nan)  # which begin with the first of them
        lowest = max(np.nanmin(values), _FLOOR * largest.min())
        axes.set(yscale="log", ylim=(lowest / 2, 2 * largest.max()))
    for i, name in enumerate(shown.names):
        axes.plot(times, values[:, i], color=f"C{i % 10}", linestyle="-" if i < 10 else "--", linewidth=1.3, label=name)
    if count > 1:
        figure.legend(loc="outside right center", ncols=1 + (count - 1) // _LEGEND, frameon=False, fontsize=9)
    axes.set(xlabel="t", ylabel=shown.names[0] if count == 1 else "")
    axes.set_title(shown.title, fontsize=10)
    axes.margins(x=0)
    _quiet(axes)
    return figure


def _quiet(axes: Any) -> None:
    axes.grid(color="0.9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _over_decades(times: Array) -> bool:
    """Whether times were spread over decades."""
    steps = np.abs(np.diff(times))
    return bool(times.min() >= 0 and steps.max() > _SPREAD * steps.min())


def _space_time(shown: Portrait) -> Figure:
    """For each field its values over space and time, and its profiles at a few times."""
    count = len(shown.names)
    figure = Figure(figsize=(9, 0.6 + 3.2 * count), layout="constrained")
    (x,) = shown.axes
    colours = ScalarMappable(Normalize(0, _SNAPSHOTS), "viridis").to_rgba(np.arange(_SNAPSHOTS))
    rows = figure.subplots(count, 2, squeeze=False, width_ratios=(1.15, 1))
    for i, (name, (left, right)) in enumerate(zip(shown.names, rows, strict=True)):
        image = left.pcolormesh(x, shown.times, shown.fields[:, i], shading="gouraud", **_scale(shown.fields[:, i]))
        figure.colorbar(image, ax=left, label=name, pad=0.02)
        left.set(xlabel="x", ylabel="t", xlim=(x.min(), x.max()), ylim=(shown.times.min(), shown.times.max()))
        for colour, n in zip(colours, spread(len(shown.times), _SNAPSHOTS), strict=False):
            right.plot(x, shown.fields[n, i], color=colour, linewidth=1.2, label=_time(shown.times[n]))
        right.set(xlabel="x", ylabel=name, xlim=(x.min(), x.max()))
        _quiet(right)
    figure.legend(*rows[0, 1].get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=8)
    figure.suptitle(shown.title, fontsize=10)
    return figure


def _snapshots(shown: Portrait) -> Figure:
    """A row of planes at a few times for each field."""
    chosen, count = spread(len(shown.times), _SNAPSHOTS), len(shown.names)
    figure = Figure(figsize=(2.1 * len(chosen) + 1.1, 2.2 * count + 1.1), layout="constrained")
    rows = figure.subplots(count, len(chosen), squeeze=False, sharex=True, sharey=True)
    for i, (name, row) in enumerate(zip(shown.names, rows, strict=True)):
        scale = _scale(shown.fields[:, i])
        for n, axes in zip(chosen, row, strict=True):
            image = _plane(axes, shown, n, i, scale)
            axes.set_title(_time(shown.times[n]) if i == 0 else "", fontsize=9)
        row[0].set_ylabel("y")
        figure.colorbar(image, ax=row, label=name, pad=0.01)
    for axes in rows[-1]:
        axes.set_xlabel("x")
    figure.suptitle(shown.title, fontsize=10)
    return figure


def _plane(axes: Any, shown: Portrait, n: int, field: int, scale: dict[str, Any]) -> Any:
    """One field at one time; its first axis is x, to the right."""
    ends = [end for axis in shown.axes for end in _ends(axis)]
    return axes.imshow(shown.fields[n, field].T, origin="lower", extent=ends, interpolation="nearest", **scale)


def _ends(axis: Array) -> Sequence[float]:
    """Where the cells around equally spaced points begin and end."""
    half = (axis[-1] - axis[0]) / (2 * max(1, len(axis) - 1))
    return float(axis[0] - half), float(axis[-1] + half)


def _scale(values: Array) -> dict[str, Any]:
    """Colours for a field: diverging from 0 where it has both signs in earnest."""
    low, high = float(values.min()), float(values.max())
    if min(-low, high) > _BALANCE * max(-low, high):
        return {"cmap": "RdBu_r", "vmin": -max(-low, high), "vmax": max(-low, high)}
    return {"cmap": "viridis", "vmin": low, "vmax": high}

"""Samples and trajectories of a study as pictures inside a page."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from deis.errors import DeisError
from deis.study.images import mosaic, save_png, squared
from deis.study.outcomes import Outcome
from deis.study.ranking import budgets
from deis.zoo import MODELS, Model

_STATES: Final = 12  # most states of a trajectory that are shown


@attrs.frozen
class Picture:
    """A PNG as a data URI, one pixel of it a pixel of the images."""

    name: str
    uri: str
    width: int
    height: int


@attrs.frozen
class Group:
    """Samples at one budget, next to each other; None for methods that choose their calls themselves."""

    budget: int | None
    pictures: tuple[Picture, ...]


def model_of(outcome: Outcome) -> Model | None:
    """The model that a cell samples; None for problems, and for models that are not installed here."""
    try:
        return MODELS.create(outcome.cell.name) if outcome.cell.kind == "model" else None
    except DeisError:
        return None


def sample_groups(
    outcomes: Sequence[Outcome], names: Mapping[str, str], reference: Outcome | None, states: Mapping[str, Tensor]
) -> list[Group]:
    """The samples of every cell, a group a budget; those of the reference are the first of each.

    :param names: what the pictures are called, by cell.
    :param states: ``samples`` of each cell, shape (B, *shape), by cell; cells without are left out.
    """
    groups = []
    for budget in budgets(outcomes):
        here = [one for one in outcomes if one.cell.budget == budget]
        shown = [one for one in ([reference] if reference else []) + here if one.id in states]
        if any(one in shown for one in here):
            pictures = [_samples(names[one.id], one, states[one.id]) for one in shown]
            groups.append(Group(budget, tuple(pictures)))
    return groups


def strips(outcomes: Sequence[Outcome], names: Mapping[str, str], states: Mapping[str, Tensor]) -> list[Picture]:
    """The trajectories of each integrator on each grid at its median budget.

    :param names: what the pictures are called, by cell.
    :param states: ``trajectory`` of each cell, shape (times, B, *shape), by cell; cells without are left out.
    """
    series: dict[tuple[str, str], list[Outcome]] = {}
    for one in outcomes:
        if one.id in states:
            series.setdefault((one.cell.label, one.cell.grid), []).append(one)
    ordered = [sorted(some, key=lambda one: one.cell.budget or 0) for some in series.values()]
    medians = [some[(len(some) - 1) // 2] for some in ordered]
    return [_strip(f"{names[one.id]}, NFE {one.nfe}", one, states[one.id]) for one in medians]


def _samples(name: str, outcome: Outcome, samples: Tensor) -> Picture:
    return _picture(name, squared(_images(outcome, samples)))


def _strip(name: str, outcome: Outcome, trajectory: Tensor) -> Picture:
    times, count = trajectory.shape[:2]
    chosen = np.unique(np.linspace(0, times - 1, min(times, _STATES)).round().astype(int))
    images = _images(outcome, trajectory[chosen].flatten(0, 1))
    return _picture(name, images.reshape(len(chosen), count, *images.shape[1:]).swapaxes(0, 1))


def _images(outcome: Outcome, x: Tensor) -> NDArray[np.float32]:
    model = model_of(outcome)
    assert model is not None  # only the states of models are read
    images: NDArray[np.float32] = model.images(x).numpy()
    return images


def _picture(name: str, tiles: NDArray[np.float32]) -> Picture:
    image, file = mosaic(tiles), io.BytesIO()
    save_png(file, image)
    uri = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    return Picture(name, uri, image.shape[1], image.shape[0])

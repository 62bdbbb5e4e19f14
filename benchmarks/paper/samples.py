"""Samples of the digits models, and how far sets of them lie from the data."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs
import torch
from torch import Tensor
from tqdm import tqdm

from deis import INTEGRATORS, ProbabilityFlowODE, make_grid, zoo
from deis.analysis import CoarseReferenceError, Reference, geometric_mean_rmse, rmse
from deis.study import Request, budgeted, compare, frechet_to_digits
from deis.zoo.weights import load_classifier, load_images

BATCH: Final = 50
"""Small, so that what is at work stays in the cache; a sample does not depend on its batch."""

SET: Final = 150
"""Samples of which one Frechet distance is made: 15 of each digit."""

HELD_OUT: Final = 360
"""Images that training did not see; the last ones of the shuffle in ``benchmarks/train_digits.py``."""


def request(seeds: Sequence[int], grid: str = "t2", model: str = "digits", *, labelled: bool = True) -> Request:
    """Samples of a model, each of the digit that its seed names where the model takes one a sample."""
    chosen = zoo.load(model)

    def ode_of(seeds: Sequence[int]) -> ProbabilityFlowODE:
        return chosen.ode(chosen.labels(seeds) if labelled else None)

    return Request(ode_of, chosen.shape, tuple(seeds), make_grid(grid), BATCH, chosen.dtype, "cpu")


def errors(wanted: Request, methods: Iterable[str], budgets: Sequence[int], target: Reference) -> list[dict[str, Any]]:
    """Errors to the converged solution and Frechet distance, a row a method and budget."""
    integrators = {name: INTEGRATORS.create(name) for name in methods}
    planned = [row for row in budgeted(integrators, budgets) if row.nfe is not None]
    shown = tqdm(planned, unit="run", leave=False, disable=None)
    return [attrs.asdict(row) for row in compare(wanted, integrators, shown, target, frechet_to_digits())]


def judged(x: Tensor, target: Reference) -> dict[str, float | None]:
    """Errors of samples to converged ones, and their Frechet distance to the data.

    An error that the converged samples are too coarse to measure is None.
    """
    found: dict[str, float | None] = {"frechet": frechet_to_digits()(x)}
    for name, norm in (("geometric_rmse", geometric_mean_rmse), ("rmse", rmse)):
        try:
            found[name] = target.error(x, norm)
        except CoarseReferenceError:
            found[name] = None
    return found


def row_of(rows: Iterable[Mapping[str, Any]], **keys: Any) -> Mapping[str, Any]:
    """The one row with these entries."""
    (found,) = [row for row in rows if all(row[key] == value for key, value in keys.items())]
    return found


def spread(sets: Iterable[float]) -> dict[str, Any]:
    """Mean and standard deviation of a measure over disjoint sets of samples."""
    values = torch.tensor(list(sets), dtype=torch.float64)
    deviation = float(values.std()) if len(values) > 1 else 0.0
    return {"mean": float(values.mean()), "deviation": deviation, "sets": values.tolist()}


def frechet_of_sets(x: Tensor) -> dict[str, Any]:
    """Frechet distances to the digits of consecutive sets of samples."""
    distance = frechet_to_digits()
    return spread(distance(part) for part in torch.split(x, SET))


def data_sets(count: int) -> Tensor:
    """Images of the data for ``count`` consecutive sets, each with as many of each digit as sets of samples have."""
    images, labels = load_images()
    order = shuffled()
    each = SET // 10
    places = torch.stack([order[labels[order] == digit][: count * each] for digit in range(10)])
    return images[places.reshape(10, count, each).transpose(0, 1).reshape(-1)]


def held_out(count: int) -> tuple[Tensor, list[int]]:
    """The first images that training did not see, shape (count, 1, 8, 8) in [-1, 1], and their digits."""
    images, labels = load_images()
    chosen = shuffled()[-HELD_OUT:][:count]
    return images[chosen], labels[chosen].tolist()


def trained_on() -> tuple[Tensor, Tensor]:
    """The images that the network was trained on, and their digits."""
    images, labels = load_images()
    chosen = shuffled()[:-HELD_OUT]
    return images[chosen], labels[chosen]


def probabilities(x: Tensor) -> Tensor:
    """The classifier's probabilities of the ten digits, shape (B, 10)."""
    with torch.no_grad():
        logits: Tensor = load_classifier()(x.float())
    return logits.softmax(1)


def shuffled() -> Tensor:
    """Places of all images, in the order in which training took and held back."""
    images, _ = load_images()
    return torch.randperm(len(images), generator=torch.Generator().manual_seed(0))

"""What studies measure samples by, each with a 95 % interval."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Final

import attrs
import torch
from torch import Tensor

from deis.analysis import (
    Reference,
    density_coverage,
    frechet_distance,
    geometric_mean_rmse,
    mmd,
    per_sample_rmse,
    precision_recall,
    rmse,
    sliced_wasserstein,
)
from deis.errors import CapabilityError
from deis.study.outcomes import Estimate
from deis.zoo.classifier import FEATURES
from deis.zoo.weights import load_classifier, load_images

_Z: Final = 1.96  # of a standard normal, 95 % lie within so many deviations
_SEED: Final = 0
_RESAMPLES: Final = 30
_LEAST: Final = 4  # members of a group
_FEW: Final = 10  # for what compares all pairs of samples


@attrs.frozen(eq=False)
class Digits:
    """The digits that samples are compared with, in the features of the classifier that ships with the package."""

    data: Tensor
    """Features, shape (n, 32)."""
    bandwidth: float
    """Median distance of the data, so that values of the maximum mean discrepancy can be compared."""

    def features(self, x: Tensor) -> Tensor:
        """Features of samples of shape (B, 1, 8, 8).

        :raises CapabilityError: for samples of another shape.
        """
        if x.shape[1:] != (1, 8, 8):
            raise CapabilityError(f"samples of shape {tuple(x.shape[1:])} are no digits and have no features")
        return _features(x)


@lru_cache(maxsize=16)
def digits(label: int | None) -> Digits:
    """The digits of class ``label``; all, if None.

    :raises WeightsError: if the classifier or the images are missing.
    """
    images, labels = load_images()
    data = _features(images if label is None else images[labels == label])
    return Digits(data, float(torch.pdist(data.double()).quantile(0.5)))


def frechet_to_digits(label: int | None = None) -> Callable[[Tensor], float]:
    """Frechet distance of samples, shape (B, 1, 8, 8), to the digits of class ``label`` (all, if None).

    :raises WeightsError: if the classifier or the images are missing.

    >>> images, labels = load_images()
    >>> abs(round(frechet_to_digits(3)(images[labels == 3]), 6))
    0.0
    """
    known = digits(label)
    return lambda x: frechet_distance(known.features(x), known.data)


@attrs.frozen
class Distance:
    """A distance of the distribution of samples from that of the digits.

    :param of: value from the digits and the features of samples.
    :param least: fewest samples.
    :param resamples: draws of the bootstrap.
    :param floor: lowest possible value.
    """

    of: Callable[[Digits, Tensor], float]
    least: int = 2
    resamples: int = _RESAMPLES
    floor: float = 0.0


@attrs.frozen
class Error:
    """A distance of samples from the converged solutions of their own noise.

    :param norm: the distance.
    :param estimate: the value with its interval, from the RMSE of each sample and the rows of each group.
    """

    norm: Callable[[Tensor, Tensor], float]
    estimate: Callable[[Tensor, Sequence[Tensor]], Estimate]
    least: int = 2


def measure(
    name: str,
    x: Tensor,
    *,
    label: int | None = None,
    classes: Sequence[int] | None = None,
    reference: Reference | None = None,
) -> Estimate:
    """Measure samples of a model.

    The interval is that of the mean logarithm for ``error``, else by the bootstrap; for distances of few samples from a
    close distribution it is rather too wide.

    :param name: one of ``METRICS``.
    :param x: samples, shape (B, ...).
    :param label: class of the digits they are compared with; None for all.
    :param classes: class of each sample where every set of seeds has the same share of each: the bootstrap keeps it.
    :param reference: the converged solution of the same noise, for the errors.
    :raises CoarseReferenceError: if the reference is not accurate enough.
    :raises CapabilityError: for an error without reference, and samples that are no digits.

    >>> images, labels = load_images()
    >>> measure("frechet", images[labels == 3], label=3).value < 1e-9
    True
    """
    metric = METRICS[name]
    groups = _groups([0] * len(x) if classes is None else classes)
    if isinstance(metric, Distance):
        data = digits(label)
        features = data.features(x)
        value = metric.of(data, features)
        spread = _bootstrap(lambda rows: metric.of(data, features[rows]), groups, metric.resamples)
        return Estimate(value, max(metric.floor, value - spread), value + spread)
    if reference is None:
        raise CapabilityError(f"{name} needs a reference")
    reference.error(x, metric.norm)  # refuses what the reference cannot judge
    return metric.estimate(per_sample_rmse(x, reference.x), groups)


def _geometric(errors: Tensor, groups: Sequence[Tensor]) -> Estimate:
    """Geometric mean, with the normal interval of the mean logarithm."""
    logs = errors.log()
    mean, spread = logs.mean(), _Z * logs.std() / len(logs) ** 0.5
    low, value, high = torch.stack([mean - spread, mean, mean + spread]).exp().nan_to_num(0.0).tolist()
    return Estimate(value, low, high)


def _root_mean_square(errors: Tensor, groups: Sequence[Tensor]) -> Estimate:
    def of(rows: Tensor) -> float:
        return float((errors[rows] ** 2).mean().sqrt())

    value, spread = of(torch.arange(len(errors))), _bootstrap(of, groups, _RESAMPLES)
    return Estimate(value, max(0.0, value - spread), value + spread)


def _groups(classes: Sequence[int]) -> list[Tensor]:
    """The rows of each class; all rows together where a class has too few to tell how much they differ."""
    members = [[row for row, one in enumerate(classes) if one == wanted] for wanted in sorted(set(classes))]
    if min(map(len, members)) < _LEAST:
        members = [list(range(len(classes)))]
    return [torch.tensor(rows) for rows in members]


def _bootstrap(of: Callable[[Tensor], float], groups: Sequence[Tensor], resamples: int) -> float:
    """Half the normal interval, by the deviation over resamples: their percentiles are biased as distances are."""
    generator = torch.Generator().manual_seed(_SEED)
    draws = [
        of(torch.cat([rows[torch.randint(len(rows), (len(rows),), generator=generator)] for rows in groups]))
        for _ in range(resamples)
    ]
    return _Z * float(torch.tensor(draws, dtype=torch.float64).std())


@torch.no_grad()
def _features(x: Tensor) -> Tensor:
    return _classifier()(x.float())


@lru_cache(maxsize=1)
def _classifier() -> Callable[[Tensor], Tensor]:
    return load_classifier().features


METRICS: Final[Mapping[str, Distance | Error]] = MappingProxyType(
    {
        "error": Error(geometric_mean_rmse, _geometric),
        "rmse": Error(rmse, _root_mean_square),
        "frechet": Distance(lambda d, f: frechet_distance(f, d.data), FEATURES + 1),
        "sliced_wasserstein": Distance(lambda d, f: sliced_wasserstein(f, d.data)),
        "mmd": Distance(lambda d, f: mmd(f, d.data, bandwidth=d.bandwidth), 2, _FEW, -math.inf),
        "precision": Distance(lambda d, f: precision_recall(d.data, f)[0], 4, _FEW),
        "recall": Distance(lambda d, f: precision_recall(d.data, f)[1], 4, _FEW),
        "density": Distance(lambda d, f: density_coverage(d.data, f)[0], 2, _FEW),
        "coverage": Distance(lambda d, f: density_coverage(d.data, f)[1], 2, _FEW),
    }
)
"""What models are measured by; the functions of ``deis.analysis`` say what each is."""

"""Distance of samples to the digits, in the feature space of the classifier that ships with the package."""

from collections.abc import Callable

import torch
from torch import Tensor

from deis.analysis import frechet_distance
from deis.zoo.weights import load_classifier, load_images


def frechet_to_digits(label: int | None = None) -> Callable[[Tensor], float]:
    """Frechet distance of samples, shape (B, 1, 8, 8), to the digits of class ``label`` (all, if None).

    :raises WeightsError: if the classifier or the images are missing.

    >>> images, labels = load_images()
    >>> abs(round(frechet_to_digits(3)(images[labels == 3]), 6))
    0.0
    """
    classifier = load_classifier()
    images, labels = load_images()

    @torch.no_grad()
    def features(x: Tensor) -> Tensor:
        return classifier.features(x.float())

    data = features(images if label is None else images[labels == label])
    return lambda x: frechet_distance(features(x), data)

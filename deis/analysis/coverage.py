"""How well generated samples cover real ones: closed balls around samples, to their k-th nearest neighbours."""

import torch
from torch import Tensor

from deis.analysis.distances import as_sets, distance_blocks, whole
from deis.errors import ArgumentError


def precision_recall(real: Tensor, generated: Tensor, k: int = 3) -> tuple[float, float]:
    """Improved precision and recall (arXiv 1904.06991, eq. 1-2), both from 0 to 1.

    Precision is the share of generated samples that lie in a ball around a real one; recall is the share of real
    samples that lie in a ball around a generated one. A ball reaches to the k-th nearest sample of the same set.

    :param real: shape (n, ...), n > k.
    :param generated: shape (m, ...), m > k, of as many features.
    :raises ArgumentError: if the sets do not fit together, or k is too large for one of them.

    >>> x = torch.arange(10.0)[:, None]
    >>> precision_recall(x, x[:5])  # balls around 0 to 4 reach to 4 + 3 = 7
    (1.0, 0.8)
    """
    real, generated = as_sets(real, generated, ("real", "generated"))
    around_real, around_generated = _radii(real, k, "real"), _radii(generated, k, "generated")
    return _share_inside(generated, real, around_real), _share_inside(real, generated, around_generated)


def density_coverage(real: Tensor, generated: Tensor, k: int = 5) -> tuple[float, float]:
    """Density and coverage (arXiv 2002.09797, section 3).

    Density is the mean number of balls around real samples that a generated one lies in, over k; coverage is the share
    of these balls that hold a generated sample. A ball reaches to the k-th nearest real sample. For equal distributions
    density is 1 on average, and coverage 1 - (n-1)...(n-k) / ((n+m-1)...(n+m-k)) (lemma 2), near 1 - 2^-k for n = m.

    :param real: shape (n, ...), n > k.
    :param generated: shape (m, ...), of as many features.
    :raises ArgumentError: if the sets do not fit together, or k is too large.

    >>> x = torch.arange(10.0)[:, None]
    >>> density_coverage(x, x[:1] + 0.5, k=1)  # the one sample lies between 0 and 1, in two balls of ten
    (2.0, 0.2)
    """
    real, generated = as_sets(real, generated, ("real", "generated"))
    radii = _radii(real, k, "real")
    held = torch.zeros(len(real), dtype=torch.int64, device=real.device)
    for distances in distance_blocks(generated, real):
        held += (distances <= radii).sum(0)
    return int(held.sum()) / (k * len(generated)), int((held > 0).sum()) / len(real)


def _radii(x: Tensor, k: int, name: str) -> Tensor:
    """Distance of each sample to its k-th nearest among the others."""
    nearest = whole("k", k, 1)
    if nearest >= len(x):
        rule = f"must be below {len(x)}, the number of {name} samples"
        raise ArgumentError("k", rule, k, "take more samples, or a smaller k")
    # the nearest of all is the sample itself
    return torch.cat([d.kthvalue(nearest + 1, dim=1).values for d in distance_blocks(x, x)])


def _share_inside(points: Tensor, centres: Tensor, radii: Tensor) -> float:
    """Share of the points that lie in one of the balls."""
    return sum(int((d <= radii).any(1).sum()) for d in distance_blocks(points, centres)) / len(points)

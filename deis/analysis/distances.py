"""How far one set of samples lies from another, as distributions; everything in float64."""

import math
from collections.abc import Iterator
from typing import Any, Final

import torch
from torch import Tensor

from deis.errors import ArgumentError
from deis.fields import as_integer, is_integer, is_number

_ENTRIES: Final = 2**22
"""Most numbers of a table of distances or projections that is in memory at a time."""


def frechet_distance(features_a: Tensor, features_b: Tensor) -> float:
    """Squared Wasserstein-2 distance of the normal distributions that have the sample means and covariances.

    |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a^{1/2} C_b C_a^{1/2})^{1/2}) (arXiv 1706.08500, eq. 6). Covariances may be
    singular, as those of constant features are. Few samples make the distance too large: compare sets of equal size.

    :param features_a: shape (n, ...), n above the number d of features of a sample.
    :param features_b: shape (m, ...), of as many features, m > d.
    :raises ArgumentError: if the sets do not fit together, or there are not more samples than features: the
        covariance of so few is singular whatever the distribution, and the distance would measure that.

    >>> x = torch.tensor([[-1.0], [0.0], [1.0]])
    >>> frechet_distance(x, 2 * x + 3)  # (3 - 0)^2 + (2 - 1)^2
    10.0
    """
    a, b = as_sets(features_a, features_b, ("features_a", "features_b"))
    for name, x in (("features_a", a), ("features_b", b)):
        if len(x) <= x.shape[1]:
            rule = f"must hold more samples than its {x.shape[1]} features"
            raise ArgumentError(name, rule, len(x), "take more samples, or fewer features")
    root_a, root_b = _root(a), _root(b)
    # the trace is the least |R_a - Q R_b|^2 over the orthogonal Q (arXiv 1712.01504, theorem 1), found by Procrustes:
    # no root of a rounding error, and no difference of large numbers
    u, _, v = torch.linalg.svd(root_a @ root_b.T)
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + ((root_a - u @ v @ root_b) ** 2).sum())


def sliced_wasserstein(a: Tensor, b: Tensor, *, projections: int = 128, seed: int = 0) -> float:
    """Sliced Wasserstein-2 distance: root of the mean of W_2^2 over random projections to a line.

    W_2^2 on a line is the integral of the squared difference of the two quantile functions (Bonneel et al. 2015,
    doi 10.1007/s10851-014-0506-3). Those of samples are piecewise constant, so that it is computed exactly, also for
    sets of different sizes. A shift by v is a distance of about |v| / sqrt(d) in d dimensions.

    :param a: shape (n, ...).
    :param b: shape (m, ...), of as many features.
    :param projections: number of directions, drawn uniformly on the sphere.
    :param seed: of the directions.
    :raises ArgumentError: if the sets do not fit together, or an option is not a whole number in its range.

    >>> x = torch.tensor([[0.0], [1.0], [5.0]])
    >>> round(sliced_wasserstein(x, x.flip(0) + 2), 12)
    2.0
    """
    a, b = as_sets(a, b)
    count, key = whole("projections", projections, 1), whole("seed", seed, 0, 2**63 - 1)
    generator = torch.Generator().manual_seed(key)
    directions = torch.randn(a.shape[1], count, dtype=torch.float64, generator=generator, device="cpu")
    directions = (directions / directions.norm(dim=0)).to(a.device)
    blocks = torch.split(directions, max(1, _ENTRIES // (len(a) + len(b))), dim=1)
    return math.sqrt(sum(float(_wasserstein_squares(a @ block, b @ block).sum()) for block in blocks) / count)


def mmd(a: Tensor, b: Tensor, *, bandwidth: float | None = None) -> float:
    """Unbiased estimate of the squared maximum mean discrepancy with the kernel exp(-|x - y|^2 / (2 bandwidth^2)).

    Gretton et al. 2012, A Kernel Two-Sample Test, JMLR 13, eq. 3. Being unbiased, it is 0 on average for equal
    distributions, and negative as often as not.

    :param a: shape (n, ...), n >= 2.
    :param b: shape (m, ...), m >= 2, of as many features.
    :param bandwidth: above 0, in the units of the samples; None for the median distance in both sets together (of at
        most 2048 samples, evenly spaced in them), the heuristic of that paper. Values compare at equal bandwidth only.
    :raises ArgumentError: if the sets do not fit together, a set holds one sample, or there is no such bandwidth.

    >>> x = torch.tensor([[0.0], [1.0]])
    >>> round(mmd(x, x + 100, bandwidth=1.0), 12) == round(2 * math.exp(-0.5), 12)
    True
    """
    a, b = as_sets(a, b)
    for name, x in (("a", a), ("b", b)):
        if len(x) < 2:
            raise ArgumentError(name, "must hold at least 2 samples", len(x), "take more samples")
    width = _median_distance(a, b) if bandwidth is None else bandwidth
    if not is_number(width) or width <= 0:
        raise ArgumentError("bandwidth", "must be a number above 0", bandwidth, "or None, for the median distance")
    # each point's kernel with itself is 1 and does not count
    within = sum((_kernel_sum(x, x, width) - len(x)) / (len(x) * (len(x) - 1)) for x in (a, b))
    return within - 2 * _kernel_sum(a, b, width) / (len(a) * len(b))


def as_sets(a: Any, b: Any, names: tuple[str, str] = ("a", "b")) -> tuple[Tensor, Tensor]:
    """Two sets of samples as float64 of shapes (n, d) and (m, d), without gradients.

    :raises ArgumentError: if one is not a set of finite real samples, or their widths differ.
    """
    first, second = _as_set(a, names[0]), _as_set(b, names[1])
    if first.shape[1] != second.shape[1]:
        rule = f"must have {first.shape[1]} features a sample, as {names[0]} has"
        raise ArgumentError(names[1], rule, second.shape[1], "compare samples of one kind")
    return first, second


def distance_blocks(a: Tensor, b: Tensor) -> Iterator[Tensor]:
    """Euclidean distances of the samples of ``a`` to all of ``b``, some rows at a time, so that memory is bounded."""
    for rows in torch.split(a, max(1, _ENTRIES // len(b))):
        # by matrix products equal samples would be sqrt(rounding) apart, and distances of far ones lose digits
        yield torch.cdist(rows, b, compute_mode="donot_use_mm_for_euclid_dist")


def whole(name: str, value: Any, low: int, high: float = math.inf) -> int:
    """The whole number ``value``.

    :raises ArgumentError: if it is none from ``low`` to ``high``.
    """
    number = as_integer(value)
    if not is_integer(number) or not low <= number <= high:
        bounds = f"of at least {low}" if high == math.inf else f"from {low} to {high}"
        raise ArgumentError(name, f"must be a whole number {bounds}", value)
    return int(number)


def _as_set(values: Any, name: str) -> Tensor:
    if not isinstance(values, Tensor):
        raise ArgumentError(name, "must be a tensor", type(values).__name__, "pass torch.as_tensor of it")
    if values.is_complex():
        raise ArgumentError(name, "must be real", values.dtype, "pass torch.view_as_real of it")
    if values.dim() < 2 or not values.numel():
        rule = "must have shape (samples, features) or (samples, ...), with at least one of each"
        raise ArgumentError(name, rule, tuple(values.shape), "add an axis where a sample is one number")
    flat = values.detach().flatten(1).double()
    broken = flat[~flat.isfinite().all(1)]
    if len(broken):
        rule = f"must be finite in every sample ({len(broken)} of {len(flat)} are not)"
        raise ArgumentError(name, rule, float(broken[~broken.isfinite()][0]), "find out why before leaving them out")
    return flat


def _root(x: Tensor) -> Tensor:
    """A matrix R with R^T R the sample covariance."""
    root: Tensor = torch.linalg.qr(x - x.mean(0), mode="r").R / math.sqrt(len(x) - 1)
    return root


def _wasserstein_squares(a: Tensor, b: Tensor) -> Tensor:
    """W_2^2 of each column of (n, p) and (m, p)."""
    n, m = len(a), len(b)
    # in units of 1 / (n m) the quantile functions jump at multiples of m and of n
    jumps = torch.unique(torch.cat([torch.arange(n + 1) * m, torch.arange(m + 1) * n])).to(a.device)
    gaps = a.sort(dim=0).values[jumps[:-1] // m] - b.sort(dim=0).values[jumps[:-1] // n]
    squares: Tensor = jumps.diff().to(a) @ gaps**2 / (n * m)
    return squares


def _kernel_sum(a: Tensor, b: Tensor, width: float) -> float:
    return sum(float((-((d / width) ** 2) / 2).exp().sum()) for d in distance_blocks(a, b))


def _median_distance(a: Tensor, b: Tensor) -> float:
    both = torch.cat([a, b])
    some = both[:: -(-len(both) // math.isqrt(_ENTRIES))]
    median = float(torch.pdist(some).quantile(0.5))
    if median == 0:
        rule = "must be given where most samples are equal, so that their median distance is 0"
        raise ArgumentError("bandwidth", rule, None, "for example the standard deviation of the data")
    return median

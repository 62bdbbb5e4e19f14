"""Noise from one Brownian path a sample, so that finer grids refine the same path."""

import math
from collections.abc import Iterator
from typing import Final

import attrs
import numpy as np
import torch
from torch import Tensor

from deis.diffusion.noise import SampleNoise, check_samples, seeds_of
from deis.errors import ArgumentError
from deis.integrators.plan import Draw

_REACH: Final = 2**11  # the path is known for log times in (-_REACH, _REACH)
_LEVELS: Final = 38  # bisections
_GRAIN: Final = 2.0**-26  # 2 * _REACH / 2^_LEVELS = 1.5e-8 in log time
_KEY: Final = 2**63  # apart from the keys of SampleNoise, which are below


@attrs.frozen
class BrownianNoise:
    """Standard normal noise whose draws are increments of one Brownian path B a seed.

    A draw of the span (v0, v1) is (B(e^v1) - B(e^v0)) over the root of its variance, so that solutions on finer and
    finer grids are those of one path. Draws without a span are as those of :class:`SampleNoise`. Times are told apart
    to 1.5e-8 in their logarithm.

    The path is a virtual tree: Y(v) = e^{-v/2} B(e^v) is a stationary Ornstein-Uhlenbeck process, of which the value
    in the middle of two known ones d apart from it is normal, with their mean over cosh(d / 2) as mean and
    variance tanh(d / 2); each is drawn from the seed and its place in the tree, and nothing is kept.

    >>> noise = BrownianNoise([7])
    >>> whole, first, second = (noise(Draw(0, span), torch.zeros(1, 3)) for span in [(0, 2), (0, 1), (1, 2)])
    >>> e = math.e  # increments add up
    >>> bool((whole * (e**2 - 1) ** 0.5 - first * (e - 1) ** 0.5 - second * (e**2 - e) ** 0.5).abs().max() < 1e-6)
    True
    """

    seeds: tuple[int, ...] = attrs.field(converter=seeds_of)

    def initial(
        self, shape: tuple[int, ...], dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> Tensor:
        """Noise to start from, shape ``(len(seeds), *shape)``; that of :class:`SampleNoise`."""
        return SampleNoise(self.seeds).initial(shape, dtype, device)

    def __call__(self, draw: Draw, x: Tensor) -> Tensor:
        """Noise in the shape, dtype and device of ``x``, whose first axis runs over the seeds.

        :raises ArgumentError: if ``x`` has another number of samples, or for a span that is empty or out of reach.
        """
        if draw.span is None:
            return SampleNoise(self.seeds)(draw, x)
        check_samples(self.seeds, x)
        start, end = map(_place, draw.span)
        if start == end:
            raise ArgumentError("span", f"must be longer than {_GRAIN:.1e}", draw.span)
        shape = tuple(x.shape[1:])
        rows = [_increment(seed, start, end, shape) for seed in self.seeds]
        return torch.from_numpy(np.stack(rows)).to(x.device, x.dtype, non_blocking=True)


def _place(v: float) -> int:
    """Number of the time in the finest level of the tree, 1 to 2^_LEVELS - 1."""
    if not abs(v) < _REACH:
        raise ArgumentError("span", f"must lie between the log times -{_REACH} and {_REACH}", v)
    last: int = 2**_LEVELS - 1
    return min(max(round((v + _REACH) / _GRAIN), 1), last)


def _increment(seed: int, start: int, end: int, shape: tuple[int, ...]) -> np.ndarray:
    """The normalised increment of B: of Y_late - e^{-d/2} Y_early over the root of 1 - e^{-d}, with its direction."""
    early, late = sorted((start, end))
    decay = -(late - early) * _GRAIN
    value: np.ndarray = _path(seed, late, shape) - math.exp(decay / 2) * _path(seed, early, shape)
    value /= math.copysign(math.sqrt(-math.expm1(decay)), end - start)
    return value


def _path(seed: int, place: int, shape: tuple[int, ...]) -> np.ndarray:
    """Y at a place of the finest level, by bisection from both ends."""
    low, high = _normal(seed, 0, 0, shape), _normal(seed, 0, 1, shape)
    for level, node, upper in _descent(place):
        half = _REACH / 2 ** (level - 1)  # distance of the middle to both ends
        middle: np.ndarray = (low + high) * (0.5 / math.cosh(min(half / 2, 700.0)))
        middle += math.sqrt(math.tanh(half / 2)) * _normal(seed, level, node, shape)
        if upper is None:
            return middle
        low, high = (middle, high) if upper else (low, middle)
    raise AssertionError("every place is the middle of an interval of the tree")


def _descent(place: int) -> Iterator[tuple[int, int, bool | None]]:
    """Level (from 1), number, and the half to go on with (None at the place itself) of each interval on the way."""
    for level in range(1, _LEVELS + 1):
        size = 2 ** (_LEVELS - level + 1)  # finest places in an interval of this level
        node, rest = divmod(place, size)
        yield level, node, None if rest == size // 2 else rest > size // 2


def _normal(seed: int, level: int, node: int, shape: tuple[int, ...]) -> np.ndarray:
    key = np.array([seed, _KEY + level], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, node])).standard_normal(shape)

"""Noise that depends on the seed of a sample and the number of the draw, and on nothing else."""

from collections.abc import Iterable

import attrs
import numpy as np
import torch
from torch import Tensor

from deis.errors import ArgumentError
from deis.fields import as_integer, is_integer
from deis.integrators.plan import Draw


def seeds_of(values: Iterable[int]) -> tuple[int, ...]:
    """Seeds of samples, checked.

    :raises ArgumentError: unless they are whole numbers, at least one.
    """
    given = values.tolist() if isinstance(values, Tensor) else values
    if not isinstance(given, Iterable):
        raise ArgumentError("seeds", "must be a row of whole numbers", values, "for example range(16)")
    seeds = tuple(map(as_integer, given))
    for seed in seeds:
        if not is_integer(seed) or not 0 <= seed < 2**63:
            raise ArgumentError("seeds", "must be whole numbers from 0 to 2^63 - 1", seed)
    if not seeds:
        raise ArgumentError("seeds", "must hold at least one seed", seeds)
    return seeds


def check_samples(seeds: tuple[int, ...], x: Tensor) -> None:
    """Refuse a state that does not hold one sample a seed."""
    if x.dim() < 1 or len(x) != len(seeds):
        raise ArgumentError("x", f"must hold {len(seeds)} samples, one a seed", tuple(x.shape))


@attrs.frozen
class SampleNoise:
    """Standard normal noise keyed by (seed of the sample, number of the draw).

    A sample's noise does not depend on its batch, its place in it, the device, or the precision (beyond rounding).

    >>> first = SampleNoise([7]).initial((2,))
    >>> bool((SampleNoise([5, 7]).initial((2,))[1] == first[0]).all())
    True
    """

    seeds: tuple[int, ...] = attrs.field(converter=seeds_of)

    def initial(
        self, shape: tuple[int, ...], dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> Tensor:
        """Noise to start from, shape ``(len(seeds), *shape)``."""
        return self._draw(0, tuple(shape)).to(device, dtype)

    def __call__(self, draw: Draw, x: Tensor) -> Tensor:
        """Noise in the shape, dtype and device of ``x``, whose first axis runs over the seeds.

        :raises ArgumentError: if ``x`` has another number of samples.
        """
        check_samples(self.seeds, x)
        return self._draw(draw.number + 1, tuple(x.shape[1:])).to(x.device, x.dtype, non_blocking=True)

    def _draw(self, counter: int, shape: tuple[int, ...]) -> Tensor:
        # Philox is counter based: the key names the sample, the high word of the counter the step
        rows = [
            np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, counter])).standard_normal(shape)
            for seed in self.seeds
        ]
        return torch.from_numpy(np.stack(rows))

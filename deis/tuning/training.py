"""How plans are learnt."""

import math
from collections.abc import Callable
from typing import Final

import attrs
from torch import Tensor

from deis.fields import boolean, integer_in, is_callable, number_in

Features = Callable[[Tensor], Tensor]
_RISE: Final = 0.1  # of the iterations


@attrs.frozen
class Training:
    """How a plan is learnt: Adam on the mean logarithm of the samples' errors.

    :param iterations: steps of Adam.
    :param batch: pairs in each.
    :param rate: the largest, which is reached after a tenth of the iterations, since the moments of the first gradients
        are known badly; then it falls as a cosine.
    :param decay: weight of the square of the parameters, which are zero for the analytic plan and counted in units in
        which one of them changes the errors by about as much as they are.
    :param every: iterations between two looks at the pairs set apart.
    :param patience: such looks without progress before learning ends early.
    :param seed: of the order of the pairs.
    :param checkpoint: whether network calls are made again for their gradients instead of kept.
    :param features: a function of states, shape (B, ...) to (B, n), whose errors count, too; None for none.
    :param weight: of those errors.
    """

    iterations: int = attrs.field(default=120, validator=integer_in(1, 1_000_000))
    batch: int = attrs.field(default=64, validator=integer_in(1, 1_000_000))
    rate: float = attrs.field(default=0.08, validator=number_in(0, open_low=True))
    decay: float = attrs.field(default=1e-3, validator=number_in(0))
    every: int = attrs.field(default=10, validator=integer_in(1, 1_000_000))
    patience: int = attrs.field(default=8, validator=integer_in(1, 1_000_000))
    seed: int = attrs.field(default=0, validator=integer_in(0, 2**63 - 1))
    checkpoint: bool = attrs.field(default=False, validator=boolean)
    features: Features | None = attrs.field(default=None, validator=attrs.validators.optional(is_callable))
    weight: float = attrs.field(default=1.0, validator=number_in(0))

    def rate_of(self, iteration: int) -> float:
        """The rate of an iteration, from 0."""
        rise = min(1.0, (iteration + 1) / (1 + _RISE * self.iterations))
        return self.rate * rise * (1 + math.cos(math.pi * iteration / self.iterations)) / 2

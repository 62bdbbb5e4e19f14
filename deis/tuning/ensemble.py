"""What a plan is tuned for: solutions of an ODE from the initial states of seeds."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import attrs
import torch
from torch import Tensor

from deis.diffusion.noise import SampleNoise
from deis.diffusion.ode import ProbabilityFlowODE
from deis.diffusion.shortened import shortened
from deis.errors import ArgumentError
from deis.fields import integer_in, is_callable, is_number, sample_shape
from deis.odes.base import SemilinearODE

OdeOf = Callable[[Sequence[int]], SemilinearODE]
"""From the seeds of a batch to its ODE."""

BATCH: Final = 128


@attrs.frozen(eq=False)
class Ensemble:
    """Initial states by seed, and the ODE that each batch of them follows.

    :param ode_of: the ODE of the samples of some seeds; only what it is conditioned on may differ.
    :param initial_of: initial states of seeds, at the start of the ODE's domain, shape (len(seeds), ...), double
        precision; a state depends on its own seed only.
    :param dtype: precision in which plans run.
    :param batch: most samples at a time.

    >>> from deis import DiagonalODE
    >>> ode = DiagonalODE(-1.0, lambda t, x: torch.sin(x))
    >>> ensemble = Ensemble(lambda seeds: ode, lambda seeds: SampleNoise(seeds).initial((3,), torch.float64))
    >>> [len(seeds) for seeds in ensemble.split(range(300))]
    [128, 128, 44]
    """

    ode_of: OdeOf = attrs.field(validator=is_callable)
    initial_of: Callable[[Sequence[int]], Tensor] = attrs.field(validator=is_callable)
    dtype: torch.dtype = torch.float64
    batch: int = attrs.field(default=BATCH, validator=integer_in(1, 1_000_000))

    @property
    def ode(self) -> SemilinearODE:
        """The ODE of one sample, whose linear part and clocks are those of all."""
        return self.ode_of([0])

    def split(self, seeds: Sequence[int]) -> Iterator[Sequence[int]]:
        """The seeds of each batch."""
        return (seeds[i : i + self.batch] for i in range(0, len(seeds), self.batch))


def samples(
    ode: ProbabilityFlowODE | Callable[[Sequence[int]], ProbabilityFlowODE],
    shape: Sequence[int],
    *,
    data: Tensor | None = None,
    strength: float = 1.0,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    batch: int = BATCH,
) -> Ensemble:
    """Samples of a diffusion model: one a seed, with guidance and conditions as they are in the ODE.

    :param ode: the probability-flow ODE, or a function that makes that of the samples of some seeds.
    :param shape: shape of one sample.
    :param data: images that are noised and sampled from there (image-to-image), shape (n, *shape): that of seed s is
        number s modulo n.
    :param strength: share of the time from data to noise at which sampling begins; 1 is noise.
    :param dtype: precision of the states.
    :raises ArgumentError: for a shape that is none, data of another one, and a strength that is not in (0, 1], or
        below 1 without data.
    """
    ode_of = _by_seed(ode, strength, data)
    whole = _checked(shape, data)

    def initial_of(seeds: Sequence[int]) -> Tensor:
        one = ode_of(seeds)
        alpha, sigma = one.marginal(torch.tensor(one.domain[0], dtype=torch.float64))
        noise = SampleNoise(seeds).initial(whole, torch.float64, device) * float(sigma)
        if data is None:
            return noise
        return noise + float(alpha) * data[[seed % len(data) for seed in seeds]].to(noise)

    return Ensemble(ode_of, initial_of, dtype, batch)


def _checked(shape: Any, data: Any) -> tuple[int, ...]:
    sizes = sample_shape(shape)
    if not sizes:
        raise ArgumentError("shape", "must be the shape of one sample", shape, "for example (3, 32, 32)")
    if data is None:
        return sizes
    if not isinstance(data, Tensor) or data.shape[1:] != sizes or not data.numel():
        rule = f"must be a tensor of shape (n, {', '.join(map(str, sizes))}), n above 0"
        raise ArgumentError("data", rule, tuple(data.shape) if isinstance(data, Tensor) else type(data).__name__)
    return sizes


def _by_seed(ode: Any, strength: float, data: Tensor | None) -> Callable[[Sequence[int]], ProbabilityFlowODE]:
    if not is_number(strength) or not 0 < strength <= 1:
        raise ArgumentError("strength", "must be a number above 0 and at most 1", strength)
    if strength < 1 and data is None:
        raise ArgumentError("strength", "must be 1 without data to start from", strength, "give data")
    if not isinstance(ode, SemilinearODE) and not callable(ode):
        fix = "for example deis.zoo.load('digits').ode(3)"
        raise ArgumentError(
            "ode", "must be a ProbabilityFlowODE, or a function from seeds to one", type(ode).__name__, fix
        )

    def ode_of(seeds: Sequence[int]) -> ProbabilityFlowODE:
        found: Any = ode if isinstance(ode, SemilinearODE) else ode(seeds)
        start, end = found.domain
        whole: ProbabilityFlowODE = found
        return whole if strength == 1 else shortened(whole, end + strength * (start - end))

    return ode_of

"""The log-density of data under the probability-flow ODE, by the instantaneous change of variables."""

import math
from collections.abc import Iterable
from typing import Final

import attrs
import torch
from torch import Tensor

from deis.diffusion.noise import SampleNoise
from deis.diffusion.ode import ProbabilityFlowODE
from deis.diffusion.route import deterministic_route
from deis.errors import ArgumentError, UnknownNameError
from deis.fields import as_integer, is_integer, is_number
from deis.grids import GridFamily, Times
from deis.integrators.base import Integrator
from deis.integrators.plan import Draw, Plan
from deis.odes.divergence import DivergenceODE

DIVERGENCES: Final = ("exact", "hutchinson")

_NFE: Final = 36
_PROBES: Final = 2**32  # steps of this number and above are probes; no sampler takes so many
_MOST_PROBES: Final = 100_000


@attrs.frozen(eq=False)
class Likelihood:
    """What :func:`log_likelihood` returns."""

    log_density: Tensor
    """Log-density of each sample in nats, shape (B,), float64."""
    latents: Tensor
    """States at the noisy end, shape ``(B, *shape)``."""
    nfe: int
    """Network calls; the reverse passes for the divergence come on top."""

    def bits_per_dim(self, bin_width: float = 1.0) -> Tensor:
        """-log2 p / d - log2 ``bin_width`` of each sample, shape (B,), float64.

        Data in bins of width w have the probability P = int p over the bin of d dimensions, and for x uniform in the
        bin (uniform dequantisation) Jensen's inequality gives log P >= E log p(x) + d log w: the mean over such x is
        an upper bound of -log2 P / d (arXiv 1511.01844, section 3.1). 256 grey levels on [-1, 1] have w = 2 / 256,
        which adds 7 bits; the 17 levels of the digits have w = 1/8, which adds 3.

        :param bin_width: distance between neighbouring values of the data; 1 adds nothing.
        :raises ArgumentError: if it is not a number above 0.
        """
        if not is_number(bin_width) or bin_width <= 0:
            raise ArgumentError("bin_width", "must be a number above 0", bin_width)
        return -self.log_density / (self.latents[0].numel() * math.log(2)) - math.log2(bin_width)


def log_likelihood(
    ode: ProbabilityFlowODE,
    x: Tensor,
    *,
    nfe: int | None = None,
    integrator: Integrator | Plan | str = "rhork-kutta3:clock=vp_t",
    grid: GridFamily | Times | str = "vp-t2",
    divergence: str = "exact",
    probes: int = 1,
    seeds: Iterable[int] | None = None,
) -> Likelihood:
    """The log-density of data under a model, without gradients.

    The ODE is solved from data to noise together with the divergence of its right-hand side f:
    log p(x) = log N(x_T; 0, sigma_T^2 I) + int_{t_min}^{t_max} div f dt (arXiv 2011.13456, eq. 39;
    eq. :eq:`likelihood` of the theory page). It is the density at ``t_min``, where the data carry noise of level
    sigma(t_min).

    The divergence is counted from the ``v`` splitting, whose linear part is the whole ODE for data of variance 1: only
    what differs from that is left to the solver.

    :param ode: the probability-flow ODE of a model.
    :param x: data, float32 or float64, shape ``(B, *shape)``.
    :param nfe: number of network calls; None for 36, or for as many as the given times take, or as a method that
        chooses its own steps makes.
    :param integrator: a deterministic integrator, or the name of a registered one. On Gaussian data Kutta's method is
        three times more accurate in the clock ``vp_t`` than in ``rho`` (``rhork-kutta3``).
    :param grid: a grid family, its name, or times from noise to data, which are gone through backwards.
    :param divergence: ``exact`` takes one reverse pass through the network for each dimension, ``hutchinson`` one a
        probe, and is unbiased but for what the solver does with its noise.
    :param probes: random signs a sample for ``hutchinson``.
    :param seeds: one a sample, for the probes: a sample's estimate depends on its own seed only. None for 0, 1, ...
    :raises ArgumentError: for stochastic methods, for budgets that cannot be made, and for half precision.

    >>> from deis import GaussianMixture, VPLinear
    >>> ode = GaussianMixture(torch.zeros(1, 2), std=1.0).ode(VPLinear())
    >>> result = log_likelihood(ode, torch.zeros(1, 2))
    >>> result.log_density.round(decimals=2), result.nfe  # -log(2 pi)
    (tensor([-1.8400], dtype=torch.float64), 36)
    """
    route = deterministic_route(ode, nfe, integrator, grid, default=_NFE).reversed()
    _check(x, divergence)
    vectors = _signs(x, probes, seeds) if divergence == "hutchinson" else None
    first, last = route.times.times[0], route.times.times[-1]
    augmented = DivergenceODE(ode.split("v"), x.shape[1:], first, vectors)
    with torch.no_grad():
        solution = route.solve(augmented, augmented.join(x))
    latents, integral = augmented.parts(solution.x, last)
    _, sigma = ode.marginal(torch.tensor(last, dtype=torch.float64))
    return Likelihood(_log_normal(latents, float(sigma)) + integral, latents, solution.nfe)


def _log_normal(x: Tensor, sigma: float) -> Tensor:
    """log N(x; 0, sigma^2 I), shape (B,), float64."""
    flat = x.double().reshape(len(x), -1) / sigma
    return -(flat**2).sum(1) / 2 - flat.shape[1] * math.log(math.sqrt(2 * math.pi) * sigma)


def _signs(x: Tensor, probes: int, seeds: Iterable[int] | None) -> Tensor:
    """Rademacher vectors, shape ``(probes, *x.shape)``."""
    count = as_integer(probes)
    if not is_integer(count) or not 1 <= count <= _MOST_PROBES:
        raise ArgumentError("probes", f"must be a whole number from 1 to {_MOST_PROBES}", probes)
    noise = SampleNoise(range(len(x)) if seeds is None else seeds)
    if len(noise.seeds) != len(x):
        raise ArgumentError("seeds", f"must be {len(x)}, one a sample", len(noise.seeds))
    return torch.stack([noise(Draw(_PROBES + number), x).sign() for number in range(count)])


def _check(x: Tensor, divergence: str) -> None:
    if not isinstance(x, Tensor) or x.dtype not in (torch.float32, torch.float64) or x.dim() < 1 or not x.numel():
        got = f"{x.dtype} of shape {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise ArgumentError(
            "x", "must be a float32 or float64 tensor of shape (B, *shape), not empty", got, "try x.float()"
        )
    if divergence not in DIVERGENCES:
        raise UnknownNameError("divergence", divergence, DIVERGENCES)

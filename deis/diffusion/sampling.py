"""Sampling: noise of given seeds, a grid for a budget of network calls, and one solve."""

import operator
from collections.abc import Iterable
from typing import Any

import torch

from deis.diffusion.noise import SampleNoise
from deis.diffusion.ode import ProbabilityFlowODE
from deis.diffusion.route import plan_route
from deis.errors import ArgumentError
from deis.grids import GridFamily, Times
from deis.integrators.base import Integrator
from deis.solve import Solution

_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def sample(
    ode: ProbabilityFlowODE,
    shape: Iterable[int],
    seeds: Iterable[int],
    *,
    nfe: int | None = None,
    integrator: Integrator | str = "tab3",
    grid: GridFamily | Times | str = "t2",
    keep_states: bool = False,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Solution:
    """Draw one sample a seed, without gradients.

    :param ode: the probability-flow ODE of a model.
    :param shape: shape of one sample.
    :param seeds: one seed a sample; a sample depends on its own seed only.
    :param nfe: number of network calls, which is kept exactly; None for 10, or for as many as the given times take, or
        as a method that chooses its own steps makes.
    :param integrator: an integrator, or the name of a registered one.
    :param grid: a grid family, its name, or times from noise to data.
    :param dtype: float16, bfloat16, float32 or float64.
    :raises ArgumentError: if the method cannot make ``nfe`` calls; the nearest numbers are named.

    >>> from deis import EDM, GaussianMixture
    >>> ode = GaussianMixture(torch.zeros(1, 2), std=1.0).ode(EDM())
    >>> solution = sample(ode, (2,), range(5), nfe=8, grid="rho7")
    >>> solution.x.shape, solution.nfe
    (torch.Size([5, 2]), 8)
    """
    if dtype not in _DTYPES:
        raise ArgumentError("dtype", "must be float16, bfloat16, float32 or float64 of torch", dtype)
    route = plan_route(ode, nfe, integrator, grid)
    noise, one = SampleNoise(seeds), _shape(shape)
    _, sigma = ode.marginal(route.times.tensor()[0])
    with torch.no_grad():
        start = noise.initial(one, dtype, device) * float(sigma)
        return route.solve(ode, start, noise=noise, keep_states=keep_states)


def _shape(shape: Any) -> tuple[int, ...]:
    try:
        sizes = tuple(map(operator.index, shape))
    except TypeError:
        sizes = (-1,)
    if any(size < 1 for size in sizes):
        rule = "must be the shape of one sample, a whole number above 0 an axis"
        raise ArgumentError("shape", rule, shape, "for example (3, 32, 32)")
    return sizes

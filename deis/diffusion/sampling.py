"""Sampling: noise of given seeds, a grid for a budget of network calls, and one solve."""

from collections.abc import Iterable

import torch

from deis.diffusion.noise import SampleNoise
from deis.diffusion.ode import ProbabilityFlowODE
from deis.errors import ArgumentError, DeisError
from deis.grids import GridFamily, make_grid
from deis.integrators.base import INTEGRATORS, BlackBox, Integrator
from deis.solve import Solution, solve


def sample(
    ode: ProbabilityFlowODE,
    shape: tuple[int, ...],
    seeds: Iterable[int],
    *,
    nfe: int | None = 10,
    integrator: Integrator | str = "tab3",
    grid: GridFamily | str = "t2",
    keep_states: bool = False,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Solution:
    """Draw one sample a seed, without gradients.

    :param ode: the probability-flow ODE of a model.
    :param shape: shape of one sample.
    :param seeds: one seed a sample; a sample depends on its own seed only.
    :param nfe: number of network calls, which is kept exactly; None for methods that choose it themselves.
    :param integrator: an integrator, or the name of a registered one.
    :param grid: a grid family, or its name.
    :raises ArgumentError: if the method cannot make ``nfe`` calls; the nearest numbers are named.

    >>> from deis import EDM, GaussianMixture
    >>> ode = GaussianMixture(torch.zeros(1, 2), std=1.0).ode(EDM())
    >>> solution = sample(ode, (2,), range(5), nfe=8, grid="rho7")
    >>> solution.x.shape, solution.nfe
    (torch.Size([5, 2]), 8)
    """
    method = INTEGRATORS.create(integrator) if isinstance(integrator, str) else integrator
    noise = SampleNoise(seeds)
    if isinstance(method, BlackBox):
        if nfe is not None:
            raise ArgumentError("nfe", f"must be None for {method!r}, which chooses its own steps", nfe)
        intervals = 1
    elif nfe is None:
        raise ArgumentError("nfe", f"must be given for {method!r}", nfe, "for example nfe=10")
    else:
        intervals = method.intervals_for(nfe)
    times = make_grid(grid)(ode, intervals)
    _, sigma = ode.marginal(torch.tensor(ode.domain[0], dtype=torch.float64))
    with torch.no_grad():
        start = noise.initial(shape, dtype, device) * float(sigma)
        solution = solve(ode, start, times, method, noise=noise, keep_states=keep_states)
    if nfe is not None and solution.nfe != nfe:
        raise DeisError(f"{method!r} made {solution.nfe} network calls where {nfe} were asked for")
    return solution

"""Sampling: noise of given seeds, a grid for a budget of network calls, and one solve."""

from collections.abc import Iterable

import torch

from deis.diffusion.gaussian_start import GaussianStart
from deis.diffusion.noise import SampleNoise
from deis.diffusion.ode import ProbabilityFlowODE
from deis.diffusion.route import plan_route
from deis.errors import ArgumentError
from deis.fields import need, sample_shape
from deis.grids import GridFamily, Times
from deis.integrators.base import Integrator
from deis.integrators.plan import Plan
from deis.solve import Solution

_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def sample(
    ode: ProbabilityFlowODE,
    shape: Iterable[int],
    seeds: Iterable[int],
    *,
    nfe: int | None = None,
    integrator: Integrator | Plan | str = "default",
    grid: GridFamily | Times | str = "default",
    start: GaussianStart | None = None,
    denoise: bool = False,
    keep_states: bool = False,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Solution:
    """Draw one sample a seed, without gradients.

    :param ode: the probability-flow ODE of a model.
    :param shape: shape of one sample.
    :param seeds: one seed a sample; a sample depends on its own seed only.
    :param nfe: number of network calls, which is kept exactly; None for 10, or for as many as the given times or the
        plan take, or as a method that chooses its own steps makes.
    :param integrator: an integrator, the name of a registered one, or a plan, which brings its own times.
    :param grid: a grid family, its name, or times from noise to data; left out with a plan.
    :param start: makes the first part of the way in closed form, down to its own ``until``, where the grid starts.
    :param denoise: let the last of the ``nfe`` calls replace the state at the end by the prediction of the data there.
    :param dtype: float16, bfloat16, float32 or float64.
    :raises ArgumentError: if the method cannot make ``nfe`` calls (the nearest numbers are named), and for a plan that
        was made for another schedule or starts later than at pure noise.

    >>> from deis import EDM, GaussianMixture
    >>> ode = GaussianMixture(torch.zeros(1, 2), std=1.0).ode(EDM())
    >>> solution = sample(ode, (2,), range(5), nfe=8, grid="rho7")
    >>> solution.x.shape, solution.nfe
    (torch.Size([5, 2]), 8)
    """
    if dtype not in _DTYPES:
        raise ArgumentError("dtype", "must be float16, bfloat16, float32 or float64 of torch", dtype)
    if start is not None:
        need("start", start, GaussianStart)
    rest = ode if start is None else start.rest(ode)
    route = plan_route(rest, nfe, integrator, grid, denoise=denoise)
    first = route.times.times[0]
    if start is not None and first != start.until:
        raise ArgumentError("grid", f"must begin at {start.until}, where the start ends", first)
    noise, one = SampleNoise(seeds), sample_shape(shape)
    _, sigma = ode.marginal(torch.tensor(first if start is None else ode.domain[0], dtype=torch.float64))
    with torch.no_grad():
        x = noise.initial(one, dtype, device) * float(sigma)
        x = x if start is None else start.state(ode, x)
        return route.solve(rest, x, noise=noise, keep_states=keep_states)

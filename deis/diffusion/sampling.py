"""Sampling: noise of given seeds, a grid for a budget of network calls, and one solve."""

import operator
from collections.abc import Iterable
from typing import Any

import torch

from deis.diffusion.noise import SampleNoise
from deis.diffusion.ode import ProbabilityFlowODE
from deis.errors import ArgumentError, DeisError
from deis.fields import as_integer
from deis.grids import GridFamily, TimeGrid, Times, make_grid
from deis.integrators.base import BlackBox, Integrator, as_integrator
from deis.integrators.plan import Plan
from deis.odes.base import SemilinearODE
from deis.solve import Solution, solve

_NFE = 10
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
    _check_ode(ode)
    if dtype not in _DTYPES:
        raise ArgumentError("dtype", "must be float16, bfloat16, float32 or float64 of torch", dtype)
    method, noise, one = _method(integrator), SampleNoise(seeds), _shape(shape)
    times, calls = _times(ode, method, as_integer(nfe), grid)
    _, sigma = ode.marginal(times.tensor()[0])
    with torch.no_grad():
        start = noise.initial(one, dtype, device) * float(sigma)
        solution = solve(ode, start, times, method, noise=noise, keep_states=keep_states)
    if calls is not None and solution.nfe != calls:
        raise DeisError(f"{method!r} made {solution.nfe} network calls where {calls} were asked for")
    return solution


def _check_ode(ode: Any) -> None:
    if isinstance(ode, SemilinearODE):
        return
    fix = ""
    if isinstance(ode, str):
        fix = f"pass deis.zoo.load({ode!r}).ode(label)"
    elif hasattr(ode, "ode"):
        fix = "pass model.ode(label) of a model, mixture.ode(schedule) of a mixture"
    elif callable(ode):
        fix = "pass ProbabilityFlowODE(schedule, network)"
    got = ode if ode is None or isinstance(ode, str) else type(ode).__name__  # the repr of a network can fill pages
    raise ArgumentError("ode", "must be a ProbabilityFlowODE", got, fix)


def _method(integrator: Any) -> Integrator:
    if isinstance(integrator, Plan):
        fix = "pass a plan to deis.solve, with noise=SampleNoise(seeds)"
        raise ArgumentError("integrator", "must be an integrator or the name of one", integrator, fix)
    return as_integrator(integrator)


def _shape(shape: Any) -> tuple[int, ...]:
    try:
        sizes = tuple(map(operator.index, shape))
    except TypeError:
        sizes = (-1,)
    if any(size < 1 for size in sizes):
        rule = "must be the shape of one sample, a whole number above 0 an axis"
        raise ArgumentError("shape", rule, shape, "for example (3, 32, 32)")
    return sizes


def _times(ode: SemilinearODE, method: Integrator, nfe: Any, grid: Any) -> tuple[TimeGrid, int | None]:
    """The times, and the number of network calls that they take; None where the method chooses it."""
    chooses = isinstance(method, BlackBox)
    if chooses and nfe is not None:
        raise ArgumentError("nfe", f"must be None for {method!r}, which chooses its own steps", nfe)
    if isinstance(grid, str | GridFamily) or not isinstance(grid, Iterable):
        calls = None if chooses else _NFE if nfe is None else nfe
        return make_grid(grid)(ode, 1 if calls is None else method.intervals_for(calls)), calls
    times = grid if isinstance(grid, TimeGrid) else TimeGrid(grid)
    if (times.times[0] < times.times[-1]) != (ode.domain[0] < ode.domain[1]):
        raise ArgumentError("grid", "must run from noise to data", times.times, "reverse it")
    calls = None if chooses else method.nfe(times.intervals)
    if nfe is not None and nfe != calls:
        rule = f"must be {calls}, which is what {method!r} makes on these {times.intervals} intervals"
        raise ArgumentError("nfe", rule, nfe, "or leave it out")
    return times, calls

"""Second moments of a model's eps, from which the optimal variances of a sampler follow."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from deis.diffusion.noise import SampleNoise
from deis.diffusion.ode import ProbabilityFlowODE
from deis.errors import ArgumentError
from deis.grids import TimeGrid, Times
from deis.integrators.analytic_ddim import SecondMoments
from deis.integrators.plan import Draw


def second_moments(
    ode: ProbabilityFlowODE, x: Tensor | Sequence[Tensor], times: Times, seeds: Iterable[int] | None = None
) -> SecondMoments:
    """E |eps|^2 / d at each of ``times``, one network call a time.

    From data it is estimated as 1 - E |z - eps|^2 / d, z being the noise that was added: the same number, because eps
    is the mean of z given the state. Variances follow from its distance to 1, which is so known near noise as well.

    :param x: data, shape (B, *state), to which noise is added; or the states of a sampler, one tensor a time, such as
        ``Solution.states``, which are taken as they are.
    :param times: times from noise to data.
    :param seeds: of the noise, one for each datum; None for 0 ... B-1.
    :raises ArgumentError: if there is not one tensor a time.

    >>> from deis import EDM, GaussianMixture
    >>> ode = GaussianMixture(torch.zeros(1, 2), std=2.0).ode(EDM())
    >>> moments = second_moments(ode, 2 * torch.randn(2000, 2), [80.0, 2.0])
    >>> [round(value, 1) for value in moments.values]  # sigma^2 / (4 + sigma^2)
    [1.0, 0.5]
    """
    form, grid = ode.split("eps"), times if isinstance(times, TimeGrid) else TimeGrid(times)
    grid.check_inside(ode.domain)
    if not isinstance(x, Tensor) and len(x) != len(grid):
        raise ArgumentError("x", f"must hold {len(grid)} states, one a time", len(x))
    noise = SampleNoise(range(len(x)) if seeds is None else seeds)
    alpha, sigma = (level.tolist() for level in ode.marginal(grid.tensor()))
    values = []
    with torch.no_grad():
        for n, time in enumerate(grid):
            if isinstance(x, Tensor):
                z = noise(Draw(n), x)
                values.append(1 - _size(z - form.nonlinearity(time, alpha[n] * x + sigma[n] * z)))
            else:
                values.append(_size(form.nonlinearity(time, x[n])))
    return SecondMoments(grid, torch.stack(values).clamp(min=0).tolist())


def _size(x: Tensor) -> Tensor:
    """Mean square of the entries."""
    return x.double().square().mean()

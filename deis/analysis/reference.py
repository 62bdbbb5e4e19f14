"""Converged solutions, with what is known about their own error."""

from typing import Final

import attrs
import torch
from torch import Tensor

from deis.analysis.metrics import rmse
from deis.errors import ArgumentError
from deis.fields import is_integer
from deis.grids import GridFamily, make_grid
from deis.integrators.base import Integrator, as_integrator
from deis.odes.base import SemilinearODE
from deis.solve import solve

FIFTH_ORDER: Final = "polynomial:steps=4:corrector=true:start=runge-kutta"
"""In the clock t, which every ODE has."""


@attrs.frozen(eq=False)
class Reference:
    """What :func:`reference` returns."""

    x: Tensor
    """State at the end of the domain, in float64 or complex128."""
    uncertainty: float
    """RMSE between ``x`` and the solution from half the evaluations, which bounds the error once both converge."""
    nfe: int
    """Evaluations that ``x`` took."""


def reference(
    ode: SemilinearODE,
    x0: Tensor,
    *,
    nfe: int = 240,
    integrator: Integrator | str = FIFTH_ORDER,
    grid: GridFamily | str | None = None,
) -> Reference:
    """Solve over the whole domain to high accuracy, twice, without gradients.

    :param ode: the problem.
    :param x0: state at the start of its domain.
    :param nfe: most evaluations for the finer of the two solutions; the coarser takes half.
    :param integrator: a method of high order.
    :param grid: a grid family, or its name; None for ``vp-t2`` where the ODE has the clock ``vp_t``, else ``t``.
    :raises ArgumentError: if ``nfe`` is too small for two solutions.

    >>> from deis import Bernoulli
    >>> problem = Bernoulli()
    >>> solution = reference(problem.ode, problem.exact(0.0))
    >>> abs(float(solution.x - problem.exact(1.0))) < solution.uncertainty < 1e-8
    True
    """
    method = as_integrator(integrator)
    family = make_grid(("vp-t2" if "vp_t" in ode.clocks else "t") if grid is None else grid)
    if not is_integer(nfe) or nfe < 2:
        raise ArgumentError("nfe", "must be a whole number of at least 2", nfe)
    start = x0.to(torch.promote_types(x0.dtype, torch.float64))
    with torch.no_grad():
        coarse, fine = (
            solve(ode, start, family(ode, method.most_intervals(budget)), method) for budget in (nfe // 2, nfe)
        )
    return Reference(fine.x, rmse(fine.x, coarse.x), fine.nfe)

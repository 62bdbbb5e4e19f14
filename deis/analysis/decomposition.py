"""The error of samples, split into what the solver, the network and the last time of the grid add to it."""

import attrs
import torch
from torch import Tensor

from deis.analysis.metrics import rmse
from deis.analysis.reference import Norm, Reference, reference
from deis.errors import ArgumentError
from deis.fields import need
from deis.grids import TimeGrid, Times, make_grid
from deis.integrators.base import Integrator
from deis.odes.base import SemilinearODE
from deis.problems import InitialValueProblem
from deis.solve import solve


@attrs.frozen
class Decomposition:
    """What :func:`decompose` returns; ``total`` is at most the sum of the three parts (triangle inequality)."""

    total: float
    """Distance of the samples from the data that the exact ODE carries the same noise to."""
    discretisation: float
    """Of the samples from the converged solution with the same network."""
    network: float
    """Of that solution from the exact one at the last time of the grid."""
    truncation: float
    """Of the exact solution there from the exact one at the end of its own domain."""
    uncertainty: float
    """Of the converged solutions; parts below it are not measured."""

    def __str__(self) -> str:
        parts = (self.discretisation, self.network, self.truncation)
        names = ("discretisation", "network", "truncation")
        listed = ", ".join(f"{name} {part:.2g}" for name, part in zip(names, parts, strict=True))
        return f"total {self.total:.2g}: {listed} (known to {self.uncertainty:.1g})"


def decompose(
    ode: SemilinearODE,
    exact: SemilinearODE,
    x0: Tensor,
    times: Times,
    integrator: Integrator | str,
    *,
    norm: Norm = rmse,
    nfe: int = 240,
) -> Decomposition:
    """Split the error of samples of a trained model, for which the exact ODE is known.

    :param ode: the ODE with the network.
    :param exact: the ODE with the exact N, which starts at the same time; it may run further, for example on a
        schedule whose ``t_min`` is smaller.
    :param x0: noise, shape (B, ...).
    :param times: the grid of the samples, over the domain of ``ode``.
    :param integrator: the method that draws the samples.
    :param norm: the distance.
    :param nfe: evaluations of the converged solutions.
    :raises ArgumentError: if the two ODEs do not fit.
    :raises CoarseReferenceError: if the samples are too accurate for ``nfe``.

    >>> from deis import GaussianMixture, PowerGrid, VPLinear
    >>> data, model = (GaussianMixture(torch.zeros(1, 2), std) for std in (0.5, 0.52))  # a network that errs by 4 %
    >>> ode, exact = model.ode(VPLinear()), data.ode(VPLinear(t_min=1e-4))
    >>> parts = decompose(ode, exact, torch.ones(1, 2), PowerGrid(power=2)(ode, 5), "ddim")
    >>> round(parts.network, 3), parts.total < parts.discretisation + parts.network + parts.truncation
    (0.02, True)
    """
    need("ode", ode, SemilinearODE)
    need("exact", exact, SemilinearODE)
    grid = times if isinstance(times, TimeGrid) else TimeGrid(times)
    if exact.domain[0] != ode.domain[0]:
        raise ArgumentError("exact", f"must start at {ode.domain[0]:g}, as ode does", exact.domain[0])
    grid.check_inside(exact.domain)
    if grid.times[0] != ode.domain[0] or grid.times[-1] != ode.domain[1]:
        rule = f"must run over the domain of ode, from {ode.domain[0]:g} to {ode.domain[1]:g}"
        raise ArgumentError("times", rule, (grid.times[0], grid.times[-1]))
    with torch.no_grad():
        samples = solve(ode, x0, grid, integrator).x
    converged = reference(InitialValueProblem(ode, x0), nfe=nfe)
    path, last = _exact_path(InitialValueProblem(exact, x0), grid.times[-1], nfe)
    return Decomposition(
        total=norm(samples, path.x),
        discretisation=converged.error(samples, norm),
        network=norm(converged.x, path.states[last]),
        truncation=norm(path.states[last], path.x),
        uncertainty=max(converged.uncertainty(norm), path.uncertainty(norm)),
    )


def fitting_error(ode: SemilinearODE, exact: SemilinearODE, path: Reference) -> list[float]:
    """RMSE of N of a model along exact solutions, one value a time: the fitting error of arXiv 2204.13902, figure 2.

    :param ode: the ODE with the network.
    :param exact: the ODE with the exact N, of the same splitting.
    :param path: solutions of ``exact``, as :func:`reference` returns them.
    :raises ArgumentError: if the splittings differ.

    >>> from deis import GaussianMixture, VPLinear
    >>> model, data = (GaussianMixture(torch.zeros(1, 2), std).ode(VPLinear()) for std in (0.52, 0.5))
    >>> path = reference(InitialValueProblem(data, torch.ones(1, 2)))
    >>> [round(error, 4) for error in fitting_error(model, data, path)]  # at the start and at the end
    [0.0, 0.0016]
    """
    need("ode", ode, SemilinearODE)
    need("exact", exact, SemilinearODE)
    need("path", path, Reference, "make it by deis.analysis.reference(problem, times)")
    if ode.splitting != exact.splitting:
        raise ArgumentError("exact", f"must have the splitting {ode.splitting!r}, as ode has", exact.splitting)
    with torch.no_grad():
        return [
            rmse(ode.nonlinearity(t, x), exact.nonlinearity(t, x)) for t, x in zip(path.times, path.states, strict=True)
        ]


def _exact_path(problem: InitialValueProblem, last: float, nfe: int) -> tuple[Reference, int]:
    """Solutions on a fine grid over the whole domain that meets the time ``last``, and the place of that time in it."""
    ode = problem.ode
    if ode.domain[1] == last:
        return reference(problem, nfe=nfe), -1
    family = make_grid("vp-t2" if "vp_t" in ode.clocks else "t")
    points = list(family(ode, max(2, nfe // 4)))  # three steps from one to the next, and one for the second solution
    place = min(range(1, len(points) - 1), key=lambda i: abs(points[i] - last))
    points[place] = last
    return reference(problem, points, nfe=nfe), place

"""Time grids made for one integrator, one ODE and one number of evaluations."""

import abc

from deis.fields import need
from deis.grids import TimeGrid, make_grid
from deis.integrators.base import Integrator, as_integrator
from deis.odes.base import SemilinearODE


class GridObjective(abc.ABC):
    """What a good grid is. To add one: subclass, decorate with ``attrs.frozen``, and write :meth:`optimise`."""

    @abc.abstractmethod
    def optimise(self, integrator: Integrator, ode: SemilinearODE, start: TimeGrid) -> TimeGrid:
        """The best grid that is found from ``start``, with as many intervals and the same ends; always the same one."""


def optimise_grid(integrator: Integrator | str, ode: SemilinearODE, nfe: int, objective: GridObjective) -> TimeGrid:
    """A grid over the ODE's domain for ``nfe`` evaluations of ``integrator``.

    :param integrator: an integrator that has a plan, or the name of a registered one.
    :param ode: the problem.
    :param nfe: number of evaluations of N.
    :param objective: what is made small, for example :class:`~deis.tuning.coefficient_bound.CoefficientBound`.
    :raises ArgumentError: if the method cannot make ``nfe`` evaluations; the nearest numbers are named.
    :raises CapabilityError: for methods without a plan, and where the objective needs what the ODE lacks.

    >>> import torch
    >>> from deis import EDM, GaussianMixture
    >>> from deis.tuning.coefficient_bound import CoefficientBound
    >>> ode = GaussianMixture(torch.zeros(1, 2), std=1.0).ode(EDM())
    >>> grid = optimise_grid("tab1", ode, 5, CoefficientBound())
    >>> grid.intervals, (grid.times[0], grid.times[-1]) == ode.domain
    (5, True)
    """
    need("ode", ode, SemilinearODE)
    need("objective", objective, GridObjective, "for example CoefficientBound()")
    method = as_integrator(integrator)
    family = make_grid("default" if "vp_t" in ode.clocks else "t")
    return objective.optimise(method, ode, family(ode, method.intervals_for(nfe)))

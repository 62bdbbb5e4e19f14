"""Grids learnt from pairs of initial states and solutions."""

import attrs

from deis.grids import TimeGrid
from deis.integrators.base import Integrator
from deis.odes.base import SemilinearODE
from deis.tuning.grid import GridObjective
from deis.tuning.learn import learn
from deis.tuning.pairs import Pairs
from deis.tuning.trainable import Trainable
from deis.tuning.training import Training


@attrs.frozen(eq=False)
class GradientFit(GridObjective):
    """Makes the errors at the end small, along the gradient through the plan and the solve (arXiv 2405.15506).

    Only the times are learnt: the coefficients are the integrator's own on them, and N is asked for on the grid.

    :param pairs: what is learnt from; their ODE must be the one that is given.
    :param apart: pairs with other seeds, which choose among the grids on the way.
    :param training: how it is learnt.
    """

    pairs: Pairs = attrs.field(repr=False)
    apart: Pairs = attrs.field(repr=False)
    training: Training = attrs.field(factory=Training)

    def optimise(self, integrator: Integrator, ode: SemilinearODE, start: TimeGrid) -> TimeGrid:
        trainable = Trainable(integrator, ode, start, parts=("grid",))
        return TimeGrid(learn(trainable, self.pairs, self.apart, self.training).plan.times)

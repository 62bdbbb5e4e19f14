"""Exponential Rosenbrock methods: every step is exact in the Jacobian at its start."""

from itertools import pairwise
from typing import ClassVar

import attrs
import torch
from torch import Tensor

from deis.fields import integer_in, name_or, one_of
from deis.integrators.base import INTEGRATORS, Account, Stepping, Steps
from deis.integrators.frames import Evaluate, Frame, Linearisation, Systems
from deis.integrators.phi_steps import phi_steps
from deis.integrators.plan import Step
from deis.numerics.host import on_host
from deis.numerics.rosenbrock_tableaux import ROSENBROCK_TABLEAUX, RosenbrockTableau
from deis.odes.base import SemilinearODE

_LARGEST = 100  # real entries of a system whose Jacobian is a matrix

_register = INTEGRATORS.register


@_register("rosenbrock-euler", tableau="rosenbrock-euler")
@_register("exprb32", tableau="exprb32")
@_register("exprb43", tableau="exprb43")
@attrs.frozen
class ExponentialRosenbrock(Stepping):
    """One-step methods whose linear part is the Jacobian of the whole right-hand side at the start of each step.

    So the stiffness of N itself is treated exactly to first order, and no linear part has to be known. A step takes the
    evaluations of its stages, one more, and a second one if N depends on time. The first of them gives the derivative
    in all directions, too, where the Jacobian is a matrix; else there is one evaluation for each Krylov vector.

    :param tableau: name of a Rosenbrock tableau, or one of your own.
    :param jacobian: ``dense``: a matrix for each system; ``krylov``: products only; ``auto``: ``dense`` for systems of
        up to 100 real entries.
    :param axes: how many of the last axes of the state make one system, the others counting independent systems; None
        for the axes that the linear part acts on, all where it is a number.
    """

    tableau: str | RosenbrockTableau = attrs.field(
        default="exprb43", validator=name_or(RosenbrockTableau, ROSENBROCK_TABLEAUX)
    )
    jacobian: str = attrs.field(default="auto", validator=one_of(["auto", "dense", "krylov"]))
    axes: int | None = attrs.field(default=None, validator=attrs.validators.optional(integer_in(0, 16)))

    chooses_steps: ClassVar[bool] = False
    source = "Hochbruck, Ostermann and Schweitzer, SIAM J. Numer. Anal. 47 (2009)"

    @property
    def method(self) -> RosenbrockTableau:
        """The tableau itself, where the option may be its name."""
        return ROSENBROCK_TABLEAUX[self.tableau] if isinstance(self.tableau, str) else self.tableau

    @property
    def order(self) -> int:  # type: ignore[override]
        return self.method.order

    @property
    def evaluations_per_step(self) -> int:  # type: ignore[override]
        """With an N that depends on time."""
        return self.method.stages + 2

    def frame(self, ode: SemilinearODE, evaluate: Evaluate, start: float, end: float, x: Tensor) -> Frame:
        """The ODE linearised at the state ``x``, for a step from ``start`` to ``end``."""
        axes = (ode.system_axes(x) or x.dim()) if self.axes is None else min(self.axes, x.dim())
        systems = Systems(tuple(x.shape), x.is_complex(), axes)
        dense = systems.size <= _LARGEST if self.jacobian == "auto" else self.jacobian == "dense"
        return Linearisation(ode, evaluate, systems, start, x, end).frame(dense)

    def step(self, ode: SemilinearODE, start: float, end: float) -> Step:
        """The rows of a step of the linearised ODE."""
        with on_host():
            (step,) = phi_steps(self.method, ode, torch.tensor([start, end], dtype=torch.float64))
        return step

    def steps(self, ode: SemilinearODE, evaluate: Evaluate, x0: Tensor, times: Tensor) -> Steps:
        x = x0
        for start, end in pairwise(times.tolist()):
            frame = self.frame(ode, evaluate, start, end, x)
            step = self.step(frame.ode, start, end)
            x = frame.state(frame.combine(step.advance, frame.values(step)))
            yield end, x
        return Account(len(times) - 1)

"""The methods of torchdiffeq, on the ODE as it stands or on its rho form.

Its ``scipy_solver`` is left out: scipy's methods have an adapter of their own.
"""

import abc
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final

import attrs
from torch import Tensor
from torchdiffeq import odeint

from deis.errors import DeisError
from deis.fields import one_of
from deis.integrators.base import INTEGRATORS
from deis.integrators.foreign import Foreign, form, max_nfe, tolerance
from deis.integrators.rhs import RightHandSide

_register = INTEGRATORS.register

ADAPTIVE: Final = ("dopri8", "dopri5", "bosh3", "fehlberg2", "adaptive_heun")
FIXED: Final = ("euler", "midpoint", "heun2", "heun3", "rk4", "explicit_adams", "implicit_adams", "fixed_adams")

_DATA: Final[Mapping[str, tuple[int, int]]] = MappingProxyType(
    {  # order, evaluations per step
        "dopri8": (8, 13),
        "dopri5": (5, 6),
        "bosh3": (3, 3),
        "fehlberg2": (2, 2),
        "adaptive_heun": (2, 1),
        "euler": (1, 1),
        "midpoint": (2, 2),
        "heun2": (2, 2),
        "heun3": (3, 3),
        "rk4": (4, 4),
        "explicit_adams": (4, 1),
        "implicit_adams": (5, 2),
        "fixed_adams": (5, 2),
    }
)


class _TorchDiffEq(Foreign):
    """How torchdiffeq is called."""

    data = _DATA

    def trace(self, slope: RightHandSide, start: Tensor) -> list[Tensor]:
        try:
            values = odeint(slope, start, slope.grid, method=self.method, **self._choices(slope.grid))
        except AssertionError as error:  # "underflow in dt"
            raise DeisError(slope.diagnosis("needs steps below rounding")) from error
        return list(values[1:])

    @abc.abstractmethod
    def _choices(self, grid: Tensor) -> dict[str, Any]:
        """Tolerances and options."""


class _Adaptive(_TorchDiffEq):
    """How the methods that choose their steps are called."""

    rtol: float
    atol: float

    def _choices(self, grid: Tensor) -> dict[str, Any]:
        # step_t keeps the last step from running past the end, where the ODE may not exist
        return {"rtol": self.rtol, "atol": self.atol, "options": {"step_t": grid}}


@_register("dopri5")
@attrs.frozen
class Dopri5(_Adaptive):
    """Adaptive Runge-Kutta 5(4) by torchdiffeq; it chooses its own steps, so that it has tolerances and no budget.

    :param rtol: relative tolerance.
    :param atol: absolute tolerance.
    :param form: ``raw`` integrates x' = L x + G N in t; ``rho`` integrates dv/drho = N for v = Psi(end, t) x,
        which is not stiff, on ODEs that have the clock rho.
    :param max_nfe: number of evaluations at which it gives up.
    """

    rtol: float = tolerance()
    atol: float = tolerance()
    form: str = form()
    max_nfe: int = max_nfe()

    source = "Dormand and Prince (1980); torchdiffeq"

    @property
    def method(self) -> str:
        return "dopri5"


@_register("torchdiffeq-dopri8", method="dopri8")
@_register("torchdiffeq-dopri5", method="dopri5")
@_register("torchdiffeq-bosh3", method="bosh3")
@_register("torchdiffeq-fehlberg2", method="fehlberg2")
@_register("torchdiffeq-adaptive-heun", method="adaptive_heun")
@attrs.frozen
class TorchDiffEq(_Adaptive):
    """Adaptive Runge-Kutta of torchdiffeq: it chooses its own steps, by tolerances, and has gradients.

    ``dopri8`` is Dormand-Prince 8(7), ``dopri5`` 5(4), ``bosh3`` Bogacki-Shampine 3(2), ``fehlberg2`` Fehlberg 2(1);
    ``adaptive_heun`` is Heun 2(1) with one evaluation a step, because a step begins with the value that the one before
    had at its prediction. Errors are some tolerances, those of ``fehlberg2`` some hundred: its estimate is small.

    :param method: name in torchdiffeq.
    :param rtol: relative tolerance.
    :param atol: absolute tolerance.
    :param form: as of :class:`~deis.Dopri5`.
    :param max_nfe: number of evaluations at which it gives up.

    >>> from deis import Bernoulli, solve
    >>> problem = Bernoulli()
    >>> solution = solve(problem.ode, problem.initial, [0, 1], TorchDiffEq("dopri8", rtol=1e-9, atol=1e-9))
    >>> bool((solution.x - problem.exact(1.0)).abs() < 1e-8)
    True
    """

    method: str = attrs.field(validator=one_of(ADAPTIVE))
    rtol: float = tolerance()
    atol: float = tolerance()
    form: str = form()
    max_nfe: int = max_nfe()

    source = "torchdiffeq"


@_register("torchdiffeq-euler", method="euler")
@_register("torchdiffeq-midpoint", method="midpoint")
@_register("torchdiffeq-heun2", method="heun2")
@_register("torchdiffeq-heun3", method="heun3")
@_register("torchdiffeq-rk4", method="rk4")
@_register("torchdiffeq-explicit-adams", method="explicit_adams")
@_register("torchdiffeq-implicit-adams", method="implicit_adams")
@_register("torchdiffeq-fixed-adams", method="fixed_adams")
@attrs.frozen
class TorchDiffEqFixed(_TorchDiffEq):
    """Methods of torchdiffeq whose steps are the intervals of the grid; they have gradients.

    ``rk4`` is Kutta's 3/8 rule. The Adams methods begin with two steps of it, and have the weights of equal steps on
    whatever grid: their order falls to 2 where the steps change smoothly and to 1 where they jump. ``explicit_adams``
    is Adams-Bashforth on four points, where torchdiffeq's own choice, up to eleven, is unstable with steps that resolve
    the solution well. ``implicit_adams``, also called ``fixed_adams``, corrects its result once by Adams-Moulton
    (predict, evaluate, correct, evaluate), where torchdiffeq by itself makes up to four corrections and warns if the
    last two do not agree.

    :param method: name in torchdiffeq.
    :param form: as of :class:`~deis.Dopri5`.
    :param max_nfe: number of evaluations at which it gives up.

    >>> from deis import Bernoulli, make_grid, solve
    >>> problem = Bernoulli()
    >>> solve(problem.ode, problem.initial, make_grid("t")(problem.ode, 10), TorchDiffEqFixed("rk4")).nfe
    40
    """

    method: str = attrs.field(validator=one_of(FIXED))
    form: str = form()
    max_nfe: int = max_nfe()

    chooses_steps: ClassVar[bool] = False
    source = "torchdiffeq"

    def _choices(self, grid: Tensor) -> dict[str, Any]:
        # "max_order" counts the point ahead, too; with this tolerance, which is finite for the sake of complex states,
        # every first correction passes
        return {"atol": 1e30, "options": {"max_order": 5}} if "adams" in self.method else {}

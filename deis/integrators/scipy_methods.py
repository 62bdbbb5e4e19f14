"""The initial value methods of scipy, on the ODE as it stands or on its rho form."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from torch import Tensor

from deis.errors import CapabilityError, DeisError
from deis.fields import one_of
from deis.integrators.base import INTEGRATORS
from deis.integrators.foreign import Foreign, form, max_nfe, tolerance
from deis.integrators.rhs import RightHandSide

_register = INTEGRATORS.register

EXPLICIT: Final = ("RK23", "RK45", "DOP853")
IMPLICIT: Final = ("Radau", "BDF", "LSODA")
LEAST: Final = 100 * float(np.finfo(float).eps)
"""Least relative tolerance that scipy takes."""

_DATA: Final[Mapping[str, tuple[int, int]]] = MappingProxyType(
    {  # order, evaluations per step: of one iteration if it is implicit
        "RK23": (3, 3),
        "RK45": (5, 6),
        "DOP853": (8, 12),
        "Radau": (5, 3),
        "BDF": (5, 1),
        "LSODA": (12, 1),
    }
)


@_register("rk23", method="RK23")
@_register("rk45", method="RK45")
@_register("dop853", method="DOP853")
@_register("radau", method="Radau")
@_register("bdf", method="BDF")
@_register("lsoda", method="LSODA")
@attrs.frozen
class SciPy(Foreign):
    """Adaptive methods of scipy, in double precision on the CPU and without gradients.

    They share nothing with the exponential methods, so that a solution on which both agree can be trusted. ``RK23`` and
    ``RK45`` are Bogacki-Shampine 3(2) and Dormand-Prince 5(4), ``DOP853`` is Dormand-Prince 8(5,3). For stiff equations
    there are the implicit ``Radau`` of order 5, ``BDF`` of orders 1 to 5, and ``LSODA``, which changes between BDF and
    Adams methods of orders 1 to 12 by itself; in scipy's older Fortran it makes one solve at a time, in one thread.

    The implicit ones see the whole state as one real vector, complex numbers by their two parts, and factor a matrix of
    its size. That matrix, the Jacobian of the right-hand side, comes from torch: one evaluation of N, which counts, and
    one reverse pass through it for each entry of the vector, which does not. Where N hides its derivative, as by
    ``detach()``, it is taken for zero; this costs steps, not accuracy.

    :param method: name in scipy.
    :param rtol: relative tolerance; scipy takes none below 2.3e-14.
    :param atol: absolute tolerance.
    :param form: as of :class:`~deis.Dopri5`.
    :param max_nfe: number of evaluations at which it gives up.

    >>> from deis import ProtheroRobinson, solve
    >>> problem = ProtheroRobinson(lam=-1e6)
    >>> solution = solve(problem.ode, problem.initial, [0, 1], SciPy("Radau"))
    >>> bool((solution.x - problem.exact(1.0)).abs() < 1e-5), solution.nfe < 100
    (True, True)
    """

    method: str = attrs.field(validator=one_of((*EXPLICIT, *IMPLICIT)))
    rtol: float = tolerance(LEAST)
    atol: float = tolerance()
    form: str = form()
    max_nfe: int = max_nfe()

    data = _DATA
    differentiable: ClassVar[bool] = False
    source = "Hairer, Norsett and Wanner (1993), section II.10; Hairer and Wanner (1996), section IV.8; scipy"

    def trace(self, slope: RightHandSide, start: Tensor) -> list[Tensor]:
        if start.requires_grad and torch.is_grad_enabled():
            raise CapabilityError(f"{self!r} has no gradients; use dopri5, or call it under torch.no_grad()")
        implicit = self.method in IMPLICIT
        vector = _Vector(start, slope, implicit)
        # Radau and BDF take a mean over the parts of complex numbers, which are twice as many
        share = math.sqrt(0.5) if vector.parts and self.method != "LSODA" else 1.0
        options = {"rtol": max(share * self.rtol, LEAST), "atol": share * self.atol}
        jacobian = {"jac": vector.jacobian} if implicit else {}
        c = slope.grid.numpy()
        with torch.no_grad():
            y = vector.of(start).numpy()
            found = solve_ivp(vector.rate, (c[0], c[-1]), y, self.method, c[1:], **options, **jacobian)
        if not found.success:
            raise DeisError(slope.diagnosis("needs steps below rounding"))
        return [vector.state(torch.from_numpy(y.copy())) for y in found.y.T]


class _Vector:
    """States as vectors of scipy, in double precision; with ``real`` the two parts of complex numbers side by side."""

    def __init__(self, like: Tensor, slope: RightHandSide, real: bool) -> None:
        self._like, self._slope = like, slope
        self._kind = torch.complex128 if like.is_complex() else torch.float64
        self.parts = real and like.is_complex()

    def of(self, x: Tensor) -> Tensor:
        """A vector from a state."""
        x = x.to("cpu", self._kind).resolve_conj().resolve_neg()
        return (torch.view_as_real(x) if self.parts else x).reshape(-1)

    def state(self, y: Tensor) -> Tensor:
        """A state from a vector."""
        x = torch.view_as_complex(y.reshape(-1, 2)) if self.parts else y
        return x.reshape(self._like.shape).to(self._like)

    def rate(self, c: float, y: NDArray[Any]) -> NDArray[Any]:
        """dv/dc."""
        values: NDArray[Any] = self._rate(c, torch.from_numpy(y.copy())).detach().numpy()
        return values

    def jacobian(self, c: float, y: NDArray[Any]) -> NDArray[Any]:
        """Derivative of dv/dc by v, shape (n, n)."""
        matrix: NDArray[Any] = np.zeros((len(y), len(y)))
        with torch.inference_mode(False), torch.enable_grad():
            point = torch.from_numpy(y.copy()).requires_grad_()
            value = self._rate(c, point)
            for row, entry in zip(matrix, value if value.requires_grad else (), strict=False):
                row[:] = torch.autograd.grad(entry, point, retain_graph=True)[0].numpy()
        return matrix

    def _rate(self, c: float, y: Tensor) -> Tensor:
        return self.of(self._slope(torch.tensor(c, dtype=torch.float64), self.state(y)))

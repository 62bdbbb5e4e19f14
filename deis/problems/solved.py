"""Problems with known solutions, to measure integrators on."""

import cmath
import math
from types import MappingProxyType
from typing import Any

import attrs
import torch
from torch import Tensor

from deis.errors import ArgumentError
from deis.fields import integer_in, is_number
from deis.odes.constant import DiagonalODE, as_coefficient, as_domain
from deis.problems.base import PROBLEMS, Recipe, SolvedProblem


def _rate(instance: Any, attribute: Any, value: Any) -> None:
    if (
        not isinstance(value, int | float | complex)
        or isinstance(value, bool)
        or value == 0
        or not cmath.isfinite(value)
    ):
        raise ArgumentError("lam", "must be a finite number other than 0", value)


def _negative(instance: Any, attribute: Any, value: Any) -> None:
    if not is_number(value) or value >= 0:
        raise ArgumentError("lam", "must be a finite number below 0", value)


@PROBLEMS.register("bernoulli")
@PROBLEMS.register("bernoulli-complex", lam=3j)
@attrs.frozen(eq=False)
class Bernoulli(SolvedProblem):
    """x' = -lam x - (1 + t) x^2, x(0) = 1: u = 1/x obeys the linear u' = lam u + 1 + t.

    :param lam: real or complex rate, not 0.
    """

    lam: complex = attrs.field(default=2.0, validator=_rate)
    domain: tuple[float, float] = attrs.field(default=(0.0, 1.0), converter=as_domain)

    @property
    def ode(self) -> DiagonalODE:
        return DiagonalODE(-self.lam, lambda t, x: -(1 + t) * x**2, self.domain)

    def exact(self, t: float) -> Tensor:
        lam = as_coefficient(self.lam)
        particular = (1 + t) / lam + 1 / lam**2  # u = C exp(lam t) - particular
        return 1 / ((1 + 1 / lam + 1 / lam**2) * (lam * t).exp() - particular)


@PROBLEMS.register("prothero-robinson")
@attrs.frozen(eq=False)
class ProtheroRobinson(SolvedProblem):
    """y' = lam (y - g(t)) + g'(t) with g = sin(pi/4 + t), of which y = g is the solution however stiff lam is.

    :param lam: rate, negative.
    """

    lam: float = attrs.field(default=-1e4, validator=_negative)
    domain: tuple[float, float] = attrs.field(default=(0.0, 1.0), converter=as_domain)

    @property
    def ode(self) -> DiagonalODE:
        def source(t: float, x: Tensor) -> Tensor:
            return torch.full_like(x, math.cos(math.pi / 4 + t) - self.lam * math.sin(math.pi / 4 + t))

        return DiagonalODE(self.lam, source, self.domain)

    def exact(self, t: float) -> Tensor:
        return torch.tensor(math.sin(math.pi / 4 + t), dtype=torch.float64)


@PROBLEMS.register("ho1")
@attrs.frozen(eq=False)
class HochbruckOstermann(SolvedProblem):
    """u_t = u_xx + 1/(1 + u^2) + Phi(t, x) on [0, 1] with u = 0 at both ends and solution x (1 - x) e^t.

    Central differences on ``size`` inner points are exact in space for this solution; the discrete sine transform makes
    L diagonal: L_k = -(4 / dx^2) sin^2(k pi dx / 2). The state holds sine coefficients; :meth:`to_points` and
    :meth:`to_sine` change between them and values. Source: Hochbruck and
    Ostermann, SIAM J. Numer. Anal. 43 (2005), section 6.1.

    :param size: number of inner points.
    """

    size: int = attrs.field(default=200, validator=integer_in(1, 100_000))
    domain: tuple[float, float] = attrs.field(default=(0.0, 1.0), converter=as_domain)

    orders = MappingProxyType({"etd1": 1, "etd2rk": 2, "krogstad": 4, "hochbruck-ostermann": 4, "lawson4": 1})

    @property
    def recommended(self) -> Recipe:
        return Recipe("krogstad", 32)

    def values(self, x: Tensor) -> Tensor:
        return self.to_points(x)

    @property
    def axes(self) -> tuple[Tensor, ...]:
        return (self.points,)

    @property
    def points(self) -> Tensor:
        """Inner grid points, shape (size,)."""
        return torch.arange(1, self.size + 1, dtype=torch.float64) / (self.size + 1)

    @property
    def _sines(self) -> Tensor:
        """The symmetric, orthogonal matrix of the discrete sine transform of type I."""
        modes = torch.arange(1, self.size + 1, dtype=torch.float64)
        return (modes[:, None] * self.points * math.pi).sin() * math.sqrt(2 / (self.size + 1))

    def to_points(self, x: Tensor) -> Tensor:
        """Values at the grid points from sine coefficients, along the last axis."""
        return x @ self._sines.to(x)

    def to_sine(self, u: Tensor) -> Tensor:
        """Sine coefficients from values at the grid points, along the last axis."""
        return u @ self._sines.to(u)

    @property
    def ode(self) -> DiagonalODE:
        x, sines, dx = self.points, self._sines, 1 / (self.size + 1)
        modes = torch.arange(1, self.size + 1, dtype=torch.float64)
        linear = -4 / dx**2 * (modes * (math.pi * dx / 2)).sin() ** 2
        bump = x * (1 - x)

        def nonlinearity(t: float, state: Tensor) -> Tensor:
            u = state @ sines.to(state)
            solution = bump * math.exp(t)
            source = solution + 2 * math.exp(t) - 1 / (1 + solution**2)
            return (1 / (1 + u**2) + source.to(state)) @ sines.to(state)

        return DiagonalODE(linear, nonlinearity, self.domain)

    def exact(self, t: float) -> Tensor:
        return self.to_sine(self.points * (1 - self.points) * math.exp(t))

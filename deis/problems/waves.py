"""Waves in one periodic dimension: Burgers', Korteweg-de Vries, Kuramoto-Sivashinsky, nonlinear Schroedinger equation.

States hold coefficients of a :class:`~deis.Fourier` basis, in which L is diagonal.
"""

import abc
import math
from collections.abc import Mapping
from types import MappingProxyType

import attrs
import torch
from torch import Tensor

from deis.fields import boolean, integer_in, number_in
from deis.numerics.constants import Constant
from deis.odes.constant import DiagonalODE, as_domain
from deis.odes.spectral import Fourier
from deis.problems.base import PROBLEMS, Invariant, Problem, Recipe, SolvedProblem
from deis.problems.orders import CLASSICAL

_size = integer_in(2, 2**20)


class _Advection(Problem):
    """u_t = L u - (u^2 / 2)_x for a real periodic field u."""

    domain: tuple[float, float]
    dealias: bool

    @property
    @abc.abstractmethod
    def basis(self) -> Fourier:
        """The basis of the states."""

    @property
    @abc.abstractmethod
    def symbol(self) -> Tensor:
        """L, one number for each mode."""

    @abc.abstractmethod
    def start(self, x: Tensor) -> Tensor:
        """u at the start."""

    @property
    def ode(self) -> DiagonalODE:
        basis, size = self.basis, self.basis.size
        # the transforms are used without their scales, which multiply to size^(3/2)
        factor = Constant(-basis.derivative / (2 * size**1.5) * (basis.dealiasing if self.dealias else 1.0))

        def advection(t: float, state: Tensor) -> Tensor:
            u: Tensor = torch.fft.irfft(state, n=size, norm="forward")
            spectrum: Tensor = torch.fft.rfft(u.square_())
            return spectrum.mul_(factor.like(state))

        return DiagonalODE(self.symbol, advection, self.domain)

    @property
    def initial(self) -> Tensor:
        coefficients = self.basis.to_coefficients(self.start(self.basis.points))
        return coefficients * self.basis.dealiasing if self.dealias else coefficients

    def values(self, x: Tensor) -> Tensor:
        return self.basis.to_values(x)

    @property
    def axes(self) -> tuple[Tensor, ...]:
        return (self.basis.points,)

    @property
    def invariants(self) -> Mapping[str, Invariant]:
        return MappingProxyType({"mass": lambda x: _integral(self.basis, self.values(x))})


def _integral(basis: Fourier, values: Tensor) -> Tensor:
    """Over the period, by the rectangle rule, which is exact for all modes but those that alias to 0."""
    return values.mean(-1) * basis.length


@PROBLEMS.register("burgers")
@attrs.frozen(eq=False)
class Burgers(_Advection):
    """u_t = -(u^2 / 2)_x + viscosity u_xx on [-pi, pi), from exp(-10 sin^2(x / 2)).

    Four points and more make exponential Adams methods unstable at large steps.

    :param size: number of points.
    :param viscosity: factor of u_xx.
    :param dealias: keep the modes below a third of ``size`` only (Orszag's rule), so that products do not alias: for
        fields that ``size`` does not resolve.
    :param domain: times of start and end.

    >>> problem = Burgers(size=64)
    >>> problem.values(problem.initial).shape
    torch.Size([64])
    """

    size: int = attrs.field(default=256, validator=_size)
    viscosity: float = attrs.field(default=0.03, validator=number_in(0))
    dealias: bool = attrs.field(default=False, validator=boolean)
    domain: tuple[float, float] = attrs.field(default=(0.0, 1.0), converter=as_domain)

    recommended = Recipe("krogstad", 100)
    converged = Recipe("hochbruck-ostermann", 1600)
    orders = CLASSICAL

    @property
    def basis(self) -> Fourier:
        return Fourier(self.size, 2 * math.pi, origin=-math.pi)

    @property
    def symbol(self) -> Tensor:
        return self.viscosity * self.basis.laplacian

    def start(self, x: Tensor) -> Tensor:
        return (-10 * (x / 2).sin() ** 2).exp()


@PROBLEMS.register("kdv")
@attrs.frozen(eq=False)
class KortewegDeVries(_Advection):
    """u_t = -u u_x - u_xxx on [-pi, pi), from the sum of two solitons, of heights 3 * 25^2 and 3 * 16^2.

    L is imaginary. Four points and more make exponential Adams methods unstable at large steps.

    Source: Trefethen, Spectral Methods in MATLAB (2000), program 27.

    :param size: number of points.
    :param dealias: keep the modes below a third of ``size`` only (Orszag's rule), so that products do not alias and the
        momentum is kept by modes that ``size`` does not resolve, too.
    :param domain: times of start and end.
    """

    size: int = attrs.field(default=256, validator=_size)
    dealias: bool = attrs.field(default=False, validator=boolean)
    domain: tuple[float, float] = attrs.field(default=(0.0, 1e-3), converter=as_domain)

    recommended = Recipe("krogstad", 800)
    converged = Recipe("hochbruck-ostermann", 12800)
    orders = CLASSICAL

    @property
    def basis(self) -> Fourier:
        return Fourier(self.size, 2 * math.pi, origin=-math.pi)

    @property
    def symbol(self) -> Tensor:
        return -(self.basis.derivative**3)

    def start(self, x: Tensor) -> Tensor:
        return sum((3 * a**2 / (a * (x + place) / 2).cosh() ** 2 for a, place in ((25, 2), (16, 1))), torch.zeros(()))

    @property
    def invariants(self) -> Mapping[str, Invariant]:
        """Mass, momentum (integral of u^2 / 2) and energy (integral of u_x^2 / 2 - u^3 / 6)."""
        basis = self.basis

        def momentum(x: Tensor) -> Tensor:
            return _integral(basis, self.values(x) ** 2 / 2)

        def energy(x: Tensor) -> Tensor:
            slope = basis.to_values(basis.derivative.to(x) * x)
            return _integral(basis, slope**2 / 2 - self.values(x) ** 3 / 6)

        return MappingProxyType({**super().invariants, "momentum": momentum, "energy": energy})


@PROBLEMS.register("ks")
@attrs.frozen(eq=False)
class KuramotoSivashinsky(_Advection):
    """u_t = -u u_x - u_xx - u_xxxx on [0, length), from cos(y) (1 + sin(y)) with y = 2 pi x / length.

    Chaotic: errors grow with time. Four points and more make exponential Adams methods unstable at large steps.

    Source: Kassam and Trefethen, SIAM J. Sci. Comput. 26 (2005), section 4, with length 32 pi.

    :param size: number of points.
    :param length: period.
    :param dealias: keep the modes below a third of ``size`` only (Orszag's rule), so that products do not alias: for
        fields that ``size`` does not resolve.
    :param domain: times of start and end.
    """

    size: int = attrs.field(default=512, validator=_size)
    length: float = attrs.field(default=32 * math.pi, validator=number_in(0, open_low=True))
    dealias: bool = attrs.field(default=False, validator=boolean)
    domain: tuple[float, float] = attrs.field(default=(0.0, 30.0), converter=as_domain)

    recommended = Recipe("krogstad", 300)
    converged = Recipe("hochbruck-ostermann", 4800)
    # with steps of 1/20 to 1/40 of the default domain; on a tenth of it all are those of CLASSICAL
    orders = MappingProxyType({**CLASSICAL, "etd3rk": 2.85, "etdrk4": 3.4})

    @property
    def basis(self) -> Fourier:
        return Fourier(self.size, self.length)

    @property
    def symbol(self) -> Tensor:
        laplacian = self.basis.laplacian
        return -laplacian - laplacian**2

    def start(self, x: Tensor) -> Tensor:
        y = x * (2 * math.pi / self.length)
        return y.cos() * (1 + y.sin())


@PROBLEMS.register("nls")
@attrs.frozen(eq=False)
class NonlinearSchroedinger(SolvedProblem):
    """i psi_t = -psi_xx / 2 - |psi|^2 psi on [-length / 2, length / 2): a bright soliton.

    The solution sech(x - v t) exp(i (v x + (1 - v^2) t / 2)) is that of the whole line: its tails of 4 exp(-length / 2)
    are the error of the period. State and L are complex.

    :param size: number of points.
    :param length: period.
    :param speed: v.
    :param domain: times of start and end.
    """

    size: int = attrs.field(default=512, validator=_size)
    length: float = attrs.field(default=80.0, validator=number_in(0, open_low=True))
    speed: float = attrs.field(default=1.0, validator=number_in(-math.inf))
    domain: tuple[float, float] = attrs.field(default=(0.0, 2.0), converter=as_domain)

    quantity = "psi"
    recommended = Recipe("hochbruck-ostermann", 100)
    converged = Recipe("hochbruck-ostermann", 800)
    orders = CLASSICAL

    @property
    def basis(self) -> Fourier:
        return Fourier(self.size, self.length, origin=-self.length / 2, real=False)

    @property
    def ode(self) -> DiagonalODE:
        factor = 1j / self.size**2  # i, and the scales of the transforms, which are used without

        def self_focusing(t: float, state: Tensor) -> Tensor:
            psi: Tensor = torch.fft.ifft(state, norm="forward")
            spectrum: Tensor = torch.fft.fft((psi * psi).mul_(psi.conj()))
            return spectrum.mul_(factor)

        return DiagonalODE(0.5j * self.basis.laplacian, self_focusing, self.domain)

    def exact(self, t: float) -> Tensor:
        v, half = self.speed, self.length / 2
        y = torch.remainder(self.basis.points - v * t + half, self.length) - half
        phase = v * (y + v * t) + (1 - v**2) * t / 2
        return self.basis.to_coefficients(torch.polar(1 / y.cosh(), phase))

    def values(self, x: Tensor) -> Tensor:
        return self.basis.to_values(x)

    @property
    def axes(self) -> tuple[Tensor, ...]:
        return (self.basis.points,)

    @property
    def invariants(self) -> Mapping[str, Invariant]:
        """Integrals of |psi|^2 (mass), Im conj(psi) psi_x (momentum), |psi_x|^2 / 2 - |psi|^4 / 2 (energy)."""
        basis = self.basis

        def slope(x: Tensor) -> Tensor:
            return basis.to_values(basis.derivative.to(x) * x)

        def mass(x: Tensor) -> Tensor:
            return _integral(basis, self.values(x).abs() ** 2)

        def momentum(x: Tensor) -> Tensor:
            return _integral(basis, (self.values(x).conj() * slope(x)).imag)

        def energy(x: Tensor) -> Tensor:
            return _integral(basis, slope(x).abs() ** 2 / 2 - self.values(x).abs() ** 4 / 2)

        return MappingProxyType({"mass": mass, "momentum": momentum, "energy": energy})

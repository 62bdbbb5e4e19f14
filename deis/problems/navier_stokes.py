"""Incompressible flow in two dimensions."""

import math
from collections.abc import Mapping
from types import MappingProxyType

import attrs
import torch
from torch import Tensor

from deis.fields import number_in, one_of
from deis.numerics.constants import Constant
from deis.odes.constant import DiagonalODE, as_domain
from deis.odes.spectral import Fourier2
from deis.problems.base import PROBLEMS, Invariant, Recipe
from deis.problems.orders import CLASSICAL
from deis.problems.periodic import PeriodicFields, field_size

_WIDTH = math.pi / 15  # of a shear layer
_WAVE = 4  # of the force


@PROBLEMS.register("navier-stokes")
@attrs.frozen(eq=False)
class NavierStokes(PeriodicFields):
    """w_t = -(u, v) . grad w + viscosity lap w + force, the vorticity of a flow on [0, 2 pi)^2, with w = v_x - u_y.

    N is evaluated as (d_yy - d_xx) (u v) + d_xy (u^2 - v^2), which takes four transforms (Basdevant, J. Comput. Phys.
    50 (1983)), and keeps the modes below a third of ``size`` (Orszag's rule): without viscosity and force energy and
    enstrophy are kept. The force is that of Kolmogorov's flow: (forcing sin(4 y), 0).

    :param size: number of points along each axis.
    :param viscosity: factor of lap w, at least 0.
    :param forcing: largest force.
    :param start: ``shear-layers``: two layers that roll up into vortices (Bell, Colella and Glaz, J. Comput. Phys. 85
        (1989)); ``taylor-green``: w = 2 cos x cos y, which only decays where there is no force.
    :param domain: times of start and end.

    >>> problem = NavierStokes(size=16, start="taylor-green")
    >>> float(problem.energy(problem.exact(0.0))), float(problem.enstrophy(problem.exact(0.0)))
    (0.25, 0.5)
    """

    size: int = attrs.field(default=128, validator=field_size)
    viscosity: float = attrs.field(default=2e-3, validator=number_in(0))
    forcing: float = attrs.field(default=0.0, validator=number_in(-math.inf))
    start: str = attrs.field(default="shear-layers", validator=one_of(["shear-layers", "taylor-green"]))
    domain: tuple[float, float] = attrs.field(default=(0.0, 8.0), converter=as_domain)

    orders = CLASSICAL

    quantity = "vorticity"

    @property
    def recommended(self) -> Recipe:
        return Recipe("krogstad", 320)

    @property
    def basis(self) -> Fourier2:
        return Fourier2(self.size)

    @property
    def ode(self) -> DiagonalODE:
        basis, flow = self.basis, Constant(self._flow)
        (dx, dy), y = basis.derivative, basis.points[1]
        products = Constant(torch.stack([dy**2 - dx**2, dx * dy]) * basis.dealiasing)
        curl = -_WAVE * self.forcing * (_WAVE * y).cos().expand(basis.size)
        force = Constant(basis.to_coefficients(curl) * basis.dealiasing)

        def advection(t: float, w: Tensor) -> Tensor:
            u, v = basis.to_values(w[..., None, :, :] * flow.like(w)).unbind(-3)
            stress = basis.to_coefficients(torch.stack([u * v, (u - v) * (u + v)], -3))
            return (stress * products.like(w)).sum(-3) + force.like(w)

        return DiagonalODE(self.viscosity * basis.laplacian, advection, self.domain)

    @property
    def _flow(self) -> Tensor:
        """Multipliers from w to u and v, from the stream function psi with lap psi = -w, u = psi_y, v = -psi_x."""
        dx, dy = self.basis.derivative
        squares = -self.basis.laplacian
        inverse = self.basis.dealiasing / torch.where(squares == 0, 1.0, squares)
        return torch.stack([dy * inverse, -dx * inverse])

    @property
    def initial(self) -> Tensor:
        x, y = self.axes[0][:, None], self.axes[1]
        if self.start == "taylor-green":
            w = 2 * x.cos() * y.cos()
        else:
            layers = [
                _layer(y - math.pi / 2 - turn) - _layer(y - 3 * math.pi / 2 - turn)
                for turn in (-2 * math.pi, 0, 2 * math.pi)
            ]
            w = 0.05 * x.cos() - torch.stack(layers).sum(0)
        return self.basis.to_coefficients(w) * self.basis.dealiasing

    def exact(self, t: float) -> Tensor | None:
        """The decaying vortices of Taylor and Green; None for other flows."""
        if self.start != "taylor-green" or self.forcing:
            return None
        return self.initial * math.exp(-2 * self.viscosity * (t - self.domain[0]))

    def velocity(self, x: Tensor) -> Tensor:
        """u and v at the points, shape (..., 2, size, size)."""
        return self.values(x[..., None, :, :] * self._flow.to(x))

    def energy(self, x: Tensor) -> Tensor:
        """The mean of (u^2 + v^2) / 2, shape (...)."""
        return self.velocity(x).square().sum(-3).mean((-2, -1)) / 2

    def enstrophy(self, x: Tensor) -> Tensor:
        """The mean of w^2 / 2, shape (...)."""
        return self.values(x).square().mean((-2, -1)) / 2

    @property
    def invariants(self) -> Mapping[str, Invariant]:
        """The mean vorticity; energy and enstrophy where neither viscosity nor a force changes them."""
        always: dict[str, Invariant] = {"mean vorticity": lambda x: self.values(x).mean((-2, -1))}
        ideal = {} if self.viscosity or self.forcing else {"energy": self.energy, "enstrophy": self.enstrophy}
        return MappingProxyType(always | ideal)


def _layer(y: Tensor) -> Tensor:
    """The vorticity of a flow that turns around at y = 0."""
    return 1 / (_WIDTH * (y / _WIDTH).cosh() ** 2)

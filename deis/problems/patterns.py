"""Reactions and diffusion on a doubly periodic square, where patterns form."""

import math

import attrs
import torch
from torch import Tensor

from deis.fields import number_in
from deis.numerics.constants import Constant
from deis.odes.constant import DiagonalODE, as_domain
from deis.odes.spectral import Fourier2
from deis.problems.base import PROBLEMS, Recipe
from deis.problems.orders import CLASSICAL
from deis.problems.periodic import PeriodicFields, field_size

_positive = number_in(0, open_low=True)
_TURN = math.pi * (3 - math.sqrt(5))  # the golden angle: its multiples look random


@PROBLEMS.register("allen-cahn-2d")
@attrs.frozen(eq=False)
class AllenCahn2D(PeriodicFields):
    """u_t = eps lap u + u - u^3 on [0, 2 pi)^2: regions of u = 1 and of u = -1 form, and the small ones vanish.

    A wall between two of them is tanh(d / sqrt(2 eps)), d away from it, and moves with eps times its curvature, so that
    a disk of radius r vanishes after r^2 / (2 eps). The start is the sum of the 60 longest waves, in fixed phases.

    Source: Allen and Cahn, Acta Metall. 27 (1979).

    :param size: number of points along each axis.
    :param eps: factor of lap u, above 0.
    :param domain: times of start and end.

    >>> problem = AllenCahn2D(size=16)
    >>> problem.initial.shape, problem.values(problem.initial).shape
    (torch.Size([16, 9]), torch.Size([16, 16]))
    """

    size: int = attrs.field(default=128, validator=field_size)
    eps: float = attrs.field(default=0.01, validator=_positive)
    domain: tuple[float, float] = attrs.field(default=(0.0, 20.0), converter=as_domain)

    orders = CLASSICAL

    @property
    def basis(self) -> Fourier2:
        return Fourier2(self.size)

    @property
    def ode(self) -> DiagonalODE:
        basis = self.basis

        # u belongs to N: as a part of L it would make rounding errors grow that transforms to real fields do not see
        def reaction(t: float, state: Tensor) -> Tensor:
            u = basis.to_values(state)
            return basis.to_coefficients(u - u * u * u)

        return DiagonalODE(self.eps * basis.laplacian, reaction, self.domain)

    @property
    def initial(self) -> Tensor:
        x, y = self.axes
        waves = [(k, m) for k in range(-5, 6) for m in range(6) if (m, k) > (0, 0)]
        parts = [(k * x[:, None] + m * y + j**2 * _TURN).cos() for j, (k, m) in enumerate(waves)]
        return self.basis.to_coefficients(0.05 * torch.stack(parts).sum(0))

    def energy(self, x: Tensor) -> Tensor:
        """The mean of eps |grad u|^2 / 2 + (u^2 - 1)^2 / 4, which only falls; of states (..., *c), shape (...)."""
        u, slopes = self.values(x), [self.values(side.to(x) * x) for side in self.basis.derivative]
        steepness = slopes[0] ** 2 + slopes[1] ** 2
        return (self.eps / 2 * steepness + (u**2 - 1) ** 2 / 4).mean((-2, -1))


@PROBLEMS.register("gray-scott")
@attrs.frozen(eq=False)
class GrayScott(PeriodicFields):
    """u_t = Du lap u - u v^2 + F (1 - u), v_t = Dv lap v + u v^2 - (F + k) v on a periodic square.

    v eats u, which is fed, and is removed: F and k decide whether spots, stripes or waves come of it. States have shape
    (2, size, size // 2 + 1) and L holds all linear terms. The start is u = 1, v = 0 but for five bumps.

    Source: Pearson, Science 261 (1993), with his Du and Dv.

    :param size: number of points along each axis.
    :param length: side of the square.
    :param diffusion_u: Du, at least 0.
    :param diffusion_v: Dv, at least 0.
    :param feed: F, at least 0.
    :param kill: k, at least 0.
    :param domain: times of start and end.

    >>> problem = GrayScott(size=16)
    >>> problem.values(problem.initial).shape, problem.components
    (torch.Size([2, 16, 16]), ('u', 'v'))
    """

    size: int = attrs.field(default=64, validator=field_size)
    length: float = attrs.field(default=1.0, validator=_positive)
    diffusion_u: float = attrs.field(default=2e-5, validator=number_in(0))
    diffusion_v: float = attrs.field(default=1e-5, validator=number_in(0))
    feed: float = attrs.field(default=0.04, validator=number_in(0))
    kill: float = attrs.field(default=0.06, validator=number_in(0))
    domain: tuple[float, float] = attrs.field(default=(0.0, 2000.0), converter=as_domain)

    components = ("u", "v")
    orders = CLASSICAL

    @property
    def recommended(self) -> Recipe:
        return Recipe("krogstad", 1500)

    @property
    def basis(self) -> Fourier2:
        return Fourier2(self.size, self.length)

    @property
    def ode(self) -> DiagonalODE:
        basis = self.basis
        lap = basis.laplacian
        linear = torch.stack([self.diffusion_u * lap - self.feed, self.diffusion_v * lap - (self.feed + self.kill)])
        supply = Constant(basis.to_coefficients(torch.full(basis.size, self.feed, dtype=torch.float64, device="cpu")))

        def reaction(t: float, state: Tensor) -> Tensor:
            u, v = basis.to_values(state).unbind(-3)
            eaten = basis.to_coefficients(u * v * v)
            return torch.stack([supply.like(state) - eaten, eaten], -3)

        return DiagonalODE(linear, reaction, self.domain)

    @property
    def initial(self) -> Tensor:
        x, y = (points / self.length for points in self.axes)
        places = [(0.3, 0.35), (0.62, 0.22), (0.75, 0.6), (0.4, 0.72), (0.12, 0.9)]
        bump = torch.stack([self._bump(x - a)[:, None] * self._bump(y - b) for a, b in places]).sum(0)
        return self.basis.to_coefficients(torch.stack([1 - bump / 2, bump / 4]))

    def _bump(self, x: Tensor) -> Tensor:
        """A smooth periodic bump at 0, of the same width in every square; ``x`` in units of its side."""
        return (-50 * self.length**2 * (math.pi * x).sin() ** 2).exp()

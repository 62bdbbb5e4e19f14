"""Diffusion with reactions in one dimension, with given values at the ends."""

import math

import attrs
import torch
from torch import Tensor

from deis.fields import integer_in, number_in
from deis.numerics.constants import Constant
from deis.odes.chebyshev import Chebyshev
from deis.odes.constant import DenseODE, DiagonalODE, as_domain
from deis.odes.trigonometric import Sine
from deis.problems.base import PROBLEMS, Problem, Recipe
from deis.problems.orders import CLASSICAL


@PROBLEMS.register("allen-cahn")
@attrs.frozen(eq=False)
class AllenCahn(Problem):
    """u_t = eps u_xx + u - u^3 on [-1, 1] with u(-1) = -1 and u(1) = 1, from 0.53 x + 0.47 sin(-3 pi x / 2).

    Collocation at Chebyshev points makes L = eps D^2 + 1 a dense matrix. States are u less the straight line between
    the ends. With the default eps, two of three layers meet and vanish between t = 35 and t = 40.

    Source: Kassam and Trefethen, SIAM J. Sci. Comput. 26 (2005), section 5.

    :param size: number of inner points.
    :param eps: factor of u_xx.
    :param domain: times of start and end.

    >>> problem = AllenCahn(size=20)
    >>> problem.ode.matrix.shape
    torch.Size([20, 20])
    """

    size: int = attrs.field(default=80, validator=integer_in(2, 4096))
    eps: float = attrs.field(default=0.01, validator=number_in(0, open_low=True))
    domain: tuple[float, float] = attrs.field(default=(0.0, 3.0), converter=as_domain)

    recommended = Recipe("krogstad", 100)
    converged = Recipe("hochbruck-ostermann", 1600)
    orders = CLASSICAL

    @property
    def basis(self) -> Chebyshev:
        """The basis of the states."""
        return Chebyshev(self.size, ends=(-1.0, 1.0))

    @property
    def ode(self) -> DenseODE:
        basis = self.basis
        line = Constant(basis.line)

        def reaction(t: float, state: Tensor) -> Tensor:
            rest = line.like(state)
            u = state + rest
            return torch.addcmul(rest, u.square(), u, value=-1)

        matrix = self.eps * basis.laplacian + torch.eye(self.size, dtype=torch.float64, device="cpu")
        return DenseODE(matrix, reaction, self.domain)

    @property
    def initial(self) -> Tensor:
        x = self.basis.points
        return self.basis.to_coefficients(0.53 * x + 0.47 * (-1.5 * math.pi * x).sin())

    def values(self, x: Tensor) -> Tensor:
        return self.basis.to_values(x)

    @property
    def axes(self) -> tuple[Tensor, ...]:
        return (self.basis.points,)


@PROBLEMS.register("brusselator")
@attrs.frozen(eq=False)
class Brusselator(Problem):
    """u_t = A + u^2 v - (B + 1) u + alpha u_xx, v_t = B u - u^2 v + alpha v_xx on [0, 1]: a chemical oscillator.

    At both ends u = A and v = B / A, where the reactions balance; at the start u = A + sin(2 pi x), v = B / A. States,
    of shape (2, size), hold the sine coefficients of what u and v differ from these values by; L is the diffusion.

    Source: Hairer and Wanner, Solving Ordinary Differential Equations II (1996), section IV.10 (BRUSS).

    :param size: number of inner points.
    :param a: A.
    :param b: B.
    :param alpha: factor of the second derivatives.
    :param domain: times of start and end.
    """

    size: int = attrs.field(default=200, validator=integer_in(1, 2**20))
    a: float = attrs.field(default=1.0, validator=number_in(0, open_low=True))
    b: float = attrs.field(default=3.0, validator=number_in(0))
    alpha: float = attrs.field(default=1 / 50, validator=number_in(0))
    domain: tuple[float, float] = attrs.field(default=(0.0, 10.0), converter=as_domain)

    recommended = Recipe("krogstad", 400)
    converged = Recipe("hochbruck-ostermann", 6400)
    orders = CLASSICAL

    @property
    def basis(self) -> Sine:
        """The basis of each component."""
        return Sine(self.size)

    @property
    def ode(self) -> DiagonalODE:
        basis, a, b = self.basis, self.a, self.b

        def reaction(t: float, state: Tensor) -> Tensor:
            w, z = basis.to_values(state).unbind(-2)  # u - a, v - b / a
            u = w + a
            made = u.square() * (z + b / a) - a * b  # u^2 v, less its value in balance
            return basis.to_coefficients(torch.stack([made - (b + 1) * w, b * w - made], dim=-2))

        return DiagonalODE(self.alpha * basis.laplacian, reaction, self.domain)

    @property
    def initial(self) -> Tensor:
        wave = (2 * math.pi * self.basis.points).sin()
        return self.basis.to_coefficients(torch.stack([wave, torch.zeros_like(wave)]))

    def values(self, x: Tensor) -> Tensor:
        balance = torch.tensor([[self.a], [self.b / self.a]], dtype=torch.float64, device="cpu")
        return self.basis.to_values(x) + balance.to(x)

    @property
    def axes(self) -> tuple[Tensor, ...]:
        return (self.basis.points,)

    @property
    def components(self) -> tuple[str, ...]:
        return ("u", "v")

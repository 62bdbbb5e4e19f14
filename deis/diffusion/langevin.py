"""Critically damped Langevin diffusion: the noise enters through a velocity, and the linear part is a matrix."""

import math
from functools import cached_property
from typing import ClassVar

import attrs
import numpy as np
import torch
from torch import Tensor

from deis.diffusion.network_time import NetworkTime
from deis.diffusion.ode import Network, check_network, name_of
from deis.errors import ArgumentError
from deis.fields import number_in
from deis.numerics.lagrange import basis
from deis.numerics.phi import phi
from deis.numerics.quadrature import panel_rule, uniform_edges
from deis.odes.base import SemilinearODE, contract

_POINTS = 20
_PHASE = 2.0  # most a beta dt in a panel


@attrs.frozen(eq=False)
class CriticallyDampedLangevin(SemilinearODE):
    """Probability-flow ODE of CLD (arXiv 2112.07068) with N = eps = -R^T score (gDDIM, arXiv 2206.05564).

    The state has shape (B, 2, ...): axis 1 holds position and velocity. Forward, d(x, v) = F (x, v) dt + G dw with
    F = beta [[0, 1/M], [-1, -Gamma/M]], G G^T = diag(0, 2 Gamma beta) and Gamma = 2 sqrt(M). Sigma is the covariance of
    the state given the data, and R R^T = Sigma with R' = (F + G G^T Sigma^-1 / 2) R, so that eps is constant along the
    solutions for data N(mean, std^2 I): exponential Euler is exact there, as DDIM is for scalar schedules.

    :param network: ``network(x, t)`` with x of shape (B, 2, ...) and t of shape (B,), returning eps in x's shape.
    :param beta: speed of time, > 0.
    :param mass: M > 0.
    :param gamma: the velocity starts as N(0, gamma M), gamma > 0.
    :param std: standard deviation of the position at t = 0 given the data, >= 0.

    >>> from deis import PowerGrid, solve
    >>> ode = CriticallyDampedLangevin(lambda x, t: torch.zeros_like(x))
    >>> solve(ode, torch.zeros(3, 2, 8), PowerGrid()(ode, 10), "tab2").x.shape
    torch.Size([3, 2, 8])
    """

    block_axis: ClassVar[int] = 1

    network: Network = attrs.field(validator=check_network, repr=name_of)
    beta: float = attrs.field(default=4.0, validator=number_in(0, open_low=True))
    mass: float = attrs.field(default=0.25, validator=number_in(0, open_low=True))
    gamma: float = attrs.field(default=0.04, validator=number_in(0, open_low=True))
    std: float = attrs.field(default=0.0, validator=number_in(0))
    t_min: float = attrs.field(default=1e-3, validator=number_in(0, open_low=True))
    t_max: float = attrs.field(default=1.0, validator=number_in(0, open_low=True))

    def __attrs_post_init__(self) -> None:
        if not self.t_min < self.t_max:
            raise ArgumentError("t_max", f"must be above t_min = {self.t_min:g}", self.t_max)

    @property
    def domain(self) -> tuple[float, float]:  # type: ignore[override]
        return self.t_max, self.t_min

    @property
    def splitting(self) -> str:
        return "eps"

    def linear(self, t: Tensor) -> Tensor:
        a = self._rate
        matrix = [[0.0, self.beta * a**2], [-self.beta, -2 * a * self.beta]]
        return torch.tensor(matrix, dtype=torch.float64).expand(*t.shape, 2, 2)

    def transition(self, t: Tensor, s: Tensor) -> Tensor:
        # F = beta (K - a I) with K nilpotent: one double eigenvalue
        a, u = self._rate, self.beta * (t - s)
        return (-a * u).exp()[..., None, None] * _matrix(1 + a * u, a**2 * u, -u, 1 - a * u)

    def weight(self, t: Tensor) -> Tensor:
        # G G^T R^-T / 2 with R = L Q, L lower triangular: one row is not zero
        variance, _, determinant = self._covariance(t)
        scale, angle = 2 * self.beta / self._rate * (variance / determinant).sqrt(), self._angle(t)
        zero = torch.zeros_like(t)
        return _matrix(zero, zero, scale * angle.sin(), scale * angle.cos())

    def nonlinearity(self, t: float, x: Tensor) -> Tensor:
        return self.network(x, NetworkTime()(t, x))

    def covariance(self, t: Tensor) -> Tensor:
        """Sigma of (position, velocity) given the data, shape (n..., 2, 2)."""
        variance, mixed, determinant = self._covariance(t)
        return _matrix(variance, mixed, mixed, (determinant + mixed**2) / variance)

    def factor(self, t: Tensor) -> Tensor:
        """R, shape (n..., 2, 2); lower triangular at ``t_min``."""
        variance, mixed, determinant = self._covariance(t)
        root, angle = variance.sqrt(), self._angle(t)
        lower = _matrix(root, torch.zeros_like(t), mixed / root, determinant.sqrt() / root)
        return lower @ _matrix(angle.cos(), -angle.sin(), angle.sin(), angle.cos())

    def weights(self, s: Tensor, t: Tensor, nodes: Tensor, clock: str = "t") -> Tensor:
        """As in the base class, by Gauss-Legendre in log t, where the kernel is smooth at every scale."""
        hand = self.clock(clock)
        r, w = self._log_rule(s, t)
        kernel = self.compose(self.transition(t[..., None], r), self.weight(r))
        return contract(basis(hand.of(nodes), hand.of(r)) * w[..., None, :], kernel)

    @property
    def _rate(self) -> float:
        """The double eigenvalue of F is -beta times this."""
        return 1 / math.sqrt(self.mass)

    def _covariance(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Sigma_xx, Sigma_xv and det Sigma, of sums without cancellation of leading digits.

        Sigma = P + Q: P is carried from t = 0, and Q = 4/a int_0^u e^{-2as} (a^2 s, 1 - a s) (a^2 s, 1 - a s)^T ds.
        """
        a, u = self._rate, self.beta * t
        decay, velocity = (-2 * a * u).exp(), self.gamma * self.mass
        third = 2 * u**3 * decay * phi(3, 2 * a * u)[3]  # int_0^u e^{-2as} s^2 ds
        q_xx, q_xv, q_vv = 4 * a**3 * third, 2 * a * u**2 * decay, 4 / a * (u * decay + a**2 * third)
        left, right = (1 + a * u, -u), (a**2 * u, 1 - a * u)  # columns of the transition from 0, less its decay
        parts = [(self.std**2, *left), (velocity, *right)]
        xx = q_xx + decay * sum(c * x**2 for c, x, _ in parts)
        xv = q_xv + decay * sum(c * x * v for c, x, v in parts)
        mixed = sum(c * (v**2 * q_xx - 2 * x * v * q_xv + x**2 * q_vv) for c, x, v in parts)
        return xx, xv, q_xx * q_vv - q_xv**2 + decay * mixed + decay**2 * (self.std**2 * velocity)

    def _angle(self, t: Tensor) -> Tensor:
        """Angle of the rotation Q in R = L Q: by R' above, its rate is -a^2 beta sqrt(det Sigma) / Sigma_xx."""
        low, high, table = self._angles
        inside = t.clamp(self.t_min, self.t_max)
        panel = torch.searchsorted(high, inside.detach().log()).clamp(max=len(high) - 1)
        x = (2 * inside.log() - low[panel] - high[panel]) / (high - low)[panel]
        angle = _legendre(table[panel], x)
        angle = angle - torch.where(inside == self.t_min, angle.detach(), 0.0)  # exactly zero, with its slope
        if torch.equal(inside, t):
            return angle
        r, w = self._log_rule(inside, t)
        return angle + (w * self._angle_rate(r)).sum(-1)

    def _angle_rate(self, t: Tensor) -> Tensor:
        variance, _, determinant = self._covariance(t)
        return -(self.beta * self._rate**2) * determinant.sqrt() / variance

    @cached_property
    def _angles(self) -> tuple[Tensor, Tensor, Tensor]:
        """Panels in log t from ``t_min`` to ``t_max``, and the angle on each as a Legendre series on [-1, 1]."""
        with torch.inference_mode(False), torch.no_grad():  # kept for later calls, which may need gradients
            ends = torch.tensor([self.t_min, self.t_max], dtype=torch.float64)
            y = self._log_panels(*ends)
            low, high = y[:-1], y[1:]
            x, w = np.polynomial.legendre.leggauss(_POINTS)
            when = ((high + low)[:, None] + (high - low)[:, None] * torch.from_numpy(x)) / 2
            rate = self._angle_rate(when.exp()) * when.exp() * ((high - low) / 2)[:, None]
            degrees = np.arange(_POINTS)
            series = (rate.numpy() * w) @ np.polynomial.legendre.legvander(x, _POINTS - 1) * (degrees + 0.5)
            table = torch.from_numpy(np.polynomial.legendre.legint(series, lbnd=-1, axis=1))
            total = table.sum(1)  # every Legendre polynomial is 1 at the end of its panel
            table[:, 0] += total.cumsum(0) - total
        return low, high, table

    def _log_rule(self, s: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Nodes and weights of integrals over time from ``s`` to ``t``, shapes (n..., m)."""
        y, w = panel_rule(self._log_panels(s, t), _POINTS)
        return y.exp(), w * y.exp()

    def _log_panels(self, s: Tensor, t: Tensor) -> Tensor:
        """Edges, in log t, of panels short enough for a rule of high order."""
        phase = self._rate * self.beta * (t - s).abs() / _PHASE
        panels = 1 + int(float(((t / s).log().abs() + phase).detach().max()))
        return uniform_edges(s.log(), t.log(), panels)


def _legendre(series: Tensor, x: Tensor) -> Tensor:
    """sum_n series[..., n] P_n(x) by Clenshaw's recurrence."""
    after, now = torch.zeros_like(x), torch.zeros_like(x)
    for n in reversed(range(series.shape[-1])):
        after, now = now, series[..., n] + (2 * n + 1) / (n + 1) * x * now - (n + 1) / (n + 2) * after
    return now


def _matrix(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """[[a, b], [c, d]], shape (n..., 2, 2)."""
    return torch.stack([torch.stack([a, b], -1), torch.stack([c, d], -1)], -2)

"""The abstract semilinear ODE x' = L(t) x + G(t) N(t, x)."""

import abc
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Self

import attrs
import torch
from torch import Tensor

from deis.errors import CapabilityError, DeisError
from deis.numerics.host import on_host
from deis.numerics.lagrange import basis
from deis.numerics.quadrature import doubled

Coefficient = float | complex | Tensor

_NUMBERS = (float, complex, int)  # by them it is quicker to tell a number from a tensor than by Tensor


@attrs.frozen(eq=False)
class Clock:
    """A monotone function of time, with its inverse; both elementwise on float64 tensors."""

    of: Callable[[Tensor], Tensor]
    time: Callable[[Tensor], Tensor]


def _same(t: Tensor) -> Tensor:
    return t


PLAIN_TIME = Clock(_same, _same)


@attrs.frozen(eq=False)
class ConstantForm:
    """An ODE in the variables in which its linear part is constant: x = scale(t) y, dy/dc = L y + N.

    :param combinations: from lengths h (n,), fractions (F,) and numbers a (n, R, V, K, F) the coefficients
        sum_kf a[n, r, v, k, f] phi_k(fractions[f] h[n] L), shape ``(n, R, V, *c)``.
    :param clock: name of the clock c.
    :param scale: scalar function of time, of any shape.
    """

    combinations: Callable[[Tensor, Tensor, Tensor], Tensor]
    clock: str
    scale: Callable[[Tensor], Tensor]


class SemilinearODE(abc.ABC):
    """x'(t) = L(t) x + G(t) N(t, x), of which only N is expensive.

    To write one, subclass, make the class immutable, and supply:

    1. :attr:`domain`: the times at which integration starts and ends, in the direction of use.
    2. :meth:`linear` and, unless it is 1, :meth:`weight`: L and G.
    3. :meth:`transition`: Psi(t, s), the exact flow of x' = L x.
    4. :meth:`nonlinearity`: N. One call is one function evaluation (NFE). Only this method sees the state.

    Times in 2 and 3 are float64 tensors of any shape (n...); coefficients are float64 or complex128 of shape
    ``(n..., *c)``, with c = () for a scalar L, the trailing state shape for a diagonal L, and (d, d) for a matrix L
    acting on the axis :attr:`block_axis` of the state. Everything below the four has a default.
    """

    domain: tuple[float, float]
    block_axis: ClassVar[int | None] = None
    invariant: ClassVar[bool] = False
    """Whether L and G are constant in time, so that coefficients in the clock ``t`` depend on lengths of steps only."""

    @abc.abstractmethod
    def linear(self, t: Tensor) -> Tensor:
        """L(t), shape ``(n..., *c)``."""

    @abc.abstractmethod
    def transition(self, t: Tensor, s: Tensor) -> Tensor:
        """Psi(t, s), shape ``(n..., *c)``, with Psi(t, s) Psi(s, r) = Psi(t, r) and Psi(t, t) = I."""

    @abc.abstractmethod
    def nonlinearity(self, t: float, x: Tensor) -> Tensor:
        """N(t, x), of the shape, dtype and device of ``x``."""

    def weight(self, t: Tensor) -> Tensor:
        """G(t), shape ``(n..., *c)`` or (n...) for a scalar G."""
        return torch.ones_like(t)

    @property
    def clocks(self) -> Mapping[str, Clock]:
        """Named variables in which N may be interpolated; ``t`` is always among them."""
        return {"t": PLAIN_TIME}

    @property
    def splitting(self) -> str:
        """Name of the splitting into L, G and N that this object stands for."""
        return "N"

    def split(self, name: str) -> Self:
        """The same ODE with another L, G and N.

        :raises CapabilityError: if the ODE has no such splitting.
        """
        if name != self.splitting:
            raise CapabilityError(f"{type(self).__name__} has no splitting {name!r}, only {self.splitting!r}")
        return self

    def marginal(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Signal and noise level of the process behind the ODE, for methods that add noise.

        :raises CapabilityError: if there is no such process.
        """
        raise CapabilityError(f"{type(self).__name__} has no scalar signal and noise levels, which this method needs")

    def constant_form(self) -> ConstantForm:
        """The variables in which L is constant, for methods whose coefficients are functions of h L.

        :raises CapabilityError: if there are none.
        """
        raise CapabilityError(f"{type(self).__name__} has no form with a constant linear part, which this method needs")

    def reverse_sde(self, tau: float) -> Self:
        """The drift of a stochastic differential equation with the same marginal distributions, ``tau`` times as noisy.

        :raises CapabilityError: if there is no such equation.
        """
        raise CapabilityError(f"{type(self).__name__} has no reverse SDE, which this method needs")

    def noise_scale(self, t: Tensor, s: Tensor) -> Tensor:
        """Standard deviation of the noise that the SDE adds to the state from ``s`` to ``t``.

        :raises CapabilityError: if this is not the drift of an SDE.
        """
        raise CapabilityError(f"{type(self).__name__} has no noise, which this method needs")

    def brownian(self, t: Tensor) -> Tensor:
        """Logarithm of the time of the Brownian motion B of which that noise is an increment.

        :raises CapabilityError: if this is not the drift of an SDE.
        """
        raise CapabilityError(f"{type(self).__name__} has no noise, which this method needs")

    def linear_action(self, t: float, x: Tensor) -> Tensor:
        """L(t) x."""
        with on_host():
            matrix = self.linear(torch.tensor(t, dtype=torch.float64))
        return self.apply(_like(matrix, x), x)

    def rate(self, t: float) -> Callable[[Tensor, Tensor], Tensor]:
        """The right-hand side L x + G N at time ``t``, from the state and the value of N."""
        with on_host():
            when = torch.tensor(t, dtype=torch.float64)
            matrix, weight = self.linear(when), self.weight(when)
        return lambda x, value: self.apply(_like(matrix, x), x) + self.apply(_like(weight, x), value)

    def apply(self, coefficient: Coefficient, x: Tensor) -> Tensor:
        """Coefficient times state: elementwise, or a contraction over :attr:`block_axis`."""
        if self.block_axis is None or not isinstance(coefficient, Tensor) or coefficient.dim() == 0:
            return coefficient * x
        wide = torch.promote_types(coefficient.dtype, x.dtype)
        with torch.autocast(x.device.type, enabled=False):  # a coefficient is never rounded to half precision
            product: Tensor = torch.tensordot(coefficient.to(wide), x.to(wide), dims=([1], [self.block_axis]))
        return product.movedim(0, self.block_axis)

    def combine(self, coefficients: Sequence[Coefficient], states: Sequence[Tensor]) -> Tensor:
        """sum_i coefficients_i times states_i: what a row of a plan stands for.

        The sum has the dtype and the shape of the first product.
        """
        elementwise = self.block_axis is None
        total = coefficients[0] * states[0] if elementwise else self.apply(coefficients[0], states[0])
        for i in range(1, len(coefficients)):
            coefficient = coefficients[i]
            if isinstance(coefficient, _NUMBERS):
                if coefficient != 0:  # a zero weight must not turn an Inf of an old value into NaN
                    total.add_(states[i], alpha=coefficient)
            elif elementwise:
                total.addcmul_(coefficient, states[i])
            else:
                total.add_(self.apply(coefficient, states[i]))
        return total

    def system_axes(self, x: Tensor) -> int:
        """How many of the last axes of a state the linear part acts on; 0 if it is a number."""
        if self.block_axis is not None:
            return x.dim() - self.block_axis % x.dim() if x.dim() else 0
        with on_host():
            return self.linear(torch.tensor(self.domain[0], dtype=torch.float64)).dim()

    def fits(self, coefficient: torch.Size, state: torch.Size) -> bool:
        """Whether coefficients of one shape can multiply states of another."""
        if self.block_axis is not None:
            inside = -len(state) <= self.block_axis < len(state)
            return len(coefficient) == 2 and inside and coefficient[-1] == state[self.block_axis]
        pairs = zip(reversed(coefficient), reversed(state), strict=False)
        return len(coefficient) <= len(state) and all(size in (1, wanted) for size, wanted in pairs)

    def compose(self, a: Tensor, b: Tensor) -> Tensor:
        """Product of coefficients at the same times: elementwise, of matrices, or of a matrix and a scalar."""
        if self.block_axis is None:
            extra = max(a.dim(), b.dim())
            return _pad(a, extra) * _pad(b, extra)
        return a @ b if b.dim() == a.dim() else a * _pad(b, a.dim())

    def weights(self, s: Tensor, t: Tensor, nodes: Tensor, clock: str = "t") -> Tensor:
        """W_j = int_s^t Psi(t, r) G(r) l_j(r) dr, with l_j the Lagrange basis over ``nodes`` in ``clock``.

        This is eq. :eq:`weights` of the theory page.

        :param s: starts, shape (n,).
        :param t: ends, shape (n,).
        :param nodes: times of the nodes, shape (n, k).
        :returns: shape ``(n, k, *c)``, to 1e-12 of each step's largest integral of absolute values: Gauss-Legendre
            with panels doubled until two results agree.
        :raises DeisError: if they do not agree with 1024 panels.
        """
        hand = self.clock(clock)

        def rule(r: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
            kernel = self.compose(self.transition(t[..., None], r), self.weight(r))
            rows = basis(hand.of(nodes), hand.of(r)) * w[..., None, :]
            value, size = contract(rows, kernel), contract(rows.abs(), kernel.abs())
            return value, size.flatten(1).amax(1).reshape(-1, *[1] * (value.dim() - 1))

        found = doubled(rule, s, t)
        if found is not None:
            return found
        span = f"between t = {float(s[0].detach()):g} and {float(t[-1].detach()):g}"
        raise DeisError(f"the weights of {type(self).__name__} {span} do not converge; override weights")

    def clock(self, name: str) -> Clock:
        """The clock called ``name``.

        :raises CapabilityError: if the ODE has no such clock.
        """
        clocks = self.clocks
        if name not in clocks:
            raise CapabilityError(f"{type(self).__name__} has no clock {name!r}; it has {', '.join(clocks)}")
        return clocks[name]


def contract(weighted_basis: Tensor, kernel: Tensor) -> Tensor:
    """sum_m b[..., k, m] kernel[..., m, *c], shape ``(..., k, *c)``."""
    batch = weighted_basis.dim() - 2
    flat = kernel.flatten(batch + 1) if kernel.dim() > batch + 1 else kernel[..., None]
    total = weighted_basis.to(flat.dtype) @ flat
    return total.reshape(*weighted_basis.shape[:-1], *kernel.shape[batch + 1 :])


def _like(coefficient: Tensor, x: Tensor) -> Tensor:
    """A coefficient in the precision of a state and on its device; numbers stay as they are, complex ones complex."""
    if not coefficient.dim():
        return coefficient
    return coefficient.to(x.device, x.dtype.to_complex() if coefficient.is_complex() else x.dtype)


def _pad(a: Tensor, dim: int) -> Tensor:
    return a.reshape((*a.shape, *[1] * (dim - a.dim())))

"""A constant linear part that is known as a function only: phi functions times vectors by Krylov spaces."""

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, ClassVar

import attrs
import torch
from torch import Tensor

from deis.errors import CapabilityError
from deis.fields import boolean, integer_in, is_callable, number_in
from deis.numerics.krylov import Krylov, Operator
from deis.numerics.lagrange import monomials
from deis.odes.base import Coefficient, ConstantForm, SemilinearODE
from deis.odes.constant import Nonlinearity, as_domain

_MARK = 1.0  # of a row as it was made; a multiple or a sum of coefficients has lost it
_HEAD = 2  # entries of a row before its factors


@attrs.frozen(eq=False)
class KrylovODE(SemilinearODE):
    """x' = L x + N(t, x) with a constant L that is given as a function: stencils, convolutions, Jacobians.

    Its coefficients are coordinates in phi functions: a float64 tensor of shape (F, 2 + K), whose row
    (1, tau, f_0, ..., f_{K-1}) stands for sum_k f_k phi_k(tau L), and which as a whole stands for the sum of its rows.
    :meth:`combine` collects what a row of a plan asks for at each tau and computes it by :class:`Krylov spaces
    <deis.numerics.krylov.Krylov>`, to ``tolerance`` relative to the largest vector in each sample.

    Serves exponential Runge-Kutta and exponential Adams methods. Coefficients cannot be multiplied by each other or by
    numbers, so that methods that do so are refused: explicit Euler, Runge-Kutta methods on the integrating-factor form
    (Lawson), IPNDM, the published moments of multistep methods.

    :param operator: ``operator(x)`` is L x, of the shape, dtype and device of x, and linear.
    :param function: N(t, x).
    :param domain: times of start and end.
    :param symmetric: whether L is symmetric (Hermitian, for complex states) in the plain inner product.
    :param axes: number of last axes of the state that L acts on; those before them count independent samples.
    :param tolerance: relative error of a sum of phi functions times vectors; below that of a step.
    :param most: largest number of vectors kept; where they do not suffice, a step is covered in several substeps.

    >>> from deis import solve
    >>> def laplacian(x):
    ...     return 100 * (x.roll(1, -1) - 2 * x + x.roll(-1, -1))
    >>> ode = KrylovODE(laplacian, lambda t, x: x - x**3, symmetric=True)
    >>> x0 = torch.linspace(-1, 1, 32, dtype=torch.float64).cos().expand(5, 32)
    >>> solve(ode, x0, [0.0, 0.1, 0.2], "krogstad").x.shape
    torch.Size([5, 32])
    """

    invariant: ClassVar[bool] = True

    operator: Operator = attrs.field(repr=False, validator=is_callable)
    function: Nonlinearity = attrs.field(repr=False, validator=is_callable)
    domain: tuple[float, float] = attrs.field(default=(0.0, 1.0), converter=as_domain)
    symmetric: bool = attrs.field(default=False, validator=boolean)
    axes: int = attrs.field(default=1, validator=integer_in(0, 64))
    tolerance: float = attrs.field(default=1e-10, validator=number_in(0, 1, open_low=True, open_high=True))
    most: int = attrs.field(default=100, validator=integer_in(2, 10_000))

    def linear(self, t: Tensor) -> Tensor:
        """Not available.

        :raises CapabilityError: always.
        """
        raise CapabilityError(
            f"{self!r} knows L as a function only and has no matrix; use a method whose coefficients are phi functions "
            "of h L, for example krogstad or exp-adams3"
        )

    def linear_action(self, t: float, x: Tensor) -> Tensor:
        return self.operator(x)

    def rate(self, t: float) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda x, value: self.operator(x) + value

    def nonlinearity(self, t: float, x: Tensor) -> Tensor:
        return self.function(t, x)

    def transition(self, t: Tensor, s: Tensor) -> Tensor:
        h = t - s
        return _rows(h, torch.ones_like(h)[..., None])[..., None, :]

    def weights(self, s: Tensor, t: Tensor, nodes: Tensor, clock: str = "t") -> Tensor:
        """The weights W_j as coordinates, by the formula of constant linear parts.

        :raises CapabilityError: for other clocks than ``t``, which need a quadrature.
        """
        self.clock(clock)
        # with theta = (r - s) / h:  int_0^1 exp((1 - theta) z) theta^k dtheta = k! phi_{k+1}(z)
        h = (t - s)[:, None]
        factorials = torch.tensor([math.factorial(k) for k in range(nodes.shape[1])], dtype=torch.float64)
        factors = monomials((nodes - s[:, None]) / h) * factorials * h[..., None]
        factors = torch.nn.functional.pad(factors, (1, 0))
        return _rows(h.expand(nodes.shape), factors)[..., None, :]

    def constant_form(self) -> ConstantForm:
        return ConstantForm(_combinations, "t", torch.ones_like)

    def compose(self, a: Tensor, b: Tensor) -> Tensor:
        """Not available.

        :raises CapabilityError: always.
        """
        raise CapabilityError(
            f"{self!r} cannot multiply functions of L by each other, as methods on the integrating-factor form and "
            "quadratures ask for; use an exponential Runge-Kutta or exponential Adams method"
        )

    def apply(self, coefficient: Coefficient, x: Tensor) -> Tensor:
        return self.combine([coefficient], [x])

    def system_axes(self, x: Tensor) -> int:
        return self.axes

    def fits(self, coefficient: torch.Size, state: torch.Size) -> bool:
        return len(coefficient) == 2 and len(state) >= self.axes

    def combine(self, coefficients: Sequence[Coefficient], states: Sequence[Tensor]) -> Tensor:
        """sum_i coefficients_i times states_i: one sum of phi functions for each tau.

        :raises CapabilityError: for coefficients that this ODE has not made, or that carry a gradient.
        """
        first = states[0]
        sums: dict[float, dict[int, Tensor]] = {}
        for coefficient, state in zip(coefficients, states, strict=True):
            for tau, factors in self._terms(coefficient):
                for k, factor in enumerate(factors):
                    # a zero weight must not turn an Inf of an old value into NaN
                    if factor != 0:
                        own = sums.setdefault(tau, {})
                        part = factor * state.to(torch.promote_types(first.dtype, state.dtype))
                        own[k] = own[k] + part if k in own else part
        total = torch.zeros_like(first)
        for tau, parts in sums.items():
            vectors = [parts.get(k) for k in range(max(parts) + 1)]
            total = total + self._krylov.phi_sum(self.operator, vectors, tau)
        return total

    def _terms(self, coefficient: Coefficient) -> list[tuple[float, list[Any]]]:
        """(tau, factors of phi_0, phi_1, ...) for each row; a number is itself times phi_0(0)."""
        if not isinstance(coefficient, Tensor) or coefficient.dim() == 0:
            return [(0.0, [coefficient])]
        if coefficient.requires_grad:
            raise CapabilityError(
                f"{self!r} has coefficients without gradients: times and plans cannot be trained; detach them"
            )
        plain = coefficient.real if coefficient.is_complex() else coefficient
        rows: list[list[float]] = plain.double().tolist()
        if any(row[0] != _MARK for row in rows):
            raise CapabilityError(
                f"{self!r} has coefficients that cannot be multiplied by numbers or added, as this method does; use an "
                "exponential Runge-Kutta or exponential Adams method with exact moments"
            )
        return [(row[1], row[_HEAD:]) for row in rows]

    @cached_property
    def _krylov(self) -> Krylov:
        return Krylov(self.axes, self.symmetric, self.tolerance, self.most)


def _rows(tau: Tensor, factors: Tensor) -> Tensor:
    """Rows (1, tau, factors), shape (n..., 2 + K), from shapes (n...) and (n..., K)."""
    return torch.cat([torch.full_like(tau, _MARK)[..., None], tau[..., None], factors], dim=-1)


def _combinations(h: Tensor, fractions: Tensor, numbers: Tensor) -> Tensor:
    """sum_kf numbers[n, r, v, k, f] phi_k(fractions[f] h[n] L) as coordinates, shape (n, R, V, F, 2 + K)."""
    factors = numbers.transpose(-1, -2)
    return _rows((h[:, None] * fractions)[:, None, None].expand(factors.shape[:-1]), factors)

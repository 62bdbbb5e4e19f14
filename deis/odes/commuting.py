"""Semilinear ODEs whose linear part changes with time and commutes with itself: Psi(t, s) = exp(int_s^t L)."""

from collections.abc import Callable
from typing import Any, ClassVar

import attrs
import torch
from torch import Tensor

from deis.errors import ArgumentError, DeisError
from deis.fields import is_callable
from deis.numerics.phi import phi_dense
from deis.numerics.quadrature import doubled
from deis.odes.base import SemilinearODE, contract
from deis.odes.constant import Nonlinearity, as_coefficient, as_domain, brief

Rate = Callable[[Tensor], Tensor]
"""From float64 times of any shape (n...) to real or complex values of shape (n..., \\*c)."""


def _function(instance: Any, attribute: Any, value: Any) -> None:
    if not callable(value):
        raise ArgumentError(attribute.alias, "must be a function of time", value)


@attrs.frozen(eq=False)
class CommutingODE(SemilinearODE):
    """x' = L(t) x + N(t, x) with L(t) a number, or a tensor that multiplies the state elementwise.

    Such L(t) commute with each other, so that Psi(t, s) = exp(I(t) - I(s)) with I an antiderivative of L. The weights
    come from the quadrature of :class:`~deis.SemilinearODE`. Matrices L(t) that do not commute are beyond this class:
    their transition is no exponential of an integral (it would take a Magnus expansion, which is not built). Subclass
    :class:`~deis.SemilinearODE` with your own transition for them.

    :param linear: L, from float64 times of any shape (n...) to values of shape ``(n..., *c)``, real or complex.
    :param integral: I, in the same form; None for Gauss-Legendre quadrature of ``linear``.
    :param function: N(t, x).
    :param domain: times of start and end.
    :raises ArgumentError: if a value of ``linear`` or ``integral`` does not have its times' shape in front, or the two
        have different shapes.

    >>> ode = CommutingODE(lambda t: -t, lambda t: -(t**2) / 2, lambda t, x: torch.cos(x), domain=(0.0, 2.0))
    >>> ode.transition(torch.tensor(2.0, dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64))  # exp(-2)
    tensor(0.1353, dtype=torch.float64)
    """

    _linear: Rate = attrs.field(repr=False, validator=_function)
    _integral: Rate | None = attrs.field(repr=False, validator=attrs.validators.optional(_function))
    function: Nonlinearity = attrs.field(repr=False, validator=is_callable)
    domain: tuple[float, float] = attrs.field(default=(0.0, 1.0), converter=as_domain)

    def __attrs_post_init__(self) -> None:
        _check_rates(self._linear, self._integral, self.domain)

    def linear(self, t: Tensor) -> Tensor:
        return _values("linear", self._linear, t)

    def transition(self, t: Tensor, s: Tensor) -> Tensor:
        return _integrated(self._linear, self._integral, t, s).exp()

    def nonlinearity(self, t: float, x: Tensor) -> Tensor:
        return self.function(t, x)


@attrs.frozen(eq=False)
class CommutingMatrixODE(SemilinearODE):
    """x' = a(t) A x + N(t, x) with a constant square matrix A that acts on the last axis of the state.

    All a(t) A commute, so that Psi(t, s) = exp((I(t) - I(s)) A) with I an antiderivative of a. Otherwise it is
    :class:`CommutingODE`.

    :param matrix: A, shape (d, d).
    :param rate: a, from float64 times to real or complex values of their shape.
    :param integral: I, in the same form; None for Gauss-Legendre quadrature of ``rate``.
    :param function: N(t, x).
    :param domain: times of start and end.
    :raises ArgumentError: if ``matrix`` is not square, or ``rate`` or ``integral`` changes the shape of its times.

    >>> turn = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    >>> ode = CommutingMatrixODE(turn, torch.cos, torch.sin, lambda t, x: x**2)
    >>> ode.transition(torch.tensor(1.0, dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64))[0]
    tensor([0.6664, 0.7456], dtype=torch.float64)
    """

    block_axis: ClassVar[int] = -1

    matrix: Tensor = attrs.field(converter=as_coefficient, repr=brief)
    _rate: Rate = attrs.field(repr=False, validator=_function)
    _integral: Rate | None = attrs.field(repr=False, validator=attrs.validators.optional(_function))
    function: Nonlinearity = attrs.field(repr=False, validator=is_callable)
    domain: tuple[float, float] = attrs.field(default=(0.0, 1.0), converter=as_domain)

    def __attrs_post_init__(self) -> None:
        if self.matrix.dim() != 2 or self.matrix.shape[0] != self.matrix.shape[1]:
            raise ArgumentError("matrix", "must be square", tuple(self.matrix.shape))
        if _check_rates(self._rate, self._integral, self.domain):
            raise ArgumentError("rate", "must be a number at each time", tuple(self._rate(_probe(self.domain)).shape))

    def linear(self, t: Tensor) -> Tensor:
        return _values("rate", self._rate, t)[..., None, None] * self.matrix

    def transition(self, t: Tensor, s: Tensor) -> Tensor:
        return phi_dense(0, _integrated(self._rate, self._integral, t, s)[..., None, None] * self.matrix)[0]

    def nonlinearity(self, t: float, x: Tensor) -> Tensor:
        return self.function(t, x)


def _probe(domain: tuple[float, float]) -> Tensor:
    return torch.linspace(*domain, 3, dtype=torch.float64)


def _check_rates(rate: Rate, integral: Rate | None, domain: tuple[float, float]) -> torch.Size:
    """The shape of a value, which the antiderivative must share."""
    shape = _values("linear", rate, _probe(domain)).shape[1:]
    if integral is not None:
        own = _values("integral", integral, _probe(domain)).shape[1:]
        if own != shape:
            raise ArgumentError("integral", f"must have values of shape {tuple(shape)}, as linear has", tuple(own))
    return shape


def _values(name: str, rate: Rate, t: Tensor) -> Tensor:
    """Values of a function of time, float64 or complex128."""
    value = rate(t)
    if not isinstance(value, Tensor) or value.shape[: t.dim()] != t.shape:
        got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        fix = "for a constant, write torch.full_like(t, c)"
        raise ArgumentError(
            name, f"must give a tensor of shape ({tuple(t.shape)}, *c) for times of {tuple(t.shape)}", got, fix
        )
    return value.to(torch.complex128 if value.is_complex() else torch.float64)


def _integrated(rate: Rate, integral: Rate | None, t: Tensor, s: Tensor) -> Tensor:
    """int_s^t of the rate, shape ``(n..., *c)``."""
    t, s = torch.broadcast_tensors(t, s)  # type: ignore[no-untyped-call]
    if integral is not None:
        return _values("integral", integral, t) - _values("integral", integral, s)
    return _quadrature(rate, s, t)


def _quadrature(rate: Rate, s: Tensor, t: Tensor) -> Tensor:
    """int_s^t of the rate by Gauss-Legendre, with panels doubled until two results agree to 1e-13.

    :raises DeisError: if they do not agree with 1024 panels.
    """

    def rule(r: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        values = _values("linear", rate, r)
        total = contract(w[..., None, :], values).squeeze(s.dim())
        return total, contract(w.abs()[..., None, :], values.abs()).max()

    found = doubled(rule, s, t)
    if found is not None:
        return found
    raise DeisError("the integral of linear does not converge; give integral, an antiderivative in closed form")

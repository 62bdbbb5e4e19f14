"""Sums of phi functions times vectors, sum_k phi_k(tau L) w_k, of an L that is known as a function only."""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial, reduce
from typing import Any

import attrs
import torch
from torch import Tensor

from deis.errors import ArgumentError, CapabilityError, DeisError, NetworkError, NonFiniteError
from deis.fields import boolean, integer_in, number_in
from deis.numerics.krylov_space import Action, Augmented, Space

Operator = Callable[[Tensor], Tensor]
"""From x to L x, of the shape, dtype and device of x."""

_FIRST = 2  # dimension at which the error is looked at
_STRIDE = 2.0  # the most that a substep may be longer than the one before
_MOST_SUBSTEPS = 10_000


@attrs.frozen
class Krylov:
    """How sums of phi functions times vectors are computed.

    The spaces grow until the estimated error is at most ``tolerance`` times the norm of the largest vector, or of the
    result if that is larger, in every sample. General L: one space for the whole sum, by Arnoldi's method on the
    augmented matrix. Symmetric L: one space a vector, by Lanczos' method, in which a new vector is made orthogonal to
    two others only. Where ``most`` vectors do not suffice the interval is divided: the space gives a shorter substep,
    and another one begins at its end. Substeps of a stiff L get longer as the solution gets smooth.

    Sources: Saad, SIAM J. Numer. Anal. 29 (1992); Niesen and Wright, ACM Trans. Math. Softw. 38 (2012), article 22;
    Al-Mohy and Higham, SIAM J. Sci. Comput. 33 (2011).

    :param axes: number of last axes of a vector that L acts on; the axes before them count samples.
    :param symmetric: whether L is symmetric (Hermitian, for complex vectors).
    :param tolerance: relative error; that of rounding in the vectors' precision, if it is larger.
    :param most: largest dimension of a space.

    >>> x = torch.tensor([1.0, 2.0], dtype=torch.float64)
    >>> Krylov().phi_sum(lambda x: -x, [x], 1.0)
    tensor([0.3679, 0.7358], dtype=torch.float64)
    """

    axes: int = attrs.field(default=1, validator=integer_in(0, 64))
    symmetric: bool = attrs.field(default=False, validator=boolean)
    tolerance: float = attrs.field(default=1e-10, validator=number_in(0, 1, open_low=True, open_high=True))
    most: int = attrs.field(default=100, validator=integer_in(2, 10_000))

    def phi_sum(self, operator: Operator, vectors: Sequence[Tensor | None], tau: float) -> Tensor:
        """sum_k phi_k(tau L) vectors[k].

        Gradients with respect to the vectors are as accurate as the sum itself: they are phi_k(tau L^H) times that of
        the sum. Those with respect to what ``operator`` depends on are gradients of the approximation.

        :param operator: L, called with tensors of the vectors' shape.
        :param vectors: tensors of one shape, dtype and device, or None for 0; at least one tensor.
        :returns: shape and dtype of the vectors; NaN if they are not finite.
        :raises NetworkError: if the operator returns another shape or dtype.
        :raises NonFiniteError: if it returns NaN or Inf for finite vectors.
        :raises ArgumentError: if L is not symmetric although it should be.
        :raises CapabilityError: if gradients are wanted that the operator does not let through.
        :raises DeisError: if too many substeps are needed.
        """
        present = [v for v in vectors if v is not None]
        if tau == 0 or not present[0].numel():
            return _total(v / math.factorial(k) for k, v in enumerate(vectors) if v is not None)
        checked = partial(_checked, operator)
        if torch.is_grad_enabled():
            if checked(present[0].detach()).requires_grad:
                return _evaluate(self, checked, vectors, tau)
            if any(v.requires_grad for v in present):
                adjoint = checked if self.symmetric else partial(_adjoint, checked)
                result: Tensor = _Linear.apply(self, checked, adjoint, tau, *vectors)  # type: ignore[no-untyped-call]
                return result
        with torch.no_grad():
            return _evaluate(self, checked, vectors, tau)


def _evaluate(options: Krylov, operator: Operator, vectors: Sequence[Tensor | None], tau: float) -> Tensor:
    like = next(v for v in vectors if v is not None)
    size = math.prod(like.shape[like.dim() - options.axes :])
    flat = [None if v is None else v.reshape(-1, size) for v in vectors]
    lengths = [torch.linalg.vector_norm(v.detach(), dim=1).double() for v in flat if v is not None]
    scale = torch.stack(lengths).amax(0)
    if not bool(scale.isfinite().all()):
        return torch.full_like(like, math.nan)

    def action(x: Tensor) -> Tensor:
        return tau * operator(x.reshape(like.shape)).reshape(x.shape)

    sources = any(v is not None for v in flat[1:])
    total = _one_by_one(options, action, flat, scale) if options.symmetric and sources else None
    if total is None:
        total = _march(options, action, flat, scale)
    return total.reshape(like.shape)


def _one_by_one(options: Krylov, action: Action, flat: Sequence[Tensor | None], scale: Tensor) -> Tensor | None:
    """The sum by a Lanczos space for each vector; None if one of them does not converge."""
    total = None
    for k, v in enumerate(flat):
        if v is not None:
            space = Space(action, v, lanczos=True)
            coordinates = _settle(options, space, k, 1.0, scale)
            if coordinates is None:
                return None
            part = space.vectors(coordinates)
            total = part if total is None else total + part
    return total


def _march(options: Krylov, action: Action, flat: Sequence[Tensor | None], scale: Tensor) -> Tensor:
    """The sum as the value at 1 of the solution of u' = tau L u + sum_k theta^{k-1} / (k-1)! w_k, u(0) = w_0."""
    whole = Augmented(action, flat)
    lanczos = options.symmetric and not whole.sources
    x, at, length, look = whole.initial, 0.0, math.inf, _FIRST
    for _ in range(_MOST_SUBSTEPS):
        left = 1.0 - at
        look = look if left >= length else _FIRST  # a substep of the length of the last one needs as many vectors
        length = min(left, _STRIDE * length)
        space = Space(whole, whole.start(x, at), lanczos=lanczos)
        coordinates = _settle(options, space, 0, length, scale, look)
        look = space.dimension
        while coordinates is None:
            length /= 2
            coordinates = _within(options, space, 0, length, scale)
        x = whole.first(space.vectors(coordinates))
        if length == left:
            return x
        at += length
    raise DeisError(
        f"the Krylov spaces have covered {at:.2g} of the step in {_MOST_SUBSTEPS} substeps of {options.most} vectors: "
        "the step is long for so stiff a linear part; take shorter steps, or raise most or tolerance"
    )


def _settle(options: Krylov, space: Space, k: int, length: float, scale: Tensor, look: int = _FIRST) -> Tensor | None:
    """Coordinates of phi_k times the start, in a space of dimension ``look`` or more; None if none gives them."""
    while True:
        while space.dimension < look:
            space.grow()
        coordinates = _within(options, space, k, length, scale)
        if coordinates is not None or look == options.most:
            break
        look = min(options.most, look + max(2, look // 3))  # a look costs as much as several dimensions
    if space.lanczos and not space.symmetric:
        fix = "or check the inner product in which it should be: sums over the last axes"
        raise ArgumentError("symmetric", "must be False for an operator that is not symmetric", True, fix)
    return coordinates


def _within(options: Krylov, space: Space, k: int, length: float, scale: Tensor) -> Tensor | None:
    """Coordinates of phi_k(length A) times the start; None if their error is too large."""
    coordinates, error = space.coordinates(k, length)
    size = torch.linalg.vector_norm(coordinates.detach(), dim=1)
    tolerance = max(options.tolerance, space.rounding)
    if bool((error <= tolerance * length * torch.maximum(scale, size)).all()):
        return coordinates
    if not bool(error.isfinite().all()) and not bool(space.matrix.isfinite().all()):
        raise NonFiniteError("the operator of the linear part returned NaN or Inf for a finite vector")
    return None


class _Linear(torch.autograd.Function):
    """The sum as a linear function of its vectors, with its adjoint."""

    @staticmethod
    def forward(
        ctx: Any, options: Krylov, operator: Operator, adjoint: Operator, tau: float, *vectors: Tensor | None
    ) -> Tensor:
        ctx.options, ctx.operator, ctx.adjoint, ctx.tau = options, operator, adjoint, tau
        return _evaluate(options, operator, vectors, tau)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        def part(k: int) -> Tensor:
            vectors = *[None] * k, grads[0]
            return _Linear.apply(ctx.options, ctx.adjoint, ctx.operator, ctx.tau, *vectors)  # type: ignore[no-untyped-call, no-any-return]

        needed = ctx.needs_input_grad[4:]
        return None, None, None, None, *(part(k) if some else None for k, some in enumerate(needed))


def _checked(operator: Operator, x: Tensor) -> Tensor:
    value = operator(x)
    if not isinstance(value, Tensor) or value.shape != x.shape or value.dtype != x.dtype:
        got = f"{value.dtype} of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise NetworkError(
            f"the operator of the linear part must return {x.dtype} of shape {tuple(x.shape)}, as its argument is, "
            f"got {got}"
        )
    return value


def _adjoint(operator: Operator, v: Tensor) -> Tensor:
    """L^H v, by a reverse pass through L."""
    with torch.enable_grad():
        x = torch.ones_like(v).requires_grad_()
        value = operator(x)
        if value.requires_grad:
            product: Tensor = torch.autograd.grad(value, x, v)[0]
            return product
    if bool(value.any()):
        raise CapabilityError(
            "gradients need an operator that torch can differentiate; take torch.no_grad() and detach() out of it, or "
            "solve under torch.no_grad()"
        )
    return torch.zeros_like(v)  # L = 0, written as a constant


def _total(parts: Iterable[Tensor]) -> Tensor:
    return reduce(lambda a, b: a + b, parts)

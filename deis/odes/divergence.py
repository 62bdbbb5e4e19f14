"""The divergence along a solution, as one more component of the state, so that every integrator computes it."""

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import attrs
import torch
from torch import Tensor

from deis.errors import ArgumentError, CapabilityError, NetworkError
from deis.fields import is_number, need
from deis.numerics.host import on_host
from deis.odes.base import Clock, ConstantForm, SemilinearODE


def divergence(function: Callable[[Tensor], Tensor], x: Tensor, probes: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """A function's value and its divergence, the trace of its Jacobian, by reverse-mode differentiation.

    One call of the function, then one reverse pass a probe, or without probes one for each entry of a sample. It works
    under ``torch.no_grad()`` and ``torch.inference_mode()``, and what it returns carries no gradient.

    :param function: maps states to values of their shape, each sample by itself.
    :param x: states, shape ``(B, *shape)``.
    :param probes: v with mean 0 and covariance I, shape ``(P, B, *shape)``: the divergence is estimated by the mean of
        v . J v (Hutchinson; arXiv 1810.01367, section 3.1). None for the exact divergence.
    :returns: value, shape ``(B, *shape)``, and divergence, shape (B,).
    :raises ArgumentError: if ``x`` is not real or the probes do not fit it.
    :raises NetworkError: if the value does not fit the state.
    :raises CapabilityError: if torch cannot follow the value back to ``x``.

    >>> value, trace = divergence(lambda x: x**2, torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    >>> trace  # 2 (x_1 + x_2)
    tensor([ 6., 14.])
    """
    _check_states(x, probes)
    with torch.inference_mode(False), torch.enable_grad():
        point = x.detach().clone().requires_grad_()
        value = function(point)
        _check_value(value, x)
        total = torch.zeros(len(x), dtype=x.dtype, device=x.device)
        for vector in _unit_vectors(x) if probes is None else probes:
            (row,) = torch.autograd.grad(value, point, vector.expand_as(x), retain_graph=True, allow_unused=True)
            if row is None:
                raise CapabilityError(_UNTRACEABLE)
            total += (row * vector).reshape(len(x), math.prod(x.shape[1:])).sum(1)
    return value.detach(), total if probes is None else total / len(probes)


def _check_states(x: Any, probes: Any) -> None:
    need("x", x, Tensor)
    if not x.is_floating_point() or not x.dim():
        raise ArgumentError("x", "must be real, of shape (B, *shape)", f"{x.dtype} of shape {tuple(x.shape)}")
    if probes is None:
        return
    need("probes", probes, Tensor, "or None, for the exact divergence")
    if not probes.dim() or not len(probes) or probes.shape[1:] != x.shape or probes.dtype != x.dtype:
        rule = f"must be {x.dtype} of shape (P, {', '.join(map(str, x.shape))})"
        raise ArgumentError("probes", rule, f"{probes.dtype} of shape {tuple(probes.shape)}")


_UNTRACEABLE = (
    "the divergence needs a nonlinearity that torch can differentiate in x, and this value does not depend on x for "
    "it; take torch.no_grad() and detach() out of the network"
)


def _check_value(value: Any, x: Tensor) -> None:
    if not isinstance(value, Tensor) or value.shape != x.shape or value.dtype != x.dtype:
        got = f"{value.dtype} of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise NetworkError(f"the nonlinearity must return {x.dtype} of shape {tuple(x.shape)}, got {got}")
    if not value.requires_grad:
        raise CapabilityError(_UNTRACEABLE)


def _unit_vectors(x: Tensor) -> Iterator[Tensor]:
    """The unit vectors of a sample's space, one at a time."""
    shape = x.shape[1:]
    for i in range(math.prod(shape)):
        vector = torch.zeros(shape, dtype=x.dtype, device=x.device)
        vector.view(-1)[i] = 1
        yield vector


def _scalar(instance: Any, attribute: Any, ode: Any) -> None:
    need("ode", ode, SemilinearODE)
    with on_host():
        t = torch.tensor(ode.domain[0], dtype=torch.float64)
        parts = [ode.linear(t), ode.weight(t)]
    if ode.block_axis is not None or any(part.dim() or part.is_complex() for part in parts):
        shape = " and ".join(f"{part.dtype} of shape {tuple(part.shape)}" for part in parts)
        raise CapabilityError(f"the divergence is carried along ODEs with real scalar L and G; {ode!r} has {shape}")


def _sizes(shape: Any) -> tuple[int, ...]:
    try:
        return tuple(map(operator.index, shape))
    except TypeError:
        raise ArgumentError("shape", "must be the shape of one sample", shape, "for example (3, 32, 32)") from None


def _number(instance: Any, attribute: Any, value: Any) -> None:
    if not is_number(value):
        raise ArgumentError(attribute.name, "must be a finite number", value)


def _same_form(self: "DivergenceODE") -> SemilinearODE:
    return self.ode


@attrs.frozen(eq=False)
class DivergenceODE(SemilinearODE):
    """Any ODE with real scalar L and G, whose state carries the divergence of its right-hand side along the solution.

    With l(t) the integral of G div N from ``start`` to t, m = Psi(t, start) l obeys m' = L m + G [Psi(t, start) div N]:
    it has the L and G of x, so that the state (x, m) belongs to an ODE of the same form, and every integrator and every
    plan of the inner ODE serves it (eq. :eq:`augmented` of the theory page). The linear part's share of the divergence,
    d log Psi(t, start), is exact.

    One evaluation of its N is one of the inner N, and counts as one; the reverse passes of :func:`divergence` come on
    top. Its values carry no gradient.

    :param ode: the inner ODE, with states of shape ``(B, *shape)``.
    :param shape: shape of one sample.
    :param start: time from which the divergence is integrated.
    :param probes: fixed for the whole solve, shape ``(P, B, *shape)``, as :func:`divergence` takes them.
    :raises ArgumentError: if ``ode``, ``shape`` or ``start`` is none.
    :raises CapabilityError: if L or G is not a real scalar.

    >>> from deis import DiagonalODE, solve
    >>> ode = DivergenceODE(DiagonalODE(-1.0, lambda t, x: 0.5 * x), shape=(2,), start=0.0)
    >>> state = solve(ode, ode.join(torch.ones(1, 2)), [0.0, 0.5, 1.0], "rhork-rk4:clock=t").x
    >>> ode.parts(state, 1.0)[1]  # two entries, with -1 + 0.5 each
    tensor([-1.0000], dtype=torch.float64)
    """

    ode: SemilinearODE = attrs.field(validator=_scalar)
    shape: tuple[int, ...] = attrs.field(converter=_sizes)
    start: float = attrs.field(validator=_number)
    probes: Tensor | None = attrs.field(default=None, repr=False)
    _form: SemilinearODE = attrs.field(default=attrs.Factory(_same_form, takes_self=True), repr=False, kw_only=True)

    @property
    def domain(self) -> tuple[float, float]:  # type: ignore[override]
        return self._form.domain

    @property
    def clocks(self) -> Mapping[str, Clock]:
        return self._form.clocks

    @property
    def splitting(self) -> str:
        return self._form.splitting

    def split(self, name: str) -> "DivergenceODE":
        return self if name == self.splitting else attrs.evolve(self, form=self.ode.split(name))

    def linear(self, t: Tensor) -> Tensor:
        return self._form.linear(t)

    def transition(self, t: Tensor, s: Tensor) -> Tensor:
        return self._form.transition(t, s)

    def weight(self, t: Tensor) -> Tensor:
        return self._form.weight(t)

    def weights(self, s: Tensor, t: Tensor, nodes: Tensor, clock: str = "t") -> Tensor:
        return self._form.weights(s, t, nodes, clock)

    def constant_form(self) -> ConstantForm:
        return self._form.constant_form()

    def nonlinearity(self, t: float, state: Tensor) -> Tensor:
        value, trace = divergence(partial(self.ode.nonlinearity, t), self._inner(state), self.probes)
        scale = float(self._scale(t))
        own = torch.cat([value.reshape(len(value), math.prod(self.shape)), scale * trace[:, None]], dim=1)
        if self._form is self.ode:
            return own
        # another splitting of the same x' = L x + G N
        with on_host():
            when = torch.tensor(t, dtype=torch.float64)
            there = self.weight(when)
            a, b = self.ode.weight(when) / there, (self.ode.linear(when) - self.linear(when)) / there
        return float(a) * own + float(b) * state

    def join(self, x: Tensor) -> Tensor:
        """The state at ``start``: samples ``(B, *shape)`` and a divergence of 0, shape (B, d + 1)."""
        need("x", x, Tensor)
        if not x.dim() or x.shape[1:] != self.shape:
            raise ArgumentError("x", f"must have shape (B, *{self.shape})", tuple(x.shape))
        return torch.nn.functional.pad(x.reshape(len(x), math.prod(self.shape)), (0, 1))

    def parts(self, state: Tensor, t: float) -> tuple[Tensor, Tensor]:
        """What a state at time ``t`` holds.

        :returns: x, shape ``(B, *shape)``, and the integral from ``start`` to ``t`` of the divergence of the whole
            right-hand side, shape (B,), float64.
        """
        need("state", state, Tensor, "make it by join(x)")
        scale = self._scale(t).to(state.device)
        return self._inner(state), state[:, -1].double() / scale + math.prod(self.shape) * scale.log()

    def _inner(self, state: Tensor) -> Tensor:
        if state.dim() != 2 or state.shape[1] != math.prod(self.shape) + 1:
            rule = f"must have shape (B, {math.prod(self.shape) + 1}): x flattened, and the divergence"
            raise ArgumentError("state", rule, tuple(state.shape), "make it by join(x)")
        return state[:, :-1].reshape(len(state), *self.shape)

    def _scale(self, t: float) -> Tensor:
        """Psi(t, start) of the inner ODE."""
        with on_host():
            return self.ode.transition(*torch.tensor([t, self.start], dtype=torch.float64))

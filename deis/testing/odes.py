"""What every semilinear ODE must pass."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from deis.errors import CapabilityError, DeisError
from deis.odes.base import Clock, SemilinearODE

_FRACTIONS = (0.05, 0.3, 0.52, 0.9)
_MOST_SHRINKS = 6


class SemilinearODEConformance:
    """What a semilinear ODE must pass. Inherit it and supply the fixture ``ode``.

    Override the fixture ``state`` where a state of shape (2, 3) does not fit. The suite measures over lengths like
    1 / abs(L): for rates above 1e6 give it a domain in which such lengths stand out from the rounding of times.

    >>> import pytest, torch
    >>> from deis import DiagonalODE
    >>> from deis.testing import SemilinearODEConformance
    >>> class TestDecay(SemilinearODEConformance):
    ...     @pytest.fixture
    ...     def ode(self):
    ...         return DiagonalODE(-2.0, lambda t, x: torch.sin(x))
    """

    @pytest.fixture
    def state(self, ode: SemilinearODE) -> Tensor:
        """A state that fits the ODE."""
        kind = torch.complex128 if ode.linear(_times(ode)).is_complex() else torch.float64
        return torch.linspace(-1.0, 1.5, 6, dtype=torch.float64).reshape(2, 3).to(kind)

    def test_its_domain_is_two_times(self, ode: SemilinearODE) -> None:
        start, end = ode.domain
        assert math.isfinite(start)
        assert math.isfinite(end)
        assert start != end

    def test_coefficients_have_the_shape_of_the_times(self, ode: SemilinearODE) -> None:
        t = _times(ode)
        inner = ode.linear(t[0]).shape
        for shape in [(), (4,), (2, 2)]:
            when = t[: math.prod(shape)].reshape(shape)
            assert ode.linear(when).shape == shape + inner
            assert ode.transition(when, when.flip(0) if shape else when).shape == shape + inner
            assert ode.weight(when).shape in (shape, shape + inner)
        kinds = {ode.linear(t).dtype, ode.transition(t, t).dtype, ode.weight(t).dtype}
        assert kinds <= {torch.float64, torch.complex128}

    def test_transition_from_a_time_to_itself_is_the_identity(self, ode: SemilinearODE, state: Tensor) -> None:
        for t in _times(ode):
            torch.testing.assert_close(ode.apply(ode.transition(t, t), state), state, rtol=1e-14, atol=1e-14)

    def test_transitions_compose(self, ode: SemilinearODE) -> None:
        r, s, t = _times(ode)[:3]
        for a, b, c in [(r, s, t), (t, s, r), (r, t, s)]:
            whole = ode.transition(c[None], a[None])
            if not whole.isfinite().all():  # a stiff part that runs backwards
                continue
            parts = ode.compose(ode.transition(c[None], b[None]), ode.transition(b[None], a[None]))
            if parts.isfinite().all():
                torch.testing.assert_close(parts, whole, rtol=1e-9, atol=1e-12)

    def test_transition_is_the_flow_of_the_linear_part(self, ode: SemilinearODE) -> None:
        t = _times(ode)
        linear = ode.linear(t)
        largest = linear.abs().flatten(1).max(1).values if linear.dim() > 1 else linear.abs()
        h = 1e-4 / largest.clamp(min=10 / abs(ode.domain[1] - ode.domain[0]))
        scale = h.reshape(-1, *[1] * (linear.dim() - 1))
        slope = (ode.transition(t + h, t) - ode.transition(t - h, t)) / (2 * scale)
        assert ((slope - linear).abs() * scale).max() <= 1e-9

    def test_weights_are_the_integrals_they_stand_for(self, ode: SemilinearODE) -> None:
        for clock in ode.clocks:
            s, t, nodes, expected = _reference(ode, clock)
            actual = ode.weights(s, t, nodes, clock)
            assert actual.shape == expected.shape
            assert (actual - expected).abs().max() <= 1e-10 * expected.abs().max()

    def test_weights_add_up(self, ode: SemilinearODE) -> None:
        # the interpolating polynomial of a constant is the constant, on any number of nodes
        s, t, nodes, _ = _reference(ode, "t")
        one = ode.weights(s, t, nodes[:, :1])[:, 0]
        for count in (2, 3):
            torch.testing.assert_close(ode.weights(s, t, nodes[:, :count]).sum(1), one, rtol=1e-10, atol=0.0)

    def test_clocks_are_monotone_and_invertible(self, ode: SemilinearODE) -> None:
        assert "t" in ode.clocks
        u = torch.linspace(0.0, 1.0, 33, dtype=torch.float64)
        t = ode.domain[0] + (ode.domain[1] - ode.domain[0]) * u
        for name, clock in ode.clocks.items():
            _check_clock(name, clock, t)

    def test_unknown_names_are_refused(self, ode: SemilinearODE) -> None:
        with pytest.raises(CapabilityError, match=r"no clock 'nonsense'; it has t"):
            ode.clock("nonsense")
        with pytest.raises(DeisError, match="nonsense"):
            ode.split("nonsense")

    def test_its_own_splitting_is_itself(self, ode: SemilinearODE) -> None:
        same = ode.split(ode.splitting)
        assert same.splitting == ode.splitting
        assert torch.equal(same.linear(_times(ode)), ode.linear(_times(ode)))

    def test_apply_is_linear(self, ode: SemilinearODE, state: Tensor) -> None:
        coefficient = ode.transition(_times(ode)[1], _times(ode)[0])
        left = ode.apply(coefficient, 2.0 * state + state**2)
        right = 2.0 * ode.apply(coefficient, state) + ode.apply(coefficient, state**2)
        torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)
        assert torch.equal(ode.apply(2.0, state), 2.0 * state)

    def test_nonlinearity_keeps_shape_and_dtype(self, ode: SemilinearODE, state: Tensor) -> None:
        before = state.clone()
        for t in _times(ode).tolist():
            value = ode.nonlinearity(t, state)
            assert value.shape == state.shape
            assert value.dtype == state.dtype
        assert torch.equal(state, before)

    def test_is_immutable(self, ode: Any) -> None:
        with pytest.raises(AttributeError):
            ode.domain = (0.0, 1.0)


def _times(ode: SemilinearODE) -> Tensor:
    start, end = ode.domain
    return start + (end - start) * torch.tensor(_FRACTIONS, dtype=torch.float64)


def _reference(ode: SemilinearODE, clock: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """An interval, nodes around it, and the weights by the quadrature of the base class.

    The interval shrinks until the quadrature converges: the linear part may be stiff, or have kinks.
    """
    start, end = ode.domain
    s = start + (end - start) * torch.tensor([0.25, 0.6], dtype=torch.float64)
    stiffness = float(ode.linear(s).abs().max()) * abs(end - start)
    for shrinks in range(_MOST_SHRINKS):
        h = (end - start) * min(0.2, 50 / max(stiffness, 1.0)) * 10.0**-shrinks
        nodes = torch.stack([s, s - h * 0.7, s - h * 1.1, s + h], dim=1)
        try:
            return s, s + h, nodes, SemilinearODE.weights(ode, s, s + h, nodes, clock)
        except DeisError:
            continue
    raise AssertionError(f"no interval on which the weights of {ode!r} converge")


def _check_clock(name: str, clock: Clock, t: Tensor) -> None:
    value = clock.of(t)
    rises = value[1:] > value[:-1]
    assert rises.all() or not rises.any(), f"the clock {name!r} is not monotone"
    back = clock.time(value)
    assert (back - t).abs().max() <= 1e-9 * t.abs().max(), f"the clock {name!r} is not inverted"

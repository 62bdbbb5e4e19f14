"""What integrators with and without a plan must pass."""

import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import attrs
import pytest
import torch
from torch import Tensor

import deis
from deis.diffusion.ode import ProbabilityFlowODE
from deis.diffusion.schedules import VPLinear
from deis.errors import ArgumentError, CapabilityError, NetworkError, NonFiniteError
from deis.integrators.base import Integrator
from deis.integrators.plan import Draw
from deis.odes.base import SemilinearODE
from deis.odes.constant import DiagonalODE
from deis.solve import Solution, solve
from deis.testing.measure import fitted, uneven_grid

Network = Callable[[Tensor, Tensor], Tensor]

_SHAPES = [(), (3,), (2, 3), (2, 3, 4), (2, 3, 4, 5), (2, 1, 3, 2, 2)]
_DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.complex64, torch.complex128]
_ROUNDING = {torch.float32: 1e-4, torch.float64: 1e-12, torch.bfloat16: 0.2, torch.complex64: 1e-4}


def network(x: Tensor, t: Tensor) -> Tensor:
    """A smooth, elementwise stand-in for a network."""
    when = t.reshape(t.shape + (1,) * (x.dim() - t.dim())).to(x.dtype)
    return (x + when).sin() * 0.5 + 0.3 * x


def steady_noise(draw: Draw, x: Tensor) -> Tensor:
    """Noise that is the same number everywhere, for states of any shape."""
    return torch.full_like(x, math.cos(draw.number + 1.0))


class Counted:
    """A network that counts its calls; ``change`` may replace the value of a call, given its number from 1."""

    def __init__(self, change: Callable[[int, Tensor], Any] = lambda call, value: value) -> None:
        self.calls = 0
        self._change = change

    def __call__(self, x: Tensor, t: Tensor) -> Any:
        self.calls += 1
        return self._change(self.calls, network(x, t))


class Conformance:
    """What methods with and without a plan share."""

    intervals = 7
    """Number of intervals in the tests that run one solve."""

    def make_ode(self, network: Network) -> SemilinearODE:
        """The test bed, an ODE with a scalar L and the nonlinearity ``network(x, t)``; override it for other needs."""
        # nearer to the data, steps in t are so long in lambda that high orders amplify rounding beyond any bound
        return ProbabilityFlowODE(VPLinear(t_min=0.1), network)

    def times(self, ode: SemilinearODE, intervals: int | None = None) -> Tensor:
        """An uneven grid over the test bed, in its direction of use."""
        return uneven_grid(ode.domain, intervals or self.intervals)

    def state(self, shape: tuple[int, ...] = (2, 3), dtype: torch.dtype = torch.float64) -> Tensor:
        """A state of that shape."""
        return torch.linspace(-1.0, 1.3, math.prod(shape), dtype=torch.float64).reshape(shape).to(dtype)

    def solve(self, integrator: Integrator, x0: Tensor | None = None, network: Network = network) -> Solution:
        """One solve of the test bed."""
        ode = self.make_ode(network)
        x0 = self.state() if x0 is None else x0
        return solve(ode, x0, self.times(ode), integrator, noise=steady_noise)

    @pytest.mark.parametrize("dtype", _DTYPES, ids=str)
    def test_keeps_the_dtype(self, integrator: Integrator, dtype: torch.dtype) -> None:
        seen = set()

        def watched(x: Tensor, t: Tensor) -> Tensor:
            seen.add(x.dtype)
            return network(x, t)

        x = self.solve(integrator, self.state(dtype=dtype), watched).x
        wide = self.solve(integrator, self.state(dtype=dtype).to(torch.complex128)).x
        assert x.dtype == dtype
        assert seen == {dtype}
        scale = wide.abs().max()
        assert (x.to(torch.complex128) - wide).abs().max() <= _ROUNDING.get(dtype, 1e-12) * scale

    @pytest.mark.parametrize("shape", _SHAPES, ids=str)
    def test_keeps_the_shape(self, integrator: Integrator, shape: tuple[int, ...]) -> None:
        assert self.solve(integrator, self.state(shape)).x.shape == shape

    def test_leaves_the_initial_state_alone(self, integrator: Integrator) -> None:
        x0 = self.state()
        self.solve(integrator, x0)
        assert torch.equal(x0, self.state())

    def test_counts_the_network_calls(self, integrator: Integrator) -> None:
        counted = Counted()
        assert self.solve(integrator, network=counted).nfe == counted.calls > 0

    def test_two_threads_may_share_it(self, integrator: Integrator) -> None:
        starts = [self.state(), self.state() + 0.5]
        alone = [self.solve(integrator, x0).x for x0 in starts]
        barrier = threading.Barrier(2)

        def job(x0: Tensor) -> Tensor:
            barrier.wait()
            return self.solve(integrator, x0).x

        with ThreadPoolExecutor(2) as pool:
            together = list(pool.map(job, starts))
        assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))

    @pytest.mark.parametrize("bad", [math.nan, math.inf], ids=str)
    def test_refuses_values_that_are_not_finite(self, integrator: Integrator, bad: float) -> None:
        third: list[Tensor] = []

        def spoiled(call: int, value: Tensor) -> Tensor:
            if call == 3:
                third.append(value)
            # N is a function: a second run meets the same
            return torch.full_like(value, bad) if any(torch.equal(value, other) for other in third) else value

        with pytest.raises(NonFiniteError, match=r"at evaluation 3, in step \d+, t = "):
            self.solve(integrator, network=Counted(spoiled))

    @pytest.mark.parametrize(
        "spoil",
        [lambda v: v[None], lambda v: v[:1], lambda v: v.to(torch.float32), lambda v: v + 0j, lambda v: None, float],
        ids=["shape", "broadcast", "dtype", "complex", "none", "number"],
    )
    def test_refuses_values_that_do_not_fit(self, integrator: Integrator, spoil: Callable[[Any], Any]) -> None:
        counted = Counted(lambda call, value: spoil(value if spoil is not float else 1.0))
        with pytest.raises(NetworkError, match=r"must return torch.float64 of shape \(2, 3\).*evaluation 1"):
            self.solve(integrator, network=counted)

    def test_complex_coefficients_need_a_complex_state(self, integrator: Integrator) -> None:
        calls: list[float] = []

        def function(t: float, x: Tensor) -> Tensor:
            calls.append(t)
            return x

        ode = DiagonalODE(3j, function)
        if integrator.stochastic:
            pytest.skip("it needs signal and noise levels, which are real")
        with pytest.raises((ArgumentError, CapabilityError), match="complex"):
            solve(ode, self.state(), [0.0, 0.3, 1.0], fitted(integrator, ode))
        assert not calls

    def test_its_repr_is_its_label(self, integrator: Integrator) -> None:
        kind = type(integrator)
        assert eval(repr(integrator), {**vars(deis), "inf": math.inf, kind.__name__: kind}) == integrator

    def test_is_a_value(self, integrator: Any) -> None:
        names = [field.name for field in attrs.fields(type(integrator))]
        for name in [*names, "unknown"]:
            with pytest.raises(AttributeError):
                setattr(integrator, name, getattr(integrator, name, None))
        assert integrator == attrs.evolve(integrator)
        assert hash(integrator) == hash(attrs.evolve(integrator))

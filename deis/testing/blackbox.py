"""What a method that makes its steps as it goes must pass."""

import pytest
import torch
from torch import Tensor

from deis.errors import CapabilityError
from deis.integrators.base import BlackBox, Stepping
from deis.solve import iterate, solve
from deis.testing.common import Conformance, network


class BlackBoxConformance(Conformance):
    """What a method that makes its steps as it goes must pass. Inherit it and supply the fixture ``integrator``.

    >>> import pytest
    >>> from deis import Dopri5
    >>> from deis.testing import BlackBoxConformance
    >>> class TestDopri5(BlackBoxConformance):
    ...     @pytest.fixture
    ...     def integrator(self):
    ...         return Dopri5(rtol=1e-3)
    """

    intervals = 2

    def test_has_no_plan(self, integrator: BlackBox) -> None:
        ode = self.make_ode(network)
        with pytest.raises(CapabilityError, match="no plan"):
            integrator.plan(ode, self.times(ode))
        with pytest.raises(CapabilityError):
            integrator.nfe(5)
        with pytest.raises(CapabilityError):
            integrator.intervals_for(5)

    def test_can_be_followed_step_by_step_or_says_that_it_cannot(self, integrator: BlackBox) -> None:
        ode, x0 = self.make_ode(network), self.state()
        if not isinstance(integrator, Stepping):
            with pytest.raises(CapabilityError, match="no plan"):
                iterate(ode, x0, self.times(ode), integrator)
            return
        reached = list(iterate(ode, x0, self.times(ode), integrator))
        solution = solve(ode, x0, self.times(ode), integrator)
        assert [r.step for r in reached] == list(range(1, solution.steps + 1))
        assert set(solution.times[1:]) <= {r.time for r in reached}
        assert torch.equal(reached[-1].state, solution.x)

    def test_keeps_states_at_every_time(self, integrator: BlackBox) -> None:
        ode, x0 = self.make_ode(network), self.state()
        solution = solve(ode, x0, self.times(ode, 3), integrator, keep_states=True)
        assert solution.states is not None
        assert len(solution.states) == 4
        assert solution.plan is None
        assert torch.equal(solution.states[0], x0)
        assert torch.equal(solution.states[-1], solution.x)

    def test_reports_what_it_did(self, integrator: BlackBox) -> None:
        ode = self.make_ode(network)
        times = self.times(ode, 3)
        solution = solve(ode, self.state(), times, integrator)
        assert solution.times == tuple(times.tolist())
        assert 3 <= solution.steps <= solution.nfe
        assert solution.rejected >= 0
        assert solution.diagnosis == ""

    def test_evaluates_within_the_grid(self, integrator: BlackBox) -> None:
        asked: list[float] = []

        def watched(x: Tensor, t: Tensor) -> Tensor:
            asked.append(float(t.reshape(-1)[0]))
            return network(x, t)

        ode = self.make_ode(watched)
        times = self.times(ode)
        solve(ode, self.state(), times, integrator)
        margin = 1e-6 * float(times.max() - times.min())  # the network is told the time in the state's precision
        assert times.min() - margin <= min(asked)
        assert max(asked) <= times.max() + margin

    def test_is_differentiable_if_it_says_so(self, integrator: BlackBox) -> None:
        parameter = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
        x = self.solve(integrator, self.state(), lambda x, t: parameter * network(x, t)).x
        if not integrator.differentiable:
            assert not x.requires_grad
            with pytest.raises(CapabilityError, match="gradients"):
                self.solve(integrator, self.state().requires_grad_(), network)
            return
        (slope,) = torch.autograd.grad(x.sum(), parameter)
        assert slope.isfinite()
        assert slope != 0

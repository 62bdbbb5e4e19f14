"""What an integrator with a plan must pass."""

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import attrs
import pytest
import torch
from torch import Tensor

from deis.diffusion.noise import SampleNoise
from deis.errors import NonFiniteError
from deis.integrators.base import Integrator
from deis.integrators.plan import Plan
from deis.loop import march
from deis.odes.base import SemilinearODE
from deis.problems import Bernoulli, SolvedProblem
from deis.solve import iterate, solve
from deis.testing.common import Conformance, Counted, network, steady_noise
from deis.testing.measure import HostReads, measured_order, uneven_grid

_ORDER_TOLERANCE = 0.15
_AMOUNTS = ("eta", "tau", "churn")  # options that are 0 where a method is to add no noise


class IntegratorConformance(Conformance):
    """What an integrator with a plan must pass. Inherit it and supply the fixture ``integrator``.

    The order is measured on the fixture ``problem``, everything else on the ODE of :meth:`make_ode`; a method that
    cannot run on these overrides them. A method with noise is measured without it, which :meth:`without_noise` knows.

    >>> import pytest
    >>> from deis import ExponentialEuler
    >>> from deis.testing import IntegratorConformance
    >>> class TestExponentialEuler(IntegratorConformance):
    ...     @pytest.fixture
    ...     def integrator(self):
    ...         return ExponentialEuler()
    """

    @pytest.fixture(params=[2.0, 3j], ids=["real", "complex"])
    def problem(self, request: pytest.FixtureRequest) -> SolvedProblem:
        """Problems with a known solution on which the order shows."""
        return Bernoulli(request.param)

    @pytest.mark.parametrize("reverse", [False, True], ids=["forward", "backward"])
    def test_has_the_order_it_claims(self, integrator: Integrator, problem: SolvedProblem, reverse: bool) -> None:
        if integrator.stochastic:
            pytest.skip("an order on paths does not apply to a method with noise")
        order = measured_order(integrator, problem, reverse=reverse)
        if order > integrator.order + _ORDER_TOLERANCE:  # what a method loses in its last steps shows if they are large
            order = measured_order(integrator, problem, reverse=reverse, grid=partial(uneven_grid, rate=1.2))
        assert abs(order - integrator.order) <= _ORDER_TOLERANCE

    def without_noise(self, integrator: Any) -> Integrator | None:
        """The method with the option that sets the amount of noise at 0; None if there is no such option."""
        known = (name for name in _AMOUNTS if integrator.stochastic and hasattr(integrator, name))
        name = next(known, None)
        return None if name is None else attrs.evolve(integrator, **{name: 0.0})

    def test_without_noise_it_solves_the_ode(self, integrator: Integrator) -> None:
        silent = self.without_noise(integrator)
        if silent is None:
            pytest.skip("it has no noise that could be turned off")
        ode = self.make_ode(network)
        rows = [row for step in silent.plan(ode, self.times(ode)).steps for row in step.rows()]
        assert not any(any(row.noise) for row in rows)
        exact = solve(ode, self.state(), self.times(ode, 320), "exp-adams3").x
        coarse, fine = (
            (solve(ode, self.state(), self.times(ode, n), silent, noise=steady_noise).x - exact).abs().max()
            for n in (40, 80)
        )
        assert float(fine) <= max(0.6 * float(coarse), 1e-6)

    @pytest.mark.parametrize("intervals", [1, 2, 3, 7])
    def test_keeps_its_budget(self, integrator: Integrator, intervals: int) -> None:
        counted = Counted()
        ode = self.make_ode(counted)
        times = self.times(ode, intervals)
        plan = integrator.plan(ode, times)
        assert counted.calls == 0
        solution = solve(ode, self.state(), times, integrator, noise=steady_noise)
        assert counted.calls == solution.nfe == plan.nfe == integrator.nfe(intervals)
        assert integrator.intervals_for(plan.nfe) == integrator.most_intervals(plan.nfe) == intervals
        assert plan.times == tuple(times.tolist())
        assert plan.stochastic == integrator.stochastic

    def test_evaluates_within_the_grid(self, integrator: Integrator) -> None:
        ode = self.make_ode(network)
        times = self.times(ode)
        for step in integrator.plan(ode, times).steps:
            assert all(times.min() <= stage.time <= times.max() for stage in step.stages)

    def test_its_plan_is_a_function_of_its_arguments(self, integrator: Integrator) -> None:
        ode = self.make_ode(network)
        assert integrator.plan(ode, self.times(ode)) == integrator.plan(ode, self.times(ode))
        with torch.inference_mode():
            inside = integrator.plan(ode, self.times(ode))
        assert inside == integrator.plan(ode, self.times(ode))

    def test_a_sample_does_not_depend_on_its_batch(self, integrator: Integrator) -> None:
        ode, x0, seeds = self.make_ode(network), self.state((4, 3)), [3, 1, 4, 15]
        batch = solve(ode, x0, self.times(ode), integrator, noise=SampleNoise(seeds)).x
        for i, seed in enumerate(seeds):
            alone = solve(ode, x0[i : i + 1], self.times(ode), integrator, noise=SampleNoise([seed])).x
            torch.testing.assert_close(batch[i : i + 1], alone, rtol=1e-12, atol=1e-13)

    def test_two_loops_may_interleave(self, integrator: Integrator) -> None:
        ode = self.make_ode(network)
        form, plan = _planned(ode, integrator, self.times(ode))
        starts = [self.state(), self.state() + 0.5]
        alone = [list(_states(form, plan, x)) for x in starts]
        runs = [_states(form, plan, x) for x in starts]
        mixed = zip(*runs, strict=True)
        for n, pair in enumerate(mixed):
            assert all(torch.equal(state, alone[i][n]) for i, state in enumerate(pair))

    def test_the_loop_does_not_read_the_device(self, integrator: Integrator) -> None:
        ode = self.make_ode(network)
        form, plan = _planned(ode, integrator, self.times(ode))
        states = iterate(ode, self.state(), self.times(ode), plan, noise=steady_noise)
        with HostReads() as reads:
            list(_states(form, plan, self.state()))
            list(states)
        assert reads.count == 0

    def test_reads_of_the_device_do_not_grow_with_the_steps(self, integrator: Integrator) -> None:
        ode, counts = self.make_ode(network), set()
        for intervals in (4, 16):
            times = self.times(ode, intervals)
            plan = integrator.plan(ode, times)
            with HostReads() as reads:
                solve(ode, self.state(), times, plan, noise=steady_noise)
            counts.add(reads.count)
        assert len(counts) == 1

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    def test_the_loop_does_not_wait_for_the_gpu(self, integrator: Integrator) -> None:
        ode = self.make_ode(network)
        states = iterate(ode, self.state().cuda(), self.times(ode), integrator, noise=steady_noise)
        torch.cuda.set_sync_debug_mode("error")
        try:
            last = list(states)[-1].state
        finally:
            torch.cuda.set_sync_debug_mode("default")
        torch.testing.assert_close(last.cpu(), self.solve(integrator).x)

    def test_is_differentiable_in_the_state(self, integrator: Integrator) -> None:
        x0 = self.state((1, 2)).requires_grad_()
        assert torch.autograd.gradcheck(lambda x: self.solve(integrator, x).x, x0)

    def test_is_differentiable_in_a_parameter(self, integrator: Integrator) -> None:
        parameter = torch.tensor([0.7, -0.2], dtype=torch.float64, requires_grad=True)

        def result(p: Tensor) -> Tensor:
            return self.solve(integrator, self.state((1, 2)), lambda x, t: p[0] * network(x, t) + p[1] * x.cos()).x

        assert torch.autograd.gradcheck(result, parameter)

    def test_names_the_evaluation_that_went_wrong(self, integrator: Integrator) -> None:
        ode = self.make_ode(network)
        asked = [
            (n, stage.time) for n, s in enumerate(integrator.plan(ode, self.times(ode)).steps) for stage in s.stages
        ]
        number = len(asked) // 2
        step, time = asked[number - 1]

        def spoiled(call: int, value: Tensor) -> Tensor:
            # N is a function: a second run meets the same
            return value * (math.nan if (call - number) % len(asked) == 0 else 1.0)

        with pytest.raises(NonFiniteError) as caught:
            self.solve(integrator, network=Counted(spoiled))
        assert str(caught.value).endswith(f"NaN at evaluation {number}, in step {step + 1}, t = {time:g}")


def _planned(ode: SemilinearODE, integrator: Integrator, times: Tensor) -> tuple[SemilinearODE, Plan]:
    plan = integrator.plan(ode, times)
    return ode.split(plan.splitting), plan


def _states(form: SemilinearODE, plan: Plan, x: Tensor) -> Iterator[Tensor]:
    def evaluate(step: int, time: float, point: Tensor) -> Tensor:
        return form.nonlinearity(time, point)

    return (reached.state for reached in march(plan, form.combine, x, evaluate, steady_noise))

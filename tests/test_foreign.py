"""What strangers bring: functions that torch cannot follow, other devices, odd states, autocast, plans by hand."""

import attrs
import numpy as np
import pytest
import torch

import deis
from deis.errors import ArgumentError, CapabilityError, DeisError, NonFiniteError
from deis.integrators.base import as_integrator
from deis.numerics.derivative import derivative

F64 = torch.float64


@attrs.frozen
class NumpyEDM(deis.NoiseSchedule):
    """EDM's levels, read off numpy arrays."""

    t_min: float = 0.002
    t_max: float = 80.0

    def alpha(self, t):
        return torch.ones_like(t)

    def sigma(self, t):
        return torch.as_tensor(np.asarray(t.detach()) * 1.0)


def network(x, t):
    return torch.tanh(x) / (1 + t[:, None])


@pytest.mark.parametrize("name", ["euler", "tab3", "rhork-heun2", "tab1:predict=flow", "dopri5:form=rho"])
def test_a_schedule_that_torch_cannot_follow_is_sampled_like_one_that_it_can(name):
    x0 = torch.full((2, 3), 60.0, dtype=F64)
    foreign, known = (
        deis.solve(ode, x0, deis.make_grid("rho7")(ode, 10), name).x
        for ode in (deis.ProbabilityFlowODE(schedule, network) for schedule in (NumpyEDM(), deis.EDM()))
    )
    assert torch.allclose(foreign, known, rtol=1e-7)


def test_functions_of_numpy_are_differentiated():
    t = torch.tensor([-0.3, 0.0, 2.0], dtype=F64)
    slope = derivative(lambda t: torch.from_numpy(np.sin(t.detach().numpy())), t)
    assert torch.allclose(slope, t.cos(), rtol=1e-9)


def test_each_step_of_a_batch_has_its_own_accuracy():
    """The weight of a small step is right beside one that is e^40 times larger."""

    class Growing(deis.SemilinearODE):
        domain = (0.0, 2.0)

        def _log(self, t):
            return torch.where(t < 1, 40 * t, 40 + 0.5 * (300 * (t - 1)).sin())

        def linear(self, t):
            return derivative(self._log, t)

        def transition(self, t, s):
            return (self._log(t) - self._log(s)).exp()

        def nonlinearity(self, t, x):
            return x

    ode, s, t = Growing(), torch.tensor([0.0, 1.0], dtype=F64), torch.tensor([1.0, 2.0], dtype=F64)
    both, alone = ode.weights(s, t, s[:, None]), ode.weights(s[1:], t[1:], s[1:, None])
    assert float(both[1] / alone[0]) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (
            [deis.Step(0.0, 1.0, [deis.Stage(0.0)], deis.Row(0.5, [0.1, 7.0]))],
            "row must read at most 1 values in step 0",
        ),
        ([deis.Step(0.0, 1.0, [deis.Stage(0.0, deis.Row(1.0, [1.0]))], deis.Row(0.5))], "at most 0 values"),
        ([deis.Step(0.0, 1.0, [], deis.Row(0.5))], "stages must hold at least one evaluation"),
        (
            [
                deis.Step(0.0, 1.0, [deis.Stage(0.0)], deis.Row(1.0), correct=deis.Row(1.0, [0.5, 0.5])),
                deis.Step(1.0, 2.0, [deis.Stage(1.5)], deis.Row(1.0)),
            ],
            "evaluate N at the new point first",
        ),
    ],
)
def test_plans_by_hand_that_cannot_run_are_refused(steps, message):
    with pytest.raises(ArgumentError, match=message):
        deis.Plan(steps)


def test_a_plan_keeps_the_gradient_of_its_times():
    ode = deis.ProbabilityFlowODE(deis.VPLinear(), network)
    times = deis.make_grid("t2")(ode, 5).tensor().requires_grad_()

    def total(times, name):
        plan = deis.make_plan(ode, times, name)
        return sum(c for c in plan.coefficients() if isinstance(c, torch.Tensor))

    for name in ("tab3", "sddim", "rhork-heun2"):
        assert torch.autograd.gradcheck(
            lambda inner, name=name: total(splice(times, inner), name), times[1:-1].detach().requires_grad_()
        )
    plan = deis.make_plan(ode, times, "tab3")
    assert plan == deis.make_plan(ode, times.detach(), "tab3")


def splice(times, inner):
    return torch.cat([times[:1].detach(), inner, times[-1:].detach()]).requires_grad_()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("name", ["euler", "ddim", "tab3", "rhork-rk4:clock=t"])
def test_matrix_linear_parts_follow_the_dtype_policy(dtype, name):
    ode = deis.DenseODE(0.1 - torch.eye(3), lambda t, x: torch.sin(x))
    x0 = torch.linspace(0, 1, 6, dtype=F64).reshape(2, 3)
    times = [0.0, 0.25, 0.5, 1.0]
    x = deis.solve(ode, x0.to(dtype), times, name).x
    assert x.dtype == dtype
    assert torch.allclose(x.double(), deis.solve(ode, x0, times, name).x, atol=0.02)


def test_autocast_does_not_round_coefficients():
    ode = deis.DenseODE(0.1 - torch.eye(3), lambda t, x: torch.sin(x))
    x0 = torch.linspace(0, 1, 3)
    plain = deis.solve(ode, x0, [0.0, 0.5, 1.0], "tab1").x
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(deis.solve(ode, x0, [0.0, 0.5, 1.0], "tab1").x, plain)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("predicts", ["x0", "v", "flow"])
def test_a_state_that_is_one_number_keeps_its_precision(dtype, predicts):
    ode = deis.ProbabilityFlowODE(deis.VPLinear(), lambda x, t: torch.tanh(x), predicts=predicts)
    x = deis.solve(ode, torch.tensor(0.5, dtype=dtype), deis.make_grid("t2")(ode, 5), "tab2").x
    assert (x.shape, x.dtype) == ((), dtype)


def test_dopri5_says_where_a_solution_ends():
    ode = deis.DiagonalODE(0.0, lambda t, x: x**2, domain=(0.0, 2.0))  # 1 / (1 - t)
    with pytest.raises(DeisError, match=r"Dopri5.* at t = (1\b|0\.999).*singular"):
        deis.solve(ode, torch.ones(1, dtype=F64), [0.0, 2.0], "dopri5")


def test_dopri5_gives_up_at_its_limit():
    ode = deis.DiagonalODE(-1.0, lambda t, x: torch.sin(x))
    with pytest.raises(DeisError, match="made 20 evaluations, at t = "):
        deis.solve(ode, torch.ones(1, dtype=F64), [0.0, 1.0], deis.Dopri5(rtol=1e-12, atol=1e-12, max_nfe=20))


@pytest.mark.parametrize("name", ["tab3", "rhork-kutta3", "dopri5"])
def test_no_samples_give_no_samples(name):
    ode = deis.ProbabilityFlowODE(deis.VPLinear(), lambda x, t: torch.tanh(x))
    x0 = torch.empty(0, 3)
    assert deis.solve(ode, x0, deis.make_grid("t2")(ode, 4), name).x.shape == (0, 3)


@pytest.mark.parametrize("name", ["euler", "tab3", "rhork-kutta3", "sddim"])
def test_another_default_device_changes_nothing(name):
    ode = deis.ProbabilityFlowODE(deis.VPLinear(), lambda x, t: torch.tanh(x), predicts="v")
    x0, noise = torch.ones(2, 3), deis.SampleNoise([0, 1])
    plain = deis.solve(ode, x0, deis.make_grid("t2")(ode, 5), name, noise=noise).x
    torch.set_default_device("meta")
    try:
        other = deis.solve(ode, x0, deis.make_grid("t2")(ode, 5), name, noise=noise).x
    finally:
        torch.set_default_device("cpu")
    assert torch.equal(other, plain)


def test_large_finite_values_are_not_blamed():
    ode = deis.DiagonalODE(0.0, lambda t, x: torch.full_like(x, 3e38))
    with pytest.raises(NonFiniteError, match=r"the state overflowed .*, in step 1, before t = 0.5"):
        deis.solve(ode, torch.full((100,), 3e38), [0.0, 0.5, 1.0], deis.Euler())


def test_a_start_that_is_not_finite_is_named():
    ode = deis.DiagonalODE(-1.0, lambda t, x: torch.sin(x))
    with pytest.raises(NonFiniteError, match="x0 holds NaN or Inf"):
        deis.solve(ode, torch.tensor([1.0, float("nan")]), [0.0, 1.0], "tab1")


@pytest.mark.parametrize("start", ["abc", float("nan")])
def test_plans_with_times_that_are_no_numbers_are_refused(start):
    import json

    text = deis.plan_to_json(deis.make_plan(deis.DiagonalODE(-1.0, torch.sin), [0.0, 1.0], "tab0"))
    data = json.loads(text)
    data["steps"][0]["start"] = start
    with pytest.raises(ArgumentError, match="plan must"):
        deis.plan_from_json(json.dumps(data))


def test_only_attrs_classes_are_registered():
    class Plain(deis.Integrator):
        order = 1

    with pytest.raises(ArgumentError, match=r"Plain must be an attrs class.*attrs\.frozen"):
        deis.INTEGRATORS.register("plain")(Plain)
    assert "plain" not in deis.INTEGRATORS


@pytest.mark.parametrize("value", [None, 3, deis.Euler])
def test_what_is_no_integrator_is_refused(value):
    with pytest.raises(ArgumentError, match="integrator must be an integrator or the name of one"):
        as_integrator(value)


@pytest.mark.parametrize("name", ["rhoab2", "rhork-rk4", "dopri5:form=rho"])
def test_a_missing_clock_names_the_method_the_clock_and_what_there_is(name):
    ode = deis.DiagonalODE(-1.0, lambda t, x: torch.sin(x))
    with pytest.raises(
        CapabilityError, match=r"^\w+\(.*\) needs the clock 'rho': DiagonalODE has no clock 'rho'; it has t"
    ):
        deis.solve(ode, torch.ones(1), [0.0, 1.0], name)

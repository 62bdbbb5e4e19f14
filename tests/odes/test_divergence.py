import itertools
import math

import pytest
import torch

from deis import (
    INTEGRATORS,
    PREDICTIONS,
    SCHEDULES,
    Bernoulli,
    BlackBox,
    CriticallyDampedLangevin,
    DenseODE,
    DiagonalODE,
    Dopri5,
    ProbabilityFlowODE,
    SemilinearODE,
    VPLinear,
    make_grid,
    make_plan,
    solve,
)
from deis.errors import ArgumentError, CapabilityError, NetworkError
from deis.odes import DivergenceODE
from deis.odes.divergence import divergence
from deis.testing import SemilinearODEConformance

NAMES = [name for name in INTEGRATORS if not INTEGRATORS.create(name).stochastic]
PLANNED = [name for name in NAMES if not isinstance(INTEGRATORS.create(name), BlackBox)]


def random(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def coupled(x):
    """A map whose Jacobian is full and different for each sample."""
    flat = x.reshape(len(x), -1)
    mixing = torch.linspace(-1, 2, flat.shape[1] ** 2, dtype=torch.float64).reshape(2 * flat.shape[1:]).to(x.dtype)
    return ((flat @ mixing).sin() * flat.square().sum(1, keepdim=True)).reshape(x.shape)


def network(x, t):
    return (coupled(x) / (1 + x**2)).cos() * t.to(x.dtype).reshape(-1, *[1] * (x.dim() - 1))


def trace_of_the_jacobian(function, x):
    size = x[0].numel()
    rows = [torch.autograd.functional.jacobian(lambda z: function(z[None])[0], sample) for sample in x]
    return torch.stack([row.reshape(size, size).trace() for row in rows])


@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 2, 3), (1, 2, 1, 2)])
def test_it_is_the_trace_of_the_jacobian(shape):
    x = random(*shape)
    value, trace = divergence(coupled, x)
    assert torch.equal(value, coupled(x))
    torch.testing.assert_close(trace, trace_of_the_jacobian(coupled, x), rtol=1e-12, atol=1e-12)


def test_over_all_signs_the_estimates_average_to_the_exact_value():
    x = random(4, 3)
    signs = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=3)), dtype=torch.float64)
    probes = signs[:, None].expand(8, 4, 3)
    torch.testing.assert_close(divergence(coupled, x, probes)[1], divergence(coupled, x)[1])
    assert not torch.allclose(divergence(coupled, x, probes[:1])[1], divergence(coupled, x)[1])


def test_each_sample_has_probes_of_its_own():
    x, probes = random(3, 2), random(5, 3, 2, seed=1).sign()
    alone = [divergence(coupled, x[i : i + 1], probes[:, i : i + 1])[1] for i in range(3)]
    torch.testing.assert_close(divergence(coupled, x, probes)[1], torch.cat(alone))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_it_works_in_every_gradient_mode_and_returns_no_gradient(mode):
    with mode():
        x = random(2, 3)
        value, trace = divergence(coupled, x)
    assert [a.requires_grad for a in (value, trace, x)] == [False] * 3
    torch.testing.assert_close(trace, trace_of_the_jacobian(coupled, random(2, 3)))


def test_the_function_is_called_once():
    calls = []
    divergence(lambda x: (calls.append(x), coupled(x))[1], random(2, 5))
    assert len(calls) == 1


def test_the_dtype_is_kept():
    value, trace = divergence(coupled, random(2, 3).float())
    assert value.dtype == trace.dtype == torch.float32


WEIGHT = torch.nn.Parameter(torch.tensor(2.0, dtype=torch.float64))


@pytest.mark.parametrize("function", [torch.ones_like, lambda x: x.detach() * 2, lambda x: x.detach() * WEIGHT])
def test_functions_that_torch_cannot_follow_are_refused(function):
    with pytest.raises(CapabilityError, match=r"take torch\.no_grad\(\) and detach\(\) out"):
        divergence(function, random(2, 3))


@pytest.mark.parametrize("spoil", [lambda v: v[:1], lambda v: v.float(), lambda v: 1.0, lambda v: None])
def test_values_that_do_not_fit_are_refused(spoil):
    with pytest.raises(NetworkError, match=r"must return torch.float64 of shape \(2, 3\), got"):
        divergence(lambda x: spoil(coupled(x)), random(2, 3))


class Tilted(SemilinearODE):
    """L = -t and G = 1 + t, with N coupled."""

    domain = (0.0, 1.0)

    def __setattr__(self, name, value):
        raise AttributeError(name)

    def linear(self, t):
        return -t

    def weight(self, t):
        return 1 + t

    def transition(self, t, s):
        return ((s**2 - t**2) / 2).exp()

    def nonlinearity(self, t, x):
        return coupled(x).cos() * t


def flow(name="vp-linear"):
    return ProbabilityFlowODE(SCHEDULES.create(name), network)


class TestIsASemilinearODE(SemilinearODEConformance):
    @pytest.fixture(params=["general", "diffusion", "other splitting"])
    def ode(self, request):
        if request.param == "general":
            return DivergenceODE(Tilted(), (2,), 0.0)
        augmented = DivergenceODE(flow(), (2,), 1e-3)
        return augmented if request.param == "diffusion" else augmented.split("x0")


@pytest.mark.parametrize("kind", [k for k in PREDICTIONS if "_" not in k and k not in ("epsilon", "sample")])
@pytest.mark.parametrize("schedule", list(SCHEDULES))
def test_another_splitting_moves_the_samples_as_the_inner_one_does(schedule, kind):
    inner = flow(schedule)
    ode = DivergenceODE(inner, (2,), inner.domain[1]).split(kind)
    assert ode.splitting == kind
    x = random(3, 2)
    for share in (0.02, 0.4, 0.97):
        t = inner.domain[1] + share * (inner.domain[0] - inner.domain[1])
        expected = inner.split(kind).nonlinearity(t, x)
        actual = ode.nonlinearity(t, torch.cat([x, random(3, 1)], 1))[:, :2]
        torch.testing.assert_close(actual, expected, rtol=1e-8, atol=1e-8 * float(expected.abs().max()))


@pytest.mark.parametrize("kind", ["x0", "v", "score", "flow"])
def test_every_splitting_is_the_same_ode(kind):
    ode = DivergenceODE(flow(), (2,), 1e-3)
    state, t = random(3, 3), 0.3
    when = torch.tensor(t, dtype=torch.float64)

    def slope(form):
        return form.linear(when) * state + form.weight(when) * form.nonlinearity(t, state)

    torch.testing.assert_close(slope(ode.split(kind)), slope(ode), rtol=1e-10, atol=1e-10)
    assert ode.split(kind).split("eps").nonlinearity(t, state).equal(ode.nonlinearity(t, state))


@pytest.mark.parametrize("name", PLANNED)
def test_every_plan_moves_the_samples_as_without_the_divergence(name):
    inner = flow()
    ode = DivergenceODE(inner, (2,), 1e-3)
    times = make_grid("t2")(inner, 12).reversed()
    x = random(3, 2)
    moved, integral = ode.parts(solve(ode, ode.join(x), times, name).x, 1.0)
    torch.testing.assert_close(moved, solve(inner, x, times, name).x, rtol=1e-9, atol=1e-9)
    assert bool(integral.isfinite().all())
    assert make_plan(ode, times, name).nfe == make_plan(inner, times, name).nfe


def bernoulli_error(integrator, intervals):
    """Of the integral of the divergence, which is log dx(t)/dx(0) = 2 log(x(t) / x(0)) + lam t, one entry at a time."""
    problem = Bernoulli(2.0)
    ode = DivergenceODE(problem.ode, (2,), 0.0)
    u = torch.tensor([[1.0, 0.5]], dtype=torch.float64)  # 1/x at 0; u' = lam u + 1 + t
    end = (u + 0.75) * math.exp(2.0) - 1.25
    solution = solve(ode, ode.join(1 / u), torch.linspace(0, 1, intervals + 1, dtype=torch.float64), integrator)
    x, integral = ode.parts(solution.x, 1.0)
    torch.testing.assert_close(x, 1 / end, rtol=0.1, atol=0.0)
    return float((integral - (2 * (u / end).log() + 2.0).sum()).abs())


@pytest.mark.parametrize(
    ("integrator", "order"),
    [("tab0", 1), ("tab1", 2), ("polynomial:steps=3:start=runge-kutta", 3), ("rhork-rk4:clock=t", 4)],
)
def test_the_integral_converges_to_the_closed_form_with_the_order_of_the_method(integrator, order):
    errors = [bernoulli_error(integrator, intervals) for intervals in (40, 80, 160)]
    slopes = [math.log2(coarse / fine) for coarse, fine in itertools.pairwise(errors)]
    assert slopes == pytest.approx([order, order], abs=0.2)


def test_black_boxes_find_the_closed_form():
    assert bernoulli_error(Dopri5(rtol=1e-9, atol=1e-11), 1) < 1e-8


@pytest.mark.parametrize("integrator", ["tab3", Dopri5(rtol=1e-8, atol=1e-10, form="rho")], ids=repr)
def test_it_is_the_log_determinant_of_the_flow(integrator):
    inner = flow()
    ode = DivergenceODE(inner.split("v"), (2,), 1e-3)
    times = make_grid("vp-t2")(inner, 400).reversed() if integrator == "tab3" else [1e-3, 1.0]
    x = random(2, 2)
    _, integral = ode.parts(solve(ode, ode.join(x), times, integrator).x, 1.0)
    fine = make_grid("vp-t2")(inner, 400).reversed()
    for sample, value in zip(x, integral, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda z: solve(inner, z[None], fine, "tab3").x[0], sample)
        assert float(jacobian.det().abs().log()) == pytest.approx(float(value), abs=2e-4)


def test_a_state_starts_with_no_divergence():
    ode = DivergenceODE(flow(), (2, 3), 0.5)
    x = random(4, 2, 3)
    back, integral = ode.parts(ode.join(x), 0.5)
    assert torch.equal(back, x)
    assert torch.equal(integral, torch.zeros(4, dtype=torch.float64))


def test_one_evaluation_is_one_of_the_inner_ode():
    calls = []
    ode = DivergenceODE(DiagonalODE(-1.0, lambda t, x: (calls.append(t), x.sin())[1]), (5,), 0.0)
    solution = solve(ode, ode.join(random(2, 5)), [0.0, 0.5, 1.0], "rhork-heun2:clock=t")
    assert solution.nfe == len(calls) == 4


def test_methods_that_add_noise_are_refused():
    ode = DivergenceODE(flow(), (2,), 1e-3)
    with pytest.raises(CapabilityError, match="no scalar signal and noise levels"):
        make_plan(ode, [1.0, 0.5], "sddim")


def test_its_repr_holds_no_tensor():
    assert "tensor" not in repr(DivergenceODE(DiagonalODE(-1.0, torch.sin), (2,), 0.0, probes=torch.ones(1, 1, 2)))


@pytest.mark.parametrize(
    "ode",
    [
        DiagonalODE(torch.tensor([1.0, 2.0]), lambda t, x: x),
        DiagonalODE(3j, lambda t, x: x),
        DenseODE(torch.eye(2), lambda t, x: x),
        CriticallyDampedLangevin(lambda x, t: x),
    ],
)
def test_only_real_scalar_coefficients_are_taken(ode):
    with pytest.raises(CapabilityError, match="real scalar L and G"):
        DivergenceODE(ode, (2,), 0.0)


def test_what_is_no_ode_and_states_of_other_shapes_are_refused():
    with pytest.raises(ArgumentError, match="ode must be a SemilinearODE"):
        DivergenceODE(VPLinear(), (2,), 0.0)
    ode = DivergenceODE(flow(), (2,), 1e-3)
    with pytest.raises(ArgumentError, match=r"x must have shape \(B, \*\(2,\)\)"):
        ode.join(random(2, 3))
    with pytest.raises(ArgumentError, match=r"state must have shape \(B, 3\).*join"):
        ode.nonlinearity(0.5, random(2, 2))
    with pytest.raises(ArgumentError, match="state must have shape"):
        ode.parts(random(3), 0.5)


@pytest.mark.parametrize(
    ("x", "probes", "message"),
    [
        ([1.0], None, "x must be a Tensor, got 'list'"),
        (torch.tensor(1.0), None, "x must be real, of shape"),
        (torch.ones(2, 3, dtype=torch.complex64), None, "x must be real"),
        (torch.ones(2, 3), 3, "probes must be a Tensor, got 'int'; or None"),
        (torch.ones(2, 3), torch.ones(2, 3), r"probes must be torch.float32 of shape \(P, 2, 3\)"),
        (torch.ones(2, 3), torch.ones(1, 2, 3).double(), "probes must be torch.float32"),
        (torch.ones(2, 3), torch.ones(0, 2, 3), "probes must be"),
    ],
)
def test_states_and_probes_of_a_divergence_are_checked(x, probes, message):
    with pytest.raises(ArgumentError, match=message):
        divergence(torch.sin, x, probes)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"shape": 2}, "shape must be the shape of one sample, got 2; for example"),
        ({"shape": [1.0]}, "shape must be the shape of one sample"),
        ({"start": "0"}, "start must be a finite number"),
        ({"start": math.nan}, "start must be a finite number"),
    ],
)
def test_shape_and_start_are_checked(values, message):
    with pytest.raises(ArgumentError, match=message):
        DivergenceODE(**({"ode": flow(), "shape": (2,), "start": 1e-3} | values))

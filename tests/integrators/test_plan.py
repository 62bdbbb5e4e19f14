"""Plans are values, and can be trained."""

import attrs
import pytest
import torch

from deis import (
    DenseODE,
    DiagonalODE,
    ExponentialEuler,
    Plan,
    PolynomialEIAB,
    ProbabilityFlowODE,
    Row,
    Stage,
    Step,
    StochasticDDIM,
    VPLinear,
    make_grid,
    solve,
)
from deis.errors import ArgumentError
from deis.integrators import HERE

TIMES = torch.tensor([0.0, 0.3, 0.7, 1.0], dtype=torch.float64)
RATES = torch.tensor([-1.0, -2.0, 3.0])


def field(t, x):
    return (x + t).sin()


def plan_of(linear=-1.0, **options):
    return PolynomialEIAB(**options).plan(DiagonalODE(linear, field), TIMES)


def one_step(row=None, **options):
    return Step(0.0, 1.0, [Stage(0.0)], row or Row(1.0, [2.0]), **options)


# reading a plan


def test_what_a_plan_says_of_itself():
    plan = plan_of(steps=3)
    assert plan.times == (0.0, 0.3, 0.7, 1.0)
    assert plan.nfe == 3
    assert plan.history == 2
    assert not plan.stochastic
    assert not plan.is_complex
    assert plan.splitting == "N"
    assert plan_of(3j).is_complex
    assert plan_of(torch.tensor([1j, 2.0])).is_complex
    ode = ProbabilityFlowODE(VPLinear(), lambda x, t: x)
    assert StochasticDDIM().plan(ode, make_grid("t2")(ode, 3).tensor()).stochastic


def test_history_counts_every_kind_of_row():
    far = Row(1.0, [1.0, 2.0, 3.0])
    assert one_step(far).history == 2
    assert one_step(correct=Row(1.0, [1.0, 2.0, 3.0])).history == 1  # N at the end and this step's come first
    assert one_step(error=far).history == 2
    assert Step(0.0, 1.0, [Stage(0.0), Stage(1.0, far)], Row(1.0, [1.0])).history == 2
    assert Step(0.0, 1.0, [Stage(0.0)], Row(1.0)).history == 0


def test_coefficients_lists_them_all():
    step = one_step(Row(1.0, [2.0], [5.0]), error=Row(3.0, [4.0]), draws=[None])
    assert list(Plan([step]).coefficients()) == [1.0, 1.0, 2.0, 5.0, 3.0, 4.0]


def test_numbers_stay_numbers():
    row = Row(torch.tensor(2.0, dtype=torch.float64), [1, 3j, torch.tensor(1 + 1j)])
    assert row.coefficients() == (2.0, 1.0, 3j, 1 + 1j)
    assert [type(c) for c in row.coefficients()] == [float, float, complex, complex]
    kept = torch.tensor(2.0, requires_grad=True)
    assert Row(kept, [torch.ones(3)]).state is kept


# chaining


def test_steps_must_meet():
    with pytest.raises(ArgumentError, match=r"steps must start where the last one ended \(1\), got 2.0"):
        Plan([one_step(), Step(2.0, 3.0, [Stage(2.0)], Row(1.0))])
    with pytest.raises(ArgumentError, match="steps must hold at least one step"):
        Plan([])
    with pytest.raises(ArgumentError, match="must not end on a correction"):
        Plan([one_step(correct=Row(1.0, [1.0]))])


def test_a_plan_cannot_be_changed():
    plan = plan_of()
    for target, name in [(plan, "splitting"), (plan.steps[0], "draws"), (plan.steps[0].advance, "state")]:
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(target, name, None)


# equality


def test_equal_to_rounding():
    plan = plan_of(steps=3)
    assert plan == plan_of(steps=3)
    assert plan == plan.map(lambda c: c * (1 + 1e-14))
    assert plan != plan.map(lambda c: c * (1 + 1e-9))
    assert plan != plan_of(steps=2)
    assert plan != plan_of(steps=3, corrector=True)
    assert plan != plan_of(-1.5, steps=3)
    assert plan != attrs.evolve(plan, splitting="eps")
    assert plan != "a plan"
    assert (plan == 3) is False


def test_equality_sees_every_part():
    step = one_step(Row(1.0, [2.0], [5.0]), error=Row(3.0, [4.0]), draws=[(0.0, 1.0)])
    same = Plan([step])
    assert same == Plan([attrs.evolve(step)])
    for change in [
        {"advance": Row(1.0, [2.0], [5.1])},
        {"advance": Row(1.0, [2.0])},
        {"draws": [(0.0, 1.1)]},
        {"draws": [None]},
        {"draws": [(0.0, 1.0), None]},
        {"error": None},
        {"error": Row(3.0, [4.1])},
        {"end": 1.1},
        {"stages": [Stage(0.1)]},
        {"stages": [Stage(0.0, Row(1.1))]},
        {"advance": Row(1.0)},
    ]:
        assert same != Plan([attrs.evolve(step, **change)]), change


def test_equality_of_tensors_and_complex_numbers():
    assert plan_of(RATES) == plan_of(RATES) != plan_of(RATES + 0.1)
    assert plan_of(RATES) != plan_of(-1.0)
    assert plan_of(3j) == plan_of(3j) != plan_of(-3j)
    dense = DenseODE(torch.diag(RATES), field)
    assert ExponentialEuler().plan(dense, TIMES) == ExponentialEuler().plan(dense, TIMES)


def test_equality_is_that_of_numbers_not_of_signatures():
    plan = plan_of()
    assert attrs.evolve(plan, signature=(1.0,)) == plan == attrs.evolve(plan, signature=(2.0,))


def test_a_plan_is_not_hashable():
    with pytest.raises(TypeError, match="unhashable"):
        hash(plan_of())


def test_repr_is_short():
    assert repr(plan_of()) == "Plan(steps=<3>, splitting='N', provenance={})"


# changing a plan


def test_map_reaches_every_coefficient():
    step = one_step(Row(1.0, [2.0], [5.0]), error=Row(3.0, [4.0]), draws=[None], correct=Row(6.0, [7.0]))
    plan = Plan(
        [step, Step(1.0, 2.0, [Stage(1.0), Stage(1.5, Row(8.0, [9.0]))], Row(1.0))], "eps", {"by": "hand"}, (5.0,)
    )
    doubled = plan.map(lambda c: 2 * c)
    heres = 2  # the points that are the state itself stay so
    expected = [c * 2 for c in plan.coefficients()]
    assert sum(expected) - sum(doubled.coefficients()) == heres
    assert doubled.steps[0].stages[0].row is HERE
    assert doubled.times == plan.times
    assert doubled.splitting == "eps"
    assert doubled.provenance == {"by": "hand"}
    assert doubled.signature == (5.0,)


def test_to_moves_tensors_and_leaves_numbers():
    plan = plan_of(RATES, steps=2)
    single = plan.to(torch.float32, "cpu")
    assert {c.dtype for c in single.coefficients() if isinstance(c, torch.Tensor)} == {torch.float32}
    assert plan_of().to(torch.float32, "cpu") == plan_of()
    meta = plan.to(torch.float32, "meta")
    assert {c.device.type for c in meta.coefficients() if isinstance(c, torch.Tensor)} == {"meta"}


def test_to_casts_once_unless_a_gradient_would_be_shared():
    plan = plan_of(RATES, steps=2)
    assert plan.to(torch.float32, "cpu") is plan.to(torch.float32, torch.device("cpu"))
    assert plan.to(torch.float32, "cpu") is not plan.to(torch.float64, "cpu")
    plan = plan_of(RATES.clone().requires_grad_(), steps=2)  # a graph serves one backward pass
    assert plan.to(torch.float32, "cpu") is not plan.to(torch.float32, "cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_to_never_drops_an_imaginary_part(dtype):
    moved = plan_of(torch.tensor([1j, 2.0])).to(dtype, "cpu")
    assert {c.dtype for c in moved.coefficients() if isinstance(c, torch.Tensor)} == {torch.complex64}


# training a plan


def trainable(plan):
    """The plan with a parameter for every number."""
    parameters = []

    def parameter(number):
        parameters.append(torch.tensor(number, dtype=torch.float64, requires_grad=True))
        return parameters[-1]

    return plan.map(parameter), parameters


@pytest.mark.parametrize(
    "options", [{"steps": 3}, {"steps": 2, "corrector": True}, {"steps": 3, "start": "runge-kutta"}]
)
def test_gradients_reach_every_coefficient(options):
    plan, parameters = trainable(plan_of(**options))
    kept = [c for c in plan.coefficients() if isinstance(c, torch.Tensor)]
    assert len(kept) == len(parameters)
    assert all(a is b for a, b in zip(kept, parameters, strict=True))
    ode, x0 = DiagonalODE(-1.0, field), torch.tensor([1.0, -0.3], dtype=torch.float64)
    x = solve(ode, x0, TIMES, plan).x
    torch.testing.assert_close(x, solve(ode, x0, TIMES, PolynomialEIAB(**options)).x)
    slopes = torch.autograd.grad(x.sum(), parameters, allow_unused=True)
    zeros = [p for p, slope in zip(parameters, slopes, strict=True) if slope is None]
    assert all(float(p.detach()) == 0 for p in zeros)


def test_gradients_of_coefficients_are_right():
    base = plan_of(steps=2)
    numbers = torch.tensor([c for s in base.steps for c in s.advance.coefficients()], dtype=torch.float64)
    ode, x0 = DiagonalODE(-1.0, field), torch.tensor([1.0, -0.3], dtype=torch.float64)

    def result(values):
        left = list(values)
        steps = [attrs.evolve(s, advance=Row(left.pop(0), [left.pop(0) for _ in s.advance.values])) for s in base.steps]
        return solve(ode, x0, TIMES, Plan(steps)).x

    assert torch.autograd.gradcheck(result, numbers.requires_grad_())


def test_gradients_reach_coefficients_of_single_precision_and_diagonal_kind():
    plan = plan_of(RATES, steps=2)
    parameters = []

    def parameter(c):
        if not isinstance(c, torch.Tensor):
            return c
        parameters.append(c.clone().requires_grad_())
        return parameters[-1]

    trained = plan.map(parameter)
    x = solve(DiagonalODE(RATES, field), torch.ones(2, 3), TIMES, trained).x
    assert x.dtype == torch.float32
    assert all(slope.abs().sum() > 0 for slope in torch.autograd.grad(x.sum(), parameters))


def test_gradients_reach_the_noise_scale():
    ode = ProbabilityFlowODE(VPLinear(), lambda x, t: x)
    times = make_grid("t2")(ode, 3).tensor()
    plan, parameters = trainable(StochasticDDIM().plan(ode, times))
    x = solve(ode, torch.ones(1, 2, dtype=torch.float64), times, plan, noise=lambda n, x: torch.ones_like(x)).x
    slopes = torch.autograd.grad(x.sum(), parameters, allow_unused=True)
    assert all(slope is not None and slope.isfinite() for slope in slopes)


def test_a_trained_plan_beats_the_one_it_came_from():
    ode, x0 = DiagonalODE(-1.0, field), torch.tensor([1.0, -0.3, 0.4], dtype=torch.float64)
    fine = torch.linspace(0, 1, 401, dtype=torch.float64)
    target = solve(ode, x0, fine, PolynomialEIAB(steps=4, start="runge-kutta")).x
    plan, parameters = trainable(plan_of(steps=2))
    losses = []
    for _ in range(30):
        loss = ((solve(ode, x0, TIMES, plan).x - target) ** 2).mean()
        losses.append(float(loss.detach()))
        slopes = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for p, slope in zip(parameters, slopes, strict=True):
                p -= 0.1 * slope
    assert losses[-1] < 0.1 * losses[0]


@pytest.mark.parametrize(
    "method", [ExponentialEuler(), PolynomialEIAB(steps=3), PolynomialEIAB(steps=2, corrector=True)]
)
def test_gradients_reach_the_linear_part(method):
    x0 = torch.tensor([1.0, -0.3], dtype=torch.float64)
    rates = torch.tensor([-1.0, -2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda r: solve(DiagonalODE(r, field), x0, TIMES, method).x, rates)

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from deis import (
    EDM,
    CapabilityError,
    DenseODE,
    DiagonalODE,
    GaussianMixture,
    PolynomialEIAB,
    ProbabilityFlowODE,
    RectifiedFlow,
    TimeGrid,
    VPLinear,
    make_grid,
    make_plan,
    solve,
)
from deis.integrators.base import as_integrator
from deis.integrators.moments import MOMENTS
from deis.tuning.learn import _evaluation
from deis.tuning.pairs import Batch, final_state
from deis.tuning.trainable import PARTS, Trainable, folded
from deis.tuning.training import Training

GRID = TimeGrid([0.0, 0.1, 0.35, 0.5, 0.8, 1.0])
SCHEDULES = [VPLinear(), EDM(), RectifiedFlow()]
MEMBER = PolynomialEIAB(steps=3, corrector=True)


def random(size, seed=0):
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mixing(linear=-0.7, seed=3):
    """x' = L x + cos(t) A x with a random matrix A."""
    a = random((3, 3), seed)
    return DiagonalODE(torch.tensor(linear), lambda t, x: math.cos(t) * x @ a.to(x.dtype))


def end_of(ode, trained, x):
    """The final state of a plan of parameters, whose N is told its derivative in time."""
    batch = Batch(ode, x, x)
    return final_state(trained.plan, batch, _evaluation(ode.split(trained.plan.splitting), trained, Training()))


members = st.builds(
    PolynomialEIAB,
    steps=st.integers(1, 5),
    corrector=st.booleans(),
    moments=st.sampled_from(sorted(MOMENTS)),
    lower_final=st.booleans(),
)
grids = st.lists(st.floats(0.05, 1.0), min_size=1, max_size=8).map(
    lambda steps: TimeGrid([0.0, *[sum(steps[: k + 1]) / sum(steps) for k in range(len(steps))]])
)


@settings(max_examples=40)
@given(member=members, grid=grids, seed=st.integers(0, 5))
def test_a_folded_plan_ends_in_the_same_state(member, grid, seed):
    ode, x = mixing(seed=seed), random((2, 3), seed + 10)
    plan = make_plan(ode, grid, member)
    short = folded(plan, ode)
    assert all(step.correct is None for step in short.steps)
    torch.testing.assert_close(solve(ode, x, grid, short).x, solve(ode, x, grid, plan).x, rtol=1e-11, atol=1e-11)
    assert (short.nfe, short.times) == (plan.nfe, plan.times)


@pytest.mark.parametrize("name", ["unipc-3", "default", "dpmpp-3m", "ipndm", "ddim"])
def test_folding_holds_where_the_linear_part_depends_on_time(name):
    ode = GaussianMixture(torch.tensor([[-1.0], [0.5]], dtype=torch.float64), 0.3).ode(EDM())
    grid, x = make_grid("vp-t3")(ode, 7), 80 * random((4, 1))
    plan = make_plan(ode, grid, name)
    torch.testing.assert_close(
        solve(ode, x, grid, folded(plan, ode)).x, solve(ode, x, grid, plan).x, rtol=1e-9, atol=1e-9
    )


def test_nothing_is_folded_where_nothing_is_corrected():
    plan = make_plan(mixing(), GRID, "tab3")
    assert folded(plan, mixing()) == plan


def test_folding_multiplies_matrices_as_matrices():
    matrix, x = random((3, 3), 5), random((2, 3))
    ode = DenseODE(matrix, lambda t, x: (1 + 2 * t) * x.sin())
    plan = make_plan(ode, GRID, MEMBER)
    torch.testing.assert_close(
        solve(ode, x, GRID, folded(plan, ode)).x, solve(ode, x, GRID, plan).x, rtol=1e-11, atol=0
    )


@pytest.mark.parametrize("name", ["etd2rk", "rhork-heun2", "exp-adams3", "edm-heun"])
def test_plans_with_several_evaluations_a_step_are_refused(name):
    ode = GaussianMixture(torch.zeros(1, 1), 1.0).ode(VPLinear())
    with pytest.raises(CapabilityError, match="one evaluation a step"):
        Trainable(as_integrator(name), ode, make_grid("vp-t2")(ode, 5))


def test_plans_that_add_noise_are_refused():
    ode = GaussianMixture(torch.zeros(1, 1), 1.0).ode(VPLinear())
    with pytest.raises(CapabilityError, match="one evaluation a step"):
        Trainable(as_integrator("sddim"), ode, make_grid("vp-t2")(ode, 5))


@pytest.mark.parametrize(
    "linear", [-0.7, [-0.7, 0.2, -3.0], [-0.7j, 0.2 + 1j, -3.0]], ids=["scalar", "diag", "complex"]
)
@pytest.mark.parametrize(
    "member", [MEMBER, PolynomialEIAB(steps=2), PolynomialEIAB(steps=4, lower_final=True)], ids=str
)
def test_zero_parameters_stand_for_the_integrator_s_own_plan(linear, member):
    ode = mixing(linear)
    narrow, wide = Trainable(member, ode, GRID, 1, ("grid", "times", "rows")), Trainable(member, ode, GRID)
    own, found = folded(make_plan(ode, GRID, member), ode), narrow(torch.zeros(narrow.size, dtype=torch.float64))
    assert found.numbers() == own
    assert found.times.tolist() == pytest.approx(GRID.times[:-1])
    plan = wide(torch.zeros(wide.size, dtype=torch.float64)).numbers()  # with room for values that weigh nothing
    assert [len(step.advance.values) for step in plan.steps] == [1, 2, 3, 4, 5]
    x = random((2, 3)).to(torch.complex128 if plan.is_complex else torch.float64)
    torch.testing.assert_close(solve(ode, x, GRID, plan).x, solve(ode, x, GRID, member).x, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("width", [1, 2, 4, 8])
def test_a_row_holds_no_more_values_than_its_width_or_its_own(width):
    trainable = Trainable(PolynomialEIAB(steps=2), mixing(), GRID, width)
    plan = trainable(torch.zeros(trainable.size, dtype=torch.float64)).plan
    widths = [len(step.advance.values) for step in plan.steps]
    assert widths == [min(n + 1, max(width, 2)) for n in range(5)]
    assert trainable.size == 5 + 5 + sum(widths) + 8


parameters = st.lists(st.floats(-3.0, 3.0), min_size=33, max_size=33)


@settings(max_examples=20)
@given(values=parameters)
def test_a_constant_is_integrated_exactly_whatever_the_parameters(values):
    rates, constant = torch.tensor([-0.9, 0.4, -5.0], dtype=torch.float64), torch.tensor([1.0, -2.0, 0.5]).double()
    ode = DiagonalODE(rates, lambda t, x: constant.expand_as(x))
    trainable, x = Trainable(MEMBER, ode, GRID), random((2, 3))
    assert trainable.size == 33
    plan = trainable(torch.tensor(values, dtype=torch.float64)).numbers()
    exact = rates.exp() * x + torch.expm1(rates) / rates * constant
    torch.testing.assert_close(final_state(plan, Batch(ode, x, x)), exact, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("predict", ["eps", "x0"])
@settings(max_examples=8)
@given(values=parameters)
def test_a_constant_prediction_is_too(schedule, predict, values):
    ode = ProbabilityFlowODE(schedule, lambda x, t: torch.full_like(x, 0.5), predict, splitting=predict)
    grid, x = make_grid("vp-t2")(ode, 5), random((2, 1))
    trainable = Trainable(PolynomialEIAB(predict, "vp_t", 3, True), ode, grid)
    plan = trainable(torch.tensor(values, dtype=torch.float64)).numbers()
    (alpha, sigma), (beta, tau) = (ode.marginal(torch.tensor(t, dtype=torch.float64)) for t in ode.domain)
    if predict == "eps":  # x / alpha moves by the same multiple of eps as sigma / alpha does
        exact = beta * (x / alpha + 0.5 * (tau / beta - sigma / alpha))
    else:  # x / sigma moves by the same multiple of x0 as alpha / sigma does
        exact = tau * (x / sigma + 0.5 * (beta / tau - alpha / sigma))
    torch.testing.assert_close(final_state(plan, Batch(ode, x, x)), exact, rtol=1e-6, atol=1e-6)


@settings(max_examples=20)
@given(values=parameters)
def test_times_stay_in_order_of_the_grid_and_inside(values):
    trained = Trainable(MEMBER, mixing(), GRID)(torch.tensor(values, dtype=torch.float64))
    grid, when = trained.plan.times, trained.times.tolist()
    assert (grid[0], grid[-1]) == (0.0, 1.0)
    assert all(a < b for a, b in pairwise(grid))
    assert when[0] == 0.0
    assert all(0.0 <= t <= 1.0 for t in when)
    assert when == [step.stages[0].time for step in trained.plan.steps]


def test_a_time_moves_by_a_share_of_the_step_that_follows():
    trainable, values = Trainable(MEMBER, mixing(), GRID), torch.zeros(33, dtype=torch.float64)
    values[5:10] = torch.tensor([9.0, 0.4, -0.2, 0.0, 0.2])  # the first stays
    assert trainable(values).times.tolist() == pytest.approx([0.0, 0.1 + 0.05, 0.35 - 0.015, 0.5, 0.8 + 0.02])


def test_a_step_grows_by_the_exponential_of_its_parameter():
    trainable, values = Trainable(MEMBER, mixing(), GRID), torch.zeros(33, dtype=torch.float64)
    values[1] = 0.7
    steps = [b - a for a, b in pairwise(trainable(values).plan.times)]
    before = [b - a for a, b in pairwise(GRID.times)]
    factor = math.exp(5 * math.tanh(0.7 / 5))
    total = 1 + before[1] * (factor - 1)
    assert steps == pytest.approx([h * (factor if n == 1 else 1) / total for n, h in enumerate(before)])


def test_a_point_grows_with_the_state_and_moves_by_a_share_of_its_step():
    trainable, values = Trainable(MEMBER, mixing(), GRID), torch.zeros(33, dtype=torch.float64)
    values[25:] = torch.tensor([0.1, 0.2, -3.0, 0.0, 0.0, 4.0, 0.0, 0.0])  # of all evaluations but the first
    first, *others = trainable(values).numbers().steps
    assert (first.stages[0].row.state, first.stages[0].row.values) == (1.0, ())
    for step, (growth, share) in zip(others, values[25:].view(4, 2).tolist(), strict=True):
        row, total = step.stages[0].row, sum(step.advance.values)  # by which a step of a constant N moves the state
        assert row.state == pytest.approx(1 + 0.03 * growth)
        assert row.values == (pytest.approx(0.03 * share * total),)


def test_steps_do_not_vanish_however_large_the_parameters():
    trainable, values = Trainable(MEMBER, mixing(), GRID), torch.zeros(33, dtype=torch.float64)
    values[:2] = torch.tensor([1e6, -1e6])
    steps = [b - a for a, b in pairwise(trainable(values).plan.times)]
    assert min(steps) > 1e-6


@pytest.mark.parametrize("part", PARTS)
def test_only_the_parameters_of_the_parts_act(part):
    trainable = Trainable(MEMBER, mixing(), GRID, parts=(part,))
    values = random(trainable.size, 1).requires_grad_()
    trained = trainable(values)
    own = Trainable(MEMBER, mixing(), GRID)(torch.zeros(33, dtype=torch.float64))
    assert (trained.plan.times != pytest.approx(own.plan.times)) == (part == "grid")
    assert (trained.times.tolist() != pytest.approx(list(own.plan.times[:-1]))) == (part in ("grid", "times"))
    grad = torch.autograd.grad(end_of(mixing(), trained, random((2, 3))).sum(), values)[0]
    kinds = dict(zip(PARTS, torch.split(grad, [5, 5, 15, 8]), strict=True))
    assert {name for name, kind in kinds.items() if bool(kind.any())} == {part}


def test_the_state_s_coefficients_are_those_of_the_linear_part_on_the_new_grid():
    trained = Trainable(MEMBER, mixing(-0.7), GRID)(random(33, 4))
    for step in trained.plan.steps:
        assert float(step.advance.state) == pytest.approx(math.exp(-0.7 * (step.end - step.start)))


def falling(linear):
    """x' = L x + (1 + 2 t) sin(x): N is linear in time, so that a difference is its derivative."""
    return DiagonalODE(torch.tensor(linear), lambda t, x: (1 + 2 * t) * x.sin())


@pytest.mark.parametrize(
    "linear", [-0.7, [-0.7, 0.2, -3.0], [-0.7j, 0.2 + 1j, -3.0]], ids=["scalar", "diag", "complex"]
)
@pytest.mark.parametrize("seed", [None, 0, 1])
def test_gradients_are_those_of_the_whole_solve(linear, seed):
    ode, trainable = falling(linear), Trainable(MEMBER, falling(linear), TimeGrid([0.0, 0.2, 0.7, 1.0]))
    x = random((1, 3)).to(torch.complex128 if ode.matrix.is_complex() else torch.float64)
    values = torch.zeros(trainable.size, dtype=torch.float64) if seed is None else 0.3 * random(trainable.size, seed)
    assert gradcheck(lambda p: torch.view_as_real(end_of(ode, trainable(p), x) + 0j), values.requires_grad_())


def test_gradients_of_a_matrix_linear_part_are_too():
    matrix = random((3, 3), 5)
    ode = DenseODE(matrix, lambda t, x: (1 + 2 * t) * x.sin())
    trainable = Trainable(PolynomialEIAB(steps=2, corrector=True), ode, TimeGrid([0.0, 0.3, 1.0]))
    values = (0.3 * random(trainable.size)).requires_grad_()
    assert gradcheck(lambda p: end_of(ode, trainable(p), random((1, 3))), values)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
def test_gradients_of_a_diffusion_are_too(schedule):
    ode = ProbabilityFlowODE(schedule, lambda x, t: (1 + t[:, None] / schedule.t_max) * x.tanh())
    trainable = Trainable(PolynomialEIAB("eps", "vp_t", 2, True), ode, make_grid("vp-t2")(ode, 3))
    values = (0.2 * random(trainable.size)).requires_grad_()
    assert gradcheck(lambda p: end_of(ode, trainable(p), random((1, 1))), values, rtol=1e-4, atol=1e-5)


def test_the_derivative_in_time_is_close_where_it_is_a_difference():
    ode = DiagonalODE(-0.7, lambda t, x: math.exp(-2 * t) * x.sin())
    trainable, x = Trainable(MEMBER, ode, TimeGrid([0.0, 0.3, 0.6, 1.0])), random((1, 3))
    values = torch.zeros(trainable.size, dtype=torch.float64, requires_grad=True)
    found = torch.autograd.grad(end_of(ode, trainable(values), x).sum(), values)[0]

    def total(p):
        plan = trainable(p).numbers()
        return float(solve(ode, x, plan.times, plan).x.sum())

    steps = 1e-5 * torch.eye(trainable.size, dtype=torch.float64)
    expected = torch.tensor([(total(step) - total(-step)) / 2e-5 for step in steps], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=0.01, atol=0.01 * float(expected.abs().max()))
    assert float(expected[4:6].abs().min()) > 1e-3  # times of evaluations count


def test_gradients_are_finite_where_times_meet_at_an_end():
    trainable, x = Trainable(MEMBER, mixing(), GRID), random((2, 3))
    for side in (-9.0, 9.0):
        values = torch.zeros(33, dtype=torch.float64)
        values[6:10] = side  # times of all evaluations but the first, which are held at an end
        trained = trainable(values.requires_grad_())
        assert set(trained.times.tolist()) <= {0.0, 1.0}
        assert end_of(mixing(), trained, x).isfinite().all()
        assert torch.autograd.grad(end_of(mixing(), trained, x).sum(), values)[0].isfinite().all()

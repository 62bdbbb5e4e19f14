import math

import pytest
import torch

from deis import (
    INTEGRATORS,
    ArgumentError,
    BlackBox,
    DenseODE,
    DiagonalODE,
    Plan,
    PolynomialEIAB,
    ProbabilityFlowODE,
    RhoRungeKutta,
    Row,
    Stage,
    Step,
    VPLinear,
    make_grid,
    make_plan,
)
from deis.analysis import stability
from deis.testing import uneven_grid

FLOW = ProbabilityFlowODE(VPLinear(), lambda x, t: x)
PLAIN = DiagonalODE(0.0, lambda t, x: x)


def equal(intervals):
    return torch.linspace(0.0, 1.0, intervals + 1, dtype=torch.float64)


def one_step(state, values, **options):
    return Plan([Step(0.0, 1.0, [Stage(0.0)] * len(values), Row(state, values), **options)])


# sums of the absolute textbook weights of Adams-Bashforth
ADAMS = {1: 1, 2: (3 + 1) / 2, 3: (23 + 16 + 5) / 12, 4: (55 + 59 + 37 + 9) / 24}
ADAMS |= {5: (1901 + 2774 + 2616 + 1274 + 251) / 720, 6: (4277 + 7923 + 9982 + 7298 + 2877 + 475) / 1440}


@pytest.mark.parametrize("steps", ADAMS)
def test_amplification_is_that_of_the_adams_weights(steps):
    found = stability(make_plan(PLAIN, equal(8), PolynomialEIAB(steps=steps)))
    last = found.steps[-1]
    assert last.amplification == pytest.approx(ADAMS[steps], rel=1e-10)
    assert (last.absolute, last.total) == pytest.approx((ADAMS[steps] / 8, 1 / 8), rel=1e-10)
    assert found.worst.amplification == pytest.approx(ADAMS[steps], rel=1e-10)
    assert found.warnings == ()


LOGARITHMIC = ("unipc-4", "sa-solver-4")
"""Four points in lambda are far apart on a grid that is not uniform there."""
BLOCKS = "dpm-solver-fast"
"""Its rows take out the start of a block from the present state, so that values of N cancel within the block."""


@pytest.mark.parametrize(
    "name", [n for n in INTEGRATORS if n != BLOCKS and not isinstance(INTEGRATORS.create(n), BlackBox)]
)
def test_no_preset_is_warned_of_on_the_customary_grid(name):
    grid = "log" if name in LOGARITHMIC else "t2"
    for intervals in (5, 6, 7, 8, 9, 10, 12, 15, 20, 30, 50):
        assert stability(make_plan(FLOW, make_grid(grid)(FLOW, intervals), name)).warnings == ()


def test_six_points_on_a_very_uneven_grid_are_warned_of():
    found = stability(make_plan(PLAIN, equal(12) ** 3, PolynomialEIAB(steps=6)))
    (warning,) = found.warnings
    n = max(range(12), key=lambda n: found.steps[n].amplification)
    assert warning.startswith(f"In step {n + 1} (t = {found.worst.start:.4g} to {found.worst.end:.4g}) errors of N are")
    assert "take fewer points, or a grid with smaller ratios of steps" in warning
    assert f"{sum(step.amplification >= 25 for step in found.steps)} of 12 steps are alike" in warning


def test_a_stiff_integrating_factor_is_warned_of():
    stiff = DiagonalODE(torch.tensor([-1e3, -1.0]), lambda t, x: x)
    (warning,) = stability(make_plan(stiff, equal(10), RhoRungeKutta("ssprk3", clock="t"))).warnings
    assert "an integrating factor grows against a stiff L" in warning
    mild = DiagonalODE(-2.0, lambda t, x: x)
    assert stability(make_plan(mild, equal(10), RhoRungeKutta("ssprk3", clock="t"))).warnings == ()
    assert stability(make_plan(stiff, equal(10), PolynomialEIAB(steps=3))).warnings == ()


@pytest.mark.parametrize(("rate", "warned"), [(-19.0, False), (-21.0, True)])
def test_an_explicit_step_too_long_for_l_is_warned_of(rate, warned):
    found = stability(make_plan(DiagonalODE(rate, lambda t, x: x), equal(10), "euler"))
    assert [("no flow of a real L does" in warning) for warning in found.warnings] == [True] * warned
    assert found.steps[0].growth == pytest.approx(abs(1 + rate / 10))


def test_a_complex_flow_may_turn_around():
    assert stability(make_plan(DiagonalODE(31.4j, lambda t, x: x), equal(10), "ddim")).warnings == ()


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_coefficients_that_are_not_finite_are_warned_of(bad):
    for plan in (one_step(bad, [1.0]), one_step(1.0, [1.0, bad])):
        (warning,) = stability(plan).warnings
        assert "coefficients are not finite" in warning


def test_weights_that_cancel_amplify_without_bound():
    found = stability(one_step(1.0, [1.0, -1.0]))
    assert found.worst.amplification == math.inf
    assert "inf-fold" in found.warnings[0]


def test_a_single_step_is_spoken_of_alone():
    (warning,) = stability(one_step(1.0, [30.0, -29.0])).warnings
    assert warning == (
        "In step 1 (t = 0 to 1) errors of N are amplified 59-fold: the weights add up to 1 but their absolute values "
        "to 59; take fewer points, or a grid with smaller ratios of steps."
    )


def test_the_bound_is_what_the_worst_errors_do():
    # the response of the end to an error in each evaluation, from runs with N = 1 there and 0 elsewhere
    ode = DiagonalODE(-2.0, lambda t, x: x)
    grid = uneven_grid((0.0, 1.0), 7)
    plan = make_plan(ode, grid, "tab2")
    worst = 0.0
    for stop in range(1, 8):
        part = [responses(plan, number)[stop] for number in range(stop)]
        worst = max(worst, sum(map(abs, part)))
    found = stability(plan)
    assert worst <= found.bound * (1 + 1e-12)
    # the recursion lets an error change its sign from step to step, so that it is not sharp
    assert found.bound == pytest.approx(recursion(plan), rel=1e-12)


def responses(plan, number):
    """States at every time if N is 1 at one evaluation and 0 elsewhere."""
    x, states, history = 0.0, [0.0], []
    for n, step in enumerate(plan.steps):
        history.insert(0, 1.0 if n == number else 0.0)
        x = step.advance.state * x + sum(w * v for w, v in zip(step.advance.values, history, strict=False))
        states.append(x)
    return states


def recursion(plan):
    e, largest = 0.0, 0.0
    for step in plan.steps:
        e = abs(step.advance.state) * e + sum(map(abs, step.advance.values))
        largest = max(largest, e)
    return largest


def test_weights_of_one_sign_amplify_nothing():
    found = stability(make_plan(FLOW, make_grid("t2")(FLOW, 10), "ddim"))
    assert found.amplification == pytest.approx(1)
    assert [step.amplification for step in found.steps] == pytest.approx([1.0] * 10)
    growth = [step.growth for step in found.steps]
    alpha = FLOW.marginal(torch.tensor(make_grid("t2")(FLOW, 10).times, dtype=torch.float64))[0]
    assert growth == pytest.approx((alpha[1:] / alpha[:-1]).tolist())


def test_a_corrected_step_is_judged_by_its_correction():
    plan = make_plan(PLAIN, equal(6), PolynomialEIAB(steps=2, corrector=True))
    assert plan.steps[2].correct is not None
    found = stability(plan).steps[2]
    assert found.absolute == pytest.approx((5 + 8 + 1) / 12 / 6)  # Adams-Moulton 3
    assert found.amplification == pytest.approx(2)  # of the prediction, Adams-Bashforth 2


def test_diagonal_and_matrix_coefficients_are_judged_by_their_largest_entries():
    diagonal = DiagonalODE(torch.tensor([-50.0, -1.0]), lambda t, x: x)
    scalar = DiagonalODE(-1.0, lambda t, x: x)
    many, one = (stability(make_plan(ode, equal(8), "tab3")) for ode in (diagonal, scalar))
    assert many.steps[-1].growth == pytest.approx(one.steps[-1].growth)
    assert many.steps[-1].total == pytest.approx(one.steps[-1].total)
    turning = DenseODE(torch.tensor([[0.0, 1.0], [-1.0, 0.0]]), lambda t, x: x)
    assert stability(make_plan(turning, equal(8), "tab3")).steps[0].growth == pytest.approx(math.cos(1 / 8))


def test_starting_steps_mix_numbers_and_tensors():
    ode = DiagonalODE(torch.tensor([-2.0, -1.0]), lambda t, x: x)
    assert stability(make_plan(ode, equal(8), PolynomialEIAB(steps=4, start="runge-kutta"))).warnings == ()


def test_coefficients_that_carry_gradients_are_accepted():
    weight = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    assert stability(one_step(1.0, [weight])).bound == 2.0


def test_the_table_has_a_line_a_step():
    text = str(stability(make_plan(PLAIN, equal(4), "tab1")))
    lines = text.splitlines()
    assert lines[0].split()[0] == "step"
    assert [line.split()[0] for line in lines[1:5]] == ["1", "2", "3", "4"]
    assert lines[-1] == "no warnings"
    warned = stability(one_step(1.0, [30.0, -29.0]))
    assert str(warned).splitlines()[-1] == warned.warnings[0]


@pytest.mark.parametrize("plan", ["tab3", PolynomialEIAB(), None])
def test_what_is_no_plan_is_refused(plan):
    with pytest.raises(ArgumentError, match=r"plan must be a Plan.*make_plan"):
        stability(plan)

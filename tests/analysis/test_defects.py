import math

import mpmath
import pytest
import torch

from deis import (
    EDM,
    ArgumentError,
    Bernoulli,
    CapabilityError,
    DenseODE,
    DiagonalODE,
    GaussianMixture,
    HochbruckOstermann,
    InitialValueProblem,
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
    solve,
)
from deis.analysis import local_defects, path_defects, quadrature_defects, reference
from deis.testing import uneven_grid

PLAIN = DiagonalODE(0.0, lambda t, x: x.sin())


def equal(intervals, end=1.0):
    return torch.linspace(0.0, end, intervals + 1, dtype=torch.float64)


def unsolved(problem):
    return InitialValueProblem(problem.ode, problem.initial)


# from the coefficients


@pytest.mark.parametrize(("steps", "constant"), [(1, 1 / 2), (2, 5 / 12), (3, 3 / 8), (4, 251 / 720), (5, 95 / 288)])
def test_error_constants_of_adams_bashforth(steps, constant):
    last = quadrature_defects(PLAIN, make_plan(PLAIN, equal(8), PolynomialEIAB(steps=steps)))[-1]
    assert last.degree == steps - 1
    assert last.coefficient == pytest.approx(constant / 8 ** (steps + 1), rel=1e-6)


@pytest.mark.parametrize(("steps", "constant"), [(1, 1 / 12), (2, 1 / 24), (3, 19 / 720), (4, 3 / 160)])
def test_error_constants_of_adams_moulton(steps, constant):
    found = quadrature_defects(PLAIN, make_plan(PLAIN, equal(8), PolynomialEIAB(steps=steps, corrector=True)))
    assert found[-2].degree == steps
    assert found[-2].coefficient == pytest.approx(constant / 8 ** (steps + 2), rel=1e-6)
    assert found[-1].degree == steps - 1  # nothing is evaluated at the end


@pytest.mark.parametrize(
    ("tableau", "degree", "constant"),
    # the trapezoidal, Simpson's (kutta3, ssprk3, rk4) and Radau's rule
    [
        ("heun2", 1, 1 / 12),
        ("kutta3", 3, 1 / 2880),
        ("ssprk3", 3, 1 / 2880),
        ("rk4", 3, 1 / 2880),
        ("heun3", 2, 1 / 216),
    ],
)
def test_runge_kutta_steps_show_the_rule_behind_them(tableau, degree, constant):
    (found,) = quadrature_defects(PLAIN, make_plan(PLAIN, [0.0, 0.5], RhoRungeKutta(tableau, clock="t")))
    assert found.degree == degree
    assert found.coefficient == pytest.approx(constant * 0.5 ** (degree + 2), rel=1e-6)


def moment(lam, s, t, degree):
    return lambda r: mpmath.exp(lam * (t - r)) * (r - s) ** degree


@pytest.mark.parametrize("lam", [-2.0, 3j, -0.5 + 4j])
def test_moments_agree_with_integrals_in_many_digits(lam):
    ode = DiagonalODE(lam, lambda t, x: x)
    times = uneven_grid((0.0, 1.0), 5).tolist()
    plan = make_plan(ode, times, "tab2")
    for n, found in enumerate(quadrature_defects(ode, plan)):
        points = min(n + 1, 3)
        s, t = mpmath.mpf(times[n]), mpmath.mpf(times[n + 1])
        with mpmath.workdps(30):
            exact = mpmath.quad(moment(mpmath.mpmathify(lam), s, t, points), [s, t])
            made = sum(w * (times[n - j] - s) ** points for j, w in enumerate(plan.steps[n].advance.values))
        assert found.degree == points - 1
        assert found.coefficient == pytest.approx(float(abs(made - exact) / math.factorial(points)), rel=1e-9)


def test_methods_that_ignore_l_do_not_even_integrate_constants():
    ode = DiagonalODE(-2.0, lambda t, x: x)
    (found,) = quadrature_defects(ode, make_plan(ode, [0.0, 0.5], "euler"))
    assert found.degree == -1
    assert found.coefficient == pytest.approx(0.5 - (1 - math.exp(-1)) / 2)


@pytest.mark.parametrize("clock", ["t", "rho", "lambda", "log_rho", "sqrt_t", "vp_t"])
@pytest.mark.parametrize("predict", ["eps", "x0"])
def test_each_member_is_exact_in_its_own_clock(clock, predict):
    ode = ProbabilityFlowODE(VPLinear(), lambda x, t: x)
    plan = make_plan(ode, make_grid("t2")(ode, 8), PolynomialEIAB(predict=predict, clock=clock, steps=3))
    assert [step.degree for step in quadrature_defects(ode, plan, clock)] == [0, 1, *[2] * 6]
    assert [step.degree for step in quadrature_defects(ode, plan, "t" if clock == "rho" else "rho")] == [0] * 8


def test_ipndm_is_of_degree_one_for_equal_steps_only():
    steps = quadrature_defects(PLAIN, make_plan(PLAIN, equal(6), "ipndm"))
    assert [step.degree for step in steps] == [0, 1, 2, 3, 3, 3]
    uneven = quadrature_defects(PLAIN, make_plan(PLAIN, uneven_grid((0.0, 1.0), 6), "ipndm"))
    assert [step.degree for step in uneven] == [0] * 6


@pytest.mark.parametrize(
    "linear", [torch.tensor([-1e6, -3.0, 0.0, 1.5]), torch.tensor([-2.0, 3j])], ids=["stiff", "complex"]
)
@pytest.mark.parametrize(("start", "first"), [("ramp", [0, 1, 2]), ("runge-kutta", [2, 2, 2])])
def test_stiff_and_complex_parts_are_no_obstacle(linear, start, first):
    ode = DiagonalODE(linear, lambda t, x: x)
    plan = make_plan(ode, uneven_grid((0.0, 1.0), 7), PolynomialEIAB(steps=4, start=start))
    assert [step.degree for step in quadrature_defects(ode, plan)] == [*first, *[3] * 4]


def test_matrices_are_measured_by_their_largest_entry():
    turning = DenseODE(torch.tensor([[0.0, 1.0], [-1.0, 0.0]]), lambda t, x: x)
    whole = quadrature_defects(turning, make_plan(turning, equal(4), "tab1"))
    assert [step.degree for step in whole] == [0, 1, 1, 1]


def test_a_plan_that_is_exact_to_all_that_is_tried_has_no_error_left():
    # Gauss's rule on three points is of degree 5, two beyond the points, which is as far as moments are tried
    c = [0.5 - math.sqrt(0.15), 0.5, 0.5 + math.sqrt(0.15)]
    b = [5 / 18, 8 / 18, 5 / 18]
    plan = Plan([Step(0.0, 1.0, [Stage(time) for time in c], Row(1.0, b))])
    (found,) = quadrature_defects(PLAIN, plan)
    assert (found.degree, found.coefficient) == (5, 0.0)


# along a path


@pytest.mark.parametrize("lam", [2.0, 3j], ids=["real", "imaginary"])
@pytest.mark.parametrize(
    ("method", "order"),
    [(PolynomialEIAB(steps=k), k + 1) for k in range(1, 6)]
    + [(PolynomialEIAB(steps=k, corrector=True), k + 2) for k in range(1, 4)]
    + [(RhoRungeKutta("heun2", "t"), 3), (RhoRungeKutta("kutta3", "t"), 4), (RhoRungeKutta("rk4", "t"), 5)],
    ids=repr,
)
def test_local_errors_are_one_order_smaller_than_global_ones(method, order, lam):
    problem = Bernoulli(lam)
    sizes = [local_defects(problem, method, equal(n)).steps[n // 2].defect for n in (40, 80, 160)]
    assert math.log2(sizes[1] / sizes[2]) == pytest.approx(order, abs=0.2)
    assert abs(math.log2(sizes[1] / sizes[2]) - order) <= abs(math.log2(sizes[0] / sizes[1]) - order) + 0.05


def test_a_starting_step_loses_no_more_than_the_whole_solve():
    problem, method = Bernoulli(), PolynomialEIAB(steps=4, start="runge-kutta")
    sizes = [local_defects(problem, method, equal(n)).steps[0].defect for n in (40, 80)]
    assert math.log2(sizes[0] / sizes[1]) == pytest.approx(method.order, abs=0.1)


@pytest.mark.parametrize(("method", "tolerance"), [("ddim", 0.02), (RhoRungeKutta("heun2", "t"), 0.02)], ids=str)
def test_local_errors_carried_to_the_end_add_up_to_the_global_error(method, tolerance):
    # u = 1/x obeys u' = lam u + 1 + t, so that the flow of x carries a small dx from t to the end by
    # exp(-lam (1 - t)) x(1)^2 / x(t)^2 ... dx = -x^2 du and du(1) = exp(lam (1 - t)) du(t)
    problem, times = Bernoulli(2.0), equal(200)
    found = local_defects(problem, method, times)
    total = 0.0
    for step, difference in zip(found.steps, found.differences, strict=True):
        t = step.quadrature.end
        carried = math.exp(2.0 * (1 - t)) * float(problem.exact(1.0)) ** 2 / float(problem.exact(t)) ** 2
        total += carried * float(difference)
    error = float(solve(problem.ode, problem.initial, times, method).x - problem.exact(1.0))
    assert total == pytest.approx(error, rel=tolerance)


def test_for_a_known_nonlinearity_the_defect_is_that_of_the_quadrature():
    # N depends on time alone: N = t^4, so that the fourth derivative is 24 everywhere
    ode = DiagonalODE(-2.0, lambda t, x: torch.full_like(x, t**4))
    problem = InitialValueProblem(ode, torch.ones(2))
    found = local_defects(problem, "tab3", equal(8))
    for step in found.steps[3:]:
        assert step.defect == pytest.approx(24 * step.quadrature.coefficient, rel=1e-6)


def test_history_and_start_are_taken_from_the_path():
    problem, times = Bernoulli(), equal(6)
    plan = make_plan(problem.ode, times, "tab2")
    x = [problem.exact(t) for t in plan.times]
    values = [problem.ode.nonlinearity(t, state) for t, state in zip(plan.times, x, strict=True)]
    differences = path_defects(problem.ode, plan, reference(problem, times))
    for n, step in enumerate(plan.steps):
        known = values[max(n - 2, 0) : n + 1][::-1]
        end = step.advance.state * x[n] + sum(w * v for w, v in zip(step.advance.values, known, strict=True))
        assert float(differences[n]) == pytest.approx(float(end - x[n + 1]), rel=1e-9, abs=1e-16)


def test_a_reference_that_is_too_coarse_leaves_defects_out():
    fine = local_defects(unsolved(Bernoulli()), "tab3", equal(8))
    coarse = local_defects(unsolved(Bernoulli()), "tab3", equal(8), nfe=48)
    assert all(step.defect is not None for step in fine.steps)
    assert all(step.defect is None or step.defect >= 10 * step.uncertainty for step in coarse.steps)
    assert coarse.steps[-1].defect is None
    assert "< " in str(coarse)
    exact = local_defects(Bernoulli(), "tab3", equal(8))
    for one, other in zip(fine.steps, exact.steps, strict=True):
        assert one.defect == pytest.approx(other.defect, rel=0.1)


def test_samplers_are_measured_along_the_path_of_their_model():
    ode = GaussianMixture(torch.tensor([[1.0, 0.0], [-0.5, 0.5]]), std=0.2).ode(EDM())
    start = 80 * torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    grid = make_grid("rho7")(ode, 12)
    found = local_defects(InitialValueProblem(ode, start), PolynomialEIAB(predict="x0", clock="rho", steps=2), grid)
    assert found.differences.shape == (12, 4, 2)
    assert [step.quadrature.degree for step in found.steps] == [0, *[1] * 11]
    assert [step.quadrature.start for step in found.steps] == list(grid.times[:-1])


def test_diagonal_states_and_any_norm_are_measured():
    found = local_defects(HochbruckOstermann(20), "tab1", equal(5), norm=lambda a, b: float((a - b).abs().max()))
    for step, difference in zip(found.steps, found.differences, strict=True):
        assert step.defect == pytest.approx(float(difference.abs().max()), rel=1e-6)


def test_the_clock_may_be_chosen():
    ode = ProbabilityFlowODE(VPLinear(), lambda x, t: 0.5 * x)
    problem = InitialValueProblem(ode, torch.ones(1, 2))
    grid = make_grid("t2")(ode, 5)
    own, other = (local_defects(problem, "rhoab1", grid, clock=clock) for clock in (None, "t"))
    assert [step.quadrature.degree for step in own.steps] == [0, 1, 1, 1, 1]
    assert [step.quadrature.degree for step in other.steps] == [0] * 5


def test_a_ready_plan_is_taken_as_it_is():
    problem = Bernoulli()
    plan = make_plan(problem.ode, equal(5), "tab1")
    assert local_defects(problem, plan, equal(5)).to_rows() == local_defects(problem, "tab1", equal(5)).to_rows()


def test_the_table_and_the_records_have_a_line_a_step():
    found = local_defects(Bernoulli(), "tab1", equal(4))
    lines = str(found).splitlines()
    assert [line.split()[0] for line in lines[:5]] == ["step", "1", "2", "3", "4"]
    assert lines[-1] == "path: exact"
    rows = found.to_rows()
    assert [row["degree"] for row in rows] == [0, 1, 1, 1]
    assert list(rows[0]) == ["start", "end", "degree", "coefficient", "defect", "uncertainty"]


def test_wrong_inputs_are_refused():
    problem = Bernoulli()
    plan = make_plan(problem.ode, equal(5), "tab1")
    with pytest.raises(ArgumentError, match="times must be those that the plan was made for"):
        local_defects(problem, plan, equal(4))
    with pytest.raises(ArgumentError, match="problem must be a Problem"):
        local_defects(problem.ode, plan, equal(5))
    with pytest.raises(ArgumentError, match=r"plan must be a Plan, got 'str'; make one by make_plan"):
        quadrature_defects(problem.ode, "tab1")
    with pytest.raises(ArgumentError, match="ode must be a SemilinearODE"):
        path_defects(problem, plan, reference(problem, equal(5)))
    with pytest.raises(ArgumentError, match=r"path must be a Reference, .*; make it by deis\.analysis\.reference"):
        path_defects(problem.ode, plan, torch.ones(6))
    with pytest.raises(ArgumentError, match="path must hold the state at every time of the plan"):
        path_defects(problem.ode, plan, reference(problem))
    with pytest.raises(ArgumentError, match="times must begin at 0"):
        local_defects(unsolved(problem), "tab1", [0.5, 1.0])
    with pytest.raises(ArgumentError, match=r"nfe must be a whole number of at least 30, .*, got 0"):
        local_defects(unsolved(problem), "tab1", equal(5), nfe=0)
    with pytest.raises(CapabilityError, match="has no plan"):
        local_defects(problem, "dopri5", equal(5))
    with pytest.raises(CapabilityError, match="no clock 'rho'"):
        local_defects(problem, "tab1", equal(5), clock="rho")
    flow = ProbabilityFlowODE(VPLinear(), lambda x, t: x)
    with pytest.raises(ArgumentError, match="plan must not add noise"):
        local_defects(InitialValueProblem(flow, torch.ones(1, 2)), "sddim", make_grid("t2")(flow, 3))

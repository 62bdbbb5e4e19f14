import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deis import (
    ArgumentError,
    Bernoulli,
    CapabilityError,
    DiagonalODE,
    Euler,
    HochbruckOstermann,
    InitialValueProblem,
    PolynomialEIAB,
    PowerGrid,
    RhoRungeKutta,
    SolvedProblem,
    UnknownNameError,
)
from deis.analysis import convergence, fit_order, reference
from deis.testing import uneven_grid

DOUBLING = [8, 16, 32, 64, 128, 256, 512, 1024]


def unsolved(problem):
    return InitialValueProblem(problem.ode, problem.initial)


# the fit


@given(order=st.floats(0.8, 6.0), constant=st.floats(1e-2, 1e2), floor=st.floats(1e-16, 1e-4))
@settings(max_examples=200, deadline=None)
def test_the_order_is_recovered_above_an_unknown_floor(order, constant, floor):
    fit = fit_order(DOUBLING, [constant * n**-order + floor for n in DOUBLING])
    assume(fit is not None and fit.marks.count("used") >= 4)
    # a floor hides until it is as large as 2^(order / 2) parts of an error, which can bend the last slope
    assert fit.order == pytest.approx(order, abs=0.25)
    assert fit.low <= fit.order <= fit.high


@given(order=st.floats(0.3, 8.0), constant=st.floats(1e-3, 1e3))
@settings(max_examples=50, deadline=None)
def test_a_pure_power_is_recovered_exactly(order, constant):
    fit = fit_order(DOUBLING, [constant * n**-order for n in DOUBLING])
    assert set(fit.marks) == {"used"}
    assert fit.order == pytest.approx(order, rel=1e-9)
    assert fit.constant == pytest.approx(constant, rel=1e-7)


def test_the_interval_is_that_of_the_textbook():
    # slope, its standard error and t(0.975, 2) = 4.302652729911275 worked out by hand for four points
    intervals, logs = [1, 2, 4, 8], np.log([1.0, 0.4, 0.3, 0.1])
    x = np.log(intervals)
    slope = ((x - x.mean()) * (logs - logs.mean())).sum() / ((x - x.mean()) ** 2).sum()
    rest = logs - logs.mean() - slope * (x - x.mean())
    error = math.sqrt((rest**2).sum() / 2 / ((x - x.mean()) ** 2).sum())
    fit = fit_order(intervals, np.exp(logs).tolist())
    assert fit.order == pytest.approx(-slope)
    assert fit.high - fit.order == pytest.approx(4.302652729911275 * error)
    assert fit.order - fit.low == pytest.approx(4.302652729911275 * error)


def test_the_interval_covers_the_order_of_noisy_errors():
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(200):
        order = rng.uniform(1, 5)
        fit = fit_order(DOUBLING, [n**-order * math.exp(rng.normal(0, 0.15)) for n in DOUBLING])
        covered += fit.low <= order <= fit.high
    assert 0.88 <= covered / 200 <= 0.99


def test_points_within_ten_times_the_known_noise_are_left_out():
    fit = fit_order([10, 100, 1000, 10000], [1e-2, 1e-4, 1e-6, 1e-8], noise=[1e-9, 1e-9, 1e-9, 1.1e-9])
    assert fit.marks == ("used", "used", "used", "floor")


def test_errors_that_stay_are_left_out_with_all_within_ten_times_them():
    errors = [1.0, 1e-2, 1e-4, 5e-6, 1e-6, 1.1e-6, 0.9e-6]
    fit = fit_order([2**k for k in range(7)], errors)
    assert fit.marks == ("used", "used", "used", "floor", "floor", "floor", "floor")


def test_a_coarse_point_off_the_line_is_flagged():
    errors = [100.0 * n**-3 for n in DOUBLING]
    errors[0] /= 30
    fit = fit_order(DOUBLING, errors)
    assert fit.marks == ("coarse", *["used"] * 7)
    assert fit.order == pytest.approx(3)


def test_a_coarse_point_within_the_scatter_is_kept():
    errors = [n**-1.0 * factor for n, factor in zip(DOUBLING, [1.5, 0.7, 1.4, 0.6, 1.5, 0.7, 1.3, 0.7], strict=True)]
    assert set(fit_order(DOUBLING, errors).marks) == {"used"}


def test_errors_that_are_zero_or_not_finite_are_left_out():
    fit = fit_order([1, 2, 4, 8, 16], [math.inf, math.nan, 0.4, 0.2, 0.0])
    assert fit.marks == ("not finite", "not finite", "used", "used", "floor")
    assert (fit.low, fit.high) == (-math.inf, math.inf)
    assert fit.order == pytest.approx(1)


@pytest.mark.parametrize("errors", [[1.0], [0.0, 0.0, 0.0], [math.inf, 1.0]])
def test_one_point_has_no_order(errors):
    assert fit_order(DOUBLING[: len(errors)], errors) is None


@pytest.mark.parametrize("intervals", [[8, 8], [16, 8], [0, 8], [], None, torch.tensor(8)])
def test_intervals_of_a_fit_must_rise(intervals):
    with pytest.raises(ArgumentError, match="intervals must be whole numbers of at least 1, rising"):
        fit_order(intervals, [0.1, 0.05])


@pytest.mark.parametrize(("intervals", "noise"), [([8, 16, 32], 0.0), ([8, 16], [0.0, 0.0, 0.0])])
def test_sequences_of_different_lengths_are_refused(intervals, noise):
    with pytest.raises(ArgumentError, match="intervals must be as many as there are errors"):
        fit_order(intervals, [0.1, 0.05], noise)


@pytest.mark.parametrize("bad", [None, "a", 3, [None, 0.1]])
def test_errors_of_a_fit_must_be_numbers(bad):
    with pytest.raises(ArgumentError, match="errors must be a row of numbers"):
        fit_order([8, 16], bad)


# the study

FULL = [PolynomialEIAB(steps=k, start="runge-kutta") for k in range(1, 7)]
FULL += [PolynomialEIAB(steps=k, start="runge-kutta", corrector=True) for k in range(1, 5)]
FULL += [RhoRungeKutta(tableau, clock="t") for tableau in ("heun2", "kutta3", "rk4")]
MEASURED = [*FULL, "ddim", "euler", "ipndm", "tab3"]


@pytest.mark.parametrize("lam", [2.0, 3j], ids=["real", "imaginary"])
def test_claimed_orders_are_confirmed_where_nothing_is_stiff(lam):
    study = convergence(Bernoulli(lam), MEASURED)
    assert len(study.curves) == 2 * len(MEASURED)
    assert [curve.agrees for curve in study.curves] == [True] * len(study.curves)
    for curve in study.curves:
        assert curve.fit.order == pytest.approx(curve.claimed, abs=0.35)
        assert curve.fit.high - curve.fit.low < 0.6


@pytest.mark.parametrize("grid", ["t2", PowerGrid("t", 1.5), uneven_grid], ids=["name", "family", "function"])
def test_orders_hold_on_uneven_grids(grid):
    study = convergence(Bernoulli(3j), ["tab1", FULL[2]], grid=grid)
    assert [curve.agrees for curve in study.curves] == [True] * 4


def test_published_orders_of_a_stiff_heat_equation():
    # MAX norm orders 1.01, 2.01, 3.01, 4.00 of exponential Adams 1 ... 4 and 1.08 of Lawson's method of order 4
    methods = [*FULL[:4], RhoRungeKutta("rk4", clock="t")]
    study = convergence(HochbruckOstermann(), methods, (32, 64, 128))
    orders = [curve.fit.order for curve in study.curves if curve.norm == "rms"]
    assert orders[:4] == pytest.approx([1, 2, 3, 4], abs=0.05)
    assert orders[4] == pytest.approx(1.3, abs=0.1)  # the mean square forgives what single points do not
    assert [curve.agrees for curve in study.curves] == [True] * 8 + [False] * 2


def test_rounding_is_told_from_convergence():
    curve = convergence(Bernoulli(), FULL[5], (16, 32, 64, 128, 256, 512, 1024)).curve(FULL[5])
    assert curve.fit.marks[-1] == "floor"
    assert curve.errors[-1] < 1e-12
    assert curve.fit.order == pytest.approx(6, abs=0.1)


def test_a_coarse_reference_is_told_from_convergence():
    problem = unsolved(Bernoulli())
    coarse = reference(problem, nfe=80)
    curve = convergence(problem, FULL[3], reference=coarse).curve(FULL[3])
    assert curve.fit.marks[0] != curve.fit.marks[-1] == "floor"
    size = coarse.uncertainty() / abs(float(coarse.x))
    assert [mark == "floor" for mark in curve.fit.marks] == [error < 10 * size for error in curve.errors]


def test_without_a_solution_the_reference_is_fine_enough():
    study = convergence(unsolved(Bernoulli()), [FULL[3], "tab1"])
    exact = convergence(Bernoulli(), [FULL[3], "tab1"])
    assert "with 1040 evaluations" in study.reference
    assert exact.reference == "exact"
    for one, other in zip(study.curves, exact.curves, strict=True):
        assert one.errors == pytest.approx(other.errors, rel=1e-2)


def test_errors_are_relative_to_the_reference_in_two_norms():
    class Pair(SolvedProblem):
        """x' = c with two components, of which an off-by-one reference is exact."""

        ode = DiagonalODE(0.0, lambda t, x: torch.tensor([3.0, 4.0], dtype=torch.float64))

        def exact(self, t):
            return torch.tensor([3.0 * t, 4.0 * t + (0.5 if t == 1 else 0.0)], dtype=torch.float64)

    study = convergence(Pair(), "euler", [2, 4])
    assert study.curve("euler", "max").errors == pytest.approx([0.5 / 4.5] * 2)
    assert study.curve("euler", "rms").errors == pytest.approx([0.5 / math.hypot(3, 4.5)] * 2)


def test_a_solve_that_overflows_is_a_point_that_is_not_finite():
    class Cubic(SolvedProblem):
        """x' = -100 x^3, x(0) = 1."""

        ode = DiagonalODE(0.0, lambda t, x: -100 * x**3)

        def exact(self, t):
            return torch.tensor(1 / math.sqrt(1 + 200 * t), dtype=torch.float64)

    curve = convergence(Cubic(), "euler", (8, 16, 400, 800, 1600)).curve("euler")
    assert curve.errors[0] == math.inf
    assert curve.fit.marks == ("not finite", "not finite", "used", "used", "used")
    assert curve.fit.order == pytest.approx(1, abs=0.1)


def test_evaluations_are_counted_for_every_point():
    study = convergence(Bernoulli(), "rhork-rk4:clock=t", [2, 5, 7])
    assert study.curves[0].nfe == (8, 20, 28)


def test_the_table_names_every_method_and_what_was_found():
    study = convergence(HochbruckOstermann(20), ["tab1", Euler()], (8, 16, 32))
    lines = str(study).splitlines()
    assert lines[0].split()[:3] == ["integrator", "norm", "claimed"]
    assert [line.split()[:3] for line in lines[1:5]] == [
        ["tab1", "max", "2"],
        ["tab1", "rms", "2"],
        ["Euler()", "max", "1"],
        ["Euler()", "rms", "1"],
    ]
    assert [line.split("  ")[-1].strip() for line in lines[1:5]] == ["yes", "yes", "cannot tell", "cannot tell"]
    assert lines[-1] == "reference: exact"


def test_rows_are_flat_records():
    rows = convergence(Bernoulli(), "tab1", (8, 16, 32)).to_rows()
    assert len(rows) == 6
    first = rows[0]
    assert (first["integrator"], first["norm"], first["intervals"], first["nfe"]) == ("tab1", "max", 8, 8)
    assert (first["mark"], first["claimed"], first["agrees"]) == ("used", 2, True)
    assert all(isinstance(value, int | float | str | bool | None) for row in rows for value in row.values())


def test_a_single_point_gives_rows_without_an_order():
    study = convergence(Bernoulli(), "tab1", [8])
    assert study.to_rows()[0]["order"] is None
    assert study.curves[0].agrees is None
    assert "cannot tell" in str(study)


@pytest.mark.parametrize("intervals", [[], [8, 8], [16, 8], [0, 8], [2.5, 8], [True, 8], 8, None])
def test_intervals_that_do_not_rise_are_refused(intervals):
    with pytest.raises(ArgumentError, match="intervals must be whole numbers of at least 1, rising"):
        convergence(Bernoulli(), "tab1", intervals)


def test_integrators_that_cannot_be_measured_are_refused_before_any_solve():
    calls = []
    ode = DiagonalODE(-1.0, lambda t, x: calls.append(t))
    problem = InitialValueProblem(ode, torch.ones(1))
    with pytest.raises(ArgumentError, match="integrators must not add noise"):
        convergence(problem, ["tab1", "sddim"])
    with pytest.raises(CapabilityError, match="use work_precision"):
        convergence(problem, ["tab1", "dopri5"])
    with pytest.raises(CapabilityError, match=r"needs the clock 'rho'.*choose another by clock="):
        convergence(problem, ["tab1", "rhoab2"])
    with pytest.raises(UnknownNameError, match="near it: tab0"):
        convergence(problem, "tab")
    with pytest.raises(ArgumentError, match="integrators must hold at least one"):
        convergence(problem, [])
    with pytest.raises(ArgumentError, match="must be an integrator or the name of one"):
        convergence(problem, 3)
    assert calls == []


def test_grids_that_do_not_fit_are_refused():
    with pytest.raises(ArgumentError, match="grid must start at 0"):
        convergence(Bernoulli(), "tab1", grid=lambda domain, n: torch.linspace(0.1, 1.0, n + 1))
    with pytest.raises(ArgumentError, match="grid must have the 8 intervals"):
        convergence(Bernoulli(), "tab1", grid=lambda domain, n: torch.linspace(0.0, 1.0, n))
    with pytest.raises(UnknownNameError, match="no grid named"):
        convergence(Bernoulli(), "tab1", grid="tt")
    with pytest.raises(ArgumentError, match="reference must end at 1"):
        convergence(Bernoulli(), "tab1", reference=reference(Bernoulli(), [0.0, 0.5]))


def test_an_integrator_that_was_not_measured_is_not_found():
    study = convergence(Bernoulli(), "tab1", [8, 16])
    with pytest.raises(ArgumentError, match="must be one that was measured"):
        study.curve("tab2")

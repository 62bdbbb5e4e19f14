"""Coefficients of the exponential Adams family against independent formulas in high precision."""

import math
from itertools import pairwise

import mpmath as mp
import numpy as np
import pytest
import torch

from deis import EDM, DiagonalODE, PolynomialEIAB, ProbabilityFlowODE, SubVP, VPCosine, VPLinear, make_grid
from deis.errors import ArgumentError, CapabilityError, UnknownNameError


def diffusion(schedule, splitting="eps"):
    return ProbabilityFlowODE(schedule, lambda x, t: x, splitting=splitting)


# tAB: C_j = alpha_t int_s^t rho'(r) l_j(r) dr, in mpmath with its own alpha and rho'


class Linear:
    """Linear variance preserving: alpha^-2 = exp(int beta)."""

    def growth(self, t):
        return mp.exp(mp.mpf("19.9") * t**2 / 2 + mp.mpf("0.1") * t)

    def alpha(self, t):
        return 1 / mp.sqrt(self.growth(t))

    def rho_rate(self, t):
        growth = self.growth(t)
        return (mp.mpf("0.1") + mp.mpf("19.9") * t) * growth / (2 * mp.sqrt(growth - 1))


class Cosine:
    """alpha = cos(a) / cos(b)."""

    def angle(self, t):
        return mp.pi / 2 * (t + mp.mpf("0.008")) / mp.mpf("1.008")

    def alpha(self, t):
        return mp.cos(self.angle(t)) / mp.cos(self.angle(0))

    def rho_rate(self, t):
        a, rate = self.angle(t), mp.pi / 2 / mp.mpf("1.008")
        return rate * mp.sin(a) / mp.cos(a) ** 3 / self.alpha(0) ** 2 * self.scale() / self.rho(t)

    def scale(self):
        return mp.cos(self.angle(0)) ** 2

    def rho(self, t):
        return mp.sqrt(1 / self.alpha(t) ** 2 - 1)


class Plain:
    """alpha = 1, rho = t."""

    def alpha(self, t):
        return mp.mpf(1)

    def rho_rate(self, t):
        return mp.mpf(1)


SCHEDULES = {"vp-linear": (VPLinear(), Linear()), "vp-cosine": (VPCosine(), Cosine()), "edm": (EDM(), Plain())}


def lagrange(nodes, j):
    """Coefficients of l_j, lowest power first."""
    row = [mp.mpf(1)]
    for m, node in enumerate(nodes):
        if m != j:
            scale = nodes[j] - node
            row = [(a - node * b) / scale for a, b in zip([mp.mpf(0), *row], [*row, mp.mpf(0)], strict=True)]
    return row


def reference(formula, times, n, most):
    """The weights of 1 ... ``most`` points in step n."""
    with mp.workdps(40):
        s, t = mp.mpf(times[n]), mp.mpf(times[n + 1])
        count = min(most, n + 1)
        moments = [mp.quad(lambda r, k=k: formula.rho_rate(r) * (r - s) ** k, [s, t]) for k in range(count)]
        rows = []
        for points in range(1, count + 1):
            nodes = [mp.mpf(times[n - j]) - s for j in range(points)]
            rows.append(
                [
                    formula.alpha(t) * sum(c * moment for c, moment in zip(lagrange(nodes, j), moments, strict=False))
                    for j in range(points)
                ]
            )
        return rows


@pytest.mark.parametrize(("intervals", "some"), [(5, None), (10, None), (50, [0, 1, 3, 24, 48, 49])], ids=str)
@pytest.mark.parametrize("name", SCHEDULES)
def test_tab_coefficients_to_twelve_digits(name, intervals, some):
    schedule, formula = SCHEDULES[name]
    ode = diffusion(schedule)
    times = make_grid("t2")(ode, intervals)
    plans = [PolynomialEIAB(steps=k).plan(ode, times.tensor()) for k in (1, 2, 3, 4)]
    for n in some or range(intervals):
        expected = reference(formula, times.times, n, 4)
        for steps, plan in enumerate(plans, start=1):
            row = plan.steps[n].advance
            exact = expected[min(steps, n + 1) - 1]
            assert len(row.values) == len(exact)
            for value, number in zip(row.values, exact, strict=True):
                assert abs(value - number) <= 1e-12 * abs(number)
            with mp.workdps(40):
                alphas = formula.alpha(mp.mpf(times.times[n + 1])) / formula.alpha(mp.mpf(times.times[n]))
            assert abs(row.state - alphas) <= 1e-13 * alphas


# rhoAB: Adams-Bashforth with variable steps in rho


@pytest.mark.parametrize("schedule", [EDM(), VPLinear(), SubVP()], ids=repr)
@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_rho_ab_is_variable_step_adams_bashforth(schedule, steps):
    ode = diffusion(schedule)
    times = make_grid("rho7")(ode, 9).tensor()
    plan = PolynomialEIAB(clock="rho", steps=steps).plan(ode, times)
    rho, alpha = schedule.rho(times).numpy(), schedule.alpha(times).tolist()
    for n, step in enumerate(plan.steps):
        nodes = [rho[n - j] for j in range(min(steps, n + 1))]
        scale = rho[n] - rho[n + 1]
        for j, value in enumerate(step.advance.values):
            others = [(node - rho[n + 1]) / scale for m, node in enumerate(nodes) if m != j]  # in units of the step
            basis = np.polynomial.Polynomial.fromroots(others) if others else np.polynomial.Polynomial([1.0])
            integral = basis.integ()(0.0) - basis.integ()(1.0)
            exact = alpha[n + 1] * scale * integral / basis((nodes[j] - rho[n + 1]) / scale)
            assert value == pytest.approx(exact, rel=1e-11)


def test_second_order_rho_ab_in_its_textbook_form():
    ode = diffusion(EDM())
    times = torch.tensor([80.0, 30.0, 7.0, 1.0], dtype=torch.float64)
    first, second, third = (s.advance.values for s in PolynomialEIAB(clock="rho", steps=2).plan(ode, times).steps)
    assert first == pytest.approx([-50.0])
    assert second == pytest.approx([-23 * (1 + 23 / 100), 23 * 23 / 100])
    assert third == pytest.approx([-6 * (1 + 6 / 46), 6 * 6 / 46])


# UniP and UniPC: moments of e^lambda


def phi_moment(k, h):
    """int_0^1 exp(-(1 - u) h) u^k du = k! phi_{k+1}(-h)."""
    with mp.workdps(50):
        h = mp.mpf(h)
        value = mp.exp(-h)
        for m in range(k + 1):
            value = (value - 1 / mp.factorial(m)) / -h
        return value * mp.factorial(k)


@pytest.mark.parametrize("schedule", [VPLinear(), EDM(), VPCosine()], ids=repr)
@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_x0_in_lambda_is_unip_and_unipc(schedule, steps):
    # sum_j W_j r_j^k = alpha_t h k! phi_{k+1}(-h) with r_j = (lambda_j - lambda_s) / h (arXiv 2302.04867, eq. 5-9)
    ode = diffusion(schedule)
    times = make_grid("log")(ode, 8).tensor()
    plan = PolynomialEIAB("x0", "lambda", steps=steps, corrector=True).plan(ode, times)
    assert plan.splitting == "x0"
    lam, alpha, sigma = schedule.lambda_(times).tolist(), schedule.alpha(times).tolist(), schedule.sigma(times).tolist()
    for n, step in enumerate(plan.steps):
        h = lam[n + 1] - lam[n]
        assert step.advance.state == pytest.approx(sigma[n + 1] / sigma[n], rel=1e-12)
        rows = [(step.advance, [lam[n - j] for j in range(min(steps, n + 1))])]
        if step.correct:
            assert step.correct.state == step.advance.state
            rows.append((step.correct, [lam[n + 1], *rows[0][1]]))
        for row, nodes in rows:
            assert len(row.values) == len(nodes)
            for k in range(len(nodes)):
                terms = [w * ((node - lam[n]) / h) ** k for w, node in zip(row.values, nodes, strict=True)]
                exact = float(alpha[n + 1] * h * phi_moment(k, h))
                assert abs(sum(terms) - exact) <= 1e-10 * max(map(abs, [*terms, exact]))


def test_second_order_unip_in_its_closed_form():
    schedule = VPLinear()
    times = torch.tensor([0.9, 0.6, 0.3], dtype=torch.float64)
    plan = PolynomialEIAB("x0", "lambda", steps=2).plan(diffusion(schedule), times)
    lam = schedule.lambda_(times).tolist()
    h, ratio = lam[2] - lam[1], (lam[0] - lam[1]) / (lam[2] - lam[1])
    alpha = float(schedule.alpha(times[2]))
    one, two = alpha * -math.expm1(-h), alpha * (h + math.expm1(-h)) / h
    assert plan.steps[1].advance.values == pytest.approx([one - two / ratio, two / ratio], rel=1e-12)


def test_eps_in_lambda_is_the_other_multistep_form():
    # first step: -sigma_t (e^h - 1), DPM-Solver-1 (arXiv 2206.00927, eq. 3.7)
    schedule = VPLinear()
    times = torch.tensor([0.9, 0.6, 0.3], dtype=torch.float64)
    plan = PolynomialEIAB("eps", "lambda", steps=2).plan(diffusion(schedule), times)
    lam, sigma = schedule.lambda_(times).tolist(), schedule.sigma(times).tolist()
    h, ratio = lam[2] - lam[1], (lam[0] - lam[1]) / (lam[2] - lam[1])
    one, two = -sigma[2] * math.expm1(h), -sigma[2] * (math.expm1(h) - h) / h
    assert plan.steps[0].advance.values == pytest.approx([-sigma[1] * math.expm1(lam[1] - lam[0])], rel=1e-12)
    assert plan.steps[1].advance.values == pytest.approx([one - two / ratio, two / ratio], rel=1e-12)


# properties of any member


@pytest.mark.parametrize("clock", ["t", "rho", "lambda", "log_rho", "sqrt_t", "vp_t"])
@pytest.mark.parametrize("predict", ["eps", "x0", "score", "v", "flow"])
def test_rows_of_any_member_integrate_constants(predict, clock):
    ode = diffusion(VPLinear())
    times = make_grid("t2")(ode, 7).tensor()
    one = PolynomialEIAB(predict, clock, steps=1).plan(ode, times)
    many = PolynomialEIAB(predict, clock, steps=3, corrector=True).plan(ode, times)
    assert many.splitting == predict
    for a, b in zip(one.steps, many.steps, strict=True):
        for row in filter(None, [b.advance, b.correct]):
            assert sum(row.values) == pytest.approx(a.advance.values[0], rel=1e-10)
            assert row.state == a.advance.state


def test_the_first_step_does_not_depend_on_the_clock():
    ode = diffusion(VPLinear())
    times = make_grid("t2")(ode, 6).tensor()
    assert all(
        PolynomialEIAB(clock=c, steps=1).plan(ode, times) == PolynomialEIAB(steps=1).plan(ode, times)
        for c in ode.clocks
    )


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 6])
def test_points_of_a_ramp_and_of_a_lowered_end(steps):
    ode = DiagonalODE(-1.0, lambda t, x: x)
    times = torch.linspace(0, 1, 11, dtype=torch.float64)

    def widths(method):
        return [len(step.advance.values) for step in method.plan(ode, times).steps]

    assert widths(PolynomialEIAB(steps=steps)) == [min(steps, n + 1) for n in range(10)]
    lowered = widths(PolynomialEIAB(steps=steps, lower_final=True))
    assert lowered == [min(steps, n + 1, 10 - n) for n in range(10)]
    assert PolynomialEIAB(steps=steps).plan(ode, times).history == steps - 1


@pytest.mark.parametrize("corrector", [False, True])
@pytest.mark.parametrize("steps", [2, 3, 4, 6])
def test_a_runge_kutta_start_evaluates_more_in_the_first_steps_only(steps, corrector):
    ode = DiagonalODE(-1.0, lambda t, x: x)
    times = torch.linspace(0, 1, 11, dtype=torch.float64)
    plan = PolynomialEIAB(steps=steps, corrector=corrector, start="runge-kutta").plan(ode, times)
    stages = [len(step.stages) for step in plan.steps]
    assert stages == sorted(stages, reverse=True)
    assert set(stages[steps - 1 :]) == {1}
    ramp = PolynomialEIAB(steps=steps, corrector=corrector).plan(ode, times)
    for a, b in list(zip(plan.steps, ramp.steps, strict=True))[steps - 1 :]:
        assert a.advance.values == b.advance.values
        assert (a.correct is None) == (b.correct is None)
    for step, after in pairwise(plan.steps):
        assert all(step.start <= stage.time <= step.end for stage in step.stages)
        assert step.end == after.start


@pytest.mark.parametrize("steps", [2, 4])
def test_grids_shorter_than_the_start(steps):
    ode = DiagonalODE(-1.0, lambda t, x: x)
    for intervals in range(1, steps):
        times = torch.linspace(0, 1, intervals + 1, dtype=torch.float64)
        method = PolynomialEIAB(steps=steps, corrector=True, start="runge-kutta")
        assert method.plan(ode, times).nfe == method.nfe(intervals)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be a whole number from 1 to 6, got 0"),
        ({"steps": 7}, "steps must be a whole number from 1 to 6, got 7"),
        ({"steps": True}, "steps must be a whole number"),
        ({"steps": 2.0}, "steps must be a whole number"),
        ({"corrector": 1}, "corrector must be True or False, got 1"),
        ({"lower_final": "yes"}, "lower_final must be True or False"),
    ],
    ids=str,
)
def test_bad_options(options, message):
    with pytest.raises(ArgumentError, match=message):
        PolynomialEIAB(**options)


def test_unknown_names_are_refused():
    ode = diffusion(VPLinear())
    times = torch.tensor([0.9, 0.5, 0.1], dtype=torch.float64)
    with pytest.raises(UnknownNameError, match=r"no start named 'runge_kutta'; near it: runge-kutta"):
        PolynomialEIAB(start="runge_kutta")
    with pytest.raises(CapabilityError, match="no clock 'tau'; it has t, rho, lambda"):
        PolynomialEIAB(clock="tau").plan(ode, times)
    with pytest.raises(UnknownNameError, match="no prediction named 'epss'; near it: eps"):
        PolynomialEIAB(predict="epss").plan(ode, times)

"""What a plan was made for is told by a few numbers, and another linear part is refused."""

import math

import pytest
import torch

import deis
from deis.errors import ArgumentError
from deis.integrators.signature import signature

TIMES = [0.0, 0.1, 0.25, 0.4, 0.6, 0.7]
X = torch.linspace(0.1, 1.0, 6, dtype=torch.float64)
RATES = torch.arange(1.0, 7.0, dtype=torch.float64)


def sine(t, x):
    return torch.sin(x)


def test_of_a_constant_linear_part_it_is_the_exponential_over_three_steps():
    found = signature(deis.DiagonalODE(-RATES, sine), TIMES)
    steps = [0.1, 0.15, 0.1]  # the first, the middle and the last
    norms = [math.sqrt(sum(math.exp(-2 * k * h) for k in range(1, 7))) for h in steps]
    assert found == pytest.approx([*norms, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0], rel=1e-12)


def test_of_a_rotation_it_tells_the_angle():
    found = signature(deis.DiagonalODE(3j, sine), [0.0, 0.2])
    assert found == pytest.approx([math.cos(0.6)] * 3 + [math.sin(0.6)] * 3 + [1.0] * 3, rel=1e-12)


def test_of_a_diffusion_it_is_the_ratio_of_signal_levels_and_the_weight_of_eps():
    schedule = deis.VPLinear()
    form = deis.ProbabilityFlowODE(schedule, lambda x, t: x)
    found = signature(form, [0.8, 0.6])
    s, t, middle = (torch.tensor(v, dtype=torch.float64) for v in (0.8, 0.6, 0.7))
    ratio = float(schedule.alpha(t) / schedule.alpha(s))
    beta = schedule.beta_0 + 0.7 * (schedule.beta_1 - schedule.beta_0)
    assert found[0] == pytest.approx(ratio, rel=1e-12)
    assert found[-1] == pytest.approx(beta / 2 / float(schedule.sigma(middle)), rel=1e-9)  # arXiv 2204.13902, eq. 8


MATRIX = torch.diag(torch.ones(5, dtype=torch.float64), 1)
PAIRS = {
    "real": (deis.DiagonalODE(-RATES, sine), deis.DiagonalODE(-RATES * (1 + 1e-4), sine)),
    "rotation": (deis.DiagonalODE(3j, sine), deis.DiagonalODE(5j, sine)),
    "matrix": (deis.DenseODE(MATRIX, sine), deis.DenseODE(MATRIX * 1.001, sine)),
    "shape": (deis.DiagonalODE(-RATES, sine), deis.DenseODE(MATRIX, sine)),
    "functions": (deis.KrylovODE(lambda x: -x, sine), deis.DiagonalODE(-1.0, sine)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_plan_serves_its_own_linear_part_only(name):
    ode, other = PAIRS[name]
    plan = deis.make_plan(ode, TIMES, "tab2")
    x0 = X.to(torch.complex128) if plan.is_complex else X
    deis.solve(ode, x0, TIMES, plan)
    with pytest.raises(ArgumentError, match="integrator must be a plan made for this linear part") as caught:
        deis.solve(other, x0, TIMES, plan)
    assert str(caught.value).endswith("make one by make_plan(ode, times, ...)")
    assert f"it was made for {ode!r}, got {other!r}" in str(caught.value)
    with pytest.raises(ArgumentError, match="must be a plan made for"):
        next(deis.iterate(other, x0, TIMES, plan))


def test_the_nonlinearity_is_not_part_of_it():
    plan = deis.make_plan(deis.DiagonalODE(-RATES, sine), TIMES, "tab2")
    other = deis.DiagonalODE(-RATES, lambda t, x: x.cos())
    assert torch.equal(deis.solve(other, X, TIMES, plan).x, deis.solve(other, X, TIMES, "tab2").x)


@pytest.mark.parametrize("predict", ["eps", "x0", "v"])
def test_another_schedule_is_refused_in_every_splitting(predict):
    ode, other = (deis.ProbabilityFlowODE(deis.VPLinear(beta_1=b), lambda x, t: x) for b in (20.0, 20.1))
    times = deis.make_grid("t2")(ode, 5)
    plan = deis.make_plan(ode, times, deis.PolynomialEIAB(predict, steps=2))
    deis.solve(ode, X[None], times, plan)
    with pytest.raises(ArgumentError, match=r"schedule.*VPLinear\(.*beta_1=20\.0.*got .*beta_1=20\.1"):
        deis.solve(other, X[None], times, plan)


def test_a_plan_without_a_signature_is_taken_as_it_is():
    plan = deis.PolynomialEIAB(steps=2).plan(deis.DiagonalODE(-RATES, sine), TIMES)
    assert plan.signature == ()
    other = deis.DiagonalODE(-2 * RATES, sine)
    assert deis.solve(other, X, TIMES, plan).nfe == 5


def test_what_overflows_has_no_signature():
    assert signature(deis.DiagonalODE(1e4, sine), TIMES) == ()


@pytest.mark.parametrize("same", [True, False])
def test_an_ode_is_not_compared_twice(same, monkeypatch):
    ode = deis.DiagonalODE(-RATES, sine)
    plan = deis.make_plan(ode, TIMES, "tab2")
    if not same:
        ode = deis.DiagonalODE(-RATES, sine)
        deis.solve(ode, X, TIMES, plan)
    first = deis.solve(ode, X, TIMES, "tab2").x
    monkeypatch.setattr(deis.DiagonalODE, "transition", None)
    assert torch.equal(deis.solve(ode, X, TIMES, plan).x, first)


def test_a_solve_by_an_integrator_takes_no_signature():
    assert deis.solve(deis.DiagonalODE(-RATES, sine), X, TIMES, "tab2").plan.signature == ()

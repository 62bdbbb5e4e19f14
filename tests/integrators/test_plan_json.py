"""Plans survive a round trip through JSON, and what is not a plan is refused."""

import json

import pytest
import torch

import deis
from deis.errors import ArgumentError

X = torch.linspace(0.1, 1.0, 6, dtype=torch.float64)


def diagonal() -> deis.DiagonalODE:
    return deis.DiagonalODE(-torch.arange(6.0), lambda t, x: torch.sin(x))


def rotating() -> deis.DiagonalODE:
    return deis.DiagonalODE(3j, lambda t, x: x**2)


def dense() -> deis.DenseODE:
    return deis.DenseODE(torch.diag(torch.ones(5, dtype=torch.float64), 1), lambda t, x: torch.sin(x))


@pytest.mark.parametrize("make", [diagonal, rotating, dense])
@pytest.mark.parametrize("name", ["euler", "tab3:corrector=true:start=runge-kutta", "rhork-rk4:clock=t"])
def test_a_plan_read_back_gives_bitwise_the_same_states(make, name):
    ode = make()
    plan = deis.make_plan(ode, [0.0, 0.1, 0.25, 0.4, 0.6, 0.7], name)
    again = deis.plan_from_json(deis.plan_to_json(plan))
    x0 = X.to(torch.complex128) if plan.is_complex else X
    assert again == plan
    assert again.provenance == plan.provenance
    assert again.signature == plan.signature != ()
    assert torch.equal(deis.solve(ode, x0, again.times, again).x, deis.solve(ode, x0, plan.times, plan).x)


def test_noise_scales_are_kept():
    ode = deis.zoo.load("digits-exact").ode()
    plan = deis.make_plan(ode, deis.make_grid("t2")(ode, 4), "sddim")
    again = deis.plan_from_json(deis.plan_to_json(plan))
    assert again.stochastic
    assert [step.draws for step in again.steps] == [step.draws for step in plan.steps]


def test_provenance_names_the_integrator_the_ode_and_the_version():
    plan = deis.make_plan(diagonal(), [0.0, 1.0], "tab1")
    assert plan.provenance["integrator"].startswith("PolynomialEIAB(")
    assert plan.provenance["ode"].startswith("DiagonalODE(")
    assert plan.provenance["deis"] == deis.__version__


def test_an_unread_plan_is_the_same_as_one_made_at_once():
    ode, times = diagonal(), [0.0, 0.5, 1.0]
    assert deis.make_plan(ode, times, "tab1") == deis.PolynomialEIAB(steps=2).plan(ode, times)


def test_a_plan_for_another_grid_is_refused_with_both_grids_named():
    ode = diagonal()
    plan = deis.make_plan(ode, [0.0, 0.5, 1.0], "tab1")
    with pytest.raises(ArgumentError, match=r"times must be those that the plan was made for.*0\.25"):
        deis.solve(ode, X, [0.0, 0.25, 1.0], plan)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("not json", "JSONDecodeError"),
        ("[]", "TypeError"),
        ("{}", "format"),
        (json.dumps({"format": "another"}), "another"),
        (json.dumps({"format": "deis-plan-3", "splitting": "N", "provenance": {}, "signature": []}), "steps"),
        (
            json.dumps({"format": "deis-plan-3", "splitting": "N", "provenance": {}, "signature": [], "steps": []}),
            "at least one step",
        ),
        (
            json.dumps(
                {"format": "deis-plan-3", "splitting": "N", "provenance": {}, "signature": [], "steps": [{"start": 0}]}
            ),
            "end",
        ),
    ],
)
def test_what_is_not_a_plan_is_refused(text, named):
    with pytest.raises(ArgumentError, match=named):
        deis.plan_from_json(text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"signature": None}, "signature must be a list of finite numbers, got None"),
        ({"signature": [1.0, "2"]}, "signature must be a list of finite numbers"),
        ({"signature": [1e999]}, "must hold finite numbers"),
        ({"provenance": []}, "provenance must be a table of texts"),
        ({"provenance": {"deis": 1}}, "provenance must be a table of texts"),
        ({"splitting": 3}, "splitting must be a text, got 3"),
    ],
)
def test_what_a_plan_says_of_itself_is_checked(change, message):
    data = json.loads(deis.plan_to_json(deis.make_plan(diagonal(), [0.0, 1.0], "tab1")))
    with pytest.raises(ArgumentError, match=message):
        deis.plan_from_json(json.dumps(data | change))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_numbers_that_are_not_finite_are_refused(number):
    text = deis.plan_to_json(deis.make_plan(diagonal(), [0.0, 1.0], "tab1"))
    damaged = text.replace('"end": 1.0', f'"end": {number}')
    assert damaged != text
    with pytest.raises(ArgumentError, match=f"must hold finite numbers, got '{number}'"):
        deis.plan_from_json(damaged)

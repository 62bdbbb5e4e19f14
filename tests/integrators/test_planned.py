"""Ready plans stand in for an integrator, with the budgets and the times that they have."""

import attrs
import pytest
import torch

import deis
from deis.errors import ArgumentError, CapabilityError
from deis.integrators.base import as_integrator, usual_nfe
from deis.integrators.own_grid import OwnGrid

ODE = deis.DiagonalODE(-torch.arange(4.0), lambda t, x: torch.sin(x))
X = torch.linspace(0.1, 1.0, 4, dtype=torch.float64)


def plan_of(intervals, name="tab1", ode=ODE):
    return deis.make_plan(ode, deis.make_grid("t2")(ode, intervals), name)


def planned(*counts):
    return deis.Planned([plan_of(count) for count in counts])


def test_it_solves_as_the_method_that_the_plans_are_of():
    method = planned(8, 3)
    for intervals in (3, 8):
        times = deis.make_grid("t2")(ODE, intervals)
        found = deis.solve(ODE, X, times, method)
        assert torch.equal(found.x, deis.solve(ODE, X, times, "tab1").x)
        assert found.plan.provenance["integrator"].startswith("PolynomialEIAB(")


def test_budgets_are_those_of_its_plans():
    method = deis.Planned([plan_of(2, "rhork-heun2:clock=t"), plan_of(6)])  # 4 and 6 evaluations
    assert [method.nfe(intervals) for intervals in (2, 6)] == [4, 6]
    assert [method.most_intervals(nfe) for nfe in (4, 5, 6, 100)] == [2, 2, 6, 6]
    assert [method.intervals_for(nfe) for nfe in (4, 6)] == [2, 6]
    with pytest.raises(ArgumentError, match=r"nfe must be at least 4 for Planned\(.*got 3; ask for 4 or 6"):
        method.most_intervals(3)
    with pytest.raises(
        ArgumentError, match=r"nfe must be a number of evaluations that Planned\(.*got 5; ask for 4 or 6"
    ):
        method.intervals_for(5)
    with pytest.raises(ArgumentError, match="nfe must be a whole number"):
        method.most_intervals("many")
    with pytest.raises(ArgumentError, match="intervals must be 2 or 6, got 3"):
        method.nfe(3)


@pytest.mark.parametrize(
    ("plans", "message"),
    [
        ((), "must hold at least one plan"),
        (("tab3",), "plans must be a Plan, got 'str'; make one by make_plan"),
        ((plan_of(4), plan_of(4, "tab2")), "must differ in their numbers of evaluations"),
        ((plan_of(4), plan_of(2, "rhork-heun2:clock=t")), "must differ in their numbers of evaluations"),
        ((plan_of(2), plan_of(2, "rhork-heun2:clock=t")), "must differ in their numbers of intervals"),
    ],
)
def test_plans_that_cannot_be_told_apart_are_refused(plans, message):
    with pytest.raises(ArgumentError, match=message):
        deis.Planned(plans)


def test_its_label_names_budgets_and_changes_with_the_plans():
    method = planned(3, 8)
    assert repr(method).startswith("Planned(nfe=(3, 8), digest='")
    assert repr(method) == repr(planned(8, 3))
    assert repr(method) != repr(deis.Planned([plan_of(3, "tab2"), plan_of(8)]))
    assert len(repr(method)) < 60


def test_it_has_no_order_and_says_where_one_is():
    with pytest.raises(CapabilityError, match="has no order"):
        _ = planned(3).order


def test_it_adds_noise_if_one_of_its_plans_does():
    ode = deis.GaussianMixture(torch.zeros(1, 2), std=1.0).ode(deis.VPLinear())
    quiet, noisy = (plan_of(count, name, ode) for count, name in ((3, "ddim"), (5, "sddim")))
    assert [deis.Planned(plans).stochastic for plans in ([quiet], [noisy], [quiet, noisy])] == [False, True, True]


def test_a_plan_is_an_integrator_and_its_plan_is_itself():
    plan = plan_of(5)
    method = as_integrator(plan)
    assert method.plans == (plan,)
    assert deis.make_plan(ODE, plan.times, plan) is plan
    assert method.plan(ODE, plan.times) is plan


def test_other_times_are_refused_with_both_named():
    plan = plan_of(2)
    with pytest.raises(
        ArgumentError, match=r"times must be those that the plan was made for, got \(0\.0, 0\.5, 1\.0\); use"
    ):
        deis.solve(ODE, X, [0.0, 0.5, 1.0], plan)
    with pytest.raises(ArgumentError, match="intervals must be 2 or 5, got 3"):
        deis.solve(ODE, X, [0.0, 0.5, 0.7, 1.0], planned(2, 5))


def test_times_that_differ_by_rounding_are_the_same():
    plan = plan_of(3)
    times = [t * (1 + 1e-14) for t in plan.times[:-1]] + [1.0]
    states = deis.solve(ODE, X, times, plan, keep_states=True)
    assert len(states.states) == len(states.times) == 4


def test_its_own_grid_has_the_times_of_the_plan_in_the_direction_of_the_ode():
    method = planned(3, 8)
    assert method.own_grid(ODE, 8).times == plan_of(8).times
    reverse = attrs.evolve(ODE, domain=(1.0, 0.0))
    assert method.own_grid(reverse, 8).times == plan_of(8).times[::-1]
    with pytest.raises(ArgumentError, match="intervals must be 3 or 8, got 4"):
        method.own_grid(ODE, 4)


def test_its_own_grid_covers_the_domain_and_nothing_else():
    later = deis.Planned([deis.make_plan(ODE, [0.2, 0.5, 1.0], "tab1")])
    with pytest.raises(
        ArgumentError, match=r"integrator must be a plan from 0 to 1, .*got \(0\.2, 1\.0\); call deis\.solve"
    ):
        later.own_grid(ODE, 2)
    near = OwnGrid((deis.TimeGrid([1e-14, 0.5, 1.0]),))
    assert near(ODE, 2).times == (0.0, 0.5, 1.0)


def test_a_single_plan_gives_the_usual_budget():
    assert usual_nfe(planned(7), 10) == 7
    assert usual_nfe(deis.Denoised(plan_of(7, "ddim")), 10) == 8
    assert usual_nfe(planned(3, 7), 10) == 10
    assert usual_nfe(deis.PolynomialEIAB(), 10) == 10
    assert usual_nfe(deis.Dopri5(), 10) is None


def test_a_method_that_is_made_of_a_plan_runs_on_its_times():
    ode = deis.GaussianMixture(torch.zeros(1, 2), std=1.0).ode(deis.VPLinear())
    plan = plan_of(6, "tab2", ode)
    times = deis.make_grid("t2")(ode, 6)
    method = deis.Denoised(plan)
    assert method.own_grid(ode, 6).times == plan.times
    x = torch.ones(1, 2, dtype=torch.float64)
    assert torch.equal(deis.solve(ode, x, times, method).x, deis.solve(ode, x, times, deis.Denoised("tab2")).x)

import attrs
import pytest
import torch

from deis import (
    EDM,
    INTEGRATORS,
    Bernoulli,
    DeisError,
    DiagonalODE,
    GaussianMixture,
    PolynomialEIAB,
    PowerGrid,
    make_grid,
    make_plan,
    solve,
)
from deis.tuning.bent import BentGrid
from deis.tuning.candidates import NAMED, NAMED_GRIDS, Candidate, candidates, variants

PLAIN = Bernoulli().ode


@pytest.fixture(scope="module")
def diffusion():
    return GaussianMixture(torch.tensor([[-1.0], [1.0]], dtype=torch.float64), 0.2).ode(EDM())


def plans(ode, nfe):
    for one in candidates(ode):
        try:
            yield one, one.plan(ode, nfe)
        except DeisError:  # no plan of so few evaluations
            assert one.name


@pytest.mark.parametrize("nfe", [1, 4])
def test_no_plan_takes_more_evaluations_than_asked_for(diffusion, nfe):
    found = list(plans(diffusion, nfe))
    assert all(1 <= plan.nfe <= nfe for _, plan in found)
    assert all(plan.nfe == nfe for one, plan in found if not one.name)
    assert len(found) > len(candidates(diffusion)) / 2


@pytest.mark.parametrize("nfe", [1, 2, 5, 12])
def test_no_plan_of_another_ode_does_either(nfe):
    found = list(plans(PLAIN, nfe))
    assert all(1 <= plan.nfe <= nfe for _, plan in found)
    assert {plan.times[0] for _, plan in found} == {0.0}


def test_a_plan_makes_the_calls_that_it_says(diffusion):
    candidate = Candidate(INTEGRATORS.create("dpm-solver-3"), make_grid("vp-t3"), "dpm-solver-3")
    plan = candidate.plan(diffusion, 8)  # two steps of three evaluations, and none of two
    assert plan.nfe == 6
    assert solve(diffusion, torch.ones(1, 1), plan.times, plan).nfe == 6


def test_every_published_sampler_is_tried_on_every_grid(diffusion):
    tried = {(one.name, one.grid) for one in candidates(diffusion) if one.name}
    assert tried == {(name, make_grid(grid)) for name in NAMED for grid in NAMED_GRIDS}
    assert all(one.integrator == INTEGRATORS.create(one.name) for one in candidates(diffusion) if one.name)


PUBLISHED = {
    "2010.02502": ["ddim"],
    "2202.09778": ["ipndm", "pndm"],
    "2204.13902": ["tab1", "tab2", "tab3", "rhoab1", "rhoab2", "rhoab3", "rhork-kutta3"],
    "2206.00364": ["euler", "edm-heun"],
    "2206.00927": ["dpm-solver-2", "dpm-solver-3", "dpm-solver-fast", "dpm-2m"],
    "2211.01095": ["dpmpp-2m", "dpmpp-2s", "dpmpp-3s", "dpmpp-3m-published"],
    "2302.04867": ["unipc-1", "unipc-2", "unipc-3", "unipc-4"],
    "k-diffusion": ["lms"],
}


@pytest.mark.parametrize("paper", PUBLISHED)
def test_the_samplers_of_a_paper_are_among_the_rivals(paper):
    assert set(PUBLISHED[paper]) <= set(NAMED)


def test_no_sampler_is_tried_twice():
    assert len({INTEGRATORS.create(name) for name in NAMED}) == len(NAMED)


def test_the_family_has_members_of_both_predictions_and_all_clocks(diffusion):
    members = [one for one in candidates(diffusion) if not one.name]
    assert len(set(members)) == len(members)
    assert {one.integrator.predict for one in members} == {"eps", "x0"}
    assert {one.integrator.clock for one in members} == {"vp_t", "sqrt_t", "rho", "lambda"}
    assert {one.integrator.corrector for one in members} == {False, True}
    assert all(isinstance(one.grid, PowerGrid) and one.grid.clock == "vp_t" for one in members)


@pytest.mark.parametrize("rate", [-1.0, [[-1.0, 2.0]], 2.0j])
def test_an_ode_of_another_kind_has_a_family_and_rivals(rate):
    ode = DiagonalODE(torch.tensor(rate), lambda t, x: x.sin())
    members = [one for one in candidates(ode) if not one.name]
    assert {(one.integrator.predict, one.integrator.clock, one.grid) for one in members} == {(None, "t", PowerGrid())}
    assert {(one.integrator.steps, one.integrator.corrector) for one in members} == {
        (steps, corrector) for steps in (2, 3, 4) for corrector in (False, True)
    }
    names = {one.name for one, _ in plans(ode, 9)} - {""}
    assert names == {"etd2rk", "krogstad", "lawson4", "exp-adams2", "exp-adams3", "exp-adams4"}


@pytest.mark.parametrize("member", [PolynomialEIAB(), PolynomialEIAB("x0", "rho", 1, True, moments="bh2")])
def test_variants_differ_in_one_option(member):
    candidate = Candidate(member, PowerGrid("vp_t", 2.0), "a name")
    found = list(variants(candidate))
    options = attrs.asdict(member)
    differences = [[k for k, v in attrs.asdict(one.integrator).items() if v != options[k]] for one in found]
    assert all(len(names) == 1 for names in differences)
    assert {names[0] for names in differences} == {"lower_final", "corrector", "moments", "steps"}
    assert len({one.integrator for one in found}) == len(found)
    assert all(one.grid == candidate.grid and not one.name for one in found)


@pytest.mark.parametrize(("steps", "others"), [(1, {2}), (3, {2, 4}), (6, {5})])
def test_variants_stay_among_the_numbers_of_points(steps, others):
    found = variants(Candidate(PolynomialEIAB(steps=steps), PowerGrid()))
    assert {one.integrator.steps for one in found} - {steps} == others


def test_methods_outside_the_family_have_no_variants():
    assert list(variants(Candidate(INTEGRATORS.create("ipndm"), PowerGrid(), "ipndm"))) == []


def test_a_title_is_the_name_or_the_options_that_are_not_the_defaults():
    member, grid = PolynomialEIAB("x0", "rho", 3, corrector=True), PowerGrid("vp_t", 2.34567)
    one = Candidate(member, grid)
    assert one.title == "predict=x0, clock=rho, steps=3, corrector=True"
    assert one.spacing == "clock=vp_t, power=2.346"
    assert attrs.evolve(one, name="mine").title == "mine"
    assert Candidate(PolynomialEIAB(), PowerGrid()).title == "PolynomialEIAB"
    assert Candidate(member, BentGrid(grid, (0.25,))).spacing  # says something for every family


def test_a_plan_is_the_integrator_s_on_the_grid(diffusion):
    member, grid = PolynomialEIAB("x0", "rho", 3), PowerGrid("vp_t", 2.0)
    assert Candidate(member, grid).plan(diffusion, 5) == make_plan(diffusion, grid(diffusion, 5), member)

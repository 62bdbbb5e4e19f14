"""Plans that come with a model, and what is said where there are none."""

import pytest
import torch

import deis
from deis.errors import ArgumentError, CapabilityError
from deis.zoo.presets import presets


@pytest.fixture
def folder(tmp_path):
    """Plans of the model digits-exact, for 5 and 8 calls."""
    ode = deis.zoo.load("digits-exact").ode()
    deis.save_plans(
        tmp_path / "digits-exact", [deis.make_plan(ode, deis.make_grid("t2")(ode, n), "tab2") for n in (5, 8)]
    )
    return tmp_path


def test_a_models_plans_are_those_of_its_folder(folder):
    assert [plan.nfe for plan in presets("digits-exact", folder).plans] == [5, 8]


def test_a_model_without_plans_says_how_to_make_some(folder):
    with pytest.raises(
        CapabilityError, match=r"the model 'digits' comes without plans; make some by deis tune --model digits"
    ):
        presets("digits", folder)


def test_a_damaged_plan_is_named(folder):
    (folder / "digits-exact" / "plan-008.json").write_text("{}")
    with pytest.raises(ArgumentError, match=r"plan-008\.json"):
        presets("digits-exact", folder)


@pytest.mark.parametrize("name", list(deis.zoo.MODELS))
def test_a_model_asks_for_the_plans_of_its_own_name(name, monkeypatch):
    monkeypatch.setattr("deis.zoo.models.presets", lambda asked: f"plans of {asked}")
    assert deis.zoo.load(name).plans() == f"plans of {name}"


BUDGETS = {"digits": [*range(4, 21)], "digits-exact": [*range(4, 21)]}


@pytest.mark.parametrize("name", list(deis.zoo.MODELS))
def test_the_plans_that_ship_fit_their_model(name):
    model = deis.zoo.load(name)
    plans = model.plans().plans
    assert [plan.nfe for plan in plans] == BUDGETS[name]
    for plan in plans:
        assert deis.make_plan(model.ode(), plan.times, plan) is plan
        assert plan.provenance["tuned"] in ("learnt", "chosen")


def test_the_plans_that_ship_are_better_than_the_default():
    model = deis.zoo.load("digits-exact")
    ode, plans = model.ode(), model.plans()
    noise = deis.SampleNoise(range(24)).initial(model.shape, torch.float64)
    known = deis.analysis.reference(deis.InitialValueProblem(ode, noise), nfe=200).x

    def error(integrator, nfe):
        found = deis.sample(ode, model.shape, range(24), nfe=nfe, integrator=integrator, dtype=torch.float64).x
        return float(deis.analysis.per_sample_rmse(found, known).log().mean().exp())

    for nfe in BUDGETS["digits-exact"]:
        assert error(plans, nfe) < 0.8 * error("default", nfe), nfe

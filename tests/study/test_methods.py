"""Methods by text, and studies of ready plans."""

import json

import pytest
import torch

import deis
from deis.analysis import work_precision
from deis.errors import ArgumentError, CapabilityError, UnknownNameError
from deis.study.cells import cells
from deis.study.compute import finish
from deis.study.config import Method, Study
from deis.study.methods import method_of
from deis.study.places import MisplacedError
from deis.study.targets import ModelTarget, ProblemTarget

MODEL = deis.zoo.load("digits-exact")
PROBLEM = deis.Bernoulli()


def save(folder, ode, *counts, name="tab2"):
    deis.save_plans(folder, [deis.make_plan(ode, deis.make_grid("t2")(ode, n), name) for n in counts])
    return folder


@pytest.fixture
def plans(tmp_path):
    """A folder with plans for 5 and 8 calls."""
    return save(tmp_path / "plans", MODEL.ode(), 5, 8)


def test_a_name_is_an_integrator_with_its_options():
    assert method_of("tab1:corrector=true") == deis.PolynomialEIAB(clock="t", steps=2, corrector=True)
    assert method_of("tab1", corrector=True) == method_of("tab1:corrector=true")
    with pytest.raises(UnknownNameError, match="near it: tab0, tab1"):
        method_of("tab")
    with pytest.raises(ArgumentError, match="must be a name"):
        method_of(3)


def test_files_and_folders_are_plans(plans):
    assert [plan.nfe for plan in method_of(str(plans)).plans] == [5, 8]
    assert [plan.nfe for plan in method_of(str(plans / "plan-008.json")).plans] == [8]
    with pytest.raises(ArgumentError, match=r"plans must be a file that can be read.*nothing\.json"):
        method_of("nothing.json")
    with pytest.raises(ArgumentError, match="corrector must be left out: plans take no options"):
        method_of(str(plans), corrector=True)


def test_a_models_plans_are_asked_of_the_zoo(monkeypatch):
    asked = []

    def none(name):
        asked.append(name)
        raise CapabilityError("no plans")

    monkeypatch.setattr("deis.zoo.models.presets", none)
    with pytest.raises(CapabilityError):
        method_of("zoo/digits-exact")
    assert asked == ["digits-exact"]
    with pytest.raises(UnknownNameError, match="no model named 'digit'"):
        method_of("zoo/digit")


def test_plans_have_a_cell_a_budget_on_their_own_times(plans):
    study = Study(
        budgets=(5, 8),
        grids=("t2", "t3"),
        model=(ModelTarget("digits-exact"),),
        integrator=(Method(str(plans)), Method("ddim")),
    )
    found = [(cell.grid, cell.budget) for cell in cells(study)]
    assert found[:2] == [("own", 5), ("own", 8)]
    assert len(found) == 2 + 4


def test_a_cell_of_other_plans_is_another_cell(plans, tmp_path):
    other = save(tmp_path / "other", MODEL.ode(), 5, 8, name="tab1")
    methods = tuple(Method(str(folder), label=label) for folder, label in ((plans, "a"), (other, "b")))
    study = Study(budgets=(5,), model=(ModelTarget("digits-exact"),), integrator=methods)
    first, second = (cell.about()["integrator"] for cell in cells(study))
    assert first != second
    again = tuple(Method(str(plans), label=label) for label in "ab")
    with pytest.raises(MisplacedError, match="must differ from the others"):
        Study(budgets=(5,), model=(ModelTarget("digits-exact"),), integrator=again)


def test_grids_and_damaged_plans_are_misplaced(plans):
    with pytest.raises(MisplacedError, match="must be left out with plans"):
        Method(str(plans), grids=("t2",))
    (plans / "plan-005.json").write_text("{}")
    with pytest.raises(MisplacedError, match=r"plan-005\.json"):
        Method(str(plans))


def results(study, folder):
    """The records of all cells, computed one by one."""
    (folder / "cells").mkdir(parents=True)
    for cell in cells(study):
        finish(cell, folder)
    return [json.loads((folder / "cells" / f"{cell.id}.json").read_text()) for cell in cells(study)]


@pytest.mark.parametrize("kind", ["model", "problem"])
def test_the_results_are_those_of_the_method_that_the_plans_are_of(kind, tmp_path):
    ode, target = (
        (MODEL.ode(), ModelTarget("digits-exact")) if kind == "model" else (PROBLEM.ode, ProblemTarget("bernoulli"))
    )
    plans = save(tmp_path / "plans", ode, 5, 8)
    methods = (Method(str(plans), label="plans"), Method("tab2", grids=("t2",)))
    study = Study(
        budgets=(5, 9), seeds="0-7", metrics=("error",), reference_nfe=60, integrator=methods, **{kind: (target,)}
    )
    ready, larger, five, _ = results(study, tmp_path / "results")
    assert [record["note"] for record in (ready, larger, five)] == ["", "", ""]
    assert [record["nfe"] for record in (ready, larger)] == [5, 8]
    assert ready["metrics"] == five["metrics"]
    assert ready["arrays"] == five["arrays"] != larger["arrays"]


def test_a_budget_below_the_smallest_plan_is_noted(plans, tmp_path):
    study = Study(
        budgets=(3,),
        seeds="0-3",
        metrics=("error",),
        model=(ModelTarget("digits-exact"),),
        integrator=(Method(str(plans)),),
    )
    (record,) = results(study, tmp_path / "results")
    assert record["note"].startswith("nfe must be at least 5 for Planned(")


def test_work_and_precision_of_a_plan_are_those_of_its_method():
    times = deis.make_grid("t2")(PROBLEM.ode, 8)
    plan = deis.make_plan(PROBLEM.ode, times, "tab2")
    methods = {"plan": deis.Planned([plan]), "tab2": method_of("tab2")}
    rows = work_precision(PROBLEM, methods, [8], grid="t2", repeats=1).rows
    assert [row.integrator for row in rows] == ["plan", "tab2"]
    assert rows[0].error == rows[1].error
    assert torch.isfinite(torch.tensor(rows[0].error))

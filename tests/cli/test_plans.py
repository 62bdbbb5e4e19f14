"""Ready plans on the command line."""

import json

import numpy as np
import pytest

import deis as library
from deis.zoo import load
from deis.zoo.presets import presets

EXACT = "--model digits-exact --seeds 0-5 --outdir"


def save(folder, ode, *counts):
    library.save_plans(folder, [library.make_plan(ode, library.make_grid("t2")(ode, n), "tab2") for n in counts])
    return folder


@pytest.fixture
def plans(tmp_path):
    """A folder with plans for 4 and 6 calls, made as tab2 on the grid t2."""
    return save(tmp_path / "plans", load("digits-exact").ode(), 4, 6)


def samples(folder):
    with np.load(folder / "samples.npz") as file:
        return file["samples"]


@pytest.mark.parametrize("grid", ["", "--grid default"])
def test_a_plan_samples_as_its_integrator_on_its_times(deis, plans, tmp_path, grid):
    result = deis(f"sample {grid} {EXACT}", tmp_path / "a", "--integrator", plans / "plan-006.json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "with 6 network calls each" in result.output
    deis(f"sample --integrator tab2 --grid t2 --nfe 6 {EXACT}", tmp_path / "b")
    assert np.array_equal(samples(tmp_path / "a"), samples(tmp_path / "b"))
    record = json.loads((tmp_path / "a" / "sample.json").read_text())
    assert record["integrator"].startswith("Planned(nfe=(6), digest=")
    assert record["grid"].startswith("OwnGrid(")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--nfe 5", "ask for 4 or 6"),
        ("", "got 10; ask for 4 or 6"),
        ("--nfe 4 --grid t2", "brings its own times; leave --grid out"),
    ],
)
def test_what_plans_cannot_do_is_an_error_of_usage(deis, plans, tmp_path, no_network, options, message):
    result = deis(f"sample {options} {EXACT}", tmp_path / "out", "--integrator", plans)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [("none.json", "No such file"), ("zoo/digit", "no model named 'digit'"), ("zoo/digits-exact", "deis tune")],
)
def test_plans_that_are_not_there_are_an_error_of_usage(deis, tmp_path, monkeypatch, name, message):
    monkeypatch.setattr("deis.zoo.models.presets", lambda name: presets(name, tmp_path / "nothing"))
    result = deis(f"sample --integrator {name} {EXACT}", tmp_path / "out")
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_a_plan_for_another_schedule_is_an_error_of_usage(deis, tmp_path, no_network):
    other = library.ProbabilityFlowODE(library.VPLinear(beta_1=15.0), lambda x, t: x)
    result = deis(
        f"sample {EXACT}", tmp_path / "out", "--integrator", save(tmp_path / "other", other, 4) / "plan-004.json"
    )
    assert result.exit_code == 2
    assert "made for this linear part" in " ".join(result.stderr.split())


def test_plans_compare_on_their_own_times_with_others_on_the_common_grid(deis, plans, tmp_path):
    methods = f"{plans},tab2,ddim"
    result = deis(f"compare --nfe 4,5 --grid t2 {EXACT}", tmp_path / "out", "--integrators", methods)
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "out" / "compare.json").read_text())
    errors = {(row["integrator"], row["budget"]): row["geometric_rmse"] for row in record["results"]}
    assert errors[str(plans), 4] == errors[str(plans), 5] == errors["tab2", 4]
    deis(f"compare --nfe 4 --grid t3 {EXACT}", tmp_path / "cubic", "--integrators", methods)
    cubic = json.loads((tmp_path / "cubic" / "compare.json").read_text())["results"]
    assert cubic[0]["geometric_rmse"] == errors["tab2", 4] != cubic[1]["geometric_rmse"]


def test_plans_solve_and_compare_on_problems(deis, tmp_path):
    plans = save(tmp_path / "plans", library.Bernoulli().ode, 8)
    result = deis("solve --problem bernoulli --outdir", tmp_path / "solve", "--integrator", plans / "plan-008.json")
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "solve" / "solve.json").read_text())["nfe"] == 8
    result = deis(
        "compare --problem bernoulli --nfe 8 --grid t2 --outdir", tmp_path / "out", "--integrators", f"{plans},tab2"
    )
    assert result.exit_code == 0, result.output
    rows = json.loads((tmp_path / "out" / "compare.json").read_text())["results"]
    assert [row["integrator"] for row in rows] == [str(plans), "tab2"]
    assert rows[0]["error"] == rows[1]["error"]


def test_a_sampling_plan_does_not_encode(deis, plans, tmp_path, no_network):
    result = deis(
        "encode --model digits-exact --count 2 --outdir", tmp_path / "out", "--integrator", plans / "plan-004.json"
    )
    assert result.exit_code == 1
    assert "times must be those that the plan was made for" in result.stderr

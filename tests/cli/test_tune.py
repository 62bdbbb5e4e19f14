import json
import math
import re
import sys

import attrs
import numpy as np
import pytest
import torch

from deis import load_plans, sample
from deis.analysis import geometric_mean_rmse
from deis.cli.tune_table import table
from deis.study import frechet_to_digits
from deis.study.tune_record import read_record
from deis.tuning import candidates
from deis.zoo import load

WORDS = "tune --model digits-exact --nfe 5 --pilot 8 --held-out 40 --pairs 16 --iterations 10 --outdir"
FILES = {"plan-005.json", "tune.json", "tune.html", "references"}
HELD_OUT = range(3 * 10**12, 3 * 10**12 + 40)


def few(ode):
    """Two published samplers and some members, each on one grid."""
    found = [one for one in candidates(ode) if one.grid.power == 2]
    members = [one for one in found if not one.name and one.integrator.clock == "vp_t" and one.integrator.steps == 2]
    return [one for one in found if one.name in ("ddim", "tab2") and one.spacing == "clock=vp_t, power=2"] + members


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """Result and folder of one run, with a short search."""
    from click.testing import CliRunner

    from deis.cli.root import cli

    folder = tmp_path_factory.mktemp("tune")
    short = {"candidates": few, "_BENDINGS": 6, "_TRIES": 3, "_BROODS": 1, "_SCATTERED": 1}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in short.items():
            patch.setattr(sys.modules["deis.tuning.choose"], name, value)
        result = CliRunner().invoke(cli, [*WORDS.split(), str(folder)])
    assert (result.exit_code, result.stderr) == (0, "")
    return result, folder


@pytest.fixture
def copied(tuned, tmp_path):
    """A copy of the folder, to be written to."""
    for path in tuned[1].iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


@pytest.fixture
def no_tuning(monkeypatch):
    """Let the beginning of a search fail the test."""

    def begun(*given, **more):
        raise AssertionError("a budget was tuned")

    monkeypatch.setattr("deis.cli.tune.tune_budget", begun)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def ends(nfe, integrator, grid="default"):
    """Held-out samples."""
    model = load("digits-exact")
    grid = integrator.own_grid if grid == "own" else grid
    return sample(model.ode(), model.shape, HELD_OUT, nfe=nfe, integrator=integrator, grid=grid, dtype=model.dtype).x


@pytest.fixture(scope="module")
def converged():
    """Their solutions, by another method than the references are found with."""
    return ends(400, "unipc-3", "vp-t3")


def test_plan_record_report_and_solutions_are_written(tuned):
    assert {path.name for path in tuned[1].iterdir()} == FILES  # no progress of what is finished


def test_the_error_of_the_plan_is_that_of_the_held_out_samples(tuned, converged):
    row = read_record(tuned[1]).budgets[0].row
    x = ends(5, load_plans(tuned[1] / "plan-005.json"), "own")
    assert row.error.value == pytest.approx(geometric_mean_rmse(x, converged), rel=1e-3)
    assert row.frechet.value == pytest.approx(frechet_to_digits()(x), rel=1e-6)


def test_published_samplers_are_measured_on_the_same_samples(tuned, converged):
    rows = {row.title: row for row in read_record(tuned[1]).budgets[0].published}
    x = ends(5, "tab2", "vp-t2")
    assert set(rows) == {"ddim", "tab2"}
    assert rows["tab2"].error.value == pytest.approx(geometric_mean_rmse(x, converged), rel=1e-3)
    assert rows["tab2"].frechet.value == pytest.approx(frechet_to_digits()(x), rel=1e-6)


def test_tuning_pays_when_the_calls_saved_are_those_it_took(tuned, converged):
    budget = read_record(tuned[1]).budgets[0]
    calls = budget.equal_calls
    errors = [geometric_mean_rmse(ends(n, "tab2", "vp-t2"), converged) for n in (calls - 1, calls)]
    assert errors[1] <= budget.row.error.value < errors[0]
    assert budget.pays_after == math.ceil(budget.calls / (calls - 5))


def test_the_terminal_shows_the_table_the_verdict_and_the_costs(tuned):
    result, folder = tuned
    budget = read_record(folder).budgets[0]
    (marked,) = [line for line in result.stdout.splitlines() if line.startswith("* ")]
    assert marked.split()[1] == budget.row.role
    assert str(budget.row.error) in marked
    assert f"has {budget.row.to_best} times the error of {budget.best.title}" in result.stdout
    assert f"It pays after {budget.pays_after} samples" in result.stdout
    assert f"--integrator {folder / 'plan-005.json'}" in result.stdout


def test_the_table_has_distances_only_where_they_were_measured(tuned):
    budget = read_record(tuned[1]).budgets[0]
    bare = attrs.evolve(budget, rows=[attrs.evolve(row, frechet=None) for row in budget.rows])
    assert "Frechet" in table(budget)[0]
    assert "Frechet" not in table(bare)[0]
    assert len(table(bare)) == len(table(budget))


def test_the_record_holds_options_history_and_versions(tuned):
    text = (tuned[1] / "tune.json").read_text()
    content = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert content["options"]["pairs"] == 16
    assert content["options"]["nfe"] == "5"
    assert {"deis", "torch"} <= set(content["versions"])
    (budget,) = content["budgets"]
    assert [row[0] for row in budget["history"]] == [0, 10]
    assert budget["calls"] > 0
    assert set(budget["seconds"]) > {"choose", "learn", "judge"}


def test_the_plan_is_taken_where_an_integrator_is_wanted(deis, tuned, tmp_path):
    plan = tuned[1] / "plan-005.json"
    result = deis(f"sample --model digits-exact --integrator {plan} --seeds 0-1 --outdir {tmp_path}")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "with 5 network calls" in result.stdout


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_what_is_finished_is_not_done_again(deis, copied, no_tuning, force):
    before = contents(copied)
    result = deis(WORDS, copied, *force)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "NFE 5 (finished before)" in result.stdout
    after = contents(copied)
    assert after["plan-005.json"] == before["plan-005.json"]
    assert json.loads(after["tune.json"])["budgets"] == json.loads(before["tune.json"])["budgets"]


def test_an_interruption_keeps_what_is_finished(deis, copied, monkeypatch):
    def interrupted(ensemble, nfe, *given):
        raise KeyboardInterrupt

    monkeypatch.setattr("deis.cli.tune.tune_budget", interrupted)
    before = contents(copied)
    result = deis(WORDS.replace("--nfe 5", "--nfe 5,8"), copied)
    assert result.exit_code == 1
    last = f"error: interrupted: the plans of 5 network calls stay in {copied}; the same command goes on\n"
    assert result.stderr == last
    assert contents(copied) == before


def test_an_interruption_before_anything_is_finished_says_so(deis, tmp_path, monkeypatch):
    def interrupted(ensemble, nfe, *given):
        raise KeyboardInterrupt

    monkeypatch.setattr("deis.cli.tune.tune_budget", interrupted)
    result = deis(WORDS, tmp_path)
    assert result.exit_code == 1
    assert result.stderr == "error: interrupted: no plan is finished; the same command goes on\n"


def test_further_budgets_join_those_that_are_finished(deis, copied, monkeypatch):
    (known,) = read_record(copied).budgets
    monkeypatch.setattr("deis.cli.tune.tune_budget", lambda ensemble, nfe, *given: attrs.evolve(known, nfe=nfe))
    result = deis(WORDS.replace("--nfe 5", "--nfe 8"), copied)
    assert result.exit_code == 0
    assert [budget.nfe for budget in read_record(copied).budgets] == [5, 8]
    assert read_record(copied).options["nfe"] == "5,8"


def test_plans_for_other_options_stay_unless_forced(deis, copied, no_tuning):
    before = contents(copied)
    result = deis(WORDS.replace("--pilot 8", "--pilot 9"), copied)
    assert result.exit_code == 1
    assert "holds plans for pilot 8, not 9; choose another folder, or use --force" in result.stderr
    assert contents(copied) == before


def test_force_replaces_the_plans_of_other_options_when_the_first_new_one_is_there(deis, copied, monkeypatch):
    (known,) = read_record(copied).budgets
    (copied / "plan-008.json").write_bytes((copied / "plan-005.json").read_bytes())
    seen = []

    def found(ensemble, nfe, *given):
        seen.append((copied / "plan-008.json").exists())
        return attrs.evolve(known, nfe=nfe)

    monkeypatch.setattr("deis.cli.tune.tune_budget", found)
    result = deis(WORDS.replace("--pilot 8", "--pilot 9"), copied, "--force")
    assert result.exit_code == 0
    assert seen == [True]
    assert {path.name for path in copied.glob("plan-*")} == {"plan-005.json"}
    assert read_record(copied).task["pilot"] == "9"


@pytest.mark.parametrize("name", ["plan-005.json", "tune.json", "tune.html"])
def test_files_of_others_stay_unless_forced(deis, tmp_path, no_tuning, name):
    (tmp_path / name).write_text("precious")
    result = deis(WORDS, tmp_path)
    assert result.exit_code == 1
    assert f"already holds {name}" in result.stderr
    assert (tmp_path / name).read_text() == "precious"


def test_images_are_started_from(deis, tmp_path, monkeypatch):
    images = np.linspace(-1, 1, 3 * 64).reshape(3, 1, 8, 8)
    np.savez(tmp_path / "x.npz", samples=images)
    seen = []

    def asked(ensemble, nfe, *given):
        seen.append(ensemble)
        raise KeyboardInterrupt

    monkeypatch.setattr("deis.cli.tune.tune_budget", asked)
    deis(f"{WORDS} {tmp_path / 'out'} --images {tmp_path / 'x.npz'} --strength 0.01")
    (ensemble,) = seen
    start, end = ensemble.ode.domain
    assert (start, end) == pytest.approx((0.001 + 0.01 * 0.999, 0.001))
    alpha, sigma = ensemble.ode.marginal(torch.tensor(start, dtype=torch.float64))
    x = ensemble.initial_of([0, 1, 2, 3])
    noise = (x - alpha * torch.from_numpy(images)[[0, 1, 2, 0]]) / sigma
    assert float(noise.mean()) == pytest.approx(0, abs=0.2)
    assert float(noise.std()) == pytest.approx(1, abs=0.1)


WRONG = {
    "--nfe 0": "nfe must be whole numbers from 1",
    "--pilot 7": "7 is not in the range 8<=x<=1000000",
    "--held-out 1": "1 is not in the range 2<=x",
    "--pairs -1": "-1 is not in the range 0<=x",
    "--pairs 0": "iterations must be left out where nothing is learnt, got 10; give --pairs 512",
    "--strength 0.5": "strength must be 1 without images, got 0.5; give --images to start from",
    "--strength 0": "0.0 is not in the range 0<x<=1",
    "--images none.npz": "images must be an .npz file with an array 'samples'",
    "--label 99": "label must be a whole number from 0 to 9",
    "--model digit": "no model named 'digit'; near it: digits",
    "--seeds 0-3": "No such option",
}


@pytest.mark.parametrize("words", list(WRONG))
def test_wrong_input_is_explained_before_any_work(deis, tmp_path, no_tuning, words):
    result = deis(f"{WORDS} {tmp_path / 'out'} {words}")
    assert result.exit_code == 2
    assert WRONG[words] in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("shape", "strength", "said"),
    [
        ((2, 3), 0.5, r"images must hold samples of shape \(1, 8, 8\), as the model has them, got \(3,\)"),
        ((2, 1, 8, 8), 1.0, "strength must be below 1 with images, .* for example --strength 0.6"),
    ],
)
def test_images_that_do_not_fit_are_refused(deis, tmp_path, no_tuning, shape, strength, said):
    np.savez(tmp_path / "x.npz", samples=np.zeros(shape))
    result = deis(f"{WORDS} {tmp_path / 'out'} --images {tmp_path / 'x.npz'} --strength {strength}")
    assert result.exit_code == 2
    assert re.search(said, " ".join(result.stderr.split()))


def test_help_has_examples_and_says_what_seeds_are(deis):
    text = " ".join(deis("tune --help").stdout.split())
    assert "deis tune --model digits --nfe 5,8,10 --pairs 512 --outdir tuned" in text
    assert "Seeds are fixed, from 10^12 on" in text

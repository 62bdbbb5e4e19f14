import csv
import json

import attrs
import matplotlib.image
import pytest
import torch

from deis import PROBLEMS, Bernoulli, HochbruckOstermann, Problem, Recipe, make_grid, solve
from deis.analysis import WorkPoint, rmse
from deis.cli.compare_problem import INTEGRATORS
from deis.cli.options import parse_integrators
from deis.study.problem_comparison import leaders, seconds, work_figure

FILES = {"compare.csv", "compare.json", "compare.png"}
SMALL = "compare --problem ho1:size=6 --integrators krogstad,exp-adams2,tab0,dopri5:rtol=1e-4 --nfe 3,16,33 --outdir"
METHODS = ["krogstad", "exp-adams2", "tab0"]


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Result and folder of one comparison."""
    from click.testing import CliRunner

    from deis.cli.root import cli

    folder = tmp_path_factory.mktemp("compare")
    result = CliRunner().invoke(cli, [*SMALL.split(), str(folder)])
    assert (result.exit_code, result.stderr) == (0, "")
    return result, folder


@pytest.fixture
def nothing_is_solved(monkeypatch):
    """Let every solve fail the test."""

    def never(*arguments, **options):
        raise AssertionError("something was solved")

    for name in ("reference_of", "compare_on"):
        monkeypatch.setattr(f"deis.cli.compare_problem.{name}", never)


def record(folder):
    return json.loads((folder / "compare.json").read_text())


def rows(folder):
    return {(row["integrator"], row["budget"]): row for row in record(folder)["results"]}


def test_files_are_written(compared):
    assert {path.name for path in compared[1].iterdir()} == FILES
    assert matplotlib.image.imread(compared[1] / "compare.png").shape[0] == 800


def test_errors_are_those_of_the_values_at_the_end(compared):
    problem = HochbruckOstermann(6)
    found = rows(compared[1])
    assert found["krogstad", 33]["intervals"] == 8
    for method, intervals in (("krogstad", 8), ("tab0", 33)):
        x = solve(problem.ode, problem.initial, make_grid("t")(problem.ode, intervals), method).x
        exact = problem.points * (1 - problem.points) * torch.e
        assert found[method, 33]["error"] == pytest.approx(rmse(problem.to_points(x), exact), rel=1e-9)


def test_methods_make_the_calls_that_fit_and_are_left_out_when_none_do(compared):
    calls = {key: row["nfe"] for key, row in rows(compared[1]).items()}
    assert [calls["krogstad", budget] for budget in (3, 16, 33)] == [None, 16, 32]
    assert [calls["tab0", budget] for budget in (3, 16, 33)] == [3, 16, 33]
    assert "krogstad: nfe must be at least 4" in compared[0].stdout


def test_methods_that_choose_their_steps_are_solved_once_and_come_last(compared):
    result, folder = compared
    row = rows(folder)["dopri5:rtol=1e-4", None]
    assert row["nfe"] > 33
    assert row["error"] > 0
    lines = [line.lstrip("* ") for line in result.stdout.splitlines()]
    last = next(n for n, line in enumerate(lines) if line.startswith("dopri5"))
    assert all(line.startswith(tuple(METHODS)) or not line or "integrator" in line for line in lines[:last])
    assert lines[last].split()[1:3] == [str(row["nfe"]), "-"]


def test_the_best_of_each_budget_is_marked_and_named(compared):
    result, folder = compared
    found = rows(folder)
    best = {
        budget: min((found[name, budget]["error"], name) for name in METHODS if found[name, budget]["error"])[1]
        for budget in (3, 16, 33)
    }
    marked = [line.split()[1] for line in result.stdout.splitlines() if line.startswith("* ")]
    assert marked == list(best.values())
    assert record(folder)["best"] == {str(budget): name for budget, name in best.items()}
    assert result.stdout.splitlines()[-1].startswith("Best by error: ")


def test_the_printed_numbers_are_those_of_the_files(compared):
    result, folder = compared
    with (folder / "compare.csv").open() as file:
        stored = list(csv.DictReader(file))
    assert len(stored) == 10
    printed = {tuple(line.lstrip("* ").split()[:2]): line.split() for line in result.stdout.splitlines()}
    for row in stored:
        key = row["integrator"], int(row["budget"]) if row["budget"] else None
        assert row == {name: "" if v is None else str(v) for name, v in rows(folder)[key].items()}
        if row["error"]:
            shown = printed[row["integrator"], row["nfe"]]
            assert float(shown[-2]) == pytest.approx(float(row["error"]), rel=5e-3)
            total = float(row["seconds_in_solver"]) + float(row["seconds_in_network"])
            assert float(shown[-1]) == pytest.approx(total, rel=5e-3)


def test_every_option_that_means_something_is_recorded(compared):
    content = record(compared[1])
    assert content["options"] == {
        "problem": "ho1:size=6",
        "integrators": "krogstad,exp-adams2,tab0,dopri5:rtol=1e-4",
        "nfe": "3,16,33",
        "grid": "t",
        "outdir": str(compared[1]),
        "force": False,
    }
    assert content["problem"].startswith("HochbruckOstermann(size=6")
    assert content["integrators"]["tab0"].startswith("PolynomialEIAB(")
    assert content["reference"] == {"method": "exact", "nfe": 0, "uncertainty": 0.0}
    assert set(content["versions"]) == {"deis", "torch", "numpy", "python"}
    assert "Errors are root mean squares at the end, to the reference: exact." in compared[0].stdout


@attrs.frozen(eq=False)
class Hidden(Problem):
    """A problem that keeps its solution to itself, and has recipes of its own."""

    @property
    def ode(self):
        return Bernoulli().ode

    @property
    def initial(self):
        return Bernoulli().initial

    @property
    def recommended(self):
        return Recipe("etd3rk", 8, "t2")

    @property
    def converged(self):
        return Recipe("krogstad", 60)


@pytest.fixture
def hidden(monkeypatch):
    """The problem, registered for a test."""
    monkeypatch.setattr(PROBLEMS, "_entries", dict(PROBLEMS._entries))
    PROBLEMS.register("hidden")(Hidden)


def test_the_problem_says_what_is_compared_unless_told(deis, tmp_path, hidden):
    result = deis("compare --problem hidden --outdir", tmp_path)
    assert result.exit_code == 0
    content = record(tmp_path)
    assert content["options"]["integrators"] == ",".join(["etd3rk", *INTEGRATORS])
    assert (content["options"]["nfe"], content["options"]["grid"]) == ("6,12,24", "t2")
    assert content["grid"] == "PowerGrid(clock='t', power=2.0, shift=1.0)"


def test_the_reference_is_that_of_the_problems_recipe(deis, tmp_path, hidden):
    result = deis("compare --problem hidden --integrators tab0,krogstad --nfe 8,240 --outdir", tmp_path)
    reference = record(tmp_path)["reference"]
    assert reference["nfe"] == 240
    assert 0 < reference["uncertainty"] < 1e-6
    assert f"against itself with 120, uncertain by {reference['uncertainty']:.1e}." in result.stdout
    found = rows(tmp_path)
    problem = Bernoulli()
    x = solve(problem.ode, problem.initial, make_grid("t2")(problem.ode, 8), "tab0").x
    assert found["tab0", 8]["error"] == pytest.approx(float((x - problem.exact(1.0)).abs()), rel=1e-3)
    assert found["krogstad", 240]["error"] is None  # as good as the reference
    assert "krogstad: the error" in result.stdout


def test_all_are_those_without_noise_that_keep_a_budget_and_suit_the_problem(deis, tmp_path):
    result = deis("compare --problem bernoulli --integrators all --nfe 8 --outdir", tmp_path)
    assert result.exit_code == 0
    names = {name for name, _ in rows(tmp_path)}
    assert {"etd2rk", "krogstad", "tab3", "exp-adams4", "euler"} <= names
    assert names.isdisjoint({"default", "rhoab3", "dpmpp-2m", "sddim", "dopri5", "adaptive-exprb32"})
    assert set(record(tmp_path)["integrators"]) == names


def test_a_method_that_fails_leaves_the_others_alone(deis, tmp_path):
    words = "compare --problem ho1 --integrators euler,krogstad --nfe 200 --outdir"
    result = deis(words, tmp_path)
    assert result.exit_code == 0
    assert "euler: the " in result.stdout
    assert result.stdout.splitlines()[-1] == "Best by error: krogstad at NFE 200."


WRONG = {
    "--problem burger": "no problem named 'burger'",
    "--problem ho1:sice=5": "no option of 'ho1' named 'sice'; near it: size",
    "--model digits": "--problem takes the place of a model; leave out --model",
    "--seeds 0-3 --dtype float32": "leave out --seeds, --dtype",
    "--nfe 0": "nfe must be whole numbers from 1",
    "--integrators krogstad,krogstadt": "no integrator named 'krogstadt'; near it: krogstad",
    "--integrators sddim": "integrator must not add noise",
    "--integrators rhork-rk4": "choose another by clock=",
    "--integrators exprb32": "makes one step on each interval of a grid",
    "--integrators krogstad --nfe 2,3": "no integrator can make any of these budgets: nfe must be at least 4",
    "--grid rho7": "has no clock 'rho'",
}


@pytest.mark.parametrize("words", list(WRONG))
def test_wrong_input_is_explained_before_any_work(deis, tmp_path, nothing_is_solved, words):
    result = deis(f"compare --problem bernoulli --outdir {tmp_path / 'out'} {words}")
    assert result.exit_code == 2
    assert WRONG[words] in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()


def test_existing_results_stay_unless_forced(deis, tmp_path, nothing_is_solved):
    (tmp_path / "compare.csv").write_text("precious")
    result = deis(SMALL, tmp_path)
    assert result.exit_code == 1
    assert "already holds compare.csv" in result.stderr
    assert (tmp_path / "compare.csv").read_text() == "precious"


def test_interrupted_work_leaves_nothing(deis, tmp_path, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("deis.cli.compare_problem.work_figure", interrupted)
    result = deis("compare --problem bernoulli --integrators tab0 --nfe 4 --outdir", tmp_path)
    assert result.exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_the_default_integrators_are_exponential_and_deterministic():
    methods = parse_integrators(",".join(INTEGRATORS))
    assert not any(method.stochastic for method in methods.values())
    ode = HochbruckOstermann(5).ode
    for method in methods.values():
        assert method.plan(ode, [0.0, 1.0]).steps


def test_the_figure_shows_error_against_calls_and_against_seconds():
    made = [WorkPoint("a", n, n, n, 1 / n, 0.1 * n, 0.2 * n) for n in (10, 20)]
    lost = [WorkPoint("b", 10, note="failed"), WorkPoint("c", None, 30, None, 1e-3, 1.0, 2.0)]
    figure = work_figure([*made, *lost], "title", 1e-5)
    calls, work = figure.axes
    assert [line.get_xdata().tolist() for line in calls.get_lines()[:2]] == [[10, 20], [30]]
    assert work.get_lines()[0].get_xdata() == pytest.approx([3.0, 6.0])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "c", "reference"]
    assert (calls.get_ylabel(), work.get_xlabel()) == ("error (rms)", "seconds")
    assert work_figure([WorkPoint("b", 10, note="failed")], "title", 0.0).axes[0].get_lines() == []


def test_leaders_are_the_least_errors_of_each_budget():
    made = [WorkPoint(name, n, n, n, error) for name, n, error in (("a", 5, 2.0), ("b", 5, 1.0), ("a", 9, None))]
    assert leaders([*made, WorkPoint("c", None, 4, None, 0.5)]) == {5: made[1]}
    assert seconds(made[0]) is None

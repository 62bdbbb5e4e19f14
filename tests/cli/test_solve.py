import json

import attrs
import matplotlib.image
import numpy as np
import pytest
import torch
from PIL import Image

from deis import PROBLEMS, DiagonalODE, HochbruckOstermann, Problem, Recipe, make_grid, solve

FILES = {"solution.npz", "solution.png", "solve.json"}
HO1 = "solve --problem ho1:size=20 --intervals 32 --outdir"


@attrs.frozen(eq=False)
class Plane(Problem):
    """Two fields that grow and decay everywhere at a rate of its own: x' = -rate x + N, N = x / 2 - rate x."""

    size: int = 6

    components = ("u", "v")

    @property
    def orders(self):
        return {"etd2rk": 2.0}

    @property
    def rate(self):
        return torch.linspace(-0.5, 0.5, 5 * self.size, dtype=torch.float64).reshape(self.size, 5)

    @property
    def axes(self):
        return torch.arange(self.size).double(), torch.arange(5).double()

    @property
    def ode(self):
        rate = self.rate
        return DiagonalODE(-rate, lambda t, x: (0.5 - rate.to(x)) * x)

    @property
    def initial(self):
        return torch.stack([1 + self.rate**2, torch.ones_like(self.rate)])

    @property
    def recommended(self):
        return Recipe("etd2rk", 16)

    @property
    def converged(self):
        return Recipe("krogstad", 100, "t")

    @property
    def invariants(self):
        return {"ratio": lambda x: x[..., 0, 0, 0] / x[..., 1, 0, 0], "sum": lambda x: x.sum((-3, -2, -1))}

    def values(self, x):
        return 10 * x

    def solution(self):
        """What it keeps to itself, at the end."""
        return self.values(self.initial * torch.exp(0.5 - 2 * self.rate))


@pytest.fixture
def plane(monkeypatch):
    """The problem, registered for a test."""
    monkeypatch.setattr(PROBLEMS, "_entries", dict(PROBLEMS._entries))
    PROBLEMS.register("plane")(Plane)
    return Plane()


def record(folder):
    return json.loads((folder / "solve.json").read_text())


def arrays(folder):
    with np.load(folder / "solution.npz", allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def test_the_numbers_are_those_of_the_library(deis, tmp_path):
    result = deis(HO1, tmp_path / "new" / "out", "--integrator", "krogstad", "--frames", 5)
    assert (result.exit_code, result.stderr) == (0, "")
    assert {path.name for path in (tmp_path / "new" / "out").iterdir()} == FILES
    problem = HochbruckOstermann(20)
    found = solve(problem.ode, problem.initial, make_grid("t")(problem.ode, 32), "krogstad", keep_states=True)
    kept = arrays(tmp_path / "new" / "out")
    states = torch.stack(found.states[::8])
    assert np.array_equal(kept["t"], found.times[::8])
    assert np.array_equal(kept["state"], states)
    assert np.array_equal(kept["values"], problem.to_points(states))
    assert np.array_equal(kept["x"], problem.points)


def test_error_and_order_are_those_of_the_literature(deis, tmp_path):
    """Krogstad's method on the first problem of Hochbruck and Ostermann, by another implementation with 200 points."""
    result = deis("solve --problem ho1 --outdir", tmp_path)
    content = record(tmp_path)
    assert content["error"]["largest"] == pytest.approx(3.8e-8, rel=0.02)
    assert content["error"]["reference"] == "exact"
    assert content["error"]["uncertainty"] == 0
    order = content["order"]
    assert (order["intervals"], order["expected"], order["claimed"]) == ([8, 16, 32, 64], 4, 4)
    assert order["low"] < order["order"] < order["high"]
    assert order["order"] == pytest.approx(4.0, abs=0.1)
    assert content["nfe"] == 128
    assert "error      3.1e-08 (rms), 3.8e-08 (largest)" in result.stdout
    assert f"order      {order['order']:.2f} (8 to 64 intervals, 95 % interval" in result.stdout


def test_without_a_known_solution_the_recipe_gives_the_reference(deis, tmp_path, plane):
    result = deis("solve --problem plane --frames 2 --outdir", tmp_path)
    assert result.exit_code == 0
    content, found = record(tmp_path), arrays(tmp_path)["values"][-1]
    error = content["error"]
    assert error["rms"] == pytest.approx(float((torch.from_numpy(found) - plane.solution()).square().mean().sqrt()))
    assert 0 < error["uncertainty"] < 1e-3 * error["rms"]
    assert error["resolved"]
    assert "with 400 evaluations, against itself with 200" in error["reference"]
    assert content["recipes"]["converged"] == {"integrator": "krogstad", "intervals": 100, "grid": "t"}
    assert content["order"]["order"] == pytest.approx(2.0, abs=0.15)
    assert "; 2 is expected" in result.stdout


def test_the_problem_says_how_it_is_solved_unless_told(deis, tmp_path, plane):
    deis("solve --problem plane:size=7 --no-errors --frames 2 --outdir", tmp_path)
    content = record(tmp_path)
    assert content["options"] == {
        "problem": "plane:size=7",
        "integrator": "etd2rk",
        "intervals": 16,
        "grid": "t",
        "dtype": "float64",
        "frames": 2,
        "errors": False,
        "outdir": str(tmp_path),
        "force": False,
    }
    assert content["problem"] == "Plane(size=7)"
    assert content["integrator"] == "ExponentialRungeKutta(tableau='etd2rk', predict=None)"
    assert set(content["versions"]) == {"deis", "torch", "numpy", "python"}
    assert (content["nfe"], content["steps"], content["rejected"], content["end"]) == (32, 16, 0, 1.0)


def test_what_should_stay_is_watched(deis, tmp_path, plane):
    result = deis("solve --problem plane --no-errors --frames 2 --outdir", tmp_path)
    found = record(tmp_path)["invariants"]
    assert found["ratio"]["start"] == 1.25
    assert found["ratio"]["largest"] < 1e-14
    sums = arrays(tmp_path)["state"].sum((1, 2, 3))
    assert found["sum"]["largest"] == pytest.approx(sums[1] - sums[0], rel=1e-12)  # it only grows
    assert "ratio    1.25 at the start, changes by " in result.stdout


def test_planes_have_snapshots_and_an_animation(deis, tmp_path, plane):
    deis("solve --problem plane --no-errors --frames 6 --outdir", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES | {"solution.gif"}
    assert matplotlib.image.imread(tmp_path / "solution.png").shape[1] > 2000
    with Image.open(tmp_path / "solution.gif") as film:
        assert film.n_frames == 6
    kept = arrays(tmp_path)
    assert kept["values"].shape == (6, 2, 6, 5)
    assert (kept["x"].shape, kept["y"].shape) == ((6,), (5,))


def test_the_animation_of_another_problem_goes(deis, tmp_path, plane):
    deis("solve --problem plane --no-errors --frames 2 --outdir", tmp_path)
    assert (tmp_path / "solution.gif").exists()
    assert deis(HO1, tmp_path, "--no-errors", "--force").exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} == FILES


def test_errors_are_left_out_on_request(deis, tmp_path, monkeypatch):
    def never(problem):
        raise AssertionError("a reference was asked for")

    monkeypatch.setattr("deis.cli.solve.converged", never)
    result = deis(HO1, tmp_path, "--no-errors")
    content = record(tmp_path)
    assert content["error"] is content["order"] is None
    assert "rms" not in result.stdout


def test_methods_that_choose_their_steps_give_the_states_asked_for(deis, tmp_path):
    result = deis("solve --problem bernoulli --integrator dopri5 --intervals 5 --outdir", tmp_path)
    assert result.exit_code == 0
    content = record(tmp_path)
    assert arrays(tmp_path)["t"].shape == (6,)
    assert content["order"] is None
    assert content["nfe"] > 6
    assert content["error"]["rms"] < 1e-4
    assert "order" not in result.stdout


def test_a_run_that_ends_early_is_told_and_has_no_error(deis, tmp_path):
    method = "adaptive-exprb32:rtol=1e-6:partial=true:most_steps=4"
    result = deis("solve --problem bernoulli --outdir", tmp_path, "--integrator", method)
    assert result.exit_code == 0
    content = record(tmp_path)
    assert content["end"] == arrays(tmp_path)["t"][-1] < 1
    assert content["error"] is None
    assert "made 4 steps" in content["diagnosis"]
    assert f"The solution ends at t = {content['end']:g}: the method made 4 steps" in result.stdout


def test_single_precision_is_that_of_the_states(deis, tmp_path):
    assert deis("solve --problem bernoulli-complex --dtype complex64 --outdir", tmp_path).exit_code == 0
    kept = arrays(tmp_path)
    assert (kept["state"].dtype, kept["values"].dtype) == (np.complex64, np.complex128)
    assert record(tmp_path)["error"]["rms"] > 1e-9


def test_a_reference_that_fails_is_told(deis, tmp_path, plane, monkeypatch):
    monkeypatch.setattr(Plane, "converged", property(lambda self: Recipe("krogstad", 1)))
    result = deis("solve --problem plane --frames 2 --outdir", tmp_path)
    assert result.exit_code == 0
    assert "Not everything could be measured: converged must have two intervals" in result.stdout
    assert record(tmp_path)["error"] is None
    assert len(record(tmp_path)["notes"]) == 1


def test_an_error_below_the_doubt_of_the_reference_is_told(deis, tmp_path, plane):
    result = deis("solve --problem plane --integrator krogstad --intervals 100 --frames 2 --outdir", tmp_path)
    assert "which the reference does not resolve" in result.stdout
    assert not record(tmp_path)["error"]["resolved"]
    assert "order      not measured" in result.stdout or record(tmp_path)["order"]["order"] > 3


WRONG = {
    "--problem burger": "no problem named 'burger'",
    "--problem bernouli": "near it: bernoulli",
    "--problem ho1:sice=5": "no option of 'ho1' named 'sice'; near it: size",
    "--problem ho1:size=none": "size must be a whole number",
    "--integrator krogstadt": "near it: krogstad",
    "--integrator sddim": "integrator must not add noise",
    "--integrator rhork-rk4": "choose another by clock=",
    "--integrator dpmpp-2m": "no splitting 'x0'",
    "--grid rho7": "has no clock 'rho'",
    "--grid t0x": "no grid named",
    "--intervals 0": "--intervals",
    "--intervals 2.5": "--intervals",
    "--frames 1": "--frames",
    "--dtype complex128": "dtype must be real",
    "--problem bernoulli-complex --dtype float32": "dtype must be complex, as the states of this problem are",
    "--dtype float16": "--dtype",
    "--seeds 1": "No such option",
}


@pytest.mark.parametrize("words", list(WRONG))
def test_wrong_input_is_explained_before_any_work(deis, tmp_path, monkeypatch, words):
    def never(*arguments, **options):
        raise AssertionError("something was solved")

    monkeypatch.setattr("deis.study.solving.solve", never)
    result = deis(f"solve --problem bernoulli --outdir {tmp_path / 'out'} {words}")
    assert result.exit_code == 2
    assert WRONG[words] in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", sorted([*FILES, "solution.gif"]))
def test_existing_results_stay_unless_forced(deis, tmp_path, name):
    (tmp_path / name).write_text("precious")
    result = deis(HO1, tmp_path)
    assert result.exit_code == 1
    assert f"already holds {name}" in result.stderr
    assert (tmp_path / name).read_text() == "precious"
    assert deis(HO1, tmp_path, "--no-errors", "--force").exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} == FILES


def test_a_solution_that_overflows_is_one_clear_line(deis, tmp_path):
    result = deis("solve --problem ho1 --integrator euler --intervals 200 --outdir", tmp_path)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: the ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stage", ["converged", "solution_figure", "animation", "np.savez"])
def test_interrupted_work_leaves_nothing_half_written(deis, tmp_path, plane, monkeypatch, stage):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"deis.cli.solve.{stage}", interrupted)
    result = deis("solve --problem plane --frames 2 --outdir", tmp_path)
    assert result.exit_code == 1
    assert "Aborted" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_help_tells_examples(deis):
    text = deis("solve --help").stdout
    assert "deis solve --problem burgers" in text
    assert "deis solve --problem robertson" in text

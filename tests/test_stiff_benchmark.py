"""The benchmark on stiff problems: what it times is what it says, at small sizes."""

import json
import math
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import deis
from deis.problems.kinetics import Robertson
from deis.problems.waves import KuramotoSivashinsky

sys.path.insert(0, str(Path(__file__).parents[1]))  # the scripts are no part of the package

from benchmarks.stiff import adaptive, against_exponax, against_scipy, batch, ks, overhead
from benchmarks.stiff.__main__ import main
from benchmarks.stiff.measure import CutOffError, Watched, brief, least_times


@pytest.fixture(scope="module")
def problem():
    """Small, and short of chaos."""
    return KuramotoSivashinsky(size=32, length=22.0, domain=(0.0, 1.0))


@pytest.fixture(scope="module")
def state(problem):
    """Away from the start, where modes are still empty."""
    return deis.solve(problem.ode, problem.initial, ks.grid(problem, 50), "krogstad").x


@pytest.fixture(scope="module")
def reference(problem):
    """The state at the end."""
    end, uncertainty = ks.converged(problem, 200)
    assert uncertainty < 1e-9
    return end


class TestField:
    """The right-hand side that scipy integrates."""

    def test_is_that_of_the_problem(self, problem, state):
        rate = problem.ode.linear_action(0.0, state) + problem.ode.nonlinearity(0.0, state)
        np.testing.assert_allclose(ks.RealView.of(problem)(0.0, ks.real_view(state)), ks.real_view(rate), atol=1e-13)

    def test_views_are_inverse(self, state):
        assert torch.equal(ks.complex_view(ks.real_view(state)), state)

    def test_jacobian_is_its_derivative(self, problem, state):
        field, y = ks.RealView.of(problem), ks.real_view(state)
        jacobian, h = field.jacobian(0.0, y), 1e-6
        for i in range(y.size):
            unit = np.eye(y.size)[i]
            slope = (field(0.0, y + h * unit) - field(0.0, y - h * unit)) / (2 * h)
            np.testing.assert_allclose(jacobian[:, i], slope, atol=1e-5)  # rounding: 1e-16 times 7e3, over h

    def test_diagonal_is_that_of_l(self, problem):
        x = torch.randn(17, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
        action = problem.ode.linear_action(0.0, x)
        np.testing.assert_allclose(ks.RealView.of(problem).diagonal @ ks.real_view(x), ks.real_view(action))


def test_loops_by_hand_do_what_solve_does(problem):
    times = ks.grid(problem, 20)
    plan = deis.make_plan(problem.ode, times, "krogstad")
    solved = deis.solve(problem.ode, problem.initial, times, plan).x
    torch.testing.assert_close(ks.by_torch(plan, problem.ode, problem.initial)(), solved, rtol=0, atol=1e-13)
    in_numpy = ks.by_numpy(plan, ks.RealView.of(problem), problem.initial)()
    torch.testing.assert_close(torch.from_numpy(in_numpy), solved, rtol=0, atol=1e-13)


def test_the_grid_holds_both_ends(problem):
    assert ks.grid(problem, 4) == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_difference_is_relative_to_the_largest_value(problem, state):
    assert ks.difference(problem, 1.5 * state, state) == pytest.approx(0.5)


class TestWatched:
    """Right-hand sides that stop."""

    def test_counts_and_passes_on(self):
        watched = Watched(lambda t, y: t * y, 1e3)
        assert [watched(2.0, 3.0), watched(1.0, 1.0)] == [6.0, 1.0]
        assert watched.calls == 2

    def test_stops_in_time(self):
        watched = Watched(lambda t, y: y, -1.0)
        with pytest.raises(CutOffError):
            watched(0.0, 1.0)


@pytest.mark.parametrize("method", ["LSODA", "BDF", "Radau", "DOP853"])
def test_scipy_solves_the_problem_and_is_cut_off(problem, reference, method):
    for options in against_scipy.settings(ks.RealView.of(problem)).values():
        if method in options:
            run = against_scipy.scipy_run(problem, method, options[method], 1e-7, 60.0)
            assert ks.difference(problem, run.state, reference) < 1e-4
    cut = against_scipy.scipy_run(problem, method, {}, 1e-7, 0.0)
    assert cut.state is None
    assert cut.evaluations < run.evaluations


class TestTheirs:
    """The choice of scipy's tolerance."""

    def test_is_the_loosest_that_reaches_the_error(self):
        record = against_scipy.theirs(
            lambda rtol: against_scipy.Run(0.5, 7, torch.tensor(rtol)), lambda x: 20 * float(x), repeats=2
        )
        assert record == {"rtol": 10**-7.5, "evaluations": 7, "error": pytest.approx(20 * 10**-7.5), "seconds": 0.5}

    def test_ends_where_a_run_was_cut_off(self):
        def run(rtol):
            return against_scipy.Run(3.0, 9, torch.tensor(rtol) if rtol > 5e-6 else None)

        record = against_scipy.theirs(run, float, repeats=2)
        assert record == {"rtol": 10**-5.5, "evaluations": 9, "cut off at": 3.0}

    def test_says_that_the_error_was_missed(self):
        record = against_scipy.theirs(lambda rtol: against_scipy.Run(0.1, 1, torch.tensor(1.0)), float, repeats=2)
        assert record["missed"]
        assert record["error"] == 1.0


def test_a_run_that_was_cut_off_counts_with_its_time():
    assert against_scipy.quickest({"a": {"seconds": 3.0}, "b": {"cut off at": 2.0}, "c": {"missed": True}}) == 2.0
    assert against_scipy.quickest({"c": {"missed": True}}) == math.inf


@pytest.mark.parametrize(("method", "evaluations"), [("krogstad", 4), ("etd2rk", 2)])
def test_ours_takes_the_fewest_steps_that_reach_the_error(problem, reference, monkeypatch, method, evaluations):
    monkeypatch.setattr(against_scipy, "STEPS", tuple(2**n for n in range(12)))
    record = against_scipy.ours(problem, method, reference, repeats=1)
    assert record["error"] <= against_scipy.TARGET
    fewer = deis.solve(problem.ode, problem.initial, ks.grid(problem, record["steps"] // 2), method).x
    assert ks.difference(problem, fewer, reference) > against_scipy.TARGET
    assert record["evaluations"] == evaluations * record["steps"]


def test_ratios_are_those_of_the_quickest(monkeypatch):
    monkeypatch.setattr(against_scipy, "TOLERANCES", (1e-3,))
    monkeypatch.setattr(against_scipy, "STEPS", (100, 400))
    monkeypatch.setattr(against_scipy, "REFERENCE", 120)
    monkeypatch.setattr(against_scipy, "TARGET", math.inf)  # the first settings will do
    part = against_scipy.compared(64, repeats=1, limit=0)
    for mine, ratios in ((part["deis"][name], part["ratios"][name]) for name in against_scipy.METHODS):
        spent = {told: min(row["cut off at"] for row in rows.values()) for told, rows in part["scipy"].items()}
        assert ratios == {told: pytest.approx(value / mine["seconds"]) for told, value in spent.items()}
    assert len(against_scipy.lines({"size 64": part})) == len(against_scipy.METHODS) + 4


def test_overhead_adds_up():
    record = overhead.measured(repeats=1, size=64, steps=150)
    assert 0 < record["share"] < 1
    assert 0 < record["share with plan"] < 1
    ratio = record["solve, us a step"] / record["by hand, us a step"]
    assert record["solve over by hand"] == pytest.approx(ratio)
    assert len(overhead.lines(record)) == 2


@pytest.fixture
def interpreter(tmp_path):
    """Makes a program that stands for an interpreter with exponax."""

    def make(body):
        path = tmp_path / "python"
        path.write_text(f"#!{sys.executable}\n" + textwrap.dedent(body))
        path.chmod(0o755)
        return str(path)

    return make


class TestExponax:
    """The other side, which runs elsewhere."""

    def test_its_result_is_held_against_ours(self, interpreter):
        python = interpreter(
            """
            import json, sys, time
            script, size, steps, end, start_file, end_file = sys.argv[1:]
            text = open(start_file).read()
            assert len(text.splitlines()) == 3 and len(text.split()) == 3 * int(size)
            print(json.dumps({"compilation": 1.5}), flush=True)
            for _ in sys.stdin:
                time.sleep(0.02)
                print("done", flush=True)
            open(end_file, "w").write(text)
            """
        )
        record = against_exponax.measured(1, python, size=64, batch=3, steps=150)
        spent = record["seconds"]
        assert 0.02 < spent["exponax"] < 2
        assert record["ratios"] == {name: spent[name] / spent["exponax"] for name in against_exponax.METHODS}
        assert record["compilation"] == 1.5
        problem = KuramotoSivashinsky(size=64)
        x0 = against_exponax.batch_of(problem, 3)
        ends = deis.solve(problem.ode, x0, ks.grid(problem, 150), "etdrk4").x
        assert record["difference"] == pytest.approx(ks.difference(problem, x0, ends))
        assert len(against_exponax.lines(record)) == 2

    def test_what_cannot_run_is_recorded(self, interpreter, tmp_path):
        python = interpreter("raise SystemExit('ModuleNotFoundError: no jax')")
        record = against_exponax.measured(1, python, size=64, batch=2, steps=150)
        assert record["skipped"] == "ModuleNotFoundError: no jax"
        assert "no jax" in against_exponax.lines(record)[1]
        assert set(record["seconds"]) == set(against_exponax.METHODS)
        missing = against_exponax.measured(1, str(tmp_path / "nothing"), size=64, batch=2, steps=150)
        assert "nothing" in missing["skipped"]

    def test_samples_are_the_initial_state_moved(self):
        problem = KuramotoSivashinsky(size=16)
        values = problem.values(against_exponax.batch_of(problem, 4))
        torch.testing.assert_close(values[0], problem.values(problem.initial))
        torch.testing.assert_close(values[1], values[0].roll(-4))


def test_a_batch_holds_what_each_system_alone_gives():
    for kind in batch.kinds(count=3, d=4).values():
        record = batch.compared(kind, steps=4, repeats=1)
        assert record["difference"] < 1e-12
        assert record["share, steps"] == record["all, steps"] / 3 / record["one, steps"]


def test_the_random_matrices_have_the_rates_as_eigenvalues():
    matrix = batch.matrices(torch.Generator().manual_seed(0), 5)
    values = torch.linalg.eigvals(matrix).real
    assert -1.0001e4 < values.min() < values.max() < -0.999


ROBERTSON = adaptive.Subject(Robertson(), (0.0, 0.1, 1.0), 1e-4)


@pytest.fixture(scope="module")
def converged():
    """States of Robertson's reactions."""
    return adaptive.states(ROBERTSON, "Radau", 1e-9)


class TestAdaptive:
    """Tolerances."""

    def test_references_agree(self, converged):
        assert adaptive.worst(ROBERTSON, 1e-6, adaptive.states(ROBERTSON, "LSODA", 1e-9), converged) < 1

    def test_a_solve_is_judged(self, converged):
        record = adaptive.solved(ROBERTSON, 1e-4, converged)
        assert 0 < record["error over tolerance"] < adaptive.PROMISED
        assert record["atol"] == pytest.approx(1e-8)

    def test_the_worst_time_counts(self):
        true = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]], dtype=torch.float64)
        found = true + torch.tensor([[1e-6, 0, 0], [3e-6, 0, 0]], dtype=torch.float64)
        assert adaptive.worst(ROBERTSON, 1e-2, found, true) == pytest.approx(1 / math.sqrt(3))

    def test_a_solve_that_gives_up_says_why(self, converged):
        record = adaptive.solved(ROBERTSON, 1e-4, converged, most_steps=5)
        assert record["diagnosis"].startswith("made 5 steps and stopped at t = ")
        assert "error" not in record


def test_medians_leave_out_the_warm_turns():
    calls = []
    spent = least_times({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=2)
    assert calls == ["a", "b"] * 3
    assert all(value >= 0 for value in spent.values())


def test_brief_keeps_four_digits():
    assert brief({"a": [1.23456e-7, 3], "b": "x", "c": (2.0,)}) == {"a": [1.235e-7, 3], "b": "x", "c": [2.0]}


def test_a_part_is_printed_and_written(tmp_path):
    result = CliRunner().invoke(main, ["overhead", "--repeats", "1", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "of a step outside N" in result.output
    record = json.loads((tmp_path / "overhead.json").read_text())
    assert record["circumstances"]["threads"] == 1
    assert record["promised share"] == overhead.PROMISED

"""The papers' experiments: every script runs, and the pages say what the committed results say."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deis import INTEGRATORS, VE, GaussianMixture, VPLinear, make_grid
from deis.analysis import Reference

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the scripts are no part of the package

from benchmarks.paper import fitting_error, likelihood, relative_change, samples, variance_exploding  # noqa: E402
from benchmarks.paper.__main__ import SCRIPTS  # noqa: E402
from benchmarks.paper.pages import TABLE, experiment, filled, page, record  # noqa: E402
from benchmarks.paper.tables import by_budget, markdown, plus_minus  # noqa: E402

HEADINGS = ["## What the paper found", "## What is found here", "## Where they differ"]
MINUTES = 30  # on two cores


def command(*arguments):
    """Run ``python -m benchmarks.paper...``."""
    name, *rest = arguments
    return subprocess.run([sys.executable, "-m", name, *rest], cwd=ROOT, capture_output=True, text=True, check=False)


def leaves(value):
    """All numbers of a result."""
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from leaves(part)
    elif isinstance(value, int | float):
        yield value


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_quick_run_writes_results_and_a_figure_and_prints_its_tables(script, tmp_path):
    done = command(f"benchmarks.paper.{script}", "--quick", "--outdir", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{script}.json", f"{script}.png"]
    written = json.loads((tmp_path / f"{script}.json").read_text())
    assert written["quick"]
    assert written["options"] == json.loads(json.dumps({**experiment(script).options, **experiment(script).quick}))
    assert all(map(math.isfinite, leaves(written["found"])))
    for name, table in experiment(script).tables(written["found"]).items():
        assert name in done.stdout
        assert {len(row) for row in table} == {len(table[0])}
    assert (tmp_path / f"{script}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_one_command_runs_what_is_missing_only(tmp_path):
    arguments = ["benchmarks.paper", "interpolation", "--quick", "--outdir", str(tmp_path)]
    first = command(*arguments)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "== interpolation" in first.stdout
    assert "100%" in first.stderr
    before = (tmp_path / "interpolation.json").read_bytes()
    second = command(*arguments)
    assert second.returncode == 0
    assert "== interpolation" not in second.stdout
    assert "1 were there" in second.stdout
    assert (tmp_path / "interpolation.json").read_bytes() == before


@pytest.mark.slow
def test_the_command_fails_and_names_the_script_that_failed(tmp_path):
    (tmp_path / "interpolation.json").mkdir()
    done = command("benchmarks.paper", "interpolation", "--quick", "--outdir", str(tmp_path), "--force")
    assert done.returncode == 1
    assert "interpolation failed" in done.stderr
    assert "cannot replace" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["benchmarks.paper", "--quick"], "name another folder by --outdir"),
        (["benchmarks.paper.eta", "--quick"], "name another folder by --outdir"),
        (["benchmarks.paper", "fid"], "no script named 'fid'; there are frechet_table"),
        (["benchmarks.paper", "--jobs", "0"], "--jobs must be at least 1, got 0"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments, message):
    done = command(*arguments)
    assert done.returncode == 2
    assert message in done.stderr


def test_the_command_runs_every_script_there_is():
    folder = ROOT / "benchmarks" / "paper"
    found = [path.stem for path in folder.glob("*.py") if "EXPERIMENT = " in path.read_text()]
    assert sorted(SCRIPTS) == sorted(found)


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_committed_results_are_those_of_the_script_as_it_stands(script):
    kept = record(script)
    assert not kept["quick"]
    assert kept["options"] == json.loads(json.dumps(dict(experiment(script).options)))
    assert all(map(math.isfinite, leaves(kept["found"])))
    assert {"deis", "torch", "numpy", "python"} <= kept["versions"].keys()
    assert (ROOT / "benchmarks" / "paper" / "results" / f"{script}.png").stat().st_size < 150_000


def test_everything_takes_no_longer_than_it_may():
    assert sum(record(script)["processor_seconds"] for script in SCRIPTS) < 2 * 60 * MINUTES


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_tables_of_a_page_are_those_of_the_results(script):
    text = page(script).read_text()
    assert TABLE.search(text)
    assert filled(script) == text, "run python -m benchmarks.paper.pages"
    assert f"../../benchmarks/paper/results/{script}.png" in text
    assert [line for line in text.splitlines() if line.startswith("## ")] == HEADINGS


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_number_in_the_prose_of_a_page_is_in_its_tables_or_an_option(script):
    text = page(script).read_text()
    here = text[text.index(HEADINGS[1]) :]
    cells = {number for match in TABLE.finditer(here) for number in re.findall(r"\d+(?:\.\d+)?", match[0])}
    cells |= {f"{value:g}" for value in leaves(record(script)["options"])}
    prose = re.sub(r"`[^`]*`|\{[^}]*\}", "", TABLE.sub("", here))
    assert set(re.findall(r"\d+\.\d+", prose)) <= cells


@pytest.mark.parametrize("model", ["digits", "digits-exact"])
def test_the_ablation_has_the_order_that_its_page_tells(model):
    found = record("ablation")
    rows = found["found"][model]

    def error(name, budget):
        return samples.row_of(rows, integrator=name, budget=budget)["geometric_rmse"]

    for budget in found["options"]["budgets"]:
        assert error("EI on the score, t", budget) > error("Euler, t", budget)
    for budget in (10, 20):
        assert error("tAB3, t2", budget) < min(error("DDIM, t2", budget), error("tAB3, t", budget)) / 3
        assert error("EI on eps (DDIM), t", budget) > error("Euler, t", budget)


def test_ddim_and_the_stochastic_sampler_without_noise_have_the_same_distances():
    table, eta = record("frechet_table")["found"]["rows"], record("eta")["found"]["rows"]
    for steps in (10, 20, 50):
        one = samples.row_of(table, integrator="DDIM", budget=steps)["frechet"]["sets"]
        other = samples.row_of(eta, eta=0.0, steps=steps)["frechet"]["sets"]
        assert other == pytest.approx(one, rel=1e-3)


def test_without_noise_samples_keep_their_latent_and_with_noise_they_lose_it():
    found = record("consistency")["found"]
    other = found["other"]["rmse"]
    for row in found["rows"]:
        assert row["rmse"] < other / 8 if row["eta"] == 0 else row["rmse"] == pytest.approx(other, rel=0.1)


def test_every_page_is_in_the_contents():
    index = (page("eta").parent / "index.md").read_text()
    for script in SCRIPTS:
        assert re.search(rf"^{page(script).stem}$", index, flags=re.M)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.0, 1.0), st.integers(0, 1000))
def test_the_exploding_model_has_the_exact_prediction_of_its_own_schedule(t, seed):
    generator = torch.Generator().manual_seed(seed)
    mixture = GaussianMixture(torch.randn(5, 3, generator=generator, dtype=torch.float64), std=0.3)
    schedule = VE(sigma_min=0.011, sigma_max=50.0)
    when = torch.full((4,), t, dtype=torch.float64)
    x = schedule.sigma(when)[:, None] * torch.randn(4, 3, generator=generator, dtype=torch.float64)
    found = variance_exploding.exploding(mixture.ode(VPLinear()), schedule).network(x, when)
    assert torch.allclose(found, mixture.network(schedule)(x, when), rtol=1e-9, atol=1e-9)


@given(st.integers(0, 3))
def test_extrapolation_is_exact_for_polynomials_of_its_degree_and_not_for_the_next(degree):
    times = torch.tensor([1.0, 0.8, 0.5, 0.4, 0.1, 0.05], dtype=torch.float64)

    def errors(power):
        values = (1 + times**power).reshape(-1, 1, 1).expand(-1, 2, 3)
        return relative_change.extrapolation(times, values, degree)[degree:]

    assert max(errors(degree)) < 1e-12
    assert min(errors(degree + 1)) > 1e-4


def test_the_change_of_values_that_rise_in_proportion_to_time_is_one_over_time():
    times = torch.tensor([1.0, 0.5, 0.25], dtype=torch.float64)
    values = times.reshape(-1, 1, 1) * torch.ones(1, 2, 3, dtype=torch.float64)
    assert relative_change.changes(times, values) == pytest.approx([2.0, 4.0])


def test_the_density_of_the_training_images_is_that_of_a_mixture_of_normals():
    generator = torch.Generator().manual_seed(0)
    data = torch.randn(7, 1, 2, 2, generator=generator, dtype=torch.float64)
    x = torch.randn(5, 1, 2, 2, generator=generator, dtype=torch.float64)
    components = torch.distributions.Independent(torch.distributions.Normal(0.6 * data.flatten(1), 0.8), 1)
    mixture = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(torch.ones(7, dtype=torch.float64)), components
    )
    found = fitting_error._log_density(x, data, 0.6, 0.8)
    assert torch.allclose(found, mixture.log_prob(x.flatten(1)) / 4)


@pytest.mark.parametrize("splitting", ["eps", "v"])
def test_the_log_density_of_normal_data_is_the_exact_one_in_every_splitting(splitting):
    schedule, std = VPLinear(), 0.7
    ode = GaussianMixture(torch.zeros(1, 3, dtype=torch.float64), std=std).ode(schedule).split(splitting)
    x = torch.tensor([[0.3, -0.5, 1.0], [0.0, 0.0, 0.1]], dtype=torch.float64)
    times = make_grid("t2")(ode, 200).reversed()
    found, nfe = likelihood.log_density(ode, x, times, INTEGRATORS.create("rhork-rk4"), None)
    start = torch.tensor(schedule.t_min, dtype=torch.float64)
    width = (schedule.alpha(start) ** 2 * std**2 + schedule.sigma(start) ** 2).sqrt()
    exact = torch.distributions.Normal(0.0, width).log_prob(x).sum(1)
    assert nfe == 800
    assert torch.allclose(found, exact, atol=1e-3)  # the noisy end is not quite N(0, sigma^2)


def test_images_that_training_saw_and_did_not_see_are_all_images():
    seen, _ = samples.trained_on()
    unseen, labels = samples.held_out(samples.HELD_OUT)
    assert len(labels) == 360
    rows = torch.cat([seen, unseen]).flatten(1)
    images, _ = samples.load_images()
    assert sorted(map(tuple, rows.tolist())) == sorted(map(tuple, images.flatten(1).tolist()))


def test_an_error_below_the_reference_is_left_out():
    states = torch.zeros(2, 40, 1, 8, 8)
    target = Reference((1.0, 0.0), states, states + 0.1, 10, "by hand")
    x = torch.randn(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert samples.judged(0.5 + 0 * x + 0.01 * x, target)["rmse"] is None
    assert samples.judged(x + 5, target)["rmse"] == pytest.approx(5.1, rel=0.02)


def test_the_least_of_a_budget_is_bold_if_all_are_known_and_other_numbers_of_calls_stand_in_parentheses():
    rows = [
        {"integrator": "a", "budget": 5, "nfe": 5, "error": 0.123},
        {"integrator": "b", "budget": 5, "nfe": 4, "error": 0.0456},
        {"integrator": "a", "budget": 9, "nfe": 9, "error": None},
        {"integrator": "b", "budget": 9, "nfe": 9, "error": 0.01},
    ]
    assert by_budget(rows, "error") == [
        ["integrator", "5 calls", "9 calls"],
        ["a", "0.12", "-"],
        ["b", "**0.046** (4)", "0.01"],
    ]
    assert markdown([["a", "b"], ["x", "1"]]) == "| a | b |\n|---|---|\n| x | 1 |"
    assert plus_minus(samples.spread([1.0, 2.0])) == "1.5 ± 0.7"

import json
import tomllib

import pytest

from deis.study.config import Study
from deis.study.reading import load_study

SMALL = """\
title = "Small"
budgets = [1, 4]
seeds = "0-3"
metrics = ["error"]
reference_nfe = 40
[[problem]]
name = "bernoulli"
[[problem]]
name = "ho1:size=3"
[[integrator]]
name = "tab1"
[[integrator]]
name = "ddim"
[[integrator]]
name = "sddim"
"""


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


@pytest.fixture
def in_process(monkeypatch):
    """Let the tasks be done here; tests of the runner start processes."""

    def here(workers, jobs, tasks):
        for task in tasks:
            task()
            yield 1, []

    monkeypatch.setattr("deis.study.runner.work", here)


@pytest.mark.parametrize("words", ["study -h", "study run --help", "study init -h", "study report -h"])
def test_help_has_an_example(deis, words):
    result = deis(words)
    assert result.exit_code == 0
    assert "Example:" in result.stdout
    assert "deis study" in result.stdout.split("Example:")[1]


def test_the_group_lists_its_commands(deis):
    assert {"run", "init", "report"} <= {
        line.split()[0] for line in deis("study -h").stdout.splitlines() if line.strip()
    }


def test_near_misses_of_commands_are_shown(deis):
    result = deis("study rnu")
    assert result.exit_code == 2
    assert "run" in result.stderr.split("rnu")[1]


def test_a_run_ends_with_the_best_of_each_budget_and_the_way_to_the_report(deis, small, tmp_path, in_process):
    out = tmp_path / "out"
    result = deis("study run", small, "--outdir", out)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == f"Results: {out}"
    assert lines[-1] == f"Report: deis study report {out}"
    assert [line for line in lines if line.endswith("budget:")] == [
        "RMS error on bernoulli, the best of each budget:",
        "RMS error on ho1:size=3, the best of each budget:",
    ]
    found = [json.loads(path.read_text()) for path in out.glob("cells/bernoulli-*-4-*.json")]
    errors = {one["cell"]["label"]: one["metrics"]["error_rms"]["value"] for one in found if one["metrics"]}
    best = min(errors, key=errors.get)
    assert lines[3] == f"     4 calls: {best} on t2, {errors[best]:.3g}"


def test_the_same_command_goes_on_and_force_starts_anew(deis, small, tmp_path, in_process):
    out = tmp_path / "out"
    deis("study run", small, "--outdir", out)
    assert "14 of 14 cells are finished already." in deis("study run", small, "--outdir", out, "--jobs", 2).stdout
    assert "finished already" not in deis("study run --force", small, "--outdir", out).stdout
    small.write_text(SMALL.replace("Small", "Other"))
    refused = deis("study run", small, "--outdir", out)
    assert refused.exit_code == 1
    assert "holds the results of another study" in refused.stderr
    assert deis("study run --force", small, "--outdir", out).exit_code == 0


def test_nothing_to_rank_is_said(deis, small, tmp_path, in_process):
    small.write_text(SMALL.replace("[1, 4]", "[1, 2]").replace('"tab1"', '"rhork-rk4"').replace('"ddim"', '"pndm"'))
    result = deis("study run", small, "--outdir", tmp_path / "out")
    assert "Nothing could be measured on bernoulli; the cells say why." in result.stdout


def test_faults_of_the_file_are_shown_with_their_lines(deis, small, tmp_path):
    small.write_text(SMALL.replace("tab1", "tab9").replace("[1, 4]", "[0]"))
    result = deis("study run", small, "--outdir", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {small}:11: integrator[1].name: no integrator named 'tab9'; near it: ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", ["missing.toml", "--jobs 0", "--jobs two", "--outdir setup.cfg", "--no-such"])
def test_wrong_words_are_refused(deis, small, words):
    result = deis(f"study run {words if words.endswith('.toml') else f'{small} {words}'}")
    assert result.exit_code == 2
    assert "Error: " in result.stderr


def test_init_writes_a_study_that_can_be_run_and_never_replaces_one(deis, tmp_path):
    path = tmp_path / "mine.toml"
    result = deis("study init", path)
    assert result.stdout.splitlines() == [f"Study: {path}", f"Run it: deis study run {path}"]
    study = load_study(path)[0]
    assert [model.name for model in study.model] == ["digits"]
    assert (len(study.integrator), len(study.budgets), study.seeds) == (12, 5, "0-255")
    path.write_text("mine")
    refused = deis("study init", path)
    assert refused.exit_code == 1
    assert "exists already; choose another name, or use --force" in refused.stderr
    assert path.read_text() == "mine"
    assert deis("study init --force", path).exit_code == 0
    assert path.read_text() != "mine"


def test_the_default_study_shows_every_key_and_its_default(deis, tmp_path):
    path = tmp_path / "a.toml"
    deis("study init", path)
    text = path.read_text()
    given = tomllib.loads(text)
    assert given.keys() | {"problem"} == {field.name for field in Study.__attrs_attrs__}
    fields = {field.name: field.default for field in Study.__attrs_attrs__}
    for key in ("seeds", "grids", "metrics", "reference_nfe", "batch"):
        assert given[key] == (list(fields[key]) if isinstance(fields[key], tuple) else fields[key])
    for word in ("label = 3", "guidance = 1.0", 'dtype = "float32"', "[[problem]]", "error_max", "error_rms"):
        assert word in text


def test_without_a_file_the_default_study_is_run(deis, tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(
        "deis.study.runner.work", lambda workers, jobs, tasks: ran.extend(task.name for task in tasks) or ()
    )
    deis("study run --outdir", tmp_path / "out")
    assert len(ran) == 4 + 1 + 60
    assert "digits, tab3, t2, 10 calls" in ran


def test_a_folder_must_have_a_name(deis, small):
    for words in (["study run", small, "--outdir", ""], ["study report", ""]):
        result = deis(*words)
        assert result.exit_code == 2
        assert "must name a folder, for example . for the current one" in result.stderr

import re

import pytest

STUDY = """
title = "Small"
budgets = [3, 5]
seeds = "0-39"
reference_nfe = 60
metrics = ["error", "frechet"]
[[model]]
name = "digits-exact"
label = 3
[[problem]]
name = "bernoulli"
[[integrator]]
name = "ddim"
[[integrator]]
name = "tab1"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the command ``deis study run`` makes."""
    from click.testing import CliRunner

    from deis.cli.root import cli

    place = tmp_path_factory.mktemp("study")
    (place / "small.toml").write_text(STUDY)
    result = CliRunner().invoke(cli, ["study", "run", str(place / "small.toml"), "--outdir", str(place / "out")])
    assert result.exit_code == 0, result.output
    return place / "out"


def test_the_report_of_a_run_is_written_and_named(deis, folder):
    result = deis("study report", folder)
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"Report: {folder / 'report.html'}" in result.stdout
    text = (folder / "report.html").read_text()
    assert "incomplete" not in text
    assert text.count('<table class="sortable">') == 2
    assert text.count('<div class="tiles">') == 2
    assert re.search(r"Errors on bernoulli are distances to the\s+exact solution", text)
    assert (folder / "results.csv").read_text().count("\n") == 1 + 8
    assert (folder / "results.tex").read_text().count(r"\begin{table}") == 2


def test_a_second_report_is_the_same(deis, folder):
    deis("study report", folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    deis("study report", folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("place", ["nowhere", "."])
def test_a_folder_without_a_study_is_an_error_of_usage(deis, tmp_path, place):
    result = deis("study report", tmp_path / place)
    assert result.exit_code == 2
    assert "deis study run FILE" in " ".join(result.stderr.split())


def test_help_has_an_example(deis):
    result = deis("study report --help")
    assert result.exit_code == 0
    assert "deis study report deis-results/study" in result.stdout

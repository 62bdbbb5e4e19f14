"""The study behind the default: what is promised is recomputed from the committed cells."""

import csv
import json
import sys
from pathlib import Path

import attrs
import pytest

from deis import INTEGRATORS, make_grid
from deis.analysis import reference

sys.path.insert(0, str(Path(__file__).parents[1]))  # the scripts are no part of the package

from benchmarks import members


@pytest.fixture(scope="module")
def known():
    """The committed cells of every model."""
    return {model: members.Record.open(members.RESULTS, model).cells() for model in members.SUBJECTS}


@pytest.fixture(scope="module")
def verdict():
    return json.loads((members.RESULTS / "verdict.json").read_text())


def test_the_verdict_follows_from_the_cells(known, verdict):
    assert json.loads(json.dumps(members.verdict(known))) == verdict


def test_the_table_holds_every_cell(known):
    with (members.RESULTS / "members.csv").open() as file:
        rows = {(m, (i, g), int(n)): float(error) for m, i, g, n, error in list(csv.reader(file))[1:]}
    cells = {(m, s, n): error for m, part in known.items() for s, row in part.items() for n, error in row.items()}
    assert rows == cells


def test_the_default_is_what_the_study_chose(verdict):
    integrator, grid = verdict["default"]
    assert INTEGRATORS.create("default") == INTEGRATORS.create(integrator)
    assert make_grid("default") == make_grid(grid)
    assert verdict["finalists"][0]["sampler"] == [integrator, grid]


@pytest.mark.parametrize("model", members.DECISIVE)
def test_the_default_is_never_worse_than_the_best_known_sampler(known, model):
    found = members.ratios(known[model], members.DEFAULT, members.CUSTOMARY)
    assert tuple(map(int, found)) == members.BUDGETS
    assert max(found.values()) <= 1


@pytest.mark.parametrize(("model", "least"), [("digits-exact", 0.75), ("digits", 0.5)])
def test_the_family_has_a_better_member_than_every_published_sampler(known, model, least):
    found = members.against_published(known[model], members.PUBLISHED[model])
    assert max(row["ratio"] for row in found.values()) <= least


@pytest.mark.parametrize("model", members.SUBJECTS)
def test_errors_stand_clear_of_the_uncertainty_of_their_reference(known, model):
    doubt = json.loads((members.RESULTS / f"{model}.json").read_text())["reference"]["uncertainty"]
    chosen = (members.DEFAULT, *members.CUSTOMARY)
    assert min(min(known[model][sampler].values()) for sampler in chosen) > 10 * doubt  # the rule of Reference.error


def test_a_cell_agrees_with_an_independent_solution(known):
    problem = members.SUBJECTS["plane"]().problem()
    both = reference(problem, nfe=20, check="dop853:form=rho:rtol=1e-5:atol=1e-5")
    target = attrs.evolve(both, states=both.check)
    assert members.error(problem, (members.DEFAULT, 8), target) == pytest.approx(
        known["plane"][members.DEFAULT][8], rel=1e-2
    )


def test_a_run_goes_on_where_the_last_one_ended(tmp_path):
    job, other = ((members.DEFAULT, nfe) for nfe in (2, 3))

    def small():
        return attrs.evolve(members.SUBJECTS["plane"](), samples=2)

    def none():
        raise AssertionError("nothing is missing")

    members.measure(members.Record.open(tmp_path, "plane"), [job], small, nfe=20)
    kept = (tmp_path / "plane.json").read_text()
    members.measure(members.Record.open(tmp_path, "plane"), [job], none, nfe=20)
    assert (tmp_path / "plane.json").read_text() == kept
    members.measure(members.Record.open(tmp_path, "plane"), [job, other], small, nfe=20)
    assert members.Record.open(tmp_path, "plane").cells()[members.DEFAULT].keys() == {2, 3}


def test_what_a_method_cannot_do_is_an_infinite_error():
    problem = attrs.evolve(members.SUBJECTS["plane"](), samples=2).problem()
    target = reference(problem, nfe=20)
    assert members.error(problem, (("pndm", "vp-t2"), 3), target) == float("inf")


def test_the_page_says_what_was_found(verdict):
    page = (Path(__file__).parents[1] / "docs" / "default.md").read_text()
    for model, found in verdict["ratios"].items():
        assert f"| `{model}` | {' | '.join(f'{ratio:.2f}' for ratio in found.values())} |" in page
    for model, rows in verdict["published"].items():
        for row in rows.values():
            assert f"{row['ratio']:.2f}" in page, (model, row)

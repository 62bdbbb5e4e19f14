import base64
import hashlib
import math
import re

import attrs
import pytest

from deis import ArgumentError, load_plans, make_grid, make_plan, save_plans
from deis.study import tune_report
from deis.study.outcomes import Estimate
from deis.study.tune_record import Row, TunedBudget, TuneRecord, read_record, write_record
from deis.study.tune_words import cost, losses, verdict
from deis.tuning import Interval
from deis.zoo import load


def around(value, width=0.1):
    return Interval(value, value * (1 - width), value * (1 + width))


def row(role, title, error, frechet=None, best=0.04):
    found = frechet and Estimate(frechet, 0.9 * frechet, 1.1 * frechet)
    return Row(role, title, "clock=vp_t, power=2", 5, error, around(error), around(error / best), found)


def budget(*rows, nfe=5, **more):
    """What was found, from rows whose first is the plan's; it took 1000 network calls."""
    ode = load("digits-exact").ode()
    grid = make_grid("vp-t2")
    plan = attrs.evolve(make_plan(ode, grid(ode, nfe), "tab2"), provenance={"tuned": rows[0].role, "model": "0f20"})
    usual = {
        "history": ((10, -3.0, -2.5), (20, -3.5, -2.4)),
        "doubt": 1e-5,
        "calls": 1000,
        "seconds": {"choose": 2.0, "judge": 1.0},
        "grids": {name: make_grid(name)(ode, nfe).times for name in ("vp-t2", "vp-t3")},
        "equal_calls": 9,
        "tried": 15,
        "converged": Estimate(8.0, 7.0, 9.0),
    }
    ranked = sorted(rows, key=lambda one: one.error.value)
    return TunedBudget(nfe, plan, tuple(ranked), **usual | more)


LEARNT = row("learnt", "predict=x0", 0.02, 8.1)
ROWS = (
    LEARNT,
    row("chosen", "predict=x0", 0.03, 8.2),
    row("published", "tab2", 0.04, 7.0),
    row("published", "<ddim>", 0.1, 6.0),
)


@pytest.fixture
def folder(tmp_path):
    """What ``deis tune`` writes for two budgets."""
    task = {"model": "digits-exact", "pilot": "8", "held_out": "40", "pairs": "16"}
    options = {"nfe": "5,8", "label": None, "model": "digits-exact", "held_out": 40, "outdir": "x", "force": False}
    found = (budget(*ROWS), budget(*ROWS, nfe=8))
    write_record(tmp_path, TuneRecord(task, options, found, {"deis": "0.1.0"}))
    return tmp_path


def words(html):
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def test_records_read_back(folder):
    known = budget(*ROWS)
    read = read_record(folder).budgets[0]
    assert read.plan == known.plan
    assert read.plan.provenance == known.plan.provenance
    for name in ("rows", "history", "grids", "calls", "equal_calls", "converged", "seconds", "row", "best"):
        assert getattr(read, name) == getattr(known, name), name


def test_infinite_errors_are_kept_in_plain_json(tmp_path):
    never = row("published", "euler", math.inf)
    write_record(tmp_path, TuneRecord({}, {}, (budget(*ROWS, never),), {}))
    assert "Infinity" not in (tmp_path / "tune.json").read_text()
    assert read_record(tmp_path).budgets[0].rows[-1].error.value == math.inf


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"task": {}, "options": {}, "budgets": [{}], "versions": {}}'])
def test_what_is_no_record_is_refused(tmp_path, text):
    (tmp_path / "tune.json").write_text(text)
    with pytest.raises(ArgumentError, match=r"must hold a sound tune.json .* make it by deis tune"):
        tune_report(tmp_path)


@pytest.mark.parametrize(
    ("error", "said"),
    [(0.02, "it is better"), (0.041, "cannot be told apart"), (0.08, "it is worse, and tab2 is to be preferred")],
)
def test_the_verdict_is_that_of_the_interval_of_the_ratio(error, said):
    text = verdict(budget(row("chosen", "predict=x0", error), row("published", "tab2", 0.04)))
    assert said in text
    assert f"{error / 0.04:.3g} (" in text
    assert "the best of 1 published samplers" in text


def test_losses_name_what_beats_the_plan_and_whether_by_chance():
    first, second = losses(budget(*ROWS))
    assert first == "No sampler beats it in error (0.02)."
    closer = "It loses in Frechet distance (8.1; the converged solution has 8) to <ddim> (6) and tab2 (7): "
    assert second == closer + "beyond chance to <ddim>."
    (beaten,) = losses(budget(row("chosen", "plan", 0.03), row("member", "other", 0.029), row("published", "tab2", 1)))
    assert beaten == "It loses in error (0.03) to other (0.029): within chance, as the 95 % intervals overlap."


def test_costs_count_the_calls_that_are_saved():
    assert budget(*ROWS).pays_after == 250
    assert cost(budget(*ROWS)).endswith("It pays after 250 samples: a published sampler needs 9 calls instead of 5.")
    assert budget(*ROWS, equal_calls=5).pays_after is None
    assert "It saves no network calls" in cost(budget(*ROWS, equal_calls=5))
    assert budget(*ROWS, equal_calls=None).pays_after == 91  # 1000 / (16 - 5)
    assert "after 91 samples or less" in cost(budget(*ROWS, equal_calls=None))


def test_the_page_needs_nothing_else_and_runs_its_own_script_only(folder):
    text = tune_report(folder).read_text()
    assert re.findall(r'(?:src|href)="(?!data:|#)', text) == []
    assert "@import" not in text
    script = re.search(r"<script>(.*?)</script>", text, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'" in text


def test_the_page_holds_every_sampler_verdict_and_plan(folder):
    text = tune_report(folder).read_text()
    assert "<ddim>" not in text
    said = words(text)
    assert said.count(words(verdict(budget(*ROWS)))) == 2
    for line in [*losses(budget(*ROWS))[:1], cost(budget(*ROWS))]:
        assert said.count(line) == 2
    assert text.count('<table class="sortable">') == 2
    assert text.count('data-key="&lt;ddim&gt;"') == 2
    assert text.count("learnt (the plan)") == 2
    assert text.count("Learning of") == 2
    assert text.count("<svg") == 2 + 2 + 4  # of curves, of the grids and learning, of the legend
    assert "deis tune --nfe 5,8 --model digits-exact --held-out 40" in said
    assert "0f20" in said


def test_what_was_not_measured_is_not_shown(tmp_path):
    rows = [attrs.evolve(one, frechet=None) for one in ROWS]
    found = budget(*rows, history=(), converged=None)
    options = {"model": "digits-exact", "strength": 0.5}
    task = {"model": "digits-exact", "pilot": "8", "held_out": "16", "pairs": "0"}
    write_record(tmp_path, TuneRecord(task, options, (found,), {}))
    text = tune_report(tmp_path).read_text()
    assert "Frechet distances are" not in text
    assert "Learning of" not in text
    assert "were then learnt" not in words(text)
    assert "deis.solve(ode, x, plan.times, plan)" in text


def test_equal_records_give_equal_pages(folder):
    assert tune_report(folder).read_bytes() == tune_report(folder).read_bytes()


def test_the_way_to_use_a_plan_works(folder):
    save_plans(folder, [budget(*ROWS).plan])
    assert 'deis.load_plans("plan-005.json")' in tune_report(folder).read_text().replace("&#34;", '"')
    assert load_plans(folder / "plan-005.json").plans[0].nfe == 5

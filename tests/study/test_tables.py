import csv
import io
import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deis import ArgumentError
from deis.study import report
from deis.study.outcomes import Estimate, Outcome, Setting, read_outcomes
from deis.study.ranking import best_cells, budgets, leaders, merit
from deis.study.tables import as_csv, as_latex, heading, latex, written

POSITIVE = st.floats(1e-9, 1e9)


def outcome(name, budget, **metrics):
    cell = Setting(target="digits", kind="model", name="digits", label=name, grid="t2", budget=budget)
    estimates = {metric: value if isinstance(value, Estimate) else Estimate(value) for metric, value in metrics.items()}
    return Outcome(f"{name}-{budget}", cell, budget, estimates)


@given(POSITIVE, st.floats(1e-4, 0.5))
def test_numbers_keep_the_digits_that_their_uncertainty_leaves(value, share):
    spread = share * value
    text = written(Estimate(value, value - spread, value + spread))
    unit = 10.0**text.exponent
    assert abs(float(text.spread) * unit - spread) <= 0.5 * spread
    assert abs(float(text.mantissa) * unit - value) <= 0.5 * spread
    decimals = [len(part.partition(".")[2]) for part in (text.mantissa, text.spread)]
    assert decimals[0] == decimals[1]
    digits = text.spread.replace(".", "").lstrip("0")
    assert len(digits) <= 2 or decimals[0] == 0


@given(POSITIVE)
def test_numbers_without_uncertainty_have_three_digits(value):
    text = written(Estimate(value))
    assert text.spread == ""
    assert float(text.mantissa) * 10.0**text.exponent == pytest.approx(value, rel=5.1e-3)


@pytest.mark.parametrize(
    ("estimate", "plain", "formula"),
    [
        (Estimate(0.0089, 0.0084, 0.0094), "0.0089", r"$0.0089 \pm 0.0005$"),
        (Estimate(0.0123, 0.0110, 0.0136), "0.0123", r"$0.0123 \pm 0.0013$"),
        (Estimate(0.0), "0", "$0$"),
        (Estimate(0.0, 0.0, 0.2), "0.00", r"$0.00 \pm 0.10$"),
        (Estimate(-0.02, -0.05, 0.01), "-0.02", r"$-0.02 \pm 0.03$"),
        (Estimate(3.2e-7), "3.2", r"$3.2 \times 10^{-7}$"),
        (Estimate(1234.0), "1230", "$1230$"),
        (Estimate(99999.0), "100000", "$100000$"),
        (Estimate(3e-6, -1e-3, 1.006e-3), "0.0000", r"$0.0000 \pm 0.0010$"),
        (Estimate(345.0, 300.0, 390.0), "345", r"$345 \pm 45$"),
    ],
)
def test_numbers_are_written_as_papers_do(estimate, plain, formula):
    assert written(estimate).mantissa == plain
    assert written(estimate).latex(bold=False) == formula


@given(st.tuples(POSITIVE, POSITIVE, POSITIVE, POSITIVE))
def test_overlap_is_symmetric_and_means_a_common_point(ends):
    (a, b), (c, d) = sorted(ends[:2]), sorted(ends[2:])
    first, second = Estimate(a, a, b), Estimate(c, c, d)
    assert first.overlaps(second) == second.overlaps(first) == (max(a, c) <= min(b, d))


@pytest.mark.parametrize("value", [math.nan, math.inf, "0.1"])
def test_estimates_are_finite_numbers(value):
    with pytest.raises(ArgumentError, match="must be a finite number"):
        Estimate(value)


def test_errors_rank_before_distances():
    assert merit([outcome("a", 5, frechet=1.0, error=2.0)]) == "error"
    assert merit([outcome("a", 5, recall=1.0, frechet=1.0)]) == "frechet"
    assert merit([outcome("a", 5, recall=1.0)]) == "recall"
    assert merit([outcome("a", 5)]) is None


@pytest.mark.parametrize(
    ("metric", "best"), [("error", "low"), ("frechet", "low"), ("recall", "high"), ("coverage", "high")]
)
def test_the_best_is_the_least_error_and_the_most_recall(metric, best):
    cells = [outcome("high", 5, **{metric: 0.9}), outcome("low", 5, **{metric: 0.1})]
    assert leaders(cells, metric)[5].best.cell.label == best


def test_each_budget_has_its_own_leader_and_methods_without_budget_none():
    cells = [
        outcome("a", 5, error=Estimate(1.0, 0.9, 1.1)),
        outcome("b", 5, error=Estimate(1.15, 1.05, 1.25)),
        outcome("c", 5, error=Estimate(1.3, 1.2, 1.4)),  # overlaps with b only
        outcome("b", 10, error=0.5),
        outcome("dopri5", None, error=0.1),
        outcome("failed", 20),
    ]
    found = leaders(cells, "error")
    assert {budget: leader.best.cell.label for budget, leader in found.items()} == {5: "a", 10: "b"}
    assert [rival.cell.label for rival in found[5].rivals] == ["b"]
    assert budgets(cells) == (5, 10, 20, None)


def test_equal_values_are_best_together():
    cells = [outcome("a", 5, error=1.0), outcome("b", 5, error=1.0), outcome("c", 5, error=2.0)]
    assert best_cells(cells) == {("a-5", "error"), ("b-5", "error")}


def test_csv_has_every_cell_at_full_precision(digits_study):
    rows = list(csv.DictReader(io.StringIO(as_csv(read_outcomes(digits_study)))))
    assert len(rows) == 9
    for row in rows:
        content = json.loads((digits_study / "cells" / f"{row['id']}.json").read_text())
        assert row["label"] == content["cell"]["label"]
        assert row["seconds"] == repr(content["timing"]["seconds"])
        for name in ("error", "frechet"):
            measured = content["metrics"].get(name)
            for key, end in (("value", ""), ("low", "_low"), ("high", "_high")):
                assert row[f"{name}{end}"] == (repr(measured[key]) if measured else "")
    assert list(rows[0])[-2:] == ["seconds", "seconds_in_network"]


def test_latex_has_a_row_a_cell_a_rule_a_budget_and_the_best_in_bold(digits_study):
    text = as_latex(read_outcomes(digits_study))
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 1
    assert text.count(r"\midrule") == 3
    assert r"tab3 & t2 & 5 & $\mathbf{0.046} \pm 0.002$ & $\mathbf{0.46} \pm 0.02$ \\" in text
    assert r"euler & t2 & 5 & -- & -- \\" in text
    assert text.count(r"\mathbf") == 4
    columns = re.search(r"\\begin{tabular}{(\w+)}", text)[1]
    assert all(line.count(" & ") == len(columns) - 1 for line in text.splitlines() if line.endswith(r"\\"))


@given(st.text())
def test_no_sign_of_a_text_is_a_command_of_latex(text):
    plain = re.sub(r"\\text\w+\{\}|\\[&%$#_{}]", "", latex(text))
    assert not set(plain) & set("\\&%$#_{}~^\n\r")


def test_tables_are_written_beside_the_page(digits_study):
    report(digits_study)
    outcomes = read_outcomes(digits_study)
    assert (digits_study / "results.csv").read_text() == as_csv(outcomes)
    assert (digits_study / "results.tex").read_text() == as_latex(outcomes)


def test_metrics_have_headings():
    assert heading("error") == "Error per sample"
    assert heading("recall") == "Recall"

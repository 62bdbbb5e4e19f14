import math

import pytest
import torch

from deis import DiagonalODE, PolynomialEIAB, PowerGrid, SampleNoise, make_plan
from deis.tuning.candidates import Candidate
from deis.tuning.choose import Scored
from deis.tuning.contest import Contender, judged
from deis.tuning.ensemble import Ensemble
from deis.tuning.interval import Interval
from deis.tuning.pairs import errors, make_pairs

ODE = DiagonalODE(-1.0, lambda t, x: x.sin())
ROLES = ("learnt", "chosen", "member", "published", "published")
INTERVALS = (4, 8, 2, 3, 5)  # of plans of one method: more are better


def initial(seeds):
    return SampleNoise(seeds).initial((2,), torch.float64)


@pytest.fixture(scope="module")
def judges():
    return make_pairs(Ensemble(lambda seeds: ODE, initial), range(12), 60)


def field():
    plans = [make_plan(ODE, torch.linspace(0, 1, n + 1).double().tolist(), "ddim") for n in INTERVALS]
    return [
        Contender(role, f"{n} steps", "t", plan, 0.25) for role, n, plan in zip(ROLES, INTERVALS, plans, strict=True)
    ]


def test_contenders_stand_in_the_order_of_their_errors(judges):
    rows = judged(field(), judges)
    assert [row.title for row in rows] == [f"{n} steps" for n in (8, 5, 4, 3, 2)]
    assert [row.role for row in rows] == ["chosen", "published", "learnt", "published", "member"]
    values = [row.error.value for row in rows]
    assert values == sorted(values)


def test_a_standing_holds_the_typical_error_of_the_judges(judges):
    for row in judged(field(), judges):
        logs = errors(row.plan, judges).log()
        assert row.error.value == pytest.approx(float(logs.mean().exp()))
        assert (row.grid, row.pilot) == ("t", 0.25)


def test_ratios_are_to_the_best_published_contender(judges):
    rows = {row.title: row for row in judged(field(), judges)}
    assert rows["5 steps"].to_best == Interval(1.0, 1.0, 1.0)
    best = rows["5 steps"].error.value
    for row in rows.values():
        assert row.to_best.value == pytest.approx(row.error.value / best)
    assert rows["8 steps"].to_best.high < 1 < rows["3 steps"].to_best.low


def test_all_are_told_of_as_they_are_measured(judges):
    told, contenders = [], field()
    judged(contenders, judges, told.append)
    assert told == contenders


def test_a_contender_that_overflows_comes_last(judges):
    lost = make_plan(ODE, [0.0, 1.0], "ddim").map(lambda c: c * 1e200)
    rows = judged([Contender("chosen", "lost", "t", lost, 1.0), *field()], judges)
    assert (rows[-1].title, rows[-1].error.value, rows[-1].to_best.value) == ("lost", math.inf, math.inf)


def test_a_candidate_that_was_measured_becomes_a_contender():
    candidate = Candidate(PolynomialEIAB(steps=2), PowerGrid("t", 2.0), "tab1")
    plan = candidate.plan(ODE, 3)
    one = Contender.of("published", Scored(candidate, plan, torch.tensor([0.1, 0.4])))
    assert (one.role, one.title, one.grid, one.plan) == ("published", "tab1", "power=2", plan)
    assert one.pilot == pytest.approx(0.2)

import importlib
import math

import pytest
import torch

from deis import DiagonalODE, GaussianMixture, PolynomialEIAB, PowerGrid, SampleNoise, VPLinear, make_grid, plan_to_json
from deis.integrators.base import as_integrator
from deis.tuning.bent import BentGrid
from deis.tuning.candidates import NAMED, NAMED_GRIDS, Candidate
from deis.tuning.choose import Scored, choose
from deis.tuning.ensemble import Ensemble, samples
from deis.tuning.pairs import errors, make_pairs

RIVALS = {"etd2rk", "krogstad", "lawson4", "exp-adams2", "exp-adams3", "exp-adams4"}


def solved(function, count=8, linear=-2.0):
    ode = DiagonalODE(linear, function)
    ensemble = Ensemble(lambda seeds: ode, lambda seeds: SampleNoise(seeds).initial((2,), torch.float64))
    return make_pairs(ensemble, range(count), 120)


@pytest.fixture(scope="module")
def pairs():
    return solved(lambda t, x: (3 * x + t).sin() * (1 + t), 16)


@pytest.fixture(scope="module")
def found(pairs):
    told = []
    return *choose(pairs, 4, lambda *ran: told.append(ran)), told


@pytest.fixture(scope="module")
def diffusion():
    ode = GaussianMixture(torch.tensor([[-1.0], [0.3], [1.0]], dtype=torch.float64), 0.2).ode(VPLinear())
    pairs = make_pairs(samples(ode, (1,), dtype=torch.float64), range(8), 120)
    return ode, pairs, *choose(pairs, 2)


def score(plan, pairs):
    return float(errors(plan, pairs).log().mean())


def test_the_best_is_no_worse_than_any_published_sampler_on_its_grids(diffusion):
    ode, pairs, best, _ = diffusion
    fields = [Candidate(as_integrator(name), make_grid(grid)) for name in NAMED for grid in NAMED_GRIDS]
    plans = [one.plan(ode, 2) for one in fields if one.integrator.nfe(1) <= 2]
    assert len(plans) > 80
    assert score(best[0].plan, pairs) < min(score(plan, pairs) for plan in plans)


def test_published_samplers_come_once_each_on_their_best_grid(diffusion):
    ode, pairs, _, published = diffusion
    names = [one.candidate.name for one in published]
    assert len(set(names)) == len(names)
    assert set(names) == {name for name in NAMED if as_integrator(name).nfe(1) <= 2}
    for one in published[::4]:
        plans = [Candidate(one.candidate.integrator, make_grid(grid)).plan(ode, 2) for grid in NAMED_GRIDS]
        assert one.score == pytest.approx(min(score(plan, pairs) for plan in plans))


def test_a_method_that_is_exact_wins():
    best, published = choose(solved(lambda t, x: torch.full_like(x, 1 + 2 * t)), 2)  # N is linear in time
    assert float(best[0].errors.max()) < 1e-12
    assert min(one.score for one in published) < math.log(1e-12)  # a start by Runge-Kutta is exact, too


def test_candidates_come_in_the_order_of_their_errors_on_all_pairs(pairs, found):
    best, _, _ = found
    scores = [one.score for one in best]
    assert scores == sorted(scores)
    for one in best[:4]:
        assert torch.equal(one.errors, errors(one.plan, pairs))
        assert one.plan == one.candidate.plan(pairs.ensemble.ode, 4)


def test_the_grid_of_the_best_is_refined(pairs, found):
    best = found[0][0]
    for power in (1.0, 2.0):
        plain = Candidate(best.candidate.integrator, PowerGrid("t", power)).plan(pairs.ensemble.ode, 4)
        assert best.score < score(plain, pairs)
    assert any(isinstance(one.candidate.grid, BentGrid) for one in found[0])


def test_an_ode_of_another_kind_has_its_rivals(found):
    _, published, _ = found
    assert {one.candidate.name for one in published} <= RIVALS
    assert {"etd2rk", "krogstad"} <= {one.candidate.name for one in published}


def test_no_plan_takes_more_than_the_budget(found):
    best, published, told = found
    assert all(one.plan.nfe <= 4 for one in [*best, *published])
    assert all(plan.nfe <= 4 for plan, _ in told)


def test_no_plan_runs_twice_on_the_same_samples(found, pairs):
    best, published, told = found
    assert {count for _, count in told} == {8, 16}  # few pairs first, then those that were not met, or all at once
    for one in [*best, *published]:
        assert len(one.errors) == sum(count for plan, count in told if plan is one.plan)
        torch.testing.assert_close(one.errors, errors(one.plan, pairs[: len(one.errors)]))


def test_equal_pairs_give_equal_choices_bit_for_bit(pairs, found):
    again, published = choose(pairs, 4)
    assert [plan_to_json(one.plan) for one in again] == [plan_to_json(one.plan) for one in found[0]]
    assert [one.candidate for one in again] == [one.candidate for one in found[0]]
    assert [plan_to_json(one.plan) for one in published] == [plan_to_json(one.plan) for one in found[1]]


def test_a_single_evaluation_is_a_budget(pairs):
    best, published = choose(pairs, 1)
    assert best[0].plan.nfe == 1
    assert best[0].plan.times == (0.0, 1.0)
    assert published[0].plan.nfe == 1
    assert float(best[0].errors[:8].log().mean()) <= published[0].score  # on the pairs that both met


def short_list(monkeypatch, *field):
    module = importlib.import_module("deis.tuning.choose")  # of which the package exports the function
    monkeypatch.setattr(module, "candidates", lambda ode: list(field))


def test_candidates_that_do_not_fit_the_ode_or_the_budget_are_left_out(pairs, monkeypatch):
    plain = PowerGrid()
    short_list(
        monkeypatch,
        Candidate(as_integrator("unipc-2"), plain, "unipc-2"),  # needs another splitting
        Candidate(as_integrator("krogstad"), plain, "krogstad"),  # needs four evaluations
        Candidate(as_integrator("etd2rk"), plain, "etd2rk"),
    )
    best, published = choose(pairs, 2)
    assert [one.candidate.name for one in published] == ["etd2rk"]
    assert all(one.plan.nfe == 2 for one in best)


def test_a_candidate_that_overflows_is_the_last(pairs, monkeypatch):
    class Wild(PolynomialEIAB):
        def plan(self, ode, times):
            return super().plan(ode, times).map(lambda c: c * 1e200)

    wild = Candidate(Wild(steps=2), PowerGrid(), "wild")
    short_list(monkeypatch, wild, Candidate(as_integrator("etd2rk"), PowerGrid(), "etd2rk"))
    best, published = choose(pairs, 2)
    assert best[0].candidate.integrator == as_integrator("etd2rk")
    assert (published[-1].candidate.name, published[-1].score) == ("wild", math.inf)


@pytest.mark.parametrize(
    ("errors", "score"), [([0.1, 0.4], math.log(0.2)), ([0.1, math.inf], math.inf), ([math.nan, 0.1], math.inf)]
)
def test_a_score_is_the_mean_logarithm_or_infinite(errors, score):
    candidate = Candidate(PolynomialEIAB(), PowerGrid())
    assert Scored(candidate, None, torch.tensor(errors, dtype=torch.float64)).score == pytest.approx(score)

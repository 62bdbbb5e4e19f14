import pytest
import torch

from deis import DiagonalODE, GaussianMixture, PolynomialEIAB, PowerGrid, SampleNoise, TimeGrid, VPLinear, plan_to_json
from deis.integrators.base import as_integrator
from deis.tuning.candidates import Candidate
from deis.tuning.ensemble import Ensemble, samples
from deis.tuning.learn import Training, learn
from deis.tuning.pairs import make_pairs
from deis.tuning.starts import Start, learn_best, starts, steps
from deis.tuning.trainable import Trainable

ODE = DiagonalODE(-2.0, lambda t, x: (3 * x + t).sin() * (1 + t))
ENSEMBLE = Ensemble(lambda seeds: ODE, lambda seeds: SampleNoise(seeds).initial((2,), torch.float64))
PAIRS, APART = (make_pairs(ENSEMBLE, range(first, first + n), 120) for first, n in ((0, 16), (50, 12)))
BRIEF = Training(iterations=8, batch=4, every=2)
MEMBER = PolynomialEIAB(steps=2)


def start(*times):
    return Start(Candidate(MEMBER, PowerGrid()), Trainable(MEMBER, ODE, TimeGrid(times)))


GOOD, BAD = start(0.0, 0.25, 0.5, 0.75, 1.0), start(0.0, 0.97, 0.98, 0.99, 1.0)


def diffusion():
    means = torch.randn(3, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return make_pairs(samples(GaussianMixture(means, 0.2).ode(VPLinear()), (1,), dtype=torch.float64), range(4), 60)


def test_starts_extrapolate_differently_and_the_default_is_among_them():
    members = [("eps", "rho", 3), ("eps", "rho", 2), ("x0", "lambda", 2), ("eps", "t", 2)]
    ranked = [Candidate(PolynomialEIAB(*options), PowerGrid("vp_t", 2.0)) for options in members]
    found = [one.candidate.integrator for one in starts(ranked, diffusion(), 5)]
    assert found == [ranked[0].integrator, ranked[2].integrator, as_integrator("default")]


def test_what_has_stages_or_no_plan_of_the_budget_is_no_start():
    ranked = [Candidate(as_integrator("edm-heun"), PowerGrid("vp_t")), Candidate(MEMBER, PowerGrid("vp_t"))]
    assert [one.candidate.integrator for one in starts(ranked, diffusion(), 5)] == [MEMBER, as_integrator("default")]


def test_an_ode_without_the_clock_of_the_default_has_the_candidates_only():
    assert [one.candidate for one in starts([GOOD.candidate], PAIRS, 4)] == [GOOD.candidate]


@pytest.mark.parametrize("field", [[GOOD, BAD], [BAD, GOOD]], ids=["first", "last"])
def test_the_start_that_comes_farthest_goes_on(field):
    ticks = []
    best, found = learn_best(field, PAIRS, APART, BRIEF, None, lambda: ticks.append(1))
    alone = learn(GOOD.trainable, PAIRS, APART, BRIEF)
    assert best is GOOD
    assert plan_to_json(found.plan) == plan_to_json(alone.plan)
    assert found.calls > alone.calls
    assert len(ticks) == steps(field, BRIEF, 4)


def test_a_single_start_is_learnt_from_at_once():
    best, found = learn_best([GOOD], PAIRS, APART, BRIEF, None, lambda: None)
    assert (best, found.calls) == (GOOD, learn(GOOD.trainable, PAIRS, APART, BRIEF).calls)
    assert steps([GOOD], BRIEF, 4) == 8

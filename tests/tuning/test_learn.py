import gc
import importlib
import math
import weakref

import attrs
import pytest
import torch

from deis import (
    ArgumentError,
    DenseODE,
    DiagonalODE,
    GaussianMixture,
    OutputError,
    PolynomialEIAB,
    SampleNoise,
    TimeGrid,
    VPLinear,
    make_grid,
    make_plan,
    plan_to_json,
)
from deis.tuning.ensemble import Ensemble, samples
from deis.tuning.learn import learn
from deis.tuning.pairs import errors, final_state, make_pairs
from deis.tuning.trainable import Trainable, folded
from deis.tuning.training import Training

BRIEF = Training(iterations=6, batch=4, every=2)
ODE = DiagonalODE(-2.0, lambda t, x: (3 * x + t).sin() * (1 + t))
ENSEMBLE = Ensemble(lambda seeds: ODE, lambda seeds: SampleNoise(seeds).initial((2,), torch.float64))
PAIRS, APART = (make_pairs(ENSEMBLE, range(first, first + n), 120) for first, n in ((0, 16), (50, 12)))
TRAINABLE = Trainable(PolynomialEIAB(steps=2, corrector=True), ODE, TimeGrid([0.0, 0.25, 0.5, 0.75, 1.0]))


def text(learnt):
    return plan_to_json(learnt.plan)


def mean_log(plan, pairs):
    return float(errors(plan, pairs).log().mean())


def diffusion(std, *firsts, count=16):
    """A mixture in two dimensions, with pairs of seeds from these on."""
    means = torch.randn(5, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    ensemble = samples(GaussianMixture(means, std).ode(VPLinear()), (2,), dtype=torch.float64)
    return ensemble.ode, *(make_pairs(ensemble, range(first, first + count), 120) for first in firsts)


def test_learning_makes_errors_smaller_on_samples_that_were_not_seen():
    ode, pairs, apart, unseen = diffusion(0.2, 0, 50, 90)
    member, grid = PolynomialEIAB("x0", "vp_t", 2, True), make_grid("vp-t3")(ode, 4)
    found = learn(Trainable(member, ode, grid), pairs, apart, Training(iterations=30, batch=8))
    assert mean_log(found.plan, unseen) < mean_log(make_plan(ode, grid, member), unseen) - 0.2
    assert [row[0] for row in found.history] == [0, 10, 20, 30]
    assert mean_log(found.plan, apart) == pytest.approx(min(row[2] for row in found.history))
    assert (found.plan.nfe, found.plan.splitting, found.plan.tensors()) == (4, "x0", ())


def test_in_natural_units_as_many_steps_get_farther(monkeypatch):
    ode, pairs, apart = diffusion(0.5, 1000, 1050, count=24)
    member, grid = PolynomialEIAB("x0", "vp_t", 3, True), make_grid("vp-t3")(ode, 5)
    trainable, training = Trainable(member, ode, grid, parts=("rows",)), Training(iterations=15, every=5)
    found = learn(trainable, pairs, apart, training).least
    plain = torch.eye(trainable.size, dtype=torch.float64)
    monkeypatch.setattr(importlib.import_module("deis.tuning.learn"), "natural_units", lambda *about: plain)
    for rate in (0.04, 0.08):
        assert found < learn(trainable, pairs, apart, attrs.evolve(training, rate=rate)).least - 0.5


def test_equal_arguments_give_equal_plans():
    one, other = (learn(TRAINABLE, PAIRS, APART, BRIEF) for _ in range(2))
    assert (text(one), one.history) == (text(other), other.history)


@pytest.mark.parametrize(
    "options", [{"seed": 1}, {"rate": 0.02}, {"batch": 16}, {"decay": 0.5}, {"iterations": 4}], ids=str
)
def test_another_way_of_training_gives_another_plan(options):
    other = learn(TRAINABLE, PAIRS, APART, attrs.evolve(BRIEF, **options))
    assert text(other) != text(learn(TRAINABLE, PAIRS, APART, BRIEF))


def test_the_history_begins_with_the_start():
    pairs = make_pairs(ENSEMBLE, range(100, 170), 40)
    start = make_plan(ODE, TRAINABLE.grid, TRAINABLE.integrator)
    first = learn(TRAINABLE, pairs, APART, BRIEF).history[0]
    assert first == pytest.approx((0, mean_log(start, pairs[:64]), mean_log(start, APART)))


@pytest.mark.parametrize("rate", [0.08, 50.0])
def test_the_plan_is_never_worse_than_the_start_on_the_pairs_set_apart(rate):
    found = learn(TRAINABLE, PAIRS, APART, Training(iterations=5, rate=rate, every=1))
    start = mean_log(make_plan(ODE, TRAINABLE.grid, TRAINABLE.integrator), APART)
    assert mean_log(found.plan, APART) == pytest.approx(found.least)
    assert found.least == pytest.approx(start) if rate == 50 else found.least < start - 0.1
    assert max(row[2] for row in found.history) > start + 1 or rate < 50  # it went far astray


class Interruption(Exception):
    pass


SIZE = TRAINABLE.size  # each parameter is told of, before the iterations are


@pytest.mark.parametrize("after", [1, SIZE, SIZE + 1, SIZE + 2, SIZE + 3, SIZE + 5])
def test_what_was_cut_off_is_taken_up_again(tmp_path, after):
    whole = learn(TRAINABLE, PAIRS, APART, BRIEF)
    path, made = tmp_path / "state", []

    def cut():
        made.append(None)
        if len(made) == after:
            raise Interruption

    with pytest.raises(Interruption):
        learn(TRAINABLE, PAIRS, APART, BRIEF, path, cut)
    again = learn(TRAINABLE, PAIRS, APART, BRIEF, path, lambda: made.append(None))
    assert (text(again), again.history, again.calls) == (text(whole), whole.history, whole.calls)
    kept = 2 * ((after - SIZE) // 2) if after > SIZE else -SIZE  # from the last look on, or with new units
    assert len(made) == after + 6 - kept


def test_what_is_complete_is_not_done_again(tmp_path):
    first = learn(TRAINABLE, PAIRS, APART, BRIEF, tmp_path / "state")
    ticks = []
    second = learn(TRAINABLE, PAIRS, APART, BRIEF, tmp_path / "state", lambda: ticks.append(None))
    assert (text(second), second.history, ticks) == (text(first), first.history, [])


def test_a_state_that_is_damaged_or_of_another_task_is_started_anew(tmp_path):
    path, whole = tmp_path / "state", learn(TRAINABLE, PAIRS, APART, BRIEF)
    path.write_bytes(b"no state")
    assert text(learn(TRAINABLE, PAIRS, APART, BRIEF, path)) == text(whole)
    learn(TRAINABLE, PAIRS, APART, attrs.evolve(BRIEF, seed=3), path)
    assert text(learn(TRAINABLE, PAIRS, APART, BRIEF, path)) == text(whole)


def squares(factor):
    return lambda x: factor * x.square()


@pytest.mark.parametrize(("factor", "ticks"), [(2.0, 0), (3.0, SIZE + 6)])
def test_features_of_the_same_values_go_on_and_others_begin_anew(tmp_path, factor, ticks):
    path, made = tmp_path / "state", []
    first = learn(TRAINABLE, PAIRS, APART, attrs.evolve(BRIEF, features=squares(2.0)), path)
    other = attrs.evolve(BRIEF, features=squares(factor))
    second = learn(TRAINABLE, PAIRS, APART, other, path, lambda: made.append(None))
    assert len(made) == ticks
    assert (second.history == first.history) == (factor == 2.0)


def test_a_state_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(OutputError):
        learn(TRAINABLE, PAIRS, APART, BRIEF, tmp_path / "missing" / "state")


def test_pairs_may_share_no_seed():
    with pytest.raises(ArgumentError, match=r"apart must have other seeds.*got 3"):
        learn(TRAINABLE, PAIRS, make_pairs(ENSEMBLE, [70, 3], 20), BRIEF)


class Watched:
    """sin(x), which counts its calls and the activations of them that are alive."""

    def __init__(self):
        self.calls, self.activations = 0, []

    def __call__(self, t, x):
        self.calls += 1
        middle = 3 * x
        self.activations.append(weakref.ref(middle))
        return middle.sin()

    def alive(self):
        gc.collect(1)
        return sum(ref() is not None for ref in self.activations)


def watched(checkpoint):
    """Learning with or without checkpoints: its plan, calls of N, and the most activations alive."""
    network, most = Watched(), [0]

    def features(x):
        most[0] = max(most[0], network.alive())
        return x

    ensemble = attrs.evolve(ENSEMBLE, ode_of=lambda seeds: DiagonalODE(-2.0, network))
    pairs, apart = (attrs.evolve(some, ensemble=ensemble) for some in (PAIRS, APART))
    training = Training(iterations=2, every=2, checkpoint=checkpoint, features=features)
    return text(learn(TRAINABLE, pairs, apart, training)), network.calls, most[0]


def test_checkpoints_make_calls_again_instead_of_keeping_what_they_hold():
    (plan, calls, most), (same, more, fewer) = watched(False), watched(True)
    assert same == plan
    assert more == calls + 2 * 3  # in each of two iterations; the first of four evaluations has no gradient
    assert (most, fewer) == (3, 0)


def test_errors_of_features_count():
    def features(x):
        return torch.stack([x[:, 0] * x[:, 1], x.sum(1)], dim=1)

    training = Training(iterations=1, batch=16, features=features, weight=0.7)
    found = learn(TRAINABLE, PAIRS, APART, training)
    plan, batch = folded(make_plan(ODE, TRAINABLE.grid, TRAINABLE.integrator), ODE), PAIRS.rows(range(16))
    off = features(final_state(plan, batch)) - features(batch.solution)
    expected = mean_log(plan, PAIRS) + 0.7 * float(off.square().mean(1).sqrt().log().mean())
    assert found.history[1][1] == pytest.approx(expected)  # the loss of the plan at the start, before its first step
    assert text(found) != text(learn(TRAINABLE, PAIRS, APART, Training(iterations=1, batch=16)))


def test_it_ends_early_when_nothing_gets_better():
    found = learn(TRAINABLE, PAIRS, APART, Training(iterations=40, rate=1.5, every=1, patience=3))
    seen = [row[2] for row in found.history]
    assert len(seen) < 40
    assert min(seen[-3:]) >= min(seen[:-3])
    assert mean_log(found.plan, APART) == pytest.approx(min(seen))


def test_every_pair_comes_once_before_any_comes_again():
    asked = []

    def ode_of(seeds):
        asked.append(tuple(seeds))
        return ODE

    pairs = attrs.evolve(PAIRS[:6], ensemble=attrs.evolve(ENSEMBLE, ode_of=ode_of))
    learn(TRAINABLE, pairs, APART, Training(iterations=6, batch=2, every=6))
    asked = asked[-6:]  # before, all pairs are looked at
    for epoch in (asked[:3], asked[3:]):
        assert sorted(seed for batch in epoch for seed in batch) == list(range(6))
    assert set(asked[:3]) != set(asked[3:])


def test_each_parameter_and_each_iteration_is_told_of():
    ticks = []
    learn(TRAINABLE, PAIRS, APART, BRIEF, tick=lambda: ticks.append(None))
    assert len(ticks) == SIZE + 6


def sine(rates):
    return lambda seeds: DiagonalODE(torch.tensor(rates), lambda t, x: x.sin())


@pytest.mark.parametrize(
    ("rates", "shift", "dtype"),
    [([-1.0, -3.0], 0.0, torch.float64), ([-1.0, 2.0j], 0.15j, torch.float64), (-1.0, 0.0, torch.float32)],
    ids=["diagonal", "complex", "single"],
)
def test_other_odes_are_learnt_for_too(rates, shift, dtype):
    def initial(seeds):
        return 0.3 * SampleNoise(seeds).initial((2,), torch.float64) + shift

    ensemble = Ensemble(sine(rates), initial, dtype)
    pairs, apart = (make_pairs(ensemble, seeds, 60) for seeds in (range(6), range(20, 26)))
    trainable = Trainable(PolynomialEIAB(steps=2), ensemble.ode, TimeGrid([0.0, 0.3, 0.7, 1.0]))
    found = learn(trainable, pairs, apart, Training(iterations=20, batch=6, every=5))
    before = mean_log(make_plan(ensemble.ode, trainable.grid, "tab1"), apart)
    assert mean_log(found.plan, apart) < before - 0.1
    assert found.plan.is_complex == isinstance(shift, complex)


def test_a_matrix_for_a_linear_part_is_learnt_for_too():
    ode = DenseODE([[-1.0, 2.0], [-2.0, -1.5]], lambda t, x: (1 + t) * (2 * x).sin())
    pairs, apart = (make_pairs(attrs.evolve(ENSEMBLE, ode_of=lambda _: ode), range(n, n + 12), 60) for n in (0, 20))
    trainable = Trainable(PolynomialEIAB(steps=2, corrector=True), ode, TimeGrid([0.0, 0.3, 0.7, 1.0]))
    found = learn(trainable, pairs, apart, Training(iterations=20, batch=6, every=5))
    assert found.least < found.history[0][2] - 0.5
    assert mean_log(found.plan, apart) == pytest.approx(found.least)


def test_no_more_is_evaluated_than_is_counted():
    met = [0]

    def network(t, x):
        met[0] += len(x)
        return ODE.nonlinearity(t, x)

    ensemble = attrs.evolve(ENSEMBLE, ode_of=lambda seeds: DiagonalODE(-2.0, network))
    pairs, apart = (attrs.evolve(some, ensemble=ensemble) for some in (PAIRS, APART))
    calls = learn(TRAINABLE, pairs, apart, BRIEF).calls
    assert 0.8 * calls < met[0] <= calls


def test_a_sample_that_overflows_does_no_harm():
    def ode_of(seeds):
        bad = torch.tensor([[seed == 2] for seed in seeds])
        return DiagonalODE(-2.0, lambda t, x: ODE.nonlinearity(t, x).masked_fill(bad, torch.inf))

    pairs = attrs.evolve(PAIRS, ensemble=attrs.evolve(ENSEMBLE, ode_of=ode_of))
    found = learn(TRAINABLE, pairs, APART, BRIEF)
    assert all(math.isfinite(c) for c in found.plan.coefficients())
    assert all(row[2] < -2 for row in found.history)
    assert any(math.isnan(row[1]) for row in found.history)  # it was met

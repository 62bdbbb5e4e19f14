import importlib

import attrs
import numpy as np
import pytest
import torch

from deis import (
    EDM,
    ArgumentError,
    DiagonalODE,
    GaussianMixture,
    PolynomialEIAB,
    PowerGrid,
    SampleNoise,
    VPLinear,
    make_plan,
    plan_from_json,
    plan_to_json,
    sample,
    solve,
)
from deis.integrators.base import as_integrator
from deis.tuning.candidates import Candidate
from deis.tuning.choose import Scored
from deis.tuning.ensemble import Ensemble
from deis.tuning.pairs import errors
from deis.tuning.training import Training
from deis.tuning.tune import HELD_OUT, LEARNING, PILOT, tune

BRIEF = Training(iterations=20, batch=12, every=5)
HUGE = Training(iterations=1, rate=3.0)
SHORT = {"vp_t": ["ddim", "tab2", "unipc-2"], "t": ["etd2rk", "exp-adams2"]}
MEMBERS = {"vp_t": PolynomialEIAB("x0", "vp_t", 3, True), "t": PolynomialEIAB(steps=2, corrector=True)}


def function(t, x):
    return (3 * x + t).sin() * (1 + t)


def initial(seeds):
    return SampleNoise(seeds).initial((2,), torch.float64)


def plain(function=function):
    ode = DiagonalODE(-2.0, function)
    return Ensemble(lambda seeds: ode, initial)


def mixture(schedule=None, std=0.2):
    means = torch.tensor([[-1.0], [0.3], [1.0]], dtype=torch.float64)
    return GaussianMixture(means, std).ode(schedule or VPLinear())


def short_choice(pairs, nfe, tick):
    """Stands in for the search: one member of the family, and some published samplers."""
    ode = pairs.ensemble.ode
    clock = "vp_t" if "vp_t" in ode.clocks else "t"
    power = 2.0 if clock == "vp_t" else 1.0
    field = [Candidate(MEMBERS[clock], PowerGrid(clock, power))]
    field += [Candidate(as_integrator(name), PowerGrid(clock, power), name) for name in SHORT[clock]]
    plans = [(one, one.plan(ode, nfe)) for one in field]
    scored = [Scored(one, plan, errors(plan, pairs)) for one, plan in plans]
    for one in scored:
        tick(one.plan, len(pairs))
    return scored[:1], scored[1:]


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(importlib.import_module("deis.tuning.tune"), "choose", short_choice)


def small(ode=None, nfe=4, **options):
    diffusion = not isinstance(ode, Ensemble)
    settings = {"pilot": 8, "held_out": 8, **({"shape": (1,), "dtype": torch.float64} if diffusion else {})}
    return tune(mixture() if ode is None else ode, nfe, **{**settings, **options})


@pytest.fixture(scope="module")
def tuned():
    """By the search itself."""
    return tune(plain(), 3, pilot=8, held_out=24, pairs=12, training=BRIEF)


def test_the_plan_is_better_than_every_published_sampler(tuned):
    rivals = [row for row in tuned.table if row.role == "published"]
    best = next(row for row in tuned.table if row.plan.steps == tuned.plan.steps)
    assert best.error.value < min(row.error.value for row in rivals)
    assert tuned.gain.value < 1
    assert tuned.gain == best.to_best
    assert min(row.to_best.value for row in rivals) == 1.0


def test_the_error_that_is_told_is_that_on_samples_that_judge(tuned):
    x = initial(range(HELD_OUT, HELD_OUT + 24))
    ode = plain().ode
    fine = solve(ode, x, torch.linspace(0, 1, 400, dtype=torch.float64), "krogstad").x
    found = solve(ode, x, tuned.plan.times, tuned.plan).x
    error = float((found - fine).square().mean(1).sqrt().log().mean().exp())
    row = next(row for row in tuned.table if row.role == tuned.plan.provenance["tuned"])
    assert row.error.value == pytest.approx(error, rel=1e-5)
    assert 0 < tuned.doubt < error / 100


def test_the_table_holds_all_contenders_best_first(tuned):
    values = [row.error.value for row in tuned.table]
    assert values == sorted(values)
    roles = [row.role for row in tuned.table]
    assert (roles.count("chosen"), roles.count("member"), roles.count("learnt")) == (1, 4, 1)
    assert {row.title for row in tuned.table if row.role == "published"} <= {
        "etd2rk", "krogstad", "lawson4", "exp-adams2", "exp-adams3", "exp-adams4"
    }  # fmt: skip


def test_the_provenance_says_how_to_repeat_it(tuned):
    about = tuned.plan.provenance
    assert about["pilot seeds"] == f"{PILOT}-{PILOT + 7}"
    assert about["held-out seeds"] == f"{HELD_OUT}-{HELD_OUT + 23}"
    assert about["learning seeds"] == (f"{LEARNING}-{LEARNING + 11}" if about["tuned"] == "learnt" else "")
    assert about["nfe"] == "3"
    assert str(tuned.gain) in about["gain"]
    assert "times the error of" in about["gain"]
    assert len(about["model"]) == 64
    assert "DiagonalODE" in about["ode"]
    assert {"integrator", "grid", "error", "deis", "torch"} <= set(about)


def test_seconds_are_told_of_each_part(tuned):
    assert list(tuned.seconds) == [
        "pilot solutions", "choose", "solutions to learn from", "learn", "held-out solutions", "judge"
    ]  # fmt: skip
    assert all(value > 0 for value in tuned.seconds.values())


def test_the_history_is_that_of_learning(tuned):
    assert [row[0] for row in tuned.history] == [0, 5, 10, 15, 20]


def test_the_plan_survives_being_written(tuned):
    back = plan_from_json(plan_to_json(tuned.plan))
    assert back == tuned.plan
    assert back.provenance == tuned.plan.provenance


def test_a_plan_that_is_learnt_and_better_is_returned(quick):
    tuned = small(plain(), pairs=48, training=Training(iterations=40, batch=24, every=5), pilot=16, held_out=16)
    errors = {row.role: row.error.value for row in tuned.table}
    assert errors["learnt"] < errors["chosen"]
    assert tuned.plan.provenance["tuned"] == "learnt"
    assert tuned.plan.provenance["learning seeds"] == f"{LEARNING}-{LEARNING + 47}"
    assert tuned.plan.provenance["grid"].startswith("learnt from ")


def test_a_learnt_plan_that_is_worse_is_not_returned(quick):
    slow = DiagonalODE(-2.0, lambda t, x: 1 + t + 0.1 * x)  # what judges is unlike all that was learnt from
    ensemble = Ensemble(lambda seeds: slow if seeds[0] >= HELD_OUT else plain().ode, initial)
    tuned = small(ensemble, pairs=12, training=BRIEF)
    errors = {row.role: row.error.value for row in tuned.table}
    assert min(row[2] for row in tuned.history) < tuned.history[0][2] - 0.1
    assert errors["learnt"] > 1.1 * errors["chosen"]
    assert (tuned.plan.provenance["tuned"], tuned.plan.provenance["learning seeds"]) == ("chosen", "")
    assert tuned.plan == small(ensemble).plan  # of choosing only
    assert tuned.gain == next(row.to_best for row in tuned.table if row.role == "chosen")


def test_nothing_is_learnt_where_no_plan_can_be(monkeypatch):
    def stages_only(pairs, nfe, tick):
        _, published = short_choice(pairs, nfe, tick)
        return published[:1], published

    monkeypatch.setattr(importlib.import_module("deis.tuning.tune"), "choose", stages_only)
    tuned = small(plain(), pairs=8, training=BRIEF)
    assert (tuned.plan.provenance["tuned"], tuned.history) == ("chosen", ())
    assert tuned.plan == make_plan(plain().ode, [0.0, 0.5, 1.0], "etd2rk")


@pytest.mark.parametrize(("ode", "pairs"), [(mixture(), 0), (plain(), 8)], ids=["chosen", "learnt"])
def test_equal_arguments_give_equal_plans(quick, ode, pairs):
    one, other = (small(ode, pairs=pairs, training=BRIEF) for _ in range(2))
    assert plan_to_json(one.plan) == plan_to_json(other.plan)
    assert (one.history, one.calls, one.gain) == (other.history, other.calls, other.gain)


def test_another_network_has_another_hash(quick):
    one, other = (small(mixture(std=std)).plan.provenance["model"] for std in (0.2, 0.21))
    assert one != other
    assert one == small(nfe=3).plan.provenance["model"]


def test_the_plan_is_taken_for_its_schedule_only(quick):
    tuned, ode = small(), mixture()
    x = sample(ode, (1,), range(HELD_OUT, HELD_OUT + 8), integrator=tuned.plan, dtype=torch.float64)
    assert (x.nfe, x.times) == (4, tuned.plan.times)
    noise = initial([1])[:, :1]
    assert solve(ode, noise, tuned.plan.times, tuned.plan).nfe == 4
    with pytest.raises(ArgumentError, match="a plan made for this linear part"):
        solve(mixture(VPLinear(beta_1=10.0)), noise, tuned.plan.times, tuned.plan)


def test_each_purpose_has_seeds_of_its_own(quick):
    seen = []

    def by_seed(seeds):
        seen.append(list(seeds))
        return mixture()

    small(by_seed, pairs=4, training=HUGE)
    asked = {seed for seeds in seen for seed in seeds} - {0}
    assert asked == {first + k for first, n in ((PILOT, 8), (LEARNING, 4), (HELD_OUT, 8)) for k in range(n)}
    assert min(PILOT, LEARNING - PILOT, HELD_OUT - LEARNING) > 1_000_000  # the most samples of a purpose


def test_network_calls_are_counted_for_each_sample(quick):
    made = []

    def counting(t, x):
        made.append(len(x))
        return function(t, x)

    calls = small(plain(counting)).calls
    assert calls == pytest.approx(sum(made) - 3, rel=0.02)  # a second solution may take a few calls less than it may


def test_solutions_in_a_store_are_not_computed_again(quick, tmp_path):
    made = []

    def counting(t, x):
        made.append(len(x))
        return function(t, x)

    first = small(plain(counting), store=tmp_path)
    before = sum(made)
    second = small(plain(counting), store=tmp_path)
    assert sum(made) - before < before / 4
    assert plan_to_json(second.plan) == plan_to_json(first.plan)


def test_learning_goes_on_where_it_was_cut_off(quick, tmp_path):
    path = tmp_path / "state"
    whole = small(plain(), pairs=8, training=BRIEF, state=path)
    kept = path.read_bytes()
    again = small(plain(), pairs=8, training=BRIEF, state=path)
    assert (plan_to_json(again.plan), again.history) == (plan_to_json(whole.plan), whole.history)
    assert path.read_bytes() == kept  # nothing was left to do


def test_sampling_from_images_starts_where_the_noise_is_added(quick):
    data = torch.tensor([[0.9], [-1.1]], dtype=torch.float64)
    tuned = small(data=data, strength=0.6)
    assert tuned.plan.times[0] == pytest.approx(0.001 + 0.6 * 0.999)
    assert tuned.plan.times[-1] == 0.001
    assert solve(mixture(), data, tuned.plan.times, tuned.plan).nfe == 4  # the schedule is the same


@pytest.mark.parametrize("schedule", [EDM(), VPLinear()], ids=lambda s: type(s).__name__)
def test_a_budget_of_one_call_is_tuned_for(quick, monkeypatch, schedule):
    monkeypatch.setitem(SHORT, "vp_t", ["ddim"])
    tuned = small(mixture(schedule), 1)
    assert (tuned.plan.nfe, tuned.plan.times) == (1, mixture(schedule).domain)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("nfe", value) for value in (0, -1, 2.5, True, "5", None, 10**7)),
        *(("pilot", value) for value in (3, 7, 8.5)),
        *(("held_out", value) for value in (1, 0, 10**7)),
        *(("pairs", value) for value in (-1, 1.5, None)),
        *(("ode", value) for value in (None, "digits", 3)),
        *(("strength", value) for value in (0, 1.5, "all", 0.5)),  # the last has no data
        *(("shape", value) for value in ((), None, (0,), 1)),
        *(("data", value) for value in (torch.zeros(3, 2), torch.zeros(0, 1), 1.0)),
        *(("batch", value) for value in (0, 1.5)),
    ],
    ids=str,
)
def test_a_wrong_argument_is_named(name, value):
    arguments = {"ode": mixture(), "nfe": 4, "shape": (1,), "pilot": 8, "held_out": 8, name: value}
    with pytest.raises(ArgumentError) as caught:
        tune(arguments.pop("ode"), arguments.pop("nfe"), **arguments)
    assert caught.value.argument == name


def test_a_missing_shape_is_named():
    with pytest.raises(ArgumentError, match="shape must be the shape of one sample"):
        tune(mixture(), 4)


def test_whole_numbers_of_other_libraries_are_taken(quick):
    tuned = small(nfe=np.int64(3), pilot=np.int32(8), held_out=torch.tensor(8))
    assert (tuned.plan.nfe, tuned.plan.provenance["nfe"]) == (3, "3")


def test_an_ensemble_s_batches_make_no_difference(quick):
    one, other = (small(attrs.evolve(plain(), batch=batch)) for batch in (128, 3))
    assert one.plan == other.plan
    assert one.gain.value == pytest.approx(other.gain.value, rel=1e-9)

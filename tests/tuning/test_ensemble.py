import math

import pytest
import torch

from deis import EDM, ArgumentError, GaussianMixture, ProbabilityFlowODE, RectifiedFlow, SampleNoise, VPLinear
from deis.tuning.ensemble import Ensemble, samples

SCHEDULES = [VPLinear(), EDM(), RectifiedFlow()]
DATA = torch.tensor([[5.0, -5.0], [1.0, 2.0], [0.0, 0.5]], dtype=torch.float64)


def mixture(schedule):
    return GaussianMixture(torch.tensor([[-1.0, 0.0], [1.0, 1.0]], dtype=torch.float64), 0.3).ode(schedule)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
def test_a_sample_starts_as_noise_of_its_seed_at_the_schedule_s_level(schedule):
    start = samples(mixture(schedule), (2,)).initial_of([4, 9])
    level = schedule.sigma(torch.tensor(schedule.t_max, dtype=torch.float64))
    assert torch.equal(start, SampleNoise([4, 9]).initial((2,), torch.float64) * level)


@pytest.mark.parametrize("data", [None, DATA], ids=["noise", "data"])
def test_a_state_depends_on_its_own_seed_only(data):
    ensemble = samples(mixture(VPLinear()), (2,), data=data)
    together = ensemble.initial_of(range(10, 17))
    for i, seed in enumerate(range(10, 17)):
        assert torch.equal(ensemble.initial_of([seed])[0], together[i])
    assert len(together.unique(dim=0)) == 7
    assert together.dtype == torch.float64


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
def test_data_are_noised_to_the_time_where_sampling_begins(schedule):
    ensemble = samples(mixture(schedule), (2,), data=DATA, strength=0.4)
    until = schedule.t_min + 0.4 * (schedule.t_max - schedule.t_min)
    assert ensemble.ode.domain == (pytest.approx(until, rel=1e-15), schedule.t_min)
    t = torch.tensor(until, dtype=torch.float64)
    noise = SampleNoise([3, 4, 8]).initial((2,), torch.float64)
    expected = schedule.alpha(t) * DATA[[0, 1, 2]] + schedule.sigma(t) * noise  # seeds modulo the number of images
    torch.testing.assert_close(ensemble.initial_of([3, 4, 8]), expected, rtol=1e-14, atol=0)


def test_what_is_left_of_the_way_is_the_same_ode():
    whole, t = mixture(VPLinear()), torch.tensor([0.3, 0.1], dtype=torch.float64)
    part, x = samples(whole, (2,), data=DATA, strength=0.5).ode, DATA[:1]
    assert torch.equal(part.linear(t), whole.linear(t))
    assert torch.equal(part.nonlinearity(0.2, x), whole.nonlinearity(0.2, x))


def test_data_at_full_strength_leave_a_trace_where_the_signal_is_not_lost():
    t = torch.tensor(1.0, dtype=torch.float64)
    plain, started = (samples(mixture(VPLinear()), (2,), data=data).initial_of([0]) for data in (None, DATA))
    torch.testing.assert_close(started - plain, VPLinear().alpha(t) * DATA[:1], rtol=1e-10, atol=0)


def test_an_ode_of_the_seeds_is_made_of_those_of_the_batch():
    def conditioned(seeds):
        wanted = torch.tensor(seeds, dtype=torch.float64)[:, None]
        return ProbabilityFlowODE(VPLinear(), lambda x, t: x - wanted.to(x))

    ensemble = samples(conditioned, (1,), data=torch.ones(1, 1), strength=0.5)
    value = ensemble.ode_of([2, 7]).nonlinearity(0.1, torch.zeros(2, 1, dtype=torch.float64))
    assert value.tolist() == [[-2.0], [-7.0]]
    assert ensemble.ode_of([2, 7]).domain[0] == pytest.approx(0.5005)


def test_seeds_are_split_into_batches_in_their_order():
    ensemble = samples(mixture(EDM()), (2,), batch=3)
    assert [list(part) for part in ensemble.split([5, 1, 4, 2, 9, 7, 8])] == [[5, 1, 4], [2, 9, 7], [8]]
    assert list(ensemble.split([])) == []


def test_the_ode_is_that_of_one_sample():
    asked = []
    assert Ensemble(lambda seeds: asked.append(list(seeds)) or mixture(EDM()), len).ode.domain == (80.0, 0.002)
    assert asked == [[0]]


@pytest.mark.parametrize("strength", [0, -0.5, 1.5, math.nan, math.inf, True, "half"])
def test_a_strength_that_is_no_share_is_refused(strength):
    with pytest.raises(ArgumentError, match="strength must be a number above 0 and at most 1"):
        samples(mixture(VPLinear()), (2,), data=DATA, strength=strength)


def test_a_part_of_the_way_needs_data():
    with pytest.raises(ArgumentError, match=r"strength must be 1 without data.*give data"):
        samples(mixture(VPLinear()), (2,), strength=0.5)


@pytest.mark.parametrize("ode", [None, "digits", 3])
def test_what_is_no_ode_is_refused(ode):
    with pytest.raises(ArgumentError, match="ode must be a ProbabilityFlowODE, or a function from seeds to one"):
        samples(ode, (2,))


@pytest.mark.parametrize("shape", [(), None, 3, (2, 0), ("a",)])
def test_a_shape_without_entries_is_refused(shape):
    with pytest.raises(ArgumentError, match="shape must be"):
        samples(mixture(VPLinear()), shape)


@pytest.mark.parametrize("data", [torch.zeros(0, 2), torch.zeros(3, 1), torch.zeros(2), [[0.0, 0.0]]])
def test_data_of_another_shape_are_refused(data):
    with pytest.raises(ArgumentError, match=r"data must be a tensor of shape \(n, 2\)"):
        samples(mixture(VPLinear()), (2,), data=data, strength=0.5)


@pytest.mark.parametrize("batch", [0, -1, 1.5, True])
def test_a_batch_of_no_samples_is_refused(batch):
    with pytest.raises(ArgumentError, match="batch must be a whole number"):
        samples(mixture(VPLinear()), (2,), batch=batch)


@pytest.mark.parametrize("name", ["ode_of", "initial_of"])
def test_an_ensemble_is_made_of_functions(name):
    with pytest.raises(ArgumentError, match=f"{name} must be callable"):
        Ensemble(**{"ode_of": len, "initial_of": len, name: mixture(EDM())})

import math

import pytest
import torch

from deis import (
    EDM,
    DiagonalODE,
    GaussianMixture,
    ProbabilityFlowODE,
    RectifiedFlow,
    SampleNoise,
    VPLinear,
    make_grid,
    make_plan,
)
from deis.tuning.ensemble import Ensemble, samples
from deis.tuning.pairs import Pairs, errors, final_state, make_pairs

MEAN, STD = torch.tensor([0.7, -0.4], dtype=torch.float64), 0.3


def gaussian(schedule):
    return GaussianMixture(MEAN[None], STD).ode(schedule)


def moments(ode, t):
    """Mean and standard deviation of a Gaussian on its way."""
    alpha, sigma = ode.marginal(torch.tensor(t, dtype=torch.float64))
    return alpha * MEAN, (alpha**2 * STD**2 + sigma**2).sqrt()


def carried(ode, x):
    """x_t = m_t + (std_t / std_s) (x_s - m_s), from one end of the domain to the other."""
    (m, std), (n, end) = (moments(ode, t) for t in ode.domain)
    return n + end / std * (x - m)


@pytest.mark.parametrize("schedule", [VPLinear(), EDM(), RectifiedFlow()], ids=lambda s: type(s).__name__)
def test_solutions_are_those_of_the_closed_form(schedule):
    ensemble = samples(gaussian(schedule), (2,))
    pairs = make_pairs(ensemble, range(6), 240)
    start = ensemble.initial_of(range(6))
    off = pairs.solution - carried(ensemble.ode, start)
    assert float(off.abs().max()) < 1e-5
    assert bool((off.square().mean(1).sqrt() <= pairs.doubt + 1e-12).all())  # doubt is no less than the error
    assert pairs.solution.dtype == pairs.doubt.dtype == torch.float64
    assert torch.equal(pairs.start, start.float())  # the precision in which plans run


def test_the_doubt_is_the_distance_from_a_solution_of_half_the_evaluations():
    ensemble = samples(gaussian(VPLinear()), (2,), dtype=torch.float64)
    fine, coarse = (make_pairs(ensemble, range(3), nfe) for nfe in (60, 30))
    torch.testing.assert_close(fine.doubt, (fine.solution - coarse.solution).square().mean(1).sqrt())
    assert float(fine.doubt.min()) > 0
    assert 80 < fine.calls <= 90  # 60 and 30 are asked for, of which not all need be made


def test_batches_make_no_difference():
    whole, parts = (
        make_pairs(samples(gaussian(VPLinear()), (2,), batch=batch), range(5), 40, tick=ticks.append)
        for batch, ticks in ((128, []), (2, []))
    )
    assert whole.seeds == parts.seeds == (0, 1, 2, 3, 4)
    torch.testing.assert_close(parts.solution, whole.solution, rtol=1e-13, atol=1e-13)
    assert torch.equal(parts.start, whole.start)
    assert [len(batch.start) for batch in parts.split()] == [2, 2, 1]


def test_progress_is_told_in_samples():
    ticks = []
    make_pairs(samples(gaussian(VPLinear()), (2,), batch=2), range(5), 20, tick=ticks.append)
    assert ticks == [2, 2, 1]


def drifting(seeds):
    """x' = -x + seed: each seed has its own limit."""
    wanted = torch.tensor(seeds, dtype=torch.float64)[:, None]
    return DiagonalODE(-1.0, lambda t, x: wanted.to(x).expand_as(x))


def initial(seeds):
    return SampleNoise(seeds).initial((2,), torch.float64)


def test_rows_keep_their_seeds():
    ensemble = Ensemble(drifting, initial, batch=2)
    pairs = make_pairs(ensemble, [11, 5, 8, 2], 40)
    seeds = torch.tensor([[11.0], [5.0], [8.0], [2.0]], dtype=torch.float64)
    exact = seeds + math.exp(-1.0) * (initial([11, 5, 8, 2]) - seeds)
    torch.testing.assert_close(pairs.solution, exact, rtol=1e-12, atol=1e-12)
    batch = pairs.rows([2, 0])
    assert batch.ode.nonlinearity(0.0, batch.start)[:, 0].tolist() == [8.0, 11.0]
    assert torch.equal(batch.start, initial([8, 11]))
    assert torch.equal(batch.solution, pairs.solution[[2, 0]])


def test_a_plan_meets_each_sample_with_its_own_ode():
    pairs = make_pairs(Ensemble(drifting, initial, batch=3), [11, 5, 8, 2], 40)
    plan = make_plan(drifting([0]), [0.0, 0.5, 1.0], "ddim")  # exact where N is constant
    assert float(errors(plan, pairs).max()) < 1e-12


def test_the_first_pairs_are_whole():
    pairs = make_pairs(Ensemble(drifting, initial), [11, 5, 8], 40)
    some = pairs[:2]
    assert (len(some), some.seeds) == (2, (11, 5))
    for name in ("start", "solution", "doubt"):
        assert torch.equal(getattr(some, name), getattr(pairs, name)[:2])


def by_hand(doubt, solution, ode=None):
    """Pairs of x' = -x, or of another ODE, that are made of what is given."""
    ode = ode or DiagonalODE(-1.0, lambda t, x: torch.zeros_like(x))
    start = torch.ones(len(doubt), 2, dtype=torch.float64)
    ensemble = Ensemble(lambda seeds: ode, lambda seeds: start[: len(seeds)], batch=2)
    return Pairs(ensemble, tuple(range(len(doubt))), start, solution, torch.tensor(doubt, dtype=torch.float64), 0)


def test_errors_are_root_mean_squares_of_samples_but_no_less_than_the_doubt():
    end = math.exp(-1.0)
    solution = torch.tensor([[end, end], [end + 3.0, end - 4.0], [end, end + 1e-9]], dtype=torch.float64)
    pairs = by_hand([1e-5, 1e-5, 1e-5], solution)
    found = errors(make_plan(pairs.ensemble.ode, [0.0, 1.0], "ddim"), pairs)
    assert found.tolist() == [1e-5, pytest.approx(math.sqrt(12.5)), 1e-5]
    assert found.dtype == torch.float64


def test_errors_have_logarithms_even_where_nothing_is_wrong():
    ode = DiagonalODE(0.0, lambda t, x: torch.zeros_like(x))
    pairs = make_pairs(Ensemble(lambda seeds: ode, initial), range(3), 40)
    assert torch.equal(pairs.solution, pairs.start)
    found = errors(make_plan(ode, [0.0, 1.0], "ddim"), pairs)
    assert bool((found < 1e-15).all())
    assert bool(found.log().isfinite().all())


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 1e200])
def test_an_overflow_is_an_infinite_error_of_its_sample_only(value):
    bad = torch.tensor([[0.0], [value], [0.0]], dtype=torch.float64)
    ensemble = Ensemble(
        lambda seeds: DiagonalODE(-1.0, lambda t, x: bad[list(seeds)].expand_as(x)),
        lambda seeds: torch.ones(len(seeds), 2, dtype=torch.float64),
    )
    start = torch.ones(3, 2, dtype=torch.float64)
    pairs = Pairs(ensemble, (0, 1, 2), start, torch.zeros(3, 2).double(), torch.full((3,), 1e-9).double(), 0)
    found = errors(make_plan(ensemble.ode, [0.0, 1.0], "ddim"), pairs)
    assert found.tolist() == [pytest.approx(math.exp(-1.0)), math.inf, pytest.approx(math.exp(-1.0))]


def test_errors_leave_no_gradient_and_a_final_state_does():
    ode = DiagonalODE(-1.0, lambda t, x: x.sin())
    pairs = make_pairs(Ensemble(lambda seeds: ode, initial), range(2), 20)
    factor = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    plan = make_plan(ode, [0.0, 0.5, 1.0], "tab1").map(lambda c: c * factor)
    assert not errors(plan, pairs).requires_grad
    assert final_state(plan, pairs.rows([0, 1])).requires_grad


def test_a_final_state_asks_whom_it_is_told_to_ask():
    pairs, asked = make_pairs(Ensemble(drifting, initial), [3], 20), []

    def nothing(step, when, x):
        asked.append((step, when))
        return torch.zeros_like(x)

    plan = make_plan(drifting([0]), [0.0, 0.5, 1.0], "ddim")
    end = final_state(plan, pairs.rows([0]), nothing)
    torch.testing.assert_close(end, math.exp(-1.0) * pairs.start)
    assert asked == [(0, 0.0), (1, 0.5)]


@pytest.mark.parametrize("name", ["tab3", "dpmpp-3m"])  # eps and x0
def test_plans_run_in_the_splitting_that_they_are_made_for(name):
    ode = gaussian(VPLinear())
    pairs = make_pairs(samples(ode, (2,), dtype=torch.float64), range(2), 120)
    assert float(errors(make_plan(ode, make_grid("vp-t3")(ode, 60), name), pairs).max()) < 1e-3


def test_complex_states_are_kept_complex():
    ode = DiagonalODE(torch.tensor([-1.0, 2.0j]), lambda t, x: torch.ones_like(x))
    start = torch.tensor([[1.0 + 1.0j, 2.0j]], dtype=torch.complex128)
    pairs = make_pairs(Ensemble(lambda seeds: ode, lambda seeds: start, torch.float32), [0], 40)
    rates = torch.tensor([-1.0, 2.0j], dtype=torch.complex128)
    exact = rates.exp() * start + (rates.exp() - 1) / rates
    torch.testing.assert_close(pairs.solution, exact, rtol=1e-12, atol=1e-12)
    assert (pairs.start.dtype, pairs.doubt.dtype) == (torch.complex64, torch.float64)


def test_a_stored_solution_is_not_computed_again(tmp_path):
    calls = []

    def network(x, t):
        calls.append(len(x))
        return x / 2

    ensemble = samples(ProbabilityFlowODE(VPLinear(), network), (2,), batch=3)
    first = make_pairs(ensemble, range(5), 40, tmp_path)
    made = len(calls)
    second = make_pairs(ensemble, range(5), 40, tmp_path)
    assert calls[made:] == [3] * 3 + [2] * 3  # three probes of each batch, by which its file is found
    for name in ("start", "solution", "doubt", "calls", "seeds"):
        assert torch.equal(*(torch.as_tensor(getattr(one, name)) for one in (first, second)))
    make_pairs(ensemble, range(1, 6), 40, tmp_path)
    assert len(calls) - made > 40  # others are

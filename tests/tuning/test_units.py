import attrs
import pytest
import torch

from deis import DiagonalODE, PolynomialEIAB, SampleNoise, TimeGrid
from deis.tuning.ensemble import Ensemble
from deis.tuning.learn import _evaluation
from deis.tuning.pairs import final_state, make_pairs
from deis.tuning.trainable import PARTS, Trainable
from deis.tuning.training import Training
from deis.tuning.units import natural_units

DAMPING = 1e-4  # of the largest eigenvalue
MEMBER = PolynomialEIAB(steps=2, corrector=True)
GRID = TimeGrid([0.0, 0.3, 0.6, 1.0])


def function(t, x):
    """Linear in time and state: the end is linear in each time and each share, so that differences are derivatives."""
    return (1 + 2 * t) * (x - 0.4 * x.flip(-1))


def ensemble(rates=(-0.7, -3.0), dtype=torch.float64, shift=0.0, function=function, shape=(2,)):
    ode = DiagonalODE(torch.tensor(rates), function)
    return Ensemble(lambda seeds: ode, lambda seeds: SampleNoise(seeds).initial(shape, torch.float64) + shift, dtype)


def solved(seeds=range(6), **options):
    return make_pairs(ensemble(**options), seeds, 60)


def trainable(pairs, parts=("times", "rows")):
    return Trainable(MEMBER, pairs.ensemble.ode, GRID, parts=parts)


def real(x):
    return (torch.view_as_real(x) if x.is_complex() else x).flatten(1)


def curvature(trainable, pairs):
    """The mean of J' J / |r|^2 with J by the gradient through the plan, and its largest eigenvalue."""
    batch = pairs.rows(range(len(pairs)))

    def end(parameters):
        trained = trainable(parameters)
        evaluate = _evaluation(batch.ode.split(trained.plan.splitting), trained, Training())
        return real(final_state(trained.plan, batch, evaluate))

    zero = torch.zeros(trainable.size, dtype=torch.float64)
    slopes = torch.autograd.functional.jacobian(end, zero)
    total = torch.zeros(trainable.size, trainable.size, dtype=torch.float64)
    for slope, off in zip(slopes, real(batch.solution) - end(zero), strict=True):
        total += slope.T @ slope / (off @ off)
    mean = total / len(pairs)
    return mean, float(torch.linalg.matrix_norm(mean, 2))


def assert_inverse_root(units, mean, tolerance):
    """Of the damped matrix: no other symmetric positive definite one is."""
    eye = torch.eye(len(mean), dtype=torch.float64)
    damped = mean + DAMPING * torch.linalg.matrix_norm(mean, 2) * eye
    torch.testing.assert_close(units.T, units, rtol=0, atol=1e-12 * float(units.abs().max()))
    assert float(torch.linalg.eigvalsh(units)[0]) > 0
    torch.testing.assert_close(units @ damped @ units, eye, rtol=0, atol=tolerance)


@pytest.mark.parametrize(("rates", "shift"), [((-0.7, -3.0), 0.0), ((-0.7, 1.0 + 2.0j), 0.3j)], ids=["real", "complex"])
def test_units_are_the_inverse_root_of_the_curvature(rates, shift):
    pairs = solved(rates=rates, shift=shift)
    one = trainable(pairs)
    units = natural_units(one, pairs)
    assert (units.dtype, units.shape) == (torch.float64, (one.size, one.size))
    assert_inverse_root(units, curvature(one, pairs)[0], 1e-7)


def test_in_units_the_curvature_is_one_wherever_it_counts():
    pairs = solved(range(12), function=lambda t, x: (1 + 2 * t) * x.sin())
    one = trainable(pairs, PARTS)
    (mean, most), units = curvature(one, pairs), natural_units(one, pairs)
    before, after = (torch.linalg.eigvalsh(matrix) for matrix in (mean, units @ mean @ units))
    counts = int((before > 50 * DAMPING * most).sum())
    assert counts >= 4
    assert before[-1] > 100 * before[-counts]  # which is what they are for
    torch.testing.assert_close(after[-counts:], torch.ones(counts, dtype=torch.float64), rtol=0, atol=0.1)
    assert float(after[-1]) < 1.1  # nothing is magnified


def test_single_precision_is_enough():
    pairs = solved(dtype=torch.float32)
    one = trainable(pairs)
    units = natural_units(one, pairs)
    assert units.dtype == torch.float64
    double = attrs.evolve(pairs, start=pairs.start.double())
    assert_inverse_root(units, curvature(one, double)[0], 0.01)


IDLE = {
    ("times", "rows"): {0, 1, 2, 3, 6, *range(12, 16)},
    ("rows",): {*range(7), *range(12, 16)},
    ("times",): {*range(4), *range(6, 16)},
    ("points",): {*range(12)},
}
"""Of the steps' lengths 0-2, the times 3-5, the rows 6, 7-8 and 9-11, and the points 12-13 and 14-15: the first time
and the only value in the first row change nothing, nor do those of parts that are not learnt."""


@pytest.mark.parametrize("parts", IDLE, ids="-".join)
def test_parameters_that_change_nothing_are_damped_and_go_with_no_other(parts):
    pairs = solved()
    one = trainable(pairs, parts)
    units, most = natural_units(one, pairs), curvature(one, pairs)[1]
    alone = torch.eye(one.size, dtype=torch.float64) / (DAMPING * most) ** 0.5
    same = [torch.allclose(row, expected, rtol=1e-6, atol=1e-12) for row, expected in zip(units, alone, strict=True)]
    assert {k for k, equal in enumerate(same) if equal} == IDLE[parts]


def test_units_are_plain_where_nothing_changes_the_errors():
    pairs = solved(function=lambda t, x: 0 * x)
    one = trainable(pairs)
    moved = attrs.evolve(pairs, solution=pairs.solution + 0.1)  # so that there are errors
    assert torch.equal(natural_units(one, moved), torch.eye(one.size, dtype=torch.float64))


def overflowing(pairs, bad):
    def ode_of(seeds):
        mask = torch.tensor([[seed == bad] for seed in seeds])
        return DiagonalODE([-0.7, -3.0], lambda t, x: function(t, x).masked_fill(mask, torch.inf))

    return attrs.evolve(pairs, ensemble=attrs.evolve(pairs.ensemble, ode_of=ode_of))


def faultless(pairs, bad):
    plan = trainable(pairs)(torch.zeros(trainable(pairs).size, dtype=torch.float64)).numbers()
    solution = pairs.solution.clone()
    solution[bad] = final_state(plan, pairs.rows(range(len(pairs))))[bad]
    return attrs.evolve(pairs, solution=solution)


@pytest.mark.parametrize("spoilt", [overflowing, faultless])
def test_samples_that_overflow_or_have_no_error_count_as_none(spoilt):
    one, good = trainable(solved()), solved([0, 1, 3, 4, 5])
    expected = (6 / 5) ** 0.5 * natural_units(one, good)  # the mean is over six
    torch.testing.assert_close(natural_units(one, spoilt(solved(), 2)), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("shape", [(1024,), (1025,), (3, 32, 32)], ids=str)
@pytest.mark.parametrize("shift", [0.0, 0.3j], ids=["real", "complex"])
def test_of_large_samples_1024_values_count(shape, shift):
    whole = solved(range(2), rates=-0.7, function=lambda t, x: (1 + 2 * t) * x, shape=shape, shift=shift)
    order = torch.randperm(whole.start[0].numel(), generator=torch.Generator().manual_seed(0))[:1024]
    chosen = order if len(whole.start[0].flatten()) > 1024 else slice(None)
    start, solution = (x.flatten(1)[:, chosen] for x in (whole.start, whole.solution))
    few = attrs.evolve(whole, start=start, solution=solution)  # every value goes its own way
    one = trainable(whole, PARTS)
    torch.testing.assert_close(natural_units(one, whole), natural_units(one, few), rtol=1e-9, atol=1e-9)
    assert len(set((order % 32).tolist())) == 32  # of all columns of an image


def test_each_parameter_is_told_of_and_no_gradient_is_asked_for():
    grads, ticks = [], []

    def watched(t, x):
        grads.append(torch.is_grad_enabled())
        return function(t, x)

    pairs = solved(function=watched)
    one = trainable(pairs)
    grads.clear()
    natural_units(one, pairs, lambda: ticks.append(len(grads)))
    assert len(ticks) == one.size
    assert ticks == sorted(ticks)
    assert not any(grads)
    assert len(grads) == 3 * (1 + one.size - len(IDLE["times", "rows"]))  # plans of three calls, but for equal ones


def test_batches_make_no_difference():
    whole = solved()
    split = attrs.evolve(whole, ensemble=attrs.evolve(whole.ensemble, batch=4))
    torch.testing.assert_close(*(natural_units(trainable(whole), pairs) for pairs in (whole, split)))

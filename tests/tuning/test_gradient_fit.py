import pytest
import torch

from deis import CapabilityError, GaussianMixture, VPLinear, make_grid, make_plan
from deis.tuning.ensemble import samples
from deis.tuning.gradient_fit import GradientFit
from deis.tuning.grid import optimise_grid
from deis.tuning.pairs import errors, make_pairs
from deis.tuning.training import Training

MEMBER = "polynomial:predict=x0:clock=vp_t:steps=3:corrector=true"


@pytest.fixture(scope="module")
def ode():
    means = torch.randn(5, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return GaussianMixture(means, 0.2).ode(VPLinear())


@pytest.fixture(scope="module")
def fit(ode):
    ensemble = samples(ode, (2,), dtype=torch.float64)
    pairs, apart = (make_pairs(ensemble, seeds, 120) for seeds in (range(24), range(50, 66)))
    return GradientFit(pairs, apart, Training(iterations=15, every=5))


def score(ode, grid, pairs):
    return float(errors(make_plan(ode, grid, MEMBER), pairs).log().mean())


def test_the_grid_is_better_on_the_pairs_set_apart(ode, fit):
    found = optimise_grid(MEMBER, ode, 5, fit)
    assert score(ode, found, fit.apart) < score(ode, make_grid("default")(ode, 5), fit.apart) - 0.1
    assert (found.times[0], found.times[-1]) == ode.domain
    assert found == optimise_grid(MEMBER, ode, 5, fit)


def test_evaluations_between_the_times_are_refused(ode, fit):
    with pytest.raises(CapabilityError, match="one evaluation a step"):
        optimise_grid("rhork-heun2", ode, 6, fit)

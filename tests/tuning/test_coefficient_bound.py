from itertools import pairwise

import pytest
import torch

from deis import (
    EDM,
    ArgumentError,
    DiagonalODE,
    ExponentialEuler,
    ProbabilityFlowODE,
    VPLinear,
    make_grid,
    make_plan,
)
from deis.integrators.base import as_integrator
from deis.tuning.coefficient_bound import CoefficientBound
from deis.tuning.grid import optimise_grid

MEMBER = "polynomial:predict=x0:clock=vp_t:steps=4:corrector=true"


@pytest.fixture(params=[VPLinear(), EDM()], ids=["vp", "edm"])
def ode(request):
    return ProbabilityFlowODE(request.param, lambda x, t: x)


def bound(objective, ode, name, grid):
    return float(objective.bound(ode, make_plan(ode, grid, name), grid.tensor()))


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("apart", [False, True])
def test_bound_of_ddim_in_both_splittings(ode, power, apart):
    grid = make_grid("default")(ode, 4)
    t = grid.tensor()
    alpha, sigma = ode.marginal(t)
    doubt = (sigma**power / alpha)[:-1]
    rise = sigma[-1] * (alpha / sigma).diff()  # of the weights of x0 in DDIM
    fall = alpha[-1] * (sigma / alpha).diff().abs()  # and of eps, which is in doubt by alpha / sigma times as much
    objective = CoefficientBound(power, apart)
    assert bound(objective, ode, ExponentialEuler("x0"), grid) == pytest.approx(float((doubt * rise).sum()), rel=1e-9)
    expected = float((doubt * alpha[:-1] / sigma[:-1] * fall).sum())
    assert bound(objective, ode, ExponentialEuler("eps"), grid) == pytest.approx(expected, rel=1e-9)


def test_without_signal_and_noise_every_value_is_in_doubt_by_one():
    ode = DiagonalODE(0.0, lambda t, x: x)
    grid = make_grid("t")(ode, 3)
    assert bound(CoefficientBound(), ode, "tab0", grid) == pytest.approx(1.0)
    # Adams-Bashforth adds (3/2 + 1/2) h where it was h
    assert bound(CoefficientBound(), ode, "tab1", grid) == pytest.approx(5 / 3)
    assert bound(CoefficientBound(apart=False), ode, "tab1", grid) == pytest.approx(0.5 / 3 + 1 / 3 + 1.5 / 3)


def test_two_steps_meet_where_a_scan_finds_the_least(ode):
    objective, method = CoefficientBound(), ExponentialEuler("x0")
    found = optimise_grid(method, ode, 2, objective)
    hand = ode.clock("log_rho")
    first, last = hand.of(torch.tensor(ode.domain, dtype=torch.float64))
    scan = hand.time(first + torch.linspace(0.01, 0.99, 99, dtype=torch.float64) * (last - first))
    values = [bound(objective, ode, method, type(found)([ode.domain[0], t, ode.domain[1]])) for t in scan.tolist()]
    assert bound(objective, ode, method, found) <= min(values) * (1 + 1e-6)


@pytest.mark.parametrize("name", ["unipc-2", "dpmpp-2s"])
@pytest.mark.parametrize("apart", [False, True])
def test_the_grid_has_a_smaller_bound_than_the_default_and_its_ends(ode, name, apart):
    objective = CoefficientBound(apart=apart)
    found = optimise_grid(name, ode, 4, objective)
    start = make_grid("default")(ode, found.intervals)
    assert bound(objective, ode, name, found) < 0.999 * bound(objective, ode, name, start)
    assert (found.times[0], found.times[-1]) == ode.domain
    assert all(a > b for a, b in pairwise(found))
    assert found == optimise_grid(name, ode, 4, objective)


def test_a_single_step_stays(ode):
    assert optimise_grid("ddim", ode, 1, CoefficientBound()).times == ode.domain


@pytest.mark.parametrize("name", ["tab2", MEMBER, "rhork-heun2:clock=t"])
def test_gradients_of_the_bound(name):
    ode = ProbabilityFlowODE(VPLinear(), lambda x, t: x)
    times = make_grid("default")(ode, 4).tensor()

    def value(inner):
        joined = torch.cat([times[:1], inner, times[-1:]])
        return CoefficientBound().bound(ode, as_integrator(name).plan(ode, joined), joined)

    assert torch.autograd.gradcheck(value, times[1:-1].clone().requires_grad_())


def test_a_power_below_zero_is_refused():
    with pytest.raises(ArgumentError, match="power must be a number of at least 0"):
        CoefficientBound(-1.0)

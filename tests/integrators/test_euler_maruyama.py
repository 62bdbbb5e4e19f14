"""Euler-Maruyama against the reverse SDE written out, and its order on paths."""

import math
from itertools import pairwise

import pytest
import torch

from deis import (
    EDM,
    SCHEDULES,
    BrownianNoise,
    DiagonalODE,
    Euler,
    EulerMaruyama,
    GaussianMixture,
    ProbabilityFlowODE,
    Stochastic,
    VPLinear,
    make_grid,
    solve,
)
from deis.errors import ArgumentError, CapabilityError


def network(x, t):
    return x.sin() + 0.1 * t[:, None]


@pytest.mark.parametrize("splitting", ["eps", "x0", "v"])
@pytest.mark.parametrize("tau", [0.5, 1.0])
@pytest.mark.parametrize("name", list(SCHEDULES))
def test_one_step_is_the_reverse_sde_times_the_length(name, tau, splitting):
    # dx = [F x - (1 + tau^2) / 2 g^2 score] dt + tau g dw with score = -eps / sigma
    schedule = SCHEDULES.create(name)
    ode = ProbabilityFlowODE(schedule, network, splitting=splitting)
    times = make_grid("t2")(ode, 5).tensor()[1:3]
    s, h = times[0], times[1] - times[0]
    x = torch.tensor([[1.0, -0.3]], dtype=torch.float64)
    z = torch.tensor([[0.4, -1.2]], dtype=torch.float64)
    sigma, squared = schedule.sigma(s), schedule.squared_diffusion(s)
    drift = schedule.drift(s) * x + (1 + tau**2) / 2 * squared / sigma * network(x, s[None])
    expected = x + h * drift + tau * (squared * h.abs()).sqrt() * z
    result = solve(ode, x, times, EulerMaruyama(tau), noise=lambda draw, x: z).x
    torch.testing.assert_close(result, expected, rtol=1e-7, atol=1e-8)


def test_without_noise_it_is_eulers_method():
    ode = ProbabilityFlowODE(VPLinear(), network)
    times = make_grid("t2")(ode, 5)
    assert EulerMaruyama(0.0).plan(ode, times) == Euler().plan(ode, times)


def test_its_paths_converge_with_order_1_to_those_of_the_exponential_methods():
    exact = GaussianMixture(torch.tensor([[1.0], [-0.6]], dtype=torch.float64), 0.4).network(EDM())
    ode = ProbabilityFlowODE(EDM(), lambda x, t: exact(x.reshape(-1, 1), t[:1]).reshape(x.shape))
    noise = BrownianNoise([4])
    x0 = 2.0 * noise.initial((500,), torch.float64)

    def end(method, intervals):
        times = torch.logspace(math.log10(2.0), math.log10(0.2), intervals + 1, dtype=torch.float64)
        times[0] = 2.0
        return solve(ode, x0, times, method, noise=noise).x

    # both take the path of the splitting eps, B(rho^2)
    fine = end(Stochastic("rhoab1"), 256)
    errors = [float((end("euler-maruyama", n) - fine).square().mean().sqrt()) for n in (8, 16, 32)]
    for coarse, finer in pairwise(errors):
        assert math.log2(coarse / finer) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("tau", [-0.1, math.nan, math.inf, True])
def test_bad_options(tau):
    with pytest.raises(ArgumentError, match="tau must be a number of at least 0"):
        EulerMaruyama(tau)


def test_it_runs_from_noise_to_data_only():
    with pytest.raises(ArgumentError, match="must run from noise to data"):
        EulerMaruyama().plan(ProbabilityFlowODE(EDM(), network), [0.1, 1.0])


def test_it_needs_a_diffusion():
    with pytest.raises(CapabilityError, match="DiagonalODE has no"):
        EulerMaruyama().plan(DiagonalODE(-1.0, lambda t, x: x), [1.0, 0.0])

"""Moments of what a sampler makes of Gaussian data, without any sampling error."""

import pytest
import torch

from deis import ProbabilityFlowODE, solve


def gaussian_ode(schedule, variance, splitting="eps"):
    """Data N(0, variance), entry by entry: eps = sigma x / (alpha^2 variance + sigma^2)."""
    variance = torch.as_tensor(variance, dtype=torch.float64)

    def network(x, t):
        alpha, sigma = schedule.alpha(t[0]), schedule.sigma(t[0])
        return sigma * x / (alpha**2 * variance + sigma**2)

    return ProbabilityFlowODE(schedule, network, splitting=splitting)


def exact_variance(schedule, variance, t):
    """Of the state at time t."""
    t = torch.tensor(t, dtype=torch.float64)
    return schedule.alpha(t) ** 2 * torch.as_tensor(variance, dtype=torch.float64) + schedule.sigma(t) ** 2


def final_variance(method, schedule, variance, times):
    """Variance at the end of ``times``, started from the exact distribution.

    N is linear, hence so is the state in the initial one and in every draw: the batch holds the response to each.
    """
    ode = gaussian_ode(schedule, variance)
    draws = sum(len(step.draws) for step in method.plan(ode, times).steps)
    x0 = torch.zeros(draws + 1, *torch.as_tensor(variance).shape, dtype=torch.float64)
    x0[0] = exact_variance(schedule, variance, float(times[0])).sqrt()

    def unit(draw, x):
        return torch.zeros_like(x).index_fill_(0, torch.tensor([draw.number + 1]), 1.0)

    return solve(ode, x0, times, method, noise=unit).x.square().sum(0)


@pytest.fixture(name="gaussian_ode", scope="session")
def _gaussian_ode():
    return gaussian_ode


@pytest.fixture(name="exact_variance", scope="session")
def _exact_variance():
    return exact_variance


@pytest.fixture(name="final_variance", scope="session")
def _final_variance():
    return final_variance

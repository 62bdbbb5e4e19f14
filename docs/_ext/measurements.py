"""What the table of integrators quotes, measured when the pages are built."""

import math

import torch
from torch import Tensor

from deis import Bernoulli, GaussianMixture, Integrator, VPLinear, make_grid, make_plan, solve
from deis.integrators import BlackBox
from deis.testing import fitted

INTERVALS = 64
CALLS = 20
_MEANS, _STD = torch.tensor([[-1.0], [1.0]], dtype=torch.float64), 0.25
_SCHEDULE = VPLinear()


def error_constant(integrator: Integrator) -> float | None:
    """C in error = C h^order on x' = -2 x - (1 + t) x^2, 0 <= t <= 1, with h = 1/64; None where it does not apply."""
    problem = Bernoulli(lam=2.0)
    if isinstance(integrator, BlackBox) or integrator.stochastic or fitted(integrator, problem.ode) != integrator:
        return None
    x = solve(problem.ode, problem.exact(0.0), make_grid("t")(problem.ode, INTERVALS), integrator).x
    return abs(float(x - problem.exact(1.0))) * INTERVALS**integrator.order


def sampling_error(integrator: Integrator) -> tuple[float, int] | None:
    """RMSE on a mixture of two Gaussians with at most 20 calls on the grid t2, and the calls; None for noise.

    In one dimension the probability-flow ODE keeps the quantile of each sample, which gives the exact solution.
    """
    if isinstance(integrator, BlackBox) or integrator.stochastic:
        return None
    ode = GaussianMixture(_MEANS, _STD).ode(_SCHEDULE)
    share = (torch.arange(256, dtype=torch.float64) + 0.5) / 256
    start, end = (_quantiles(share, t) for t in ode.domain)
    grid = make_grid("t2")(ode, integrator.most_intervals(CALLS))
    solution = solve(ode, start[:, None], grid, integrator)
    return float((solution.x[:, 0] - end).square().mean().sqrt()), solution.nfe


def history(integrator: Integrator) -> int | None:
    """Values of N that a step keeps for later ones; None for methods without a plan."""
    if isinstance(integrator, BlackBox):
        return None
    ode = GaussianMixture(_MEANS, _STD).ode(_SCHEDULE)
    return make_plan(ode, make_grid("t2")(ode, 10), integrator).history


def _quantiles(share: Tensor, t: float) -> Tensor:
    """Quantiles of the mixture at time ``t``, by bisection."""
    when = torch.tensor(t, dtype=torch.float64)
    alpha, sigma = _SCHEDULE.alpha(when), _SCHEDULE.sigma(when)
    centres, width = alpha * _MEANS, math.sqrt(2) * ((alpha * _STD) ** 2 + sigma**2).sqrt()
    low, high = torch.full_like(share, -20.0), torch.full_like(share, 20.0)
    for _ in range(70):
        middle = (low + high) / 2
        below = torch.erfc((centres - middle) / width).mean(0) / 2 < share
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2

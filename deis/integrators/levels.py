"""Noise levels of the process behind an ODE, for methods that add noise."""

import torch
from torch import Tensor

from deis.errors import ArgumentError
from deis.odes.base import SemilinearODE


def noise_levels(ode: SemilinearODE, times: Tensor) -> Tensor:
    """Noise to signal ratio rho at each of ``times``.

    :raises CapabilityError: if there is no such process.
    """
    alpha, sigma = ode.marginal(times)
    return sigma / alpha


def falling_levels(ode: SemilinearODE, times: Tensor) -> Tensor:
    """Noise to signal ratio at ``times`` that run from noise to data.

    :raises CapabilityError: if there is no such process.
    :raises ArgumentError: if the times run the other way.
    """
    rho = noise_levels(ode, times)
    if not bool((rho[1:] < rho[:-1]).all()):
        raise ArgumentError("times", "must run from noise to data for a stochastic sampler", times.tolist())
    return rho


def levels_at(ode: SemilinearODE, times: list[float]) -> list[float]:
    """As :func:`noise_levels`, as numbers."""
    return noise_levels(ode, torch.tensor(times, dtype=torch.float64)).tolist()

"""
Likelihoods
===========

The probability-flow ODE, solved from data to noise together with its divergence, gives the log-density of every point.
The data are a mixture of Gaussians in the plane, whose density is known.
"""

import math

import matplotlib.pyplot as plt
import numpy as np
import torch

import deis

angles = torch.arange(6, dtype=torch.float64) * torch.pi / 3
centres, std = torch.stack([angles.cos(), angles.sin()], dim=1), 0.25
ode = deis.GaussianMixture(centres, std).ode(deis.VPLinear())


def exact(x):
    """Log-density at the time where data live, which is that of the slightly noisy data."""
    alpha, sigma = (float(level) for level in ode.marginal(torch.tensor(ode.domain[1], dtype=torch.float64)))
    variance = (alpha * std) ** 2 + sigma**2
    squares = torch.cdist(x, alpha * centres) ** 2
    return torch.logsumexp(-squares / (2 * variance), dim=1) - math.log(len(centres) * 2 * math.pi * variance)


# %%
# The density on a grid of points, by 36 calls (the default), and its distance from the exact one:

axis = torch.linspace(-1.8, 1.8, 61, dtype=torch.float64)
points = torch.cartesian_prod(axis, axis)
found = deis.log_likelihood(ode, points)
figure, axes = plt.subplots(1, 2, figsize=(8, 3.5), sharey=True, layout="constrained")
for ax, values, title in (
    (axes[0], found.log_density.exp(), "density by the ODE"),
    (axes[1], (found.log_density - exact(points)).abs(), "error of the log-density"),
):
    image = ax.imshow(values.reshape(61, 61).T.numpy(), origin="lower", extent=(-1.8, 1.8, -1.8, 1.8))
    ax.set_title(title)
    figure.colorbar(image, ax=ax)

# %%
# What it costs: the error of the mean over 500 samples in bits per dimension, against network calls. The three methods
# solve the same ODE from data to noise on the grid ``vp-t2``.

x = deis.sample(ode, (2,), range(500), nfe=100, dtype=torch.float64).x
truth = float(-exact(x).mean() / (2 * math.log(2)))
calls = [9, 18, 36, 72, 144]
figure, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
for name in ("ddim", "tab3", "rhork-kutta3:clock=vp_t"):
    bits = [float(deis.log_likelihood(ode, x, nfe=nfe, integrator=name).bits_per_dim().mean()) for nfe in calls]
    errors = np.abs(np.array(bits) - truth)
    print(f"{name:25s}", " ".join(f"{nfe}: {error:.0e}" for nfe, error in zip(calls, errors, strict=True)))
    ax.loglog(calls, errors, "o-", label=name)
ax.set(xlabel="network calls", ylabel="error in bits per dimension")
ax.set_xticks(calls, [str(nfe) for nfe in calls])
ax.minorticks_off()
ax.legend()

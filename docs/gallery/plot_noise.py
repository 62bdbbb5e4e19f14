"""
Samplers with noise
===================

A method on the reverse SDE has the coefficients of the method on another linear part, and noise in its rows. The data
are eight points on a circle, each blurred by 0.05, whose exact prediction is known.
"""

import math

import matplotlib.pyplot as plt
import torch

import deis
from deis.analysis import sliced_wasserstein

angles = torch.arange(8, dtype=torch.float64) * (math.pi / 4)
data = deis.GaussianMixture(torch.stack([angles.cos(), angles.sin()], dim=1), std=0.05)
ode = data.ode(deis.VPLinear())

# %%
# Noise costs accuracy, because N along a path with noise is not smooth. Here the prediction is exact, and there is
# nothing to gain; with a trained network fresh noise also washes out what the network did wrong earlier. The distance
# is between 2000 samples and as many converged ones.

seeds = range(2000)
truth = deis.sample(ode, (2,), range(2000, 4000), nfe=100, integrator="unipc-3", dtype=torch.float64).x
calls = [5, 8, 12, 20, 40]
figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.4))
for tau in (0.0, 0.5, 1.0):
    method = deis.Stochastic("dpmpp-2m", tau=tau)
    distances = [
        sliced_wasserstein(deis.sample(ode, (2,), seeds, nfe=nfe, integrator=method, grid="vp-t2").x, truth)
        for nfe in calls
    ]
    axes[0].loglog(calls, distances, "o-", label=f"tau = {tau:g}")
axes[0].set_xticks(calls, [str(n) for n in calls])
axes[0].minorticks_off()
axes[0].set(title="DPM-Solver++ 2M on the reverse SDE", xlabel="network calls", ylabel="sliced Wasserstein distance")
axes[0].legend(fontsize="small")

# %%
# ``BrownianNoise`` reads one path a seed: a finer grid refines the same sample, here its first coordinate on the way
# from noise to data.

noise = deis.BrownianNoise([3])
x0 = noise.initial((2,), torch.float64)
for intervals in (10, 40, 320):
    times = deis.make_grid("t2")(ode, intervals)
    solution = deis.solve(ode, x0, times, "dpmpp-2m-sde", noise=noise, keep_states=True)
    axes[1].plot(list(times), [float(x[0, 0]) for x in solution.states], label=f"{intervals} steps")
axes[1].invert_xaxis()
axes[1].set(title="one path, three grids", xlabel="time, from noise to data", ylabel="first coordinate")
axes[1].legend(fontsize="small")
figure.tight_layout()

"""
Grids and budgets
=================

Which grid is good depends on the schedule, and which method on the budget. The data are eight points on a circle, each
blurred by 0.05, whose exact prediction is known.
"""

import math

import matplotlib.pyplot as plt
import torch

import deis
from deis.analysis import geometric_mean_rmse

angles = torch.arange(8, dtype=torch.float64) * (math.pi / 4)
data = deis.GaussianMixture(torch.stack([angles.cos(), angles.sin()], dim=1), std=0.05)
FINE = "polynomial:steps=4:corrector=true:start=runge-kutta"


def draw(ode, nfe, integrator, grid):
    """64 samples in double precision."""
    options = {"nfe": nfe, "integrator": integrator, "grid": grid, "dtype": torch.float64}
    return deis.sample(ode, (2,), range(64), **options).x


# %%
# On EDM's schedule time is the noise level, from 80 to 0.002. A quadratic grid in this time spends its points where
# nothing is left to decide. ``vp-t2`` puts them at the noise levels that the quadratic grid has on the linear VP
# schedule.

edm = data.ode(deis.EDM())
target = draw(edm, 404, FINE, "vp-t2")
calls = [5, 8, 10, 15, 20, 30]
figure, axes = plt.subplots(1, 2, figsize=(8, 3.4))
for grid in ("t2", "rho7", "log", "vp-t2", "vp-t3"):
    errors = [geometric_mean_rmse(draw(edm, nfe, "tab3", grid), target) for nfe in calls]
    axes[0].loglog(calls, errors, "o-", label=grid)
axes[0].set(title="tab3 on EDM's schedule", ylabel="error per sample")

# %%
# On the linear VP schedule, with the grid ``t2``: extrapolating x0 with a corrector overtakes with many calls.

vp = data.ode(deis.VPLinear())
target = draw(vp, 404, FINE, "t2")
many = [5, 10, 20, 50, 100]
for label, name in {
    "ddim": "ddim",
    "tab3": "tab3",
    "tab3, full start": "tab3:start=runge-kutta",
    "x0, corrector": "polynomial:predict=x0:steps=4:corrector=true",
}.items():
    budgets = many[2:] if "full" in label else many
    errors = [geometric_mean_rmse(draw(vp, nfe, name, "t2"), target) for nfe in budgets]
    axes[1].loglog(budgets, errors, "o-", label=label)
axes[1].set(title="methods on the VP schedule")

for ax, ticks in zip(axes, (calls, many), strict=True):
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.minorticks_off()
    ax.set_xlabel("network calls")
    ax.legend(fontsize="small")
figure.tight_layout()

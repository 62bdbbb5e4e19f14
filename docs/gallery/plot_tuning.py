"""
Tune for a model
================

Which sampler and which grid are best depends on the model and on the number of calls. ``deis.tune`` tries them, and
learns the coefficients of the best. The data are eight points on a circle, each blurred by 0.05.
"""

import math

import matplotlib.pyplot as plt
import torch

import deis

angles = torch.arange(8, dtype=torch.float64) * (math.pi / 4)
data = deis.GaussianMixture(torch.stack([angles.cos(), angles.sin()], dim=1), std=0.05)
ode = data.ode(deis.VPLinear())
calls, double = 6, torch.float64

# %%
# 16 pilot samples choose, 64 pairs of noise and solution are learnt from, and 256 other samples judge.

samples = {"pilot": 16, "pairs": 64, "held_out": 256}
learning = deis.tuning.Training(iterations=120)
tuned = deis.tune(ode, calls, shape=(2,), dtype=double, training=learning, **samples)
print(f"{tuned.plan.provenance['tuned']} plan: {tuned.plan.provenance['integrator']}")
print(f"error over that of the best published sampler: {tuned.gain}")
print(f"network calls for tuning: {tuned.calls}")

# %%
# The errors with their 95 % intervals: each published sampler has the best of five grids. The gain is large on data as
# simple as these; on images it is smaller.

colors = {"learnt": "C3", "chosen": "C1", "published": "C0"}
shown = [row for row in tuned.table if row.role in colors][:12]
figure, ax = plt.subplots(figsize=(7, 3.6))
for place, row in enumerate(shown):
    ax.plot([row.error.low, row.error.high], [place, place], color=colors[row.role])
    ax.plot(row.error.value, place, "o", color=colors[row.role])
names = [row.title if row.role == "published" else row.role for row in shown]
ax.set_yticks(range(len(shown)), names)
ax.invert_yaxis()
ax.set(xscale="log", xlabel=f"error per sample, {calls} calls")
figure.tight_layout()

# %%
# Where the steps of the plan lie, by noise level, beside common grids:

rho = ode.clock("rho")
grids = {name: deis.make_grid(name)(ode, calls).times for name in ("vp-t3", "t2", "rho7")}
figure, ax = plt.subplots(figsize=(7, 2.2))
for place, times in enumerate([tuned.plan.times, *grids.values()]):
    levels = rho.of(torch.tensor(times, dtype=double))
    ax.plot(levels, [place] * len(times), "o-", color="C0" if place else "C3")
ax.set_yticks(range(4), ["tuned", *grids])
ax.set_ylim(3.5, -0.5)
ax.invert_xaxis()
ax.set(xscale="log", xlabel=r"noise level $\rho$, from noise to data")
figure.tight_layout()

# %%
# A plan stands wherever an integrator does. Samples by it and by the default, with the solutions to reach:

fine = deis.PolynomialEIAB(steps=4, corrector=True, start="runge-kutta")
solution = deis.sample(ode, (2,), range(24), dtype=double, nfe=404, integrator=fine).x
chosen = {"default": {"nfe": calls}, "tuned": {"integrator": tuned.plan}}
figure, axes = plt.subplots(1, 2, figsize=(7, 3.5), sharex=True, sharey=True)
for ax, (title, options) in zip(axes, chosen.items(), strict=True):
    found = deis.sample(ode, (2,), range(24), dtype=double, **options).x
    ax.plot(*solution.T, "o", color="0.75", label="solution")
    ax.plot(*found.T, ".", color="C3", label=f"{calls} calls")
    error = deis.analysis.geometric_mean_rmse(found, solution)
    ax.set(title=f"{title}: error {error:.1g}", aspect="equal")
    ax.legend(fontsize="small", loc="center")
figure.tight_layout()

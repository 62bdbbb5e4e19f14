"""
Patterns in two dimensions
==========================

Reaction and diffusion, phase separation, and a flow, on periodic squares. The state holds Fourier coefficients on the
last two axes; diffusion is the linear part, and no step is short because of it.
"""

import matplotlib.pyplot as plt
import torch

import deis

SHOWN = {
    "gray-scott:size=64": "Gray-Scott, v",
    "allen-cahn-2d": "Allen-Cahn, u",
    "navier-stokes": "vorticity of a flow",
}


def snapshots(text, count=4):
    """Values at ``count`` times, the last component where there are several."""
    problem = deis.PROBLEMS.create(text)
    recipe = problem.recommended
    times = deis.make_grid(recipe.grid)(problem.ode, recipe.intervals)
    solution = deis.solve(problem.ode, problem.initial, times, recipe.integrator, keep_states=True)
    kept = [round(i * recipe.intervals / (count - 1)) for i in range(count)]
    values = problem.values(torch.stack([solution.states[i] for i in kept]))
    values = values[:, -1] if problem.components else values
    return values, [solution.times[i] for i in kept], solution


figure, axes = plt.subplots(len(SHOWN), 4, figsize=(9, 6.8), layout="constrained")
for row, (text, title) in zip(axes, SHOWN.items(), strict=True):
    values, times, solution = snapshots(text)
    print(f"{title:20s} {tuple(values.shape[1:])} points, {solution.nfe} evaluations in {solution.steps} steps")
    bounds = {"vmin": float(values[1:].min()), "vmax": float(values[1:].max())}
    for ax, value, t in zip(row, values, times, strict=True):
        ax.imshow(value.mT, origin="lower", cmap="magma" if "Gray" in title else "RdBu_r", **bounds)
        ax.set(title=f"t = {t:.4g}", xticks=[], yticks=[])
    row[0].set_ylabel(title)

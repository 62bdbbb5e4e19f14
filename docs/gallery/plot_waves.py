"""
Waves and chaos in one dimension
================================

Four equations whose linear part is diagonal in Fourier space, each by the integrator and the steps that it recommends.
The same call solves all of them: an integrator knows nothing of the equation but its linear part.
"""

import matplotlib.pyplot as plt
import torch

import deis

TITLES = {
    "burgers": "Burgers",
    "kdv": "Korteweg-de Vries",
    "ks": "Kuramoto-Sivashinsky",
    "nls": "nonlinear Schroedinger",
}


def run(name):
    """The values at all grid times, shape (time, x), the times, and the solution."""
    problem = deis.PROBLEMS.create(name)
    recipe = problem.recommended
    times = deis.make_grid(recipe.grid)(problem.ode, recipe.intervals)
    solution = deis.solve(problem.ode, problem.initial, times, recipe.integrator, keep_states=True)
    return problem, problem.values(torch.stack(solution.states)), solution


# %%
# Time runs upwards. Of the complex field of the Schroedinger equation the real part is shown.

figure, axes = plt.subplots(2, 2, figsize=(9, 7), layout="constrained")
runs = {name: run(name) for name in TITLES}
for ax, (name, (problem, values, solution)) in zip(axes.flat, runs.items(), strict=True):
    (x,) = problem.axes
    shown = values.real if values.is_complex() else values
    colours = "RdBu_r" if name in ("ks", "nls") else "viridis"
    image = ax.pcolormesh(x, solution.times, shown, cmap=colours, rasterized=True)
    figure.colorbar(image, ax=ax)
    ax.set(title=f"{TITLES[name]}, {solution.steps} steps", xlabel="x", ylabel="t")
axes[1, 1].set_xlim(-8, 10)

# %%
# What the equation keeps, the solver should keep. The drift is relative to the value at the start, or absolute where
# that is 0:

for name, (problem, _, solution) in runs.items():
    for kept, function in problem.invariants.items():
        first, last = (float(function(x)) for x in (solution.states[0], solution.x))
        size = abs(first) if abs(first) > 1e-10 else 1.0
        print(f"{TITLES[name]:22s} {kept:10s} drifts by {abs(last - first) / size:.1e}")

# %%
# The soliton of the Schroedinger equation has a closed form:

problem, values, solution = runs["nls"]
error = values[-1] - problem.values(problem.exact(solution.times[-1]))
print(f"error {float(error.abs().max()):.1e} with {solution.nfe} evaluations")

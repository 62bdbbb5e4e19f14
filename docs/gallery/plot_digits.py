"""
Digits in 5, 10 and 20 network calls
====================================

A trained network ships with the package. DDIM and tAB3 draw the same ten digits from the same noise; both converge to
the same images, but at different speeds.
"""

import matplotlib.pyplot as plt

import deis

model = deis.zoo.load("digits")
seeds, labels = range(10), list(range(10))


def draw(name, nfe):
    """The same ten digits by one method."""
    ode = model.ode(labels)
    return deis.sample(ode, model.shape, seeds, nfe=nfe, integrator=name, grid="t2").x


# %%
# One sample a seed: row by row only the integrator and the number of calls change.

figure, axes = plt.subplots(6, 10, figsize=(7, 4.4))
rows = [(name, nfe) for name in ("ddim", "tab3") for nfe in (5, 10, 20)]
for row, (name, nfe) in zip(axes, rows, strict=True):
    for ax, image in zip(row, model.images(draw(name, nfe)), strict=True):
        ax.imshow(image, cmap="gray_r", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
    row[0].set_ylabel(f"{name}\n{nfe} calls", rotation=0, ha="right", va="center")
figure.tight_layout()

# %%
# How far each row is from the converged images, as the geometric mean of the error per sample:

target = draw("polynomial:steps=4:corrector=true:start=runge-kutta", 124)
for name, nfe in rows:
    print(f"{name} {nfe:3d} {deis.analysis.geometric_mean_rmse(draw(name, nfe), target):.4f}")

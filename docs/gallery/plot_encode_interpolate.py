"""
Encode, reconstruct, interpolate
================================

The probability-flow ODE runs both ways. From data to noise it turns an image into its *latent*; from there it comes
back to the image, and a path between two latents becomes a path between two images.
"""

import matplotlib.pyplot as plt

import deis

model = deis.zoo.load("digits")
images, labels = deis.zoo.load_images()
first = [int((labels == digit).nonzero()[0]) for digit in range(10)]
x = images[first]
ode = model.ode(list(range(10)))  # each image with its own label


def show(axes, states):
    """A row of images."""
    for ax, image in zip(axes, model.images(states).numpy(), strict=True):
        ax.imshow(image, cmap="gray_r", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])


# %%
# Images, their latents (at half contrast) and what comes back. The solver is the only thing that loses anything here.

cycles = {nfe: deis.reconstruct(ode, x, nfe=nfe) for nfe in (10, 20, 50)}
figure, axes = plt.subplots(5, 10, figsize=(7, 3.9), layout="constrained")
rows = {"images": x, "latents": cycles[50].latents / 2}
rows |= {f"{nfe} calls": cycle.x for nfe, cycle in cycles.items()}
for row, (title, states) in zip(axes, rows.items(), strict=True):
    show(row, states)
    row[0].set_ylabel(title, rotation=0, ha="right", va="center")
for nfe, cycle in cycles.items():
    print(f"{nfe} calls each way: RMSE {float(cycle.error.log().mean().exp()):.4f}")

# %%
# Paths between two images of a digit, on the great circle between their latents (:func:`deis.slerp`).

figure, axes = plt.subplots(3, 9, figsize=(7, 2.6), layout="constrained")
for row, digit in zip(axes, (0, 3, 8), strict=True):
    ends = images[labels == digit][:2]
    path = deis.interpolate(model.ode(digit), ends[:1], ends[1:], count=9, nfe=50)
    show(row, path.x[:, 0])

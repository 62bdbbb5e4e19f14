"""
Where the error comes from
==========================

A sample of a trained network differs from the data because the solver takes few steps, because the network is not the
exact prediction, and because the ODE stops before all noise is gone. On the digits the exact prediction is known too,
so that the three can be told apart.
"""

import matplotlib.pyplot as plt
import torch

import deis
from deis.analysis import decompose, fitting_error, geometric_mean_rmse, reference

model = deis.zoo.load("digits").ode()
images, _ = deis.zoo.load_images()
data = deis.GaussianMixture(images.double(), std=0.1)
exact = data.ode(deis.VPLinear(t_min=1e-4))  # runs further than the network's, which stops at 1e-3
noise = deis.SampleNoise(range(16)).initial((1, 8, 8), torch.float64)

# %%
# More calls reduce the solver's part only. The three parts bound the total by the triangle inequality. The exact
# prediction is that of the images themselves, blurred a little; a network that has not learned them by heart is far
# from it, and should be.

calls, parts = [5, 10, 20], ["discretisation", "network", "truncation"]
found = [
    decompose(model, exact, noise, deis.make_grid("t2")(model, nfe), "tab3", norm=geometric_mean_rmse) for nfe in calls
]
for nfe, one in zip(calls, found, strict=True):
    print(f"{nfe:2d} calls: {one}")

figure, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
for place, part in enumerate(parts):
    ax.bar([i + 0.25 * place for i in range(3)], [getattr(one, part) for one in found], width=0.25, label=part)
ax.set(yscale="log", ylabel="error per sample", xlabel="network calls")
ax.set_xticks([0.25, 1.25, 2.25], [str(nfe) for nfe in calls])
figure.legend(loc="outside upper center", ncols=3)

# %%
# How far the network is from the exact prediction, along exact solutions (arXiv 2204.13902, figure 2). Near the noise
# all of :math:`\epsilon` is in the state; near the data it depends on which image is meant, and there the two differ.

times = deis.make_grid("t2")(model, 40)
path = reference(deis.InitialValueProblem(data.ode(deis.VPLinear()), noise), times, nfe=160)
errors = fitting_error(model, data.ode(deis.VPLinear()), path)
figure, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
ax.loglog(path.times, errors, "o-", markersize=3)
ax.set(xlabel="time (data at the left)", ylabel="RMSE of eps")

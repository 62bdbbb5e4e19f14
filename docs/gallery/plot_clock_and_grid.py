"""
Clock, prediction and grid
==========================

The same ODE, solved with the same number of network calls: what is extrapolated, in which variable, and where the
points lie decide the error. The data are a mixture of two Gaussians on a line, whose exact prediction is known.
"""

import matplotlib.pyplot as plt
import torch

import deis

data = deis.GaussianMixture(torch.tensor([[-1.0], [1.0]], dtype=torch.float64), std=0.25)
ode = data.ode(deis.VPLinear())
start = deis.SampleNoise(range(200)).initial((1,), torch.float64)
fine = deis.PolynomialEIAB(steps=4, corrector=True, start="runge-kutta")
exact = deis.solve(ode, start, deis.make_grid("t2")(ode, 400), fine)

# %%
# The polynomial has three points; the grids are uniform, quadratic and logarithmic.

members = [("eps", "t"), ("eps", "rho"), ("x0", "t"), ("x0", "lambda")]
calls = [5, 8, 10, 15, 20, 30]
figure, axes = plt.subplots(1, 3, figsize=(8, 3.2), sharey=True)
for ax, grid in zip(axes, ("t", "t2", "log"), strict=True):
    for predict, clock in members:
        method = deis.PolynomialEIAB(predict=predict, clock=clock, steps=3)
        grids = [deis.make_grid(grid)(ode, nfe) for nfe in calls]
        ends = [deis.solve(ode, start, times, method).x for times in grids]
        errors = [deis.analysis.rmse(x, exact.x) for x in ends]
        ax.loglog(calls, errors, "o-", label=f"{predict}, {clock}")
    ax.set(title=f"grid {grid}", xlabel="network calls")
    ax.set_xticks(calls, [str(nfe) for nfe in calls])
    ax.minorticks_off()
axes[0].set_ylabel("RMSE")
axes[0].legend(fontsize="small")
figure.tight_layout()

"""
Steps chosen by a tolerance
===========================

:class:`~deis.Adaptive` compares two rows on the same values of N and makes the step as long as their difference allows.
"""

import math

import matplotlib.pyplot as plt
import torch

import deis

angles = torch.arange(8, dtype=torch.float64) * (math.pi / 4)
data = deis.GaussianMixture(torch.stack([angles.cos(), angles.sin()], dim=1), std=0.05)
ode = data.ode(deis.VPLinear())
x0 = deis.SampleNoise(range(16)).initial((2,), torch.float64)
exact = deis.solve(ode, x0, ode.domain, deis.Adaptive(deis.RhoRungeKutta("dormand-prince"), rtol=1e-10, atol=1e-10)).x

# %%
# Calls for an accuracy, from tolerances of 1e-1 to 1e-5. The multistep pair evaluates N once a step.

figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.4))
for name in ("dpm-solver-2", "dpm-solver-3", "polynomial:predict=x0:clock=lambda:steps=3", "rhork-heun2"):
    rows = []
    for power in range(1, 6):
        method = deis.Adaptive(deis.INTEGRATORS.create(name), rtol=10.0**-power, atol=10.0**-power)
        solution = deis.solve(ode, x0, ode.domain, method)
        rows.append((solution.nfe, float((solution.x - exact).abs().max())))
    axes[0].loglog(*zip(*rows, strict=True), "o-", label=name.replace("polynomial:predict=x0:clock=lambda:", "Adams, "))
axes[0].set(xlabel="network calls", ylabel="largest error")
axes[0].legend(fontsize="x-small")

# %%
# When N is evaluated. Where time goes back, a step had failed: it is made again, shorter, without a second evaluation
# at its start.

method = deis.Adaptive("dpm-solver-3", rtol=1e-3, atol=1e-3, most_steps=500)
asked = []


def watched(x, t):
    """The prediction, with its time noted."""
    asked.append(float(t[0]))
    return data.network(deis.VPLinear())(x, t)


deis.solve(deis.ProbabilityFlowODE(deis.VPLinear(), watched), x0, ode.domain, method)
axes[1].plot(range(1, len(asked) + 1), asked, ".-")
axes[1].set(xlabel="network call", ylabel="time at which it is made", title="dpm-solver-3, tolerance 1e-3")
figure.tight_layout()

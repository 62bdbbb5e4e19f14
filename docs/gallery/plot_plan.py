"""
A plan is a table of numbers
============================

Everything that an integrator knows is in its plan, made before the network is called: one coefficient for the state and
one for each value of the network, step by step.
"""

import matplotlib.pyplot as plt
import torch

import deis

ode = deis.GaussianMixture(torch.zeros(1, 1), std=1.0).ode(deis.VPLinear())
times = deis.make_grid("t2")(ode, 8)
plan = deis.make_plan(ode, times, "tab3")
print(f"{plan.nfe} network calls, {plan.history} old values kept")

# %%
# Each row says how the next state is made. The first column multiplies the state, the others the values of eps, newest
# first. The first rows are shorter: older values do not exist yet.

print("   from     to     state   eps_n  eps_n-1 eps_n-2 eps_n-3")
for step in plan.steps:
    numbers = " ".join(f"{number:7.3f}" for number in step.advance.values)
    print(f"{step.start:7.3f} {step.end:7.3f} {step.advance.state:8.3f} {numbers}")

# %%
# Two methods are compared by their numbers. The exact weights of tAB3 adapt to the uneven grid; those of iPNDM are the
# same fractions in every step.

figure, axes = plt.subplots(1, 2, figsize=(7, 2.8), sharey=True)
for ax, name in zip(axes, ("tab3", "ipndm"), strict=True):
    rows = [step.advance.values for step in deis.make_plan(ode, times, name).steps]
    for place in range(4):
        known = [(n, row[place] / sum(row)) for n, row in enumerate(rows, start=1) if len(row) > place]
        ax.plot(*zip(*known, strict=True), "o-", label=f"eps, {place} steps old" if place else "eps, newest")
    ax.set(title=name, xlabel="step")
axes[0].set_ylabel("share of the weight")
axes[1].legend(fontsize="small")
figure.tight_layout()

# %%
# A plan is a value: saved as JSON and read again, it is the same plan.

print(deis.plan_from_json(deis.plan_to_json(plan)) == plan)

"""
Convergence and work
====================

Measured orders with their intervals, and what accuracy costs, on an equation whose solution is known:
:math:`x' = -2x - (1 + t)\\,x^2`.
"""

import matplotlib.pyplot as plt

import deis
from deis.analysis import convergence, work_precision

problem = deis.Bernoulli(lam=2.0)
methods = [
    "ddim",
    "tab1",
    "polynomial:steps=3:start=runge-kutta",
    "polynomial:steps=4:corrector=true:start=runge-kutta",
    "rhork-rk4:clock=t",
]

# %%
# An order is the slope of a line through the errors. Coarse points that lie off the line, and points within ten times
# rounding or the reference's uncertainty, are left out: they are drawn hollow.

study = convergence(problem, methods)
print(study)

figure, ax = plt.subplots(figsize=(6, 5), layout="constrained")
for number, method in enumerate(methods):
    curve = study.curve(method)
    used = [mark == "used" for mark in curve.fit.marks]
    label = f"{method}: {curve.fit.order:.2f} ({curve.fit.low:.2f} to {curve.fit.high:.2f})"
    colour = f"C{number}"
    ax.loglog(curve.intervals, curve.errors, "-", color=colour, label=label)
    for intervals, error, counts in zip(curve.intervals, curve.errors, used, strict=True):
        ax.plot(intervals, error, "o", color=colour, markerfacecolor=colour if counts else "none")
ax.set(xlabel="intervals", ylabel="error", title="measured orders with 95 % intervals")
ax.set_xticks(study.curves[0].intervals, [str(n) for n in study.curves[0].intervals])
ax.minorticks_off()
figure.legend(loc="outside lower center", fontsize="small")

# %%
# At equal numbers of evaluations, the method with four stages makes a quarter of the steps:

work = work_precision(problem, methods, [8, 16, 32, 64, 128, 256], repeats=1)
figure, ax = plt.subplots(figsize=(6, 5), layout="constrained")
for method in methods:
    points = [row for row in work.rows if row.integrator == method and row.error is not None]
    ax.loglog([row.nfe for row in points], [row.error for row in points], "o-", label=method)
ax.set(xlabel="evaluations of N", ylabel="RMSE")
ax.set_xticks([8, 16, 32, 64, 128, 256], ["8", "16", "32", "64", "128", "256"])
ax.minorticks_off()
figure.legend(loc="outside lower center", fontsize="small")

"""
Orders on a stiff problem
=========================

Hochbruck and Ostermann's parabolic problem: the heat equation with a nonlinear source, discretised with 200 points,
whose linear part has entries down to -160 000. Its solution is known, so that errors can be measured.

Exponential methods whose stages integrate the linear part exactly keep their order. Lawson's method (Runge-Kutta on the
integrating factor) falls to first order here.
"""

import matplotlib.pyplot as plt
import numpy as np

import deis

problem = deis.HochbruckOstermann(size=200)
methods = {
    "exponential Euler": deis.ExponentialEuler(),
    "2 points": deis.PolynomialEIAB(steps=2, start="runge-kutta"),
    "3 points": deis.PolynomialEIAB(steps=3, start="runge-kutta"),
    "3 points, corrector": deis.PolynomialEIAB(steps=3, corrector=True, start="runge-kutta"),
    "Lawson 4": deis.RhoRungeKutta("rk4", clock="t"),
}

# %%
# The error in the maximum norm, at t = 1:

steps = np.array([8, 16, 32, 64, 128])
figure, ax = plt.subplots(figsize=(6, 4))
for label, method in methods.items():
    errors = []
    for intervals in steps:
        grid = deis.make_grid("t")(problem.ode, int(intervals))
        x = deis.solve(problem.ode, problem.exact(0.0), grid, method).x
        errors.append(float((problem.to_points(x) - problem.to_points(problem.exact(1.0))).abs().max()))
    order = np.log2(errors[-2] / errors[-1])
    print(f"{label:20s} claims {method.order}, measured {order:.2f}")
    ax.loglog(steps, errors, "o-", label=label)
ax.set(xlabel="steps", ylabel="error")
ax.set_xticks(steps, [str(intervals) for intervals in steps])
ax.minorticks_off()
ax.legend()
figure.tight_layout()

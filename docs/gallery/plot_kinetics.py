"""
Stiffness in the nonlinear part
===============================

Van der Pol's equation jumps between two slow branches. No constant linear part describes it: an exponential Rosenbrock
method linearises the equation at every step, by forward differentiation, and its embedded method chooses the steps.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

import deis

problem = deis.VanDerPol(mu=100.0)
exprb43 = deis.ExponentialRosenbrock("exprb43")


def solve(times, tolerance, keep_states=False):
    """The solution with steps by a tolerance, which end at all ``times``."""
    method = deis.Adaptive(exprb43, rtol=tolerance, atol=tolerance, norm="all")
    return deis.solve(problem.ode, problem.initial, times, method, keep_states=keep_states)


# %%
# The states at 81 times, for the picture:

start, end = problem.ode.domain
solution = solve(torch.linspace(start, end, 81, dtype=torch.float64), 1e-3, keep_states=True)
y = torch.stack(solution.states)
print(f"{solution.steps} steps, {solution.rejected} rejected, {solution.nfe} evaluations")

# %%
# A smaller tolerance takes more steps. The error is that at the end, to scipy's Radau.

exact = deis.solve(problem.ode, problem.initial, [start, end], deis.SciPy("Radau", rtol=1e-10, atol=1e-10)).x
tolerances = np.logspace(-2, -5, 4)
runs = [solve([start, end], tolerance) for tolerance in tolerances]
errors = [float((found.x - exact)[0].abs()) for found in runs]

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
left.plot(solution.times, y[:, 0], ".-")
left.set(xlabel="t, scaled by mu", ylabel="y", title="Van der Pol, mu = 100")
right.loglog(tolerances, errors, "o-", label="error in y")
right.loglog(tolerances, tolerances, "k:", label="tolerance")
right.set(xlabel="tolerance", title=f"{runs[0].nfe} to {runs[-1].nfe} evaluations")
right.legend()

"""
A PDE: Burgers' equation
========================

Nothing in the solver knows about diffusion models. In Fourier space Burgers' equation has a diagonal linear part; an
exponential method takes steps that do not depend on its stiffness.
"""

import matplotlib.pyplot as plt
import torch

import deis

points = 256
x = torch.linspace(-torch.pi, torch.pi, points + 1, dtype=torch.float64)[:-1]
k = torch.arange(points // 2 + 1, dtype=torch.float64)


def advection(t, state):
    """-(u^2 / 2)_x in Fourier space."""
    u = torch.fft.irfft(state, n=points)
    return -0.5j * k * torch.fft.rfft(u**2)


ode = deis.DiagonalODE(-0.03 * k**2, advection, domain=(0.0, 1.0))
start = torch.fft.rfft((-10 * (x / 2).sin() ** 2).exp())

# %%
# The linear part reaches -490, and 100 steps are enough.

method = deis.PolynomialEIAB(steps=3, start="runge-kutta")
solution = deis.solve(ode, start, deis.make_grid("t")(ode, 100), method, keep_states=True)

figure, ax = plt.subplots(figsize=(6, 3))
for t, state in list(zip(solution.times, solution.states, strict=True))[::25]:
    ax.plot(x, torch.fft.irfft(state, n=points), label=f"t = {t:.2f}")
ax.set(xlabel="x", ylabel="u")
ax.legend()
figure.tight_layout()

# %%
# The maximum at t = 1 is 0.866675592903.

print(f"{float(torch.fft.irfft(solution.x, n=points).max()):.6f}")

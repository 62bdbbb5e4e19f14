"""
Your own SDE
============

A noise schedule is two functions of time. The ratio rho, its inverse, the drift, clocks and every integrator follow.
"""

import attrs
import matplotlib.pyplot as plt
import torch

import deis


@attrs.frozen
class Sigmoid(deis.NoiseSchedule):
    """Signal power falling as a logistic curve."""

    t_min: float = 1e-3
    t_max: float = 1.0

    def alpha(self, t):
        """Signal level."""
        return (6 - 12 * t).sigmoid().sqrt()

    def sigma(self, t):
        """Noise level."""
        return (12 * t - 6).sigmoid().sqrt()


# %%
# Data: three points on a line, each blurred a little, so that the exact network is known.

schedule = Sigmoid()
data = deis.GaussianMixture(torch.tensor([[-1.0], [0.2], [1.0]]), std=0.05)
ode = data.ode(schedule)

# %%
# Paths of 60 samples from noise (right) to data (left), and the levels.

solution = deis.sample(ode, (1,), range(60), nfe=100, integrator="tab3", grid="t", keep_states=True)
paths = torch.stack(solution.states)[..., 0]
t = torch.tensor(solution.times, dtype=torch.float64)

figure, axes = plt.subplots(1, 2, figsize=(7, 3))
axes[0].plot(t, schedule.alpha(t), label="alpha")
axes[0].plot(t, schedule.sigma(t), label="sigma")
axes[0].set(xlabel="t", title="levels")
axes[0].legend()
axes[1].plot(t, paths, color="C0", linewidth=0.5)
axes[1].set(xlabel="t", title="x along the probability-flow ODE")
figure.tight_layout()

# %%
# With fewer calls each sample ends near the same place:

for nfe in (5, 10, 20):
    few = deis.sample(ode, (1,), range(60), nfe=nfe, integrator="tab3", grid="t")
    print(f"{nfe:3d} calls: {deis.analysis.geometric_mean_rmse(few.x, solution.x):.4f}")

"""Mixtures of equal isotropic Gaussians: their predictions are known in closed form for every schedule."""

import attrs
import torch
from torch import Tensor

from deis.diffusion.ode import Network, ProbabilityFlowODE
from deis.diffusion.predictions import convert, prediction
from deis.diffusion.schedules import NoiseSchedule
from deis.errors import ArgumentError
from deis.fields import number_in


@attrs.frozen(eq=False)
class GaussianMixture:
    """sum_k w_k N(means_k, std^2 I); with data points as means, a data set blurred by ``std``.

    :param means: shape ``(K, *state)``.
    :param std: standard deviation of every component, >= 0.
    :param weights: shape (K,), positive, summing to 1; None for equal ones.

    >>> from deis import EDM, PowerGrid, solve
    >>> ode = GaussianMixture(torch.zeros(1, 2), std=1.0).ode(EDM())  # noise N(0, 80^2 + 1) shrinks to N(0, 1)
    >>> x = torch.full((1, 2), 6401.0, dtype=torch.float64).sqrt()
    >>> solve(ode, x, PowerGrid("rho", 7.0)(ode, 200), "tab3").x
    tensor([[1.0000, 1.0000]], dtype=torch.float64)
    """

    means: Tensor
    std: float = attrs.field(validator=number_in(0))
    weights: Tensor | None = None

    def __attrs_post_init__(self) -> None:
        means, w = self.means, self.weights
        if not isinstance(means, Tensor) or not means.is_floating_point() or means.dim() < 1 or not len(means):
            got = means.dtype if isinstance(means, Tensor) else type(means).__name__
            raise ArgumentError("means", "must be a floating point tensor of shape (K, *state)", got)
        if w is None:
            return
        if (
            not isinstance(w, Tensor)
            or w.shape != self.means.shape[:1]
            or not bool((w > 0).all())
            or abs(float(w.sum()) - 1) > 1e-6
        ):
            raise ArgumentError("weights", f"must be {len(self.means)} positive numbers summing to 1", w)

    def ode(self, schedule: NoiseSchedule) -> ProbabilityFlowODE:
        """The probability-flow ODE with the exact eps."""
        return ProbabilityFlowODE(schedule, self.network(schedule), predicts="eps")

    def network(self, schedule: NoiseSchedule, predicts: str = "eps") -> Network:
        """The exact prediction as a function (x, t) of states of shape ``(B, *state)`` and times of shape (B,).

        All samples are taken to be at the same time. The result is computed in the precision of x (at least float32).

        :raises UnknownNameError: if there is no such kind of prediction.
        """
        prediction(predicts)
        means = self.means.reshape(len(self.means), -1)
        log_weights = torch.zeros(len(means), dtype=torch.float64) if self.weights is None else self.weights.log()

        def exact(x: Tensor, t: Tensor) -> Tensor:
            if x.shape[1:] != self.means.shape[1:]:
                raise ArgumentError("x", f"must have shape (B, *{tuple(self.means.shape[1:])})", tuple(x.shape))
            when = t.reshape(-1)[:1].to("cpu", torch.float64)
            alpha, sigma = schedule.alpha(when), schedule.sigma(when)
            variance = alpha**2 * self.std**2 + sigma**2
            wide = torch.promote_types(x.dtype, torch.float32)
            y = x.reshape(len(x), -1).to(wide)
            centres = means.to(y) * alpha.to(y)
            squares = (y**2).sum(1, keepdim=True) - 2 * y @ centres.T + (centres**2).sum(1)
            posterior = (log_weights.to(y) - squares / (2 * variance.to(y))).softmax(1)
            eps = (y - posterior @ centres) * (sigma / variance).to(y)
            value = eps.reshape(x.shape).to(x.dtype)
            return convert(value, "eps", predicts, schedule, float(when), x)

        return exact

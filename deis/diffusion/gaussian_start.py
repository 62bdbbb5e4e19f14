"""The first part of the way from noise to data in closed form: at high noise, data look Gaussian."""

import math
from typing import Any

import attrs
import torch
from torch import Tensor

from deis.diffusion.ode import ProbabilityFlowODE
from deis.diffusion.shortened import shortened
from deis.errors import ArgumentError
from deis.fields import number_in
from deis.numerics.host import on_host


def _double(value: Any) -> Tensor:
    if not isinstance(value, Tensor) or not value.is_floating_point():
        raise ArgumentError("mean and covariance", "must be floating point tensors", type(value).__name__)
    return value.detach().to("cpu", torch.float64)


@attrs.frozen(eq=False)
class GaussianStart:
    """The probability-flow ODE of Gaussian data, solved without a network from ``t_max`` to a time ``until``.

    x_t = alpha_t mean + sqrt(S_t / S_s) (x_s - alpha_s mean)  with  S_t = alpha_t^2 covariance + sigma_t^2 I
    (eq. :eq:`gaussian-start` of the theory page; arXiv 2412.09726).

    :param mean: of the data, shape of one sample.
    :param covariance: of the data, shape (d, d), d being the number of entries of a sample.
    :param until: time at which the network takes over.

    >>> from deis import EDM
    >>> ode = ProbabilityFlowODE(EDM(), lambda x, t: x)
    >>> start = GaussianStart(torch.zeros(2), torch.eye(2), until=8.0)
    >>> start.state(ode, torch.full((1, 2), 6401.0, dtype=torch.float64).sqrt())  # root of 80^2 + 1 to that of 8^2 + 1
    tensor([[8.0623, 8.0623]], dtype=torch.float64)
    """

    mean: Tensor = attrs.field(converter=_double)
    covariance: Tensor = attrs.field(converter=_double)
    until: float = attrs.field(validator=number_in(-math.inf))

    def __attrs_post_init__(self) -> None:
        size = self.mean.numel()
        if self.covariance.shape != (size, size):
            raise ArgumentError("covariance", f"must have shape {(size, size)}", tuple(self.covariance.shape))

    @classmethod
    def of(cls, data: Tensor, until: float) -> "GaussianStart":
        """With the mean and covariance of ``data``, shape (B, *state)."""
        flat = _double(data).flatten(1)
        return cls(
            flat.mean(0).reshape(data.shape[1:]), torch.cov(flat.T, correction=0).reshape(2 * flat.shape[1:]), until
        )

    def state(self, ode: ProbabilityFlowODE, x: Tensor) -> Tensor:
        """The state at ``until`` from the state ``x`` at the start of the domain, shape (B, *state)."""
        if x.shape[1:] != self.mean.shape:
            raise ArgumentError("x", f"must have shape (B, *{tuple(self.mean.shape)})", tuple(x.shape))
        with on_host():
            values, vectors = torch.linalg.eigh(self.covariance)
            alpha, sigma = ode.marginal(torch.tensor([ode.domain[0], self.until], dtype=torch.float64))
            variances = alpha[:, None] ** 2 * values.clamp(min=0) + sigma[:, None] ** 2
            factor = (vectors * (variances[1] / variances[0]).sqrt()) @ vectors.T
            before, after = (a * self.mean.flatten() for a in alpha)
        wide = torch.promote_types(x.dtype, torch.float32)
        factor, before, after = (c.to(x.device, wide) for c in (factor, before, after))
        moved: Tensor = after + (x.flatten(1).to(wide) - before) @ factor
        return moved.reshape(x.shape).to(x.dtype)

    def rest(self, ode: ProbabilityFlowODE) -> ProbabilityFlowODE:
        """The ODE on what is left of its domain, from ``until`` on.

        :raises ArgumentError: if ``until`` does not lie inside the domain.
        """
        return shortened(ode, self.until)

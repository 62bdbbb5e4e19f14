"""Noise schedules known at whole-number times only."""

import hashlib
from functools import cached_property

import attrs
import torch
from torch import Tensor

from deis.diffusion.schedules import SCHEDULES, _log_alpha_of_lambda, _VariancePreserving
from deis.errors import ArgumentError


def _abar(values: object) -> Tensor:
    try:
        abar = torch.as_tensor(values, dtype=torch.float64, device="cpu")
    except (TypeError, ValueError, RuntimeError):
        raise ArgumentError("alphas_cumprod", "must be a row of numbers", values) from None
    if abar.dim() != 1 or len(abar) < 2:
        raise ArgumentError("alphas_cumprod", "must hold at least two numbers in one row", tuple(abar.shape))
    if not (abar[-1] > 0 and abar[0] < 1 and bool((abar[1:] < abar[:-1]).all())):
        betas = bool((abar[1:] >= abar[:-1]).all() and abar[0] > 0 and abar[-1] <= 1)
        fix = "these look like betas: pass torch.cumprod(1 - betas, 0)" if betas else ""
        raise ArgumentError("alphas_cumprod", "must fall strictly, between 1 and 0", abar, fix)
    return abar


def _short(abar: Tensor) -> str:
    """Length and fingerprint of a table."""
    digest = hashlib.sha256(abar.detach().contiguous().numpy().tobytes()).hexdigest()
    return f"<{len(abar)}, sha256 {digest[:8]}>"


@SCHEDULES.register("vp-discrete")
@attrs.frozen(eq=False)
class DiscreteVP(_VariancePreserving):
    """Variance preserving with alpha^2 given at times 0 ... N-1; log alpha is linear in between.

    :param alphas_cumprod: alpha^2, falling, shape (N,); the default is DDPM's (beta from 1e-4 to 0.02, N = 1000).
    """

    alphas_cumprod: Tensor = attrs.field(converter=_abar, repr=_short)

    @alphas_cumprod.default
    def _ddpm(self) -> Tensor:
        return torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)

    @property
    def t_min(self) -> float:  # type: ignore[override]
        """0."""
        return 0.0

    @property
    def t_max(self) -> float:  # type: ignore[override]
        """N - 1."""
        return float(len(self.alphas_cumprod) - 1)

    @cached_property
    def _table(self) -> Tensor:
        with torch.inference_mode(False):  # kept for later calls, which may need gradients
            return self.alphas_cumprod.log() / 2

    def log_alpha(self, t: Tensor) -> Tensor:
        table = self._table
        low = t.detach().floor().clamp(0, len(table) - 2).long()
        return table[low] + (t - low) * (table[low + 1] - table[low])

    def time_of_lambda(self, lambda_: Tensor) -> Tensor:
        table, value = self._table, _log_alpha_of_lambda(lambda_)
        high = torch.searchsorted(-table, -value.detach()).clamp(1, len(table) - 1)
        return high - 1 + (value - table[high - 1]) / (table[high] - table[high - 1])

    def knots(self) -> Tensor:
        return torch.arange(1, len(self.alphas_cumprod) - 1, dtype=torch.float64)

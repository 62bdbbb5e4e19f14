"""A small class-conditional U-Net that predicts the noise in 8 by 8 images of digits."""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from deis.diffusion.schedules import VPLinear

CLASSES: Final = 10
NO_LABEL: Final = CLASSES
"""The label that stands for "any digit": the unconditional branch of classifier-free guidance."""

_GROUPS = 8


class NoiseLevelEmbedding(nn.Module):
    """Sines and cosines of lambda = log(alpha / sigma), then a small perceptron: (B,) to (B, width)."""

    frequencies: Tensor

    def __init__(self, width: int, pairs: int = 16) -> None:
        super().__init__()
        # lambda spans about [-5, 5]: no frequency above 4, so that eps stays smooth in time
        self.register_buffer("frequencies", torch.logspace(-4, 2, pairs, base=2.0), persistent=False)
        self.mlp = nn.Sequential(nn.Linear(2 * pairs, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, lambda_: Tensor) -> Tensor:
        phase = lambda_[:, None] * self.frequencies  # (B, pairs)
        embedded: Tensor = self.mlp(torch.cat([phase.sin(), phase.cos()], dim=1))
        return embedded


class ResidualBlock(nn.Module):
    """Two 3 by 3 convolutions, scaled and shifted by the condition in between."""

    def __init__(self, inputs: int, outputs: int, condition: int, dropout: float) -> None:
        super().__init__()
        self.norm_in = nn.GroupNorm(_GROUPS, inputs)
        self.conv_in = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.modulation = nn.Linear(condition, 2 * outputs)
        self.norm_out = nn.GroupNorm(_GROUPS, outputs)
        self.dropout = nn.Dropout(dropout)
        self.conv_out = _zeroed(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.modulation(condition)[:, :, None, None].chunk(2, dim=1)
        h = self.conv_in(functional.silu(self.norm_in(x)))
        h = functional.silu(self.norm_out(h) * (1 + scale) + shift)
        residual: Tensor = self.conv_out(self.dropout(h)) + self.skip(x)
        return residual


class SelfAttention(nn.Module):
    """Attention among all pixels, with a residual connection; shape (B, C, H, W) is kept."""

    def __init__(self, channels: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(_GROUPS, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = _zeroed(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        qkv = self.qkv(self.norm(x)).reshape(batch, 3, self.heads, channels // self.heads, height * width)
        q, k, v = qkv.unbind(1)  # each (B, heads, C / heads, H W)
        # written out, since the fused kernel has no second derivative and no forward mode
        weights = (q.mT @ k * (channels // self.heads) ** -0.5).softmax(dim=-1)
        mixed = (v @ weights.mT).reshape(batch, channels, height, width)
        residual: Tensor = self.out(mixed)
        return x + residual


class DigitsUNet(nn.Module):
    """Noise prediction for the linear variance-preserving schedule, conditional on the digit.

    The convolutions predict v = alpha eps - sigma x0 (arXiv 2202.00512) and the output is
    eps = sigma x + alpha v, which is right by construction as the signal fades. Parameters and inputs may be
    float32 or float64.
    """

    def __init__(self, fine: int = 48, coarse: int = 96, dropout: float = 0.2) -> None:
        super().__init__()
        width = 2 * coarse
        self.schedule = VPLinear()
        self.time = NoiseLevelEmbedding(width)
        self.label = nn.Embedding(CLASSES + 1, width)
        self.stem = nn.Conv2d(1, fine, 3, padding=1)
        self.fine_in = ResidualBlock(fine, fine, width, dropout)
        self.down = nn.Conv2d(fine, coarse, 3, stride=2, padding=1)
        self.coarse_in = ResidualBlock(coarse, coarse, width, dropout)
        self.attention = SelfAttention(coarse)
        self.coarse_out = ResidualBlock(coarse, coarse, width, dropout)
        self.up = nn.Conv2d(coarse, fine, 1)
        self.fine_out = ResidualBlock(2 * fine, fine, width, dropout)
        self.norm = nn.GroupNorm(_GROUPS, fine)
        self.head = _zeroed(nn.Conv2d(fine, 1, 3, padding=1))

    def forward(self, x: Tensor, t: Tensor, label: Tensor) -> Tensor:
        """The noise eps in ``x``, of the shape and dtype of ``x``.

        :param x: states, (B, 1, 8, 8), of the parameters' dtype.
        :param t: times in [0, 1], (B,), of any floating dtype; trained from 1e-3 on.
        :param label: digits 0 to 9, or ``NO_LABEL``, (B,) int64.
        """
        time = t.to(torch.float64)
        alpha = self.schedule.alpha(time).to(x.dtype)[:, None, None, None]
        sigma = self.schedule.sigma(time).to(x.dtype)[:, None, None, None]
        # lambda is infinite at t = 0, and nothing was learnt below t_min
        lambda_ = self.schedule.lambda_(time.clamp(min=self.schedule.t_min)).to(x.dtype)
        condition = functional.silu(self.time(lambda_) + self.label(label))
        return sigma * x + alpha * self._velocity(x, condition)

    def _velocity(self, x: Tensor, condition: Tensor) -> Tensor:
        fine = self.fine_in(self.stem(x), condition)
        coarse = self.coarse_in(self.down(fine), condition)
        coarse = self.coarse_out(self.attention(coarse), condition)
        # 1 by 1 convolution and repetition commute; the cheaper order is taken
        raised = functional.interpolate(self.up(coarse), scale_factor=2, mode="nearest")
        merged = self.fine_out(torch.cat([fine, raised], dim=1), condition)
        velocity: Tensor = self.head(functional.silu(self.norm(merged)))
        return velocity


def _zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    """The layer with all parameters zero, so that the branch it ends starts as nothing."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer

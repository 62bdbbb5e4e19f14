"""Patches of two photographs: 1000 steps of the cosine schedule, and a convolutional network that predicts v."""

import math
from typing import ClassVar

import attrs
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.models.model import MODELS, Data, Model
from deis.diffusion.discrete import DiscreteVP
from deis.diffusion.schedules import NoiseSchedule
from deis.zoo.unet import NoiseLevelEmbedding, ResidualBlock, SelfAttention

SIZE, STEPS, TRAIN_SHARE = 12, 1000, 0.75


def cosine_alphas_cumprod() -> Tensor:
    """alpha^2 of arXiv 2102.09672, eq. 17, with each beta at most 0.999."""
    times = torch.arange(STEPS + 1, dtype=torch.float64) / STEPS
    abar = ((times + 0.008) / 1.008 * (math.pi / 2)).cos() ** 2
    return (abar[1:] / abar[:-1]).clamp(min=1 - 0.999).cumprod(0)


class VelocityNet(nn.Module):
    """v = alpha eps - sigma x0 (arXiv 2202.00512): residual blocks and attention on cells of 2 by 2 pixels."""

    def __init__(self, channels: int = 64, width: int = 128, blocks: int = 4, dropout: float = 0.05) -> None:
        super().__init__()
        self.time = NoiseLevelEmbedding(width)
        self.stem = nn.Conv2d(4, channels, 3, padding=1)
        self.blocks = nn.ModuleList(ResidualBlock(channels, channels, width, dropout) for _ in range(blocks))
        self.attention = SelfAttention(channels)
        self.norm = nn.GroupNorm(8, channels)
        self.head = nn.Conv2d(channels, 4, 3, padding=1)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """v from states (B, 1, 12, 12) at times 0 ... 999, (B,)."""
        # the embedding is made for numbers of about [-5, 5]
        condition = functional.silu(self.time((t * (10 / STEPS) - 5).to(x.dtype)))
        h = self.stem(functional.pixel_unshuffle(x, 2))
        for place, block in enumerate(self.blocks):
            h = block(h, condition)
            if place == len(self.blocks) // 2 - 1:
                h = self.attention(h)
        return functional.pixel_shuffle(self.head(functional.silu(self.norm(h))), 2)


def _grey(photographs: list[Tensor]) -> Tensor:
    """Brightness in [-1, 1] at half the resolution, (n, 1, H, W), of (H, W, 3) bytes."""
    colours = torch.stack(photographs).permute(0, 3, 1, 2).float() / 127.5 - 1
    return functional.avg_pool2d(colours.mean(dim=1, keepdim=True), 2)


def _windows(images: Tensor) -> Tensor:
    """Every square of ``SIZE`` by ``SIZE`` pixels of (n, 1, H, W)."""
    return images.unfold(2, SIZE, 1).unfold(3, SIZE, 1).reshape(-1, 1, SIZE, SIZE)


@MODELS.register("patches")
@attrs.frozen
class Patches(Model):
    """Grey squares of 12 by 12 pixels from the photographs of scikit-learn; the right quarter of each is set apart."""

    name: ClassVar[str] = "patches"
    shape: ClassVar[tuple[int, ...]] = (1, SIZE, SIZE)
    schedule: ClassVar[NoiseSchedule] = DiscreteVP(cosine_alphas_cumprod())
    predicts: ClassVar[str] = "v"

    def blank(self) -> nn.Module:
        return VelocityNet()

    def data(self) -> Data:
        from sklearn.datasets import load_sample_images  # type: ignore[import-untyped]

        grey = _grey([torch.from_numpy(image.copy()) for image in load_sample_images().images])
        border = round(TRAIN_SHARE * grey.shape[3])
        return Data(_windows(grey[..., :border]), _windows(grey[..., border:]))

    def times(self, u: Tensor) -> Tensor:
        return (u * STEPS).floor()  # the network knows whole numbers only

    def weight(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

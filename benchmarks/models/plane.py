"""Two moons in the plane: the noise levels of EDM, and a perceptron that predicts x0."""

import math
from itertools import chain, pairwise
from typing import ClassVar

import attrs
import torch
from torch import Tensor, nn

from benchmarks.models.model import MODELS, Data, Model
from deis.diffusion.schedules import EDM, NoiseSchedule
from deis.zoo.unet import NoiseLevelEmbedding

COUNT, HELD_OUT, THICKNESS = 100_000, 20_000, 0.05


class Denoiser(nn.Module):
    """D(x; sigma) of arXiv 2206.00364, eq. 7 and table 1, for data of unit variance."""

    def __init__(self, hidden: int = 192, layers: int = 4, embedding: int = 64) -> None:
        super().__init__()
        self.level = NoiseLevelEmbedding(embedding)
        widths = [2 + embedding] + layers * [hidden]
        stages = ((nn.Linear(a, b), nn.SiLU()) for a, b in pairwise(widths))
        self.body = nn.Sequential(*chain.from_iterable(stages), nn.Linear(hidden, 2))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """x0 from states (B, 2) at noise levels (B,)."""
        sigma = t.to(x.dtype)[:, None]
        norm = (sigma**2 + 1).sqrt()
        inner: Tensor = self.body(torch.cat([x / norm, self.level(-t.log().to(x.dtype))], dim=1))
        return x / norm**2 + sigma / norm * inner


@MODELS.register("plane")
@attrs.frozen
class Plane(Model):
    """The two moons of scikit-learn, each axis of mean 0 and variance 1."""

    name: ClassVar[str] = "plane"
    shape: ClassVar[tuple[int, ...]] = (2,)
    schedule: ClassVar[NoiseSchedule] = EDM()
    predicts: ClassVar[str] = "x0"

    def blank(self) -> nn.Module:
        return Denoiser()

    def data(self) -> Data:
        from sklearn.datasets import make_moons  # type: ignore[import-untyped]

        points = torch.from_numpy(make_moons(COUNT, noise=THICKNESS, random_state=0)[0]).float()
        points = (points - points.mean(dim=0)) / points.std(dim=0)
        return Data(points[:-HELD_OUT], points[-HELD_OUT:])

    def times(self, u: Tensor) -> Tensor:
        low, high = math.log(self.schedule.t_min), math.log(self.schedule.t_max)
        return (low + (high - low) * u).exp()

    def weight(self, t: Tensor) -> Tensor:
        return (t**2 + 1) / t**2  # 1 / c_out^2: every level weighs the same

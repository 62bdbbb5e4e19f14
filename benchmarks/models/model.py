"""What the models of the benchmarks have in common."""

import abc
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import attrs
import safetensors.torch
from torch import Tensor, nn

from deis.diffusion.ode import ProbabilityFlowODE
from deis.diffusion.schedules import NoiseSchedule
from deis.registry import Registry

MODELS: "Registry[Model]" = Registry("model")
WEIGHTS = Path(__file__).parent / "weights"


@attrs.frozen
class Data:
    """Samples to learn from and samples set apart, (n, ...) float32."""

    train: Tensor
    held_out: Tensor


class Model(abc.ABC):
    """A small diffusion network: what it was trained on, how, and its probability-flow ODE."""

    name: ClassVar[str]
    shape: ClassVar[tuple[int, ...]]
    """Shape of one sample."""
    schedule: ClassVar[NoiseSchedule]
    predicts: ClassVar[str]

    @cached_property
    def network(self) -> nn.Module:
        """The trained network, float32, in evaluation mode and without gradients."""
        network = self.blank()
        network.load_state_dict(safetensors.torch.load_file(WEIGHTS / f"{self.name}.safetensors"))
        return network.eval().requires_grad_(False)

    def ode(self) -> ProbabilityFlowODE:
        """The probability-flow ODE; states of other dtypes and devices are served in float32."""
        network = self.network

        def served(x: Tensor, t: Tensor) -> Tensor:
            value: Tensor = network.to(x.device)(x.float(), t.float())
            return value.to(x.dtype)

        return ProbabilityFlowODE(self.schedule, served, predicts=self.predicts)

    @abc.abstractmethod
    def blank(self) -> nn.Module:
        """A network(x, t) that has learnt nothing."""

    @abc.abstractmethod
    def data(self) -> Data:
        """The data set, the same at each call."""

    @abc.abstractmethod
    def times(self, u: Tensor) -> Tensor:
        """Times to learn at, float64, from numbers ``u`` in [0, 1)."""

    @abc.abstractmethod
    def weight(self, t: Tensor) -> Tensor:
        """Weight of the square error at times ``t``."""

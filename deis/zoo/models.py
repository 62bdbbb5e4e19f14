"""The front door of the zoo: models by name, as probability-flow ODEs."""

import abc
from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar

import attrs
import torch
from torch import Tensor

from deis.diffusion.guidance import ClassifierFree, Labelled
from deis.diffusion.mixture import GaussianMixture
from deis.diffusion.ode import ProbabilityFlowODE
from deis.diffusion.schedules import NoiseSchedule, VPLinear
from deis.errors import ArgumentError, CapabilityError
from deis.fields import is_integer, is_number
from deis.integrators.planned import Planned
from deis.registry import Registry
from deis.zoo.presets import presets
from deis.zoo.unet import NO_LABEL, DigitsUNet
from deis.zoo.weights import load_images, load_unet

MODELS: "Registry[Model]" = Registry("model")


def load(name: str) -> "Model":
    """The model called ``name``.

    :raises UnknownNameError: if there is none; near misses are shown.

    >>> load("digits-exact").shape
    (1, 8, 8)
    """
    return MODELS.create(name)


class Model(abc.ABC):
    """A diffusion model with what is needed to sample it and to judge the samples."""

    shape: ClassVar[tuple[int, ...]]
    classes: ClassVar[int]
    schedule: ClassVar[NoiseSchedule]
    dtype: ClassVar[torch.dtype]
    """Precision in which the model is meant to be sampled."""

    def ode(self, label: int | Sequence[int] | None = None, guidance: float = 1.0) -> ProbabilityFlowODE:
        """The probability-flow ODE.

        :param label: class of all samples, or one class a sample; None for no class.
        :param guidance: strength of classifier-free guidance; 1 is none.
        :raises ArgumentError: if a label does not exist, or guidance is asked for without one.
        :raises CapabilityError: if the model takes no guidance, or no more than one class at a time.
        """
        for one in label if isinstance(label, Sequence) and not isinstance(label, str) else [label]:
            if one is not None and not (is_integer(one) and 0 <= one < self.classes):
                raise ArgumentError("label", f"must be a whole number from 0 to {self.classes - 1}", one)
        if not is_number(guidance) or guidance < 0:
            raise ArgumentError("guidance", "must be a number of at least 0", guidance)
        if guidance != 1 and label is None:
            raise ArgumentError("guidance", "must be 1 without a label", guidance, "give a label")
        return self._ode(label, guidance)

    def plans(self) -> Planned:
        """Plans tuned for the model, one for each of some budgets, to be given where an integrator is wanted.

        :raises CapabilityError: if it comes without any.
        """
        names = [name for name in MODELS if MODELS.create(name) == self]
        return presets(names[0] if names else type(self).__name__)

    def images(self, x: Tensor) -> Tensor:
        """Grey levels in [0, 1], shape (B, 8, 8), of states (B, 1, 8, 8)."""
        return ((x.float().squeeze(1) + 1) / 2).clamp(0, 1)

    @abc.abstractmethod
    def labels(self, seeds: Sequence[int]) -> list[int] | None:
        """Labels of the samples of these seeds where none is asked for; None if the model covers all classes at once.

        A label depends on its own seed only.
        """

    @abc.abstractmethod
    def _ode(self, label: int | Sequence[int] | None, guidance: float) -> ProbabilityFlowODE: ...


@MODELS.register("digits")
@attrs.frozen
class DigitsModel(Model):
    """A class-conditional U-Net trained on the 8 by 8 digits of scikit-learn (linear VP, continuous time, eps)."""

    shape: ClassVar[tuple[int, ...]] = (1, 8, 8)
    classes: ClassVar[int] = 10
    schedule: ClassVar[NoiseSchedule] = VPLinear()
    dtype: ClassVar[torch.dtype] = torch.float32

    def labels(self, seeds: Sequence[int]) -> list[int] | None:
        return [seed % self.classes for seed in seeds]

    @cached_property
    def _unet(self) -> DigitsUNet:
        return load_unet()

    def _ode(self, label: int | Sequence[int] | None, guidance: float) -> ProbabilityFlowODE:
        unet = self._unet

        def network(x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
            value: Tensor = unet.to(x.device)(x.float(), t.float(), labels)
            return value.to(x.dtype)

        if label is None:
            return ProbabilityFlowODE(self.schedule, Labelled(network, NO_LABEL))
        labels = torch.tensor(label) if isinstance(label, Sequence) else label
        guided = Labelled(network, labels) if guidance == 1 else ClassifierFree(network, labels, guidance, NO_LABEL)
        return ProbabilityFlowODE(self.schedule, guided)


@MODELS.register("digits-exact")
@attrs.frozen
class DigitsExact(Model):
    """The digits of scikit-learn, each blurred by a standard deviation of 0.1, with the exact eps (linear VP)."""

    shape: ClassVar[tuple[int, ...]] = (1, 8, 8)
    classes: ClassVar[int] = 10
    schedule: ClassVar[NoiseSchedule] = VPLinear()
    dtype: ClassVar[torch.dtype] = torch.float64

    def labels(self, seeds: Sequence[int]) -> list[int] | None:
        return None

    def _ode(self, label: int | Sequence[int] | None, guidance: float) -> ProbabilityFlowODE:
        if isinstance(label, Sequence):
            raise CapabilityError("digits-exact takes one label for all samples; leave it out for all classes at once")
        if guidance != 1:
            raise CapabilityError("digits-exact knows each class exactly and takes no guidance; leave guidance at 1")
        images, labels = load_images()
        chosen = images if label is None else images[labels == label]
        return GaussianMixture(chosen.double(), std=0.1).ode(self.schedule)

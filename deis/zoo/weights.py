"""Loading of the networks and images that ship with the package, from safetensors files only."""

from importlib import resources
from typing import Final, TypeVar

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from deis.errors import DeisError
from deis.zoo.classifier import DigitsClassifier
from deis.zoo.unet import DigitsUNet

M = TypeVar("M", bound=nn.Module)

UNET_FILE: Final = "digits.safetensors"
CLASSIFIER_FILE: Final = "digits_classifier.safetensors"
IMAGES_FILE: Final = "digits_data.safetensors"


class WeightsError(DeisError, OSError):
    """A file that ships with the package is missing, damaged or of another version."""

    def __init__(self, file: str, trouble: str) -> None:
        self.file = file
        super().__init__(f"cannot load {file} of deis.zoo: {trouble}; install the package again")


def load_unet() -> DigitsUNet:
    """The trained noise predictor, float32 on the CPU, in evaluation mode and without gradients.

    Training is described in ``data/MODEL_CARD.md``.

    :raises WeightsError: if the weights are missing or damaged.

    >>> eps = load_unet()(torch.randn(2, 1, 8, 8), torch.tensor([1.0, 0.5]), torch.tensor([3, 10]))
    >>> eps.shape
    torch.Size([2, 1, 8, 8])
    """
    return _filled(DigitsUNet(), UNET_FILE)


def load_classifier() -> DigitsClassifier:
    """The trained classifier, float32 on the CPU, in evaluation mode and without gradients.

    :raises WeightsError: if the weights are missing or damaged.
    """
    return _filled(DigitsClassifier(), CLASSIFIER_FILE)


def load_images() -> tuple[Tensor, Tensor]:
    """The digits of scikit-learn: images (1797, 1, 8, 8) float32 in [-1, 1], labels (1797,) int64.

    :raises WeightsError: if the file is missing or damaged.

    >>> images, labels = load_images()
    >>> images.shape, labels[:4].tolist()
    (torch.Size([1797, 1, 8, 8]), [0, 1, 2, 3])
    """
    tensors = _read(IMAGES_FILE)
    if tensors.keys() != {"images", "labels"}:
        raise WeightsError(IMAGES_FILE, f"it holds {sorted(tensors)} in place of ['images', 'labels']")
    return tensors["images"].to(torch.float32).unsqueeze(1) / 8 - 1, tensors["labels"].to(torch.int64)


def _filled(module: M, file: str) -> M:
    try:
        module.load_state_dict(_read(file))
    except RuntimeError as error:
        raise WeightsError(file, f"its tensors are not those of {type(module).__name__}") from error
    return module.eval().requires_grad_(False)


def _read(file: str) -> dict[str, Tensor]:
    try:
        content = resources.files("deis.zoo").joinpath("data", file).read_bytes()
        return safetensors.torch.load(content)
    except OSError as error:
        raise WeightsError(file, error.strerror or "it cannot be read") from error
    except safetensors.SafetensorError as error:
        raise WeightsError(file, f"it is damaged ({error})") from error

"""Models that ship with the package: ``load("digits")`` is trained, ``load("digits-exact")`` has a closed form."""

from deis.zoo.models import MODELS, DigitsExact, DigitsModel, Model, load
from deis.zoo.weights import WeightsError, load_images

__all__ = ["MODELS", "DigitsExact", "DigitsModel", "Model", "WeightsError", "load", "load_images"]

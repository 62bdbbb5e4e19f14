"""Two small models beside the shipped ones, on which samplers are checked: ``load("plane")``, ``load("patches")``."""

from benchmarks.models.model import MODELS, Data, Model
from benchmarks.models.patches import Patches
from benchmarks.models.plane import Plane

__all__ = ["MODELS", "Data", "Model", "Patches", "Plane", "load"]


def load(name: str) -> Model:
    """The model called ``name``.

    :raises UnknownNameError: if there is none; near misses are shown.
    """
    return MODELS.create(name)

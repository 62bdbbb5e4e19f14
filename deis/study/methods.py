"""Methods by text: registered integrators, plans in files, and the plans that come with a model."""

from pathlib import Path
from typing import Any, Final

from deis.errors import ArgumentError
from deis.integrators.base import INTEGRATORS, Integrator
from deis.integrators.plan_files import load_plans
from deis.zoo.models import load

OWN: Final = "own"
"""What stands in the place of a grid for a method that brings its own times."""

_ZOO: Final = "zoo/"


def method_of(text: str, **options: Any) -> Integrator:
    """The integrator that a text describes.

    :param text: as :data:`~deis.INTEGRATORS` reads it; a ``.json`` file with a plan, or a folder of them, written with
        a slash (``./plans``); or ``zoo/NAME`` for the plans of that model.
    :param options: of a registered integrator.
    :raises UnknownNameError: if there is none of that name; near misses are shown.
    :raises ArgumentError: for values that an option does not take, and for files without a sound plan.
    :raises CapabilityError: if a model has no plans.

    >>> method_of("tab1:corrector=true").steps
    2
    """
    if not isinstance(text, str) or not _names_plans(text):
        return INTEGRATORS.create(text, **options)
    if options:
        raise ArgumentError(next(iter(options)), "must be left out: plans take no options", text)
    return load(text.removeprefix(_ZOO)).plans() if text.startswith(_ZOO) else load_plans(text)


def _names_plans(text: str) -> bool:
    return text.startswith(_ZOO) or text.endswith(".json") or ("/" in text and Path(text).is_dir())

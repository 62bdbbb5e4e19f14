"""Validators for attrs fields whose messages read well."""

import math
import operator
import sys
from collections.abc import Callable, Iterable
from typing import Any

from deis.errors import ArgumentError, UnknownNameError

Validator = Callable[[Any, Any, Any], None]


def is_integer(value: object) -> bool:
    """Whether ``value`` is an int (True and False are not)."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Whether ``value`` is a finite real number (True and False are not)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def as_integer(value: Any) -> Any:
    """An int for a whole number of numpy or torch; anything else as it is.

    >>> import numpy
    >>> as_integer(numpy.int64(3)), as_integer(2.5), as_integer(True)
    (3, 2.5, True)
    """
    if isinstance(value, bool):
        return value
    try:
        return operator.index(value)
    except TypeError:
        return value


def sample_shape(value: Any) -> tuple[int, ...]:
    """The shape of one sample.

    :raises ArgumentError: unless it is made of whole numbers above 0.
    """
    try:
        sizes = tuple(map(operator.index, value))
    except TypeError:
        sizes = (-1,)
    if any(size < 1 for size in sizes):
        rule = "must be the shape of one sample, a whole number above 0 an axis"
        raise ArgumentError("shape", rule, value, "for example (3, 32, 32)")
    return sizes


def need(name: str, value: object, kind: type, fix: str = "") -> None:
    """Refuse an argument ``name`` that is no ``kind``.

    :raises ArgumentError: if it is none.

    >>> need("means", [1.0], float)
    Traceback (most recent call last):
        ...
    deis.errors.ArgumentError: means must be a float, got 'list'
    """
    if not isinstance(value, kind):
        raise ArgumentError(name, f"must be a {kind.__name__}", type(value).__name__, fix)


def integer_in(low: int, high: int) -> Validator:
    """Accept whole numbers from ``low`` to ``high``, both included."""

    def validate(instance: Any, attribute: Any, value: Any) -> None:
        if not is_integer(value) or not low <= value <= high:
            raise ArgumentError(attribute.name, f"must be a whole number from {low} to {high}", value)

    return validate


def number_in(low: float, high: float = math.inf, *, open_low: bool = False, open_high: bool = False) -> Validator:
    """Accept finite numbers from ``low`` (left out with ``open_low``) to ``high`` (left out with ``open_high``)."""
    rule = f"must be a number {'above' if open_low else 'of at least'} {low:g}"
    rule += "" if high == math.inf else f" and {'below' if open_high else 'at most'} {high:g}"

    def validate(instance: Any, attribute: Any, value: Any) -> None:
        edge = (open_low and value == low) or (open_high and value == high)
        if not is_number(value) or not low <= value <= high or edge:
            raise ArgumentError(attribute.name, rule, value)

    return validate


def one_of(known: Iterable[str], *, optional: bool = False) -> Validator:
    """Accept one of the ``known`` names, and None with ``optional``."""
    names = tuple(known)

    def validate(instance: Any, attribute: Any, value: Any) -> None:
        if not (value in names or (optional and value is None)):
            raise UnknownNameError(attribute.name, value, names)

    return validate


def name_or(kind: type, known: Iterable[str]) -> Validator:
    """Accept one of the ``known`` names, and anything of a ``kind``."""
    named = one_of(known)

    def validate(instance: Any, attribute: Any, value: Any) -> None:
        if not isinstance(value, kind):
            named(instance, attribute, value)

    return validate


def is_callable(instance: Any, attribute: Any, value: Any) -> None:
    """Accept what can be called."""
    if not callable(value):
        raise ArgumentError(attribute.name, "must be callable", value)


def text(instance: Any, attribute: Any, value: Any) -> None:
    """Accept names."""
    if not isinstance(value, str):
        raise ArgumentError(attribute.name, "must be a name", value)


def boolean(instance: Any, attribute: Any, value: Any) -> None:
    """Accept True and False only."""
    if not isinstance(value, bool):
        raise ArgumentError(attribute.name, "must be True or False", value)

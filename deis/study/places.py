"""Errors that say where in a study they are."""

from collections.abc import Callable
from typing import Any, TypeVar

from deis.errors import ArgumentError, DeisError

T = TypeVar("T")

Place = tuple[str | int, ...]
"""Keys and positions in lists (from 0), from the top of a document or a value."""


class MisplacedError(DeisError, ValueError):
    """A part of a study breaks a rule.

    :param place: where, from the value that was to be made.

    >>> raise MisplacedError(("grids", 1), "no grid named 'q'")
    Traceback (most recent call last):
        ...
    deis.study.places.MisplacedError: grids[2]: no grid named 'q'
    """

    def __init__(self, place: Place, rule: str) -> None:
        self.place, self.rule = place, rule
        super().__init__(f"{dotted(place)}: {rule}" if place else rule)

    def __reduce__(self) -> tuple[Any, ...]:  # errors travel between processes
        return type(self), (self.place, self.rule)


def dotted(place: Place) -> str:
    """A place as messages name it; positions count from 1.

    >>> dotted(("integrator", 2, "options", "steps"))
    'integrator[3].options.steps'
    """
    parts = [f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in place]
    return "".join(parts).removeprefix(".")


def placed(place: Place, make: Callable[[], T]) -> T:
    """What ``make`` returns; an error of the library becomes one at ``place``.

    :raises MisplacedError: in place of the error.
    """
    try:
        return make()
    except DeisError as error:
        raise misplaced(place, error) from error


def misplaced(place: Place, error: DeisError) -> MisplacedError:
    """The same error, said to be at ``place``, or below it if it says where."""
    if isinstance(error, MisplacedError):
        return MisplacedError((*place, *error.place), error.rule)
    if isinstance(error, ArgumentError):  # the place is its argument
        fix = f"; {error.fix}" if error.fix else ""
        return MisplacedError(place, f"{error.rule}, got {error.value!r}{fix}")
    return MisplacedError(place, str(error))

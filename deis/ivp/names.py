"""Names of arguments in messages."""

from collections.abc import Iterator
from contextlib import contextmanager

from deis.errors import ArgumentError


@contextmanager
def renamed(**names: str) -> Iterator[None]:
    """Errors about arguments of the solver name the arguments of the caller."""
    try:
        yield
    except ArgumentError as error:
        name = names.get(error.argument, error.argument)
        raise ArgumentError(name, error.rule, error.value, error.fix) from error.__cause__

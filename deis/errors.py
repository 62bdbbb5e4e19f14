"""Exceptions: each names the argument, the rule, the value received and the fix."""

import difflib
from collections.abc import Iterable
from typing import Any


class DeisError(Exception):
    """Base of every error that this package raises on purpose."""


class ArgumentError(DeisError, ValueError):
    """An argument breaks a rule.

    >>> raise ArgumentError("nfe", "must be at least 1", 0, "ask for one network call or more")
    Traceback (most recent call last):
        ...
    deis.errors.ArgumentError: nfe must be at least 1, got 0; ask for one network call or more
    """

    def __init__(self, argument: str, rule: str, value: object, fix: str = "") -> None:
        self.argument, self.rule, self.value, self.fix = argument, rule, value, fix
        super().__init__(f"{argument} {rule}, got {value!r}" + (f"; {fix}" if fix else ""))

    def __reduce__(self) -> tuple[Any, ...]:  # errors travel between processes
        return type(self), (self.argument, self.rule, self.value, self.fix)


class UnknownNameError(DeisError, LookupError):
    """A name is not among the known ones; near misses are shown.

    >>> raise UnknownNameError("integrator", "tab", ["ddim", "tab0", "tab1"])
    Traceback (most recent call last):
        ...
    deis.errors.UnknownNameError: no integrator named 'tab'; near it: tab0, tab1
    """

    def __init__(self, kind: str, name: object, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        near = sorted(difflib.get_close_matches(str(name), self.known, n=4, cutoff=0.6))
        hint = f"near it: {', '.join(near)}" if near else f"known: {', '.join(self.known) or 'none'}"
        super().__init__(f"no {kind} named {name!r}; {hint}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.kind, self.name, self.known)


class CapabilityError(DeisError, TypeError):
    """A method needs something that the problem at hand does not offer."""


class NonFiniteError(DeisError, ArithmeticError):
    """The nonlinearity returned NaN or Inf; the message names the evaluation, the step and the time."""


class NetworkError(DeisError, TypeError):
    """The nonlinearity returned something that does not fit the state."""


class OutputError(DeisError, OSError):
    """A file or folder cannot be written where it was asked for."""

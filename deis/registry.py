"""Names to classes, with presets, options and near misses."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import attrs

from deis.errors import ArgumentError, UnknownNameError

T = TypeVar("T")
C = TypeVar("C", bound=type)


@attrs.frozen
class Entry(Generic[T]):
    """What a name stands for: a class and the options that the name fixes."""

    cls: Callable[..., T]
    preset: Mapping[str, Any]

    def options(self) -> tuple[str, ...]:
        """Names of the options that the class takes."""
        cls: Any = self.cls
        return tuple(field.alias for field in attrs.fields(cls) if field.init)

    def summary(self) -> str:
        """First sentence of the class's docstring."""
        return (self.cls.__doc__ or "").strip().splitlines()[0]


class Registry(Generic[T]):
    """A table of names; each makes a value of one kind.

    >>> colours = Registry("colour")
    >>> @colours.register("grey", level=0.5)
    ... @attrs.frozen
    ... class Grey:
    ...     '''A shade.'''
    ...     level: float
    >>> colours.create("grey"), colours.create("grey:level=0.25")
    (Grey(level=0.5), Grey(level=0.25))
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry[T]] = {}

    def register(self, name: str, **preset: Any) -> Callable[[C], C]:
        """Class decorator that adds ``name``, with the options that it fixes.

        :raises ArgumentError: if the name is taken.
        """
        if name in self._entries:
            raise ArgumentError("name", f"must be new among the {self.kind}s", name)

        def add(cls: C) -> C:
            plain: type = cls
            if not attrs.has(plain):
                raise ArgumentError(cls.__name__, "must be an attrs class", cls, "decorate it with attrs.frozen first")
            self._entries[name] = Entry(cls, MappingProxyType(preset))
            return cls

        return add

    def __getitem__(self, name: str) -> Entry[T]:
        if name not in self._entries:
            raise UnknownNameError(self.kind, name, self._entries)
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def create(self, text: str, **options: Any) -> T:
        """Make the value that ``text`` describes: ``name`` or ``name:option=value:option=value``.

        :raises UnknownNameError: for names and options that do not exist (near misses are shown).
        :raises ArgumentError: for malformed text and for values that an option does not take.
        """
        if not isinstance(text, str):
            raise ArgumentError(self.kind, "must be a name", text, f"one of {', '.join(self)}")
        name, *pairs = text.split(":")
        entry = self[name]
        chosen = {**entry.preset, **_parse_all(pairs), **options}
        for option in chosen:
            if not entry.options():
                raise ArgumentError(name, "takes no options", option, f"write {name}")
            if option not in entry.options():
                raise UnknownNameError(f"option of {name!r}", option, entry.options())
        return entry.cls(**chosen)


def _parse_all(pairs: list[str]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for option, value in map(_parse, pairs):
        if option in given:
            raise ArgumentError(option, "must be given once", given[option])
        given[option] = value
    return given


def _parse(pair: str) -> tuple[str, Any]:
    option, equals, value = pair.partition("=")
    if not (option and equals and value):
        raise ArgumentError("option", "must read name=value", pair, "for example tab3:corrector=true")
    return option, _literal(value)


def _literal(text: str) -> Any:
    words = {"true": True, "on": True, "false": False, "off": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float, complex) if text[0] in "+-.0123456789" else (float,):  # j is a name, nan is not
        try:
            return kind(text)
        except ValueError:
            continue
    return text

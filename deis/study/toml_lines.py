"""Where the values of a TOML document stand: the parser of the standard library does not say."""

import re
import tomllib
from typing import Final, NamedTuple

from deis.study.places import Place

_TOKEN: Final = re.compile(
    r"""
      (?P<skip>  [ \t\r]+ | \#[^\n]* )
    | (?P<end>   \n )
    | (?P<text>  \"{3} (?: \\. | [^\\] )*? \"{3,5} | '{3} .*? '{3,5} | " (?: \\. | [^"\\\n] )* " | ' [^'\n]* ' )
    | (?P<mark>  [][{},=] )
    | (?P<bare>  [^][{},=\#"'\s]+ )
    """,
    re.VERBOSE | re.DOTALL,
)


class _Token(NamedTuple):
    kind: str
    text: str
    line: int


def lines(text: str) -> dict[Place, int]:
    """The line, from 1, on which each table and value begins.

    :param text: a TOML document without errors, as ``tomllib.loads`` accepts it.

    >>> lines("a = 1\\n[[b]]\\nc = {d = [2,\\n3]}\\n")[("b", 0, "c", "d", 1)]
    4
    """
    reader = _Reader(text)
    reader.document()
    return reader.found


class _Reader:
    """Goes through the tokens once; that the document is valid leaves little to decide."""

    def __init__(self, text: str) -> None:
        self._tokens: list[_Token] = []
        line = 1
        for match in _TOKEN.finditer(text):
            if match.lastgroup not in ("skip", None):
                self._tokens.append(_Token(str(match.lastgroup), match[0], line))
            line += match[0].count("\n")
        self._tokens.append(_Token("end", "\n", line))
        self._at = 0
        self._tables: dict[Place, int] = {}  # arrays of tables, with the number of tables in each
        self.found: dict[Place, int] = {}

    def document(self) -> None:
        table: Place = ()
        while self._at < len(self._tokens):
            if self._here.text == "[":
                table = self._header()
            elif self._here.kind == "end":
                self._at += 1
            else:
                self._pair(table)

    @property
    def _here(self) -> _Token:
        return self._tokens[self._at]

    def _next(self) -> _Token:
        self._at += 1
        return self._tokens[self._at - 1]

    def _header(self) -> Place:
        line, start = self._here.line, self._at
        while self._here.text == "[":
            self._at += 1
        array = self._at - start == 2
        place: Place = ()
        keys = self._keys()
        for number, key in enumerate(keys, start=1):
            place = (*place, key)
            if array and number == len(keys):
                self._tables[place] = self._tables.get(place, 0) + 1
                self.found.setdefault(place, line)
            if place in self._tables:  # what follows belongs to the newest table of the array
                place = (*place, self._tables[place] - 1)
        while self._here.kind != "end":
            self._at += 1
        self.found[place] = line
        return place

    def _keys(self) -> list[str]:
        """The parts of a dotted key."""
        parts: list[str] = []
        while self._here.kind in ("bare", "text"):
            token = self._next()
            quoted = token.kind == "text"
            parts += [tomllib.loads(f"key = {token.text}")["key"]] if quoted else filter(None, token.text.split("."))
        return parts

    def _pair(self, table: Place) -> None:
        line, place = self._here.line, table
        for key in self._keys():
            place = (*place, key)
            self.found.setdefault(place, line)
        self._at += 1  # =
        self._value(place)

    def _value(self, place: Place) -> None:
        self.found.setdefault(place, self._here.line)
        opening = self._here.text
        if opening not in ("[", "{"):
            while self._here.kind in ("bare", "text"):  # a date and a time are two words
                self._at += 1
            return
        self._at += 1
        count = 0
        while self._here.text not in ("]", "}"):
            if self._here.kind == "end" or self._here.text == ",":
                self._at += 1
            elif opening == "{":
                self._pair(place)
            else:
                self._value((*place, count))
                count += 1
        self._at += 1

"""Explicit Runge-Kutta tableaux, with their order conditions checked when one is made."""

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

import attrs

from deis.errors import ArgumentError

Numbers = tuple[Fraction, ...]


def _fractions(values: Iterable[str | int | Fraction]) -> Numbers:
    return tuple(Fraction(value) for value in values)


def _rows(rows: Iterable[Iterable[str | int | Fraction]]) -> tuple[Numbers, ...]:
    return tuple(map(_fractions, rows))


@attrs.frozen
class ButcherTableau:
    """Coefficients of an explicit Runge-Kutta method, as exact fractions.

    :raises ArgumentError: if the shape is not that of an explicit method, or if an
        order condition up to ``order`` fails (Hairer, Norsett and Wanner, Solving ODEs I, section II.2).
    """

    order: int
    a: tuple[Numbers, ...] = attrs.field(converter=_rows)
    b: Numbers = attrs.field(converter=_fractions)

    def __attrs_post_init__(self) -> None:
        if [len(row) for row in self.a] != list(range(self.stages)):
            raise ArgumentError("a", "must have one row a stage, each one longer than the last", self.a)
        if self.order not in range(1, 5):
            raise ArgumentError("order", "must be a whole number from 1 to 4", self.order)
        for degree, name, holds in self._conditions():
            if degree <= self.order and not holds():
                raise ArgumentError("b", f"must satisfy the condition {name} of order {degree}", self.b)

    @property
    def stages(self) -> int:
        """Evaluations a step."""
        return len(self.b)

    @property
    def c(self) -> Numbers:
        """Stage times, as fractions of the step."""
        return tuple(sum(row, Fraction(0)) for row in self.a)

    def _conditions(self) -> Iterator[tuple[int, str, Callable[[], bool]]]:
        c = self.c

        def sum_b(values: Numbers) -> Fraction:
            return sum((b * v for b, v in zip(self.b, values, strict=True)), Fraction(0))

        def inner(values: Numbers) -> Numbers:
            return tuple(sum((a * v for a, v in zip(r, values, strict=False)), Fraction(0)) for r in self.a)

        def power(k: int) -> Numbers:
            return tuple(v**k for v in c)

        def times(x: Numbers, y: Numbers) -> Numbers:
            return tuple(p * q for p, q in zip(x, y, strict=True))

        yield 1, "sum b = 1", lambda: sum(self.b) == 1
        yield 2, "b.c = 1/2", lambda: sum_b(c) == Fraction(1, 2)
        yield 3, "b.c^2 = 1/3", lambda: sum_b(power(2)) == Fraction(1, 3)
        yield 3, "b.a.c = 1/6", lambda: sum_b(inner(c)) == Fraction(1, 6)
        yield 4, "b.c^3 = 1/4", lambda: sum_b(power(3)) == Fraction(1, 4)
        yield 4, "b.(c a.c) = 1/8", lambda: sum_b(times(c, inner(c))) == Fraction(1, 8)
        yield 4, "b.a.c^2 = 1/12", lambda: sum_b(inner(power(2))) == Fraction(1, 12)
        yield 4, "b.a.a.c = 1/24", lambda: sum_b(inner(inner(c))) == Fraction(1, 24)


TABLEAUX = {
    "euler": ButcherTableau(1, [()], (1,)),
    "heun2": ButcherTableau(2, [(), (1,)], ("1/2", "1/2")),
    "kutta3": ButcherTableau(3, [(), ("1/2",), (-1, 2)], ("1/6", "2/3", "1/6")),
    "ralston3": ButcherTableau(3, [(), ("1/2",), (0, "3/4")], ("2/9", "1/3", "4/9")),
    "heun3": ButcherTableau(3, [(), ("1/3",), (0, "2/3")], ("1/4", 0, "3/4")),
    "houwen3": ButcherTableau(3, [(), ("8/15",), ("1/4", "5/12")], ("1/4", 0, "3/4")),
    "ssprk3": ButcherTableau(3, [(), (1,), ("1/4", "1/4")], ("1/6", "1/6", "2/3")),
    "rk4": ButcherTableau(4, [(), ("1/2",), (0, "1/2"), (0, 0, 1)], ("1/6", "1/3", "1/3", "1/6")),
}

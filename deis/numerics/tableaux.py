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

    :param embedded: weights of a second method, one order lower, whose result the error is estimated against.
    :raises ArgumentError: if the shape is not that of an explicit method, or if an
        order condition up to ``order`` fails (Hairer, Norsett and Wanner, Solving ODEs I, section II.2).
    """

    order: int
    a: tuple[Numbers, ...] = attrs.field(converter=_rows)
    b: Numbers = attrs.field(converter=_fractions)
    embedded: Numbers | None = attrs.field(default=None, converter=attrs.converters.optional(_fractions))

    def __attrs_post_init__(self) -> None:
        if [len(row) for row in self.a] != list(range(self.stages)):
            raise ArgumentError("a", "must have one row a stage, each one longer than the last", self.a)
        if self.order not in range(1, 6):
            raise ArgumentError("order", "must be a whole number from 1 to 5", self.order)
        self._check("b", self.b, self.order)
        if self.embedded is not None:
            if len(self.embedded) != self.stages:
                raise ArgumentError("embedded", f"must have {self.stages} weights, as b has", self.embedded)
            self._check("embedded", self.embedded, self.order - 1)

    @property
    def stages(self) -> int:
        """Evaluations a step."""
        return len(self.b)

    @property
    def c(self) -> Numbers:
        """Stage times, as fractions of the step."""
        return tuple(sum(row, Fraction(0)) for row in self.a)

    def _check(self, argument: str, weights: Numbers, order: int) -> None:
        for degree, name, holds in self._conditions(weights):
            if degree <= order and not holds():
                raise ArgumentError(argument, f"must satisfy the condition {name} of order {degree}", weights)

    def _conditions(self, weights: Numbers) -> Iterator[tuple[int, str, Callable[[], bool]]]:
        c = self.c

        def sum_b(values: Numbers) -> Fraction:
            return sum((b * v for b, v in zip(weights, values, strict=True)), Fraction(0))

        def inner(values: Numbers) -> Numbers:
            return tuple(sum((a * v for a, v in zip(r, values, strict=False)), Fraction(0)) for r in self.a)

        def power(k: int) -> Numbers:
            return tuple(v**k for v in c)

        def times(x: Numbers, y: Numbers) -> Numbers:
            return tuple(p * q for p, q in zip(x, y, strict=True))

        yield 1, "sum b = 1", lambda: sum(weights) == 1
        yield 2, "b.c = 1/2", lambda: sum_b(c) == Fraction(1, 2)
        yield 3, "b.c^2 = 1/3", lambda: sum_b(power(2)) == Fraction(1, 3)
        yield 3, "b.a.c = 1/6", lambda: sum_b(inner(c)) == Fraction(1, 6)
        yield 4, "b.c^3 = 1/4", lambda: sum_b(power(3)) == Fraction(1, 4)
        yield 4, "b.(c a.c) = 1/8", lambda: sum_b(times(c, inner(c))) == Fraction(1, 8)
        yield 4, "b.a.c^2 = 1/12", lambda: sum_b(inner(power(2))) == Fraction(1, 12)
        yield 4, "b.a.a.c = 1/24", lambda: sum_b(inner(inner(c))) == Fraction(1, 24)
        yield 5, "b.c^4 = 1/5", lambda: sum_b(power(4)) == Fraction(1, 5)
        yield 5, "b.(c^2 a.c) = 1/10", lambda: sum_b(times(power(2), inner(c))) == Fraction(1, 10)
        yield 5, "b.(a.c)^2 = 1/20", lambda: sum_b(times(inner(c), inner(c))) == Fraction(1, 20)
        yield 5, "b.(c a.c^2) = 1/15", lambda: sum_b(times(c, inner(power(2)))) == Fraction(1, 15)
        yield 5, "b.(c a.a.c) = 1/30", lambda: sum_b(times(c, inner(inner(c)))) == Fraction(1, 30)
        yield 5, "b.a.c^3 = 1/20", lambda: sum_b(inner(power(3))) == Fraction(1, 20)
        yield 5, "b.a.(c a.c) = 1/40", lambda: sum_b(inner(times(c, inner(c)))) == Fraction(1, 40)
        yield 5, "b.a.a.c^2 = 1/60", lambda: sum_b(inner(inner(power(2)))) == Fraction(1, 60)
        yield 5, "b.a.a.a.c = 1/120", lambda: sum_b(inner(inner(inner(c)))) == Fraction(1, 120)


def second_order(alpha: str | int | float | Fraction) -> ButcherTableau:
    """The second order tableau whose second stage is at ``alpha`` of the step, embedding Euler's method.

    In the clock rho these are the samplers of arXiv 2206.00364, algorithm 3.

    :param alpha: not 0; 1 for Heun's method, 1/2 for the midpoint rule.

    >>> second_order("2/3") == TABLEAUX["ralston2"]
    True
    """
    alpha = Fraction(alpha)
    if alpha == 0:
        raise ArgumentError("alpha", "must not be 0", alpha)
    return ButcherTableau(2, [(), (alpha,)], (1 - 1 / (2 * alpha), 1 / (2 * alpha)), (1, 0))


TABLEAUX = {
    "euler": ButcherTableau(1, [()], (1,)),
    "midpoint": second_order("1/2"),
    "ralston2": second_order("2/3"),
    "heun2": second_order(1),
    "kutta3": ButcherTableau(3, [(), ("1/2",), (-1, 2)], ("1/6", "2/3", "1/6")),
    "ralston3": ButcherTableau(3, [(), ("1/2",), (0, "3/4")], ("2/9", "1/3", "4/9")),
    "heun3": ButcherTableau(3, [(), ("1/3",), (0, "2/3")], ("1/4", 0, "3/4")),
    "houwen3": ButcherTableau(3, [(), ("8/15",), ("1/4", "5/12")], ("1/4", 0, "3/4")),
    "ssprk3": ButcherTableau(3, [(), (1,), ("1/4", "1/4")], ("1/6", "1/6", "2/3")),
    "rk4": ButcherTableau(4, [(), ("1/2",), (0, "1/2"), (0, 0, 1)], ("1/6", "1/3", "1/3", "1/6")),
    # the last stage is the point of the result, so that an adaptive method has it for its next step
    "bogacki-shampine": ButcherTableau(
        3,
        [(), ("1/2",), (0, "3/4"), ("2/9", "1/3", "4/9")],
        ("2/9", "1/3", "4/9", 0),
        ("7/24", "1/4", "1/3", "1/8"),
    ),
    "dormand-prince": ButcherTableau(
        5,
        [
            (),
            ("1/5",),
            ("3/40", "9/40"),
            ("44/45", "-56/15", "32/9"),
            ("19372/6561", "-25360/2187", "64448/6561", "-212/729"),
            ("9017/3168", "-355/33", "46732/5247", "49/176", "-5103/18656"),
            ("35/384", 0, "500/1113", "125/192", "-2187/6784", "11/84"),
        ],
        ("35/384", 0, "500/1113", "125/192", "-2187/6784", "11/84", 0),
        ("5179/57600", 0, "7571/16695", "393/640", "-92097/339200", "187/2100", "1/40"),
    ),
}

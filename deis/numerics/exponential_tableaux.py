"""Explicit exponential Runge-Kutta tableaux: entries are linear combinations of phi functions, kept as exact data."""

import math
from collections.abc import Iterable
from fractions import Fraction
from functools import cached_property

import attrs

from deis.errors import ArgumentError
from deis.numerics.tableaux import ButcherTableau, Numbers

Number = str | int | float | Fraction
Term = tuple[int, Fraction, Fraction]


def _merge(terms: Iterable[tuple[int, Number, Number]]) -> tuple[Term, ...]:
    total: dict[tuple[int, Fraction], Fraction] = {}
    for k, c, number in terms:
        key = k, Fraction(c)
        total[key] = total.get(key, Fraction(0)) + Fraction(number)
    return tuple((k, c, number) for (k, c), number in sorted(total.items()) if number)


@attrs.frozen
class Phis:
    """A linear combination of values phi_k(c z), each term (k, c, factor), which can be added and scaled.

    >>> phi(1) - phi(2, "1/2") * 3 + phi(1)
    Phis(terms=((1, Fraction(1, 1), Fraction(2, 1)), (2, Fraction(1, 2), Fraction(-3, 1))))
    """

    terms: tuple[Term, ...] = attrs.field(default=(), converter=_merge)

    def __add__(self, other: "Phis") -> "Phis":
        return Phis((*self.terms, *other.terms))

    def __sub__(self, other: "Phis") -> "Phis":
        return self + other * -1

    def __mul__(self, factor: Number) -> "Phis":
        return Phis((k, c, number * Fraction(factor)) for k, c, number in self.terms)

    def __truediv__(self, divisor: Number) -> "Phis":
        return self * (1 / Fraction(divisor))

    def without_linear_part(self) -> Fraction:
        """The value at z = 0, where phi_k = 1 / k!."""
        return sum((number / math.factorial(k) for k, _, number in self.terms), Fraction(0))


NONE = Phis()
"""The entry 0."""


def phi(k: int, c: Number = 1) -> Phis:
    """phi_k(c z)."""
    return Phis([(k, c, 1)])


def _sum(entries: Iterable[Phis]) -> Phis:
    return sum(entries, NONE)


def _values(entries: Iterable[Phis]) -> Numbers:
    return tuple(entry.without_linear_part() for entry in entries)


def _entries(row: Iterable[Phis]) -> tuple[Phis, ...]:
    return tuple(row)


def _rows(rows: Iterable[Iterable[Phis]]) -> tuple[tuple[Phis, ...], ...]:
    return tuple(map(_entries, rows))


def _fractions(values: Iterable[Number]) -> Numbers:
    return tuple(Fraction(value) for value in values)


@attrs.frozen
class ExponentialTableau:
    """U_i = e^{c_i z} u + h sum_j a_ij N_j,  u+ = e^z u + h sum_i b_i N_i  with z = h L.

    :param order: classical order.
    :param stiff_order: order that holds however large L is, in the sense of Hochbruck and Ostermann (2005).
    :param c: stage times, as fractions of the step.
    :param a: entries of the stages, row ``i`` of length ``i``.
    :param b: weights of the step.
    :param embedded: weights of a second method, one order lower, whose result the error is estimated against.
    :raises ArgumentError: if the shape is not that of an explicit method; if a stage or the step is not exact for
        constant N, or the step for N a polynomial in t of degree ``stiff_order`` - 2 (Hochbruck and Ostermann, Acta
        Numerica 19 (2010), section 2.3); or if a classical order condition fails without a linear part.

    >>> EXPONENTIAL_TABLEAUX["krogstad"].classical.b
    (Fraction(1, 6), Fraction(1, 3), Fraction(1, 3), Fraction(1, 6))
    """

    order: int
    stiff_order: int
    c: Numbers = attrs.field(converter=_fractions)
    a: tuple[tuple[Phis, ...], ...] = attrs.field(converter=_rows)
    b: tuple[Phis, ...] = attrs.field(converter=_entries)
    embedded: tuple[Phis, ...] | None = attrs.field(default=None, converter=attrs.converters.optional(_entries))

    def __attrs_post_init__(self) -> None:
        if not 1 <= self.stiff_order <= self.order:
            raise ArgumentError("stiff_order", f"must be from 1 to the order {self.order}", self.stiff_order)
        _ = self.classical  # checks the shape and the classical conditions
        if len(self.c) != self.stages:
            raise ArgumentError("c", f"must have {self.stages} times, as b has weights", self.c)
        for i, (c, row) in enumerate(zip(self.c, self.a, strict=True)):
            if _sum(row) != phi(1, c) * c:
                raise ArgumentError("a", f"must have c phi_1(c z) with c = {c} as the sum of row {i}", row)
        self._check("b", self.b, max(1, self.stiff_order - 1))
        if self.embedded is not None:
            self._check("embedded", self.embedded, 1)

    def _check(self, argument: str, weights: tuple[Phis, ...], highest: int) -> None:
        for k in range(highest):
            moment = _sum(w * (c**k / math.factorial(k)) for w, c in zip(weights, self.c, strict=True))
            if moment != phi(k + 1):
                raise ArgumentError(argument, f"must satisfy sum b c^{k} / {k}! = phi_{k + 1}", weights)

    @property
    def stages(self) -> int:
        """Evaluations a step."""
        return len(self.b)

    @cached_property
    def classical(self) -> ButcherTableau:
        """The Runge-Kutta method that it is without a linear part."""
        embedded = None if self.embedded is None else _values(self.embedded)
        return ButcherTableau(self.order, map(_values, self.a), _values(self.b), embedded)

    @cached_property
    def arguments(self) -> Numbers:
        """Every factor of z at which a phi function is taken."""
        return tuple(sorted({c for row in self._all_rows() for entry in row for _, c, _ in entry.terms}))

    @cached_property
    def numbers(self) -> list[list[list[list[float]]]]:
        """Factors of phi_k(c z), shape (rows, stages, k, :attr:`arguments`), k from 0.

        The rows are those of ``a`` but the first, then ``b`` and, if there are such weights, ``b`` less ``embedded``.
        """
        highest = max(k for row in self._all_rows() for entry in row for k, _, _ in entry.terms)
        padded = ((*row, *[NONE] * (self.stages - len(row))) for row in self._all_rows())
        return [[self._table(entry, highest) for entry in row] for row in padded]

    def _all_rows(self) -> list[tuple[Phis, ...]]:
        errors = [] if self.embedded is None else [tuple(b - e for b, e in zip(self.b, self.embedded, strict=True))]
        return [*self.a[1:], self.b, *errors]

    def _table(self, entry: Phis, highest: int) -> list[list[float]]:
        known = {(k, c): float(number) for k, c, number in entry.terms}
        return [[known.get((k, c), 0.0) for c in self.arguments] for k in range(highest + 1)]


def etd2rk(c2: Number = 1) -> ExponentialTableau:
    """Second order with the second stage at ``c2``.

    Source: Hochbruck and Ostermann, Acta Numerica 19 (2010), section 2.3.
    """
    c2 = Fraction(c2)
    b2 = phi(2) / c2
    return ExponentialTableau(2, 2, (0, c2), [(), (phi(1, c2) * c2,)], (phi(1) - b2, b2), (phi(1), NONE))


def dpm_solver_2(r1: Number = "1/2") -> ExponentialTableau:
    """DPM-Solver-2: second order with the second stage at ``r1``, and phi_1 / 2 in the place of phi_2.

    Its embedded method is DPM-Solver-1 (DPM-Solver-12). Sources: arXiv 2206.00927, algorithm 4; with x0 predicted
    DPM-Solver++(2S), arXiv 2211.01095, algorithm 1; with ``r1`` = 1/2 and eps DPM2 of k-diffusion.
    """
    r1 = Fraction(r1)
    b2 = phi(1) / (2 * r1)
    return ExponentialTableau(2, 2, (0, r1), [(), (phi(1, r1) * r1,)], (phi(1) - b2, b2), (phi(1), NONE))


def dpm_solver_3(r1: Number = "1/3", r2: Number = "2/3") -> ExponentialTableau:
    """DPM-Solver-3, of third order for ``r2`` = 2/3 and of second order else.

    Its embedded method is DPM-Solver-2 (DPM-Solver-23), or DPM-Solver-1 if it is of second order. Sources:
    arXiv 2206.00927, algorithm 5; with x0 predicted DPM-Solver++(3S).
    """
    r1, r2 = Fraction(r1), Fraction(r2)
    order = 3 if r2 == Fraction(2, 3) else 2
    a32, b3, e2 = phi(2, r2) * (r2**2 / r1), phi(2) / r2, phi(1) / (2 * r1) if order == 3 else NONE
    a = [(), (phi(1, r1) * r1,), (phi(1, r2) * r2 - a32, a32)]
    return ExponentialTableau(order, order, (0, r1, r2), a, (phi(1) - b3, NONE, b3), (phi(1) - e2, e2, NONE))


_HALF = Fraction(1, 2)
_P1, _P2, _P3 = (phi(k) for k in (1, 2, 3))
_Q1, _Q2, _Q3 = (phi(k, _HALF) for k in (1, 2, 3))
_FIRST, _MIDDLE, _LAST = _P1 - _P2 * 3 + _P3 * 4, _P2 * 4 - _P3 * 8, _P3 * 4 - _P2  # exact for parabolas
_FOUR = (_FIRST, _MIDDLE / 2, _MIDDLE / 2, _LAST)
_KROGSTAD_3 = (_Q1 / 2 - _Q2, _Q2)
_A52 = _Q2 / 2 - _P3 + _P2 / 4 - _Q3 / 2
_A54 = _Q2 / 4 - _A52

EXPONENTIAL_TABLEAUX = {
    "etd1": ExponentialTableau(1, 1, (0,), [()], (_P1,)),
    "etd2rk": etd2rk(),
    # Cox and Matthews, J. Comput. Phys. 176 (2002), eq. 23-29
    "etd3rk": ExponentialTableau(
        order=3,
        stiff_order=2,
        c=(0, _HALF, 1),
        a=[(), (_Q1 / 2,), (_P1 * -1, _P1 * 2)],
        b=(_FIRST, _MIDDLE, _LAST),
        embedded=(_P1 - _P2 * 2, _P2 * 2, NONE),
    ),
    "etdrk4": ExponentialTableau(
        order=4,
        stiff_order=2,
        c=(0, _HALF, _HALF, 1),
        a=[(), (_Q1 / 2,), (NONE, _Q1 / 2), (_P1 - _Q1, NONE, _Q1)],
        b=_FOUR,
    ),
    # Krogstad, J. Comput. Phys. 203 (2005)
    "krogstad": ExponentialTableau(
        order=4,
        stiff_order=3,
        c=(0, _HALF, _HALF, 1),
        a=[(), (_Q1 / 2,), _KROGSTAD_3, (_P1 - _P2 * 2, NONE, _P2 * 2)],
        b=_FOUR,
    ),
    # Strehmel and Weiner, as in Hochbruck and Ostermann, Acta Numerica 19 (2010), section 2.3
    "strehmel-weiner": ExponentialTableau(
        order=4,
        stiff_order=3,
        c=(0, _HALF, _HALF, 1),
        a=[(), (_Q1 / 2,), ((_Q1 - _Q2) / 2, _Q2 / 2), (_P1 - _P2 * 2, _P2 * -2, _P2 * 4)],
        b=(_FIRST, NONE, _MIDDLE, _LAST),
    ),
    # Hochbruck and Ostermann, SIAM J. Numer. Anal. 43 (2005), section 5; all weights of order 3 on the times of these
    # stages are Simpson's, here and above, so that an estimate by them would not see how N changes in time
    "hochbruck-ostermann": ExponentialTableau(
        order=4,
        stiff_order=4,
        c=(0, _HALF, _HALF, 1, _HALF),
        a=[(), (_Q1 / 2,), _KROGSTAD_3, (_P1 - _P2 * 2, _P2, _P2), (_Q1 / 2 - _A52 * 2 - _A54, _A52, _A52, _A54)],
        b=(_FIRST, NONE, NONE, _LAST, _MIDDLE),
    ),
    "dpm-solver-2": dpm_solver_2(),
    "dpm-solver-3": dpm_solver_3(),
}

"""Tableaux whose entries are linear combinations of phi functions, kept as exact data."""

import abc
import math
from collections.abc import Iterable
from fractions import Fraction
from functools import cached_property

import attrs
import torch
from torch import Tensor

from deis.errors import ArgumentError
from deis.numerics.tableaux import Numbers

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


def total(entries: Iterable[Phis]) -> Phis:
    """Sum of entries."""
    return sum(entries, NONE)


def _entries(row: Iterable[Phis]) -> tuple[Phis, ...]:
    return tuple(row)


def _rows(rows: Iterable[Iterable[Phis]]) -> tuple[tuple[Phis, ...], ...]:
    return tuple(map(_entries, rows))


def _fractions(values: Iterable[Number]) -> Numbers:
    return tuple(Fraction(value) for value in values)


@attrs.frozen
class PhiTableau(abc.ABC):
    """U_i = e^{c_i z} u + h sum_j a_ij N_j,  u+ = e^z u + h sum_i b_i N_i  with z = h L.

    :param order: classical order.
    :param c: stage times, as fractions of the step.
    :param a: entries of the stages, row ``i`` of length ``i``.
    :param b: weights of the step.
    :param embedded: weights of a second method, one order lower, whose result the error is estimated against.
    :raises ArgumentError: if the shape is not that of an explicit method, if a stage is not exact for constant N, or if
        :meth:`check` finds that a condition of the order fails.
    """

    order: int
    c: Numbers = attrs.field(converter=_fractions)
    a: tuple[tuple[Phis, ...], ...] = attrs.field(converter=_rows)
    b: tuple[Phis, ...] = attrs.field(converter=_entries)
    embedded: tuple[Phis, ...] | None = attrs.field(
        default=None, converter=attrs.converters.optional(_entries), kw_only=True
    )

    def __attrs_post_init__(self) -> None:
        if [len(row) for row in self.a] != list(range(self.stages)):
            raise ArgumentError("a", "must have one row a stage, each one longer than the last", self.a)
        if len(self.c) != self.stages:
            raise ArgumentError("c", f"must have {self.stages} times, as b has weights", self.c)
        if self.embedded is not None and len(self.embedded) != self.stages:
            raise ArgumentError("embedded", f"must have {self.stages} weights, as b has", self.embedded)
        for i, (c, row) in enumerate(zip(self.c, self.a, strict=True)):
            if total(row) != phi(1, c) * c:
                raise ArgumentError("a", f"must have c phi_1(c z) with c = {c} as the sum of row {i}", row)
        self.check()

    @abc.abstractmethod
    def check(self) -> None:
        """Refuse weights that are not of the order."""

    def need_moments(self, argument: str, weights: tuple[Phis, ...], degrees: Iterable[int]) -> None:
        """Refuse weights that are not exact for N a power of t: sum_i b_i c_i^k / k! must be phi_{k+1}.

        This is the condition psi_{k+1}(0) = 0 of Hochbruck and Ostermann, Acta Numerica 19 (2010), section 2.3.
        """
        for k in degrees:
            moment = total(w * (c**k / math.factorial(k)) for w, c in zip(weights, self.c, strict=True))
            if moment != phi(k + 1):
                raise ArgumentError(argument, f"must satisfy sum b c^{k} / {k}! = phi_{k + 1}", weights)

    @property
    def stages(self) -> int:
        """Evaluations a step."""
        return len(self.b)

    @cached_property
    def arguments(self) -> Numbers:
        """Every factor of z at which a phi function is taken."""
        return tuple(sorted({c for row in self._all_rows() for entry in row for _, c, _ in entry.terms}))

    @cached_property
    def fractions(self) -> Tensor:
        """:attr:`arguments`, shape (arguments,)."""
        return torch.tensor(list(map(float, self.arguments)), dtype=torch.float64, device="cpu")

    @cached_property
    def numbers(self) -> Tensor:
        """Factors of phi_k(c z), shape (rows, 1 + stages, k, :attr:`arguments`), k from 0: of the state, then of h N.

        The rows are those of ``a`` but the first, then ``b`` and, if there are such weights, ``b`` less ``embedded``.
        """
        highest = max(k for row in self._all_rows() for entry in row for k, _, _ in entry.terms)
        padded = ((*row, *[NONE] * (self.stages + 1 - len(row))) for row in self._all_rows())
        table = [[self._table(entry, highest) for entry in row] for row in padded]
        return torch.tensor(table, dtype=torch.float64, device="cpu")

    @cached_property
    def used(self) -> list[list[bool]]:
        """Whether an entry of :attr:`numbers` is something else than 0, row by row."""
        found: list[list[bool]] = (self.numbers != 0).flatten(2).any(2).tolist()
        return found

    def _all_rows(self) -> list[tuple[Phis, ...]]:
        ends = (*self.c[1:], Fraction(1))
        rows = [(phi(0, c), *row) for c, row in zip(ends, (*self.a[1:], self.b), strict=True)]
        if self.embedded is not None:
            rows.append((NONE, *(b - e for b, e in zip(self.b, self.embedded, strict=True))))
        return rows

    def _table(self, entry: Phis, highest: int) -> list[list[float]]:
        known = {(k, c): float(number) for k, c, number in entry.terms}
        return [[known.get((k, c), 0.0) for c in self.arguments] for k in range(highest + 1)]

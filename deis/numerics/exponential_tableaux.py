"""Explicit exponential Runge-Kutta tableaux."""

from collections.abc import Iterable
from fractions import Fraction
from functools import cached_property

import attrs

from deis.errors import ArgumentError
from deis.numerics.phi_tableaux import NONE, Number, Phis, PhiTableau, phi
from deis.numerics.tableaux import ButcherTableau, Numbers


def _values(entries: Iterable[Phis]) -> Numbers:
    return tuple(entry.without_linear_part() for entry in entries)


@attrs.frozen
class ExponentialTableau(PhiTableau):
    """An explicit exponential Runge-Kutta method, whose linear part is the same in every step.

    :param stiff_order: order that holds however large L is, in the sense of Hochbruck and Ostermann (2005).
    :raises ArgumentError: also if the step is not exact for N a polynomial in t of degree ``stiff_order`` - 2, or if a
        classical order condition fails without a linear part.

    >>> EXPONENTIAL_TABLEAUX["krogstad"].classical.b
    (Fraction(1, 6), Fraction(1, 3), Fraction(1, 3), Fraction(1, 6))
    """

    stiff_order: int = attrs.field(kw_only=True)

    def check(self) -> None:
        if not 1 <= self.stiff_order <= self.order:
            raise ArgumentError("stiff_order", f"must be from 1 to the order {self.order}", self.stiff_order)
        _ = self.classical  # checks the classical conditions
        self.need_moments("b", self.b, range(max(1, self.stiff_order - 1)))
        if self.embedded is not None:
            self.need_moments("embedded", self.embedded, range(1))

    @cached_property
    def classical(self) -> ButcherTableau:
        """The Runge-Kutta method that it is without a linear part."""
        embedded = None if self.embedded is None else _values(self.embedded)
        return ButcherTableau(self.order, map(_values, self.a), _values(self.b), embedded)


def etd2rk(c2: Number = 1) -> ExponentialTableau:
    """Second order with the second stage at ``c2``.

    Source: Hochbruck and Ostermann, Acta Numerica 19 (2010), section 2.3.
    """
    c2 = Fraction(c2)
    b2 = phi(2) / c2
    a = [(), (phi(1, c2) * c2,)]
    return ExponentialTableau(2, (0, c2), a, (phi(1) - b2, b2), stiff_order=2, embedded=(phi(1), NONE))


def dpm_solver_2(r1: Number = "1/2") -> ExponentialTableau:
    """DPM-Solver-2: second order with the second stage at ``r1``, and phi_1 / 2 in the place of phi_2.

    Its embedded method is DPM-Solver-1 (DPM-Solver-12). Sources: arXiv 2206.00927, algorithm 4; with x0 predicted
    DPM-Solver++(2S), arXiv 2211.01095, algorithm 1; with ``r1`` = 1/2 and eps DPM2 of k-diffusion.
    """
    r1 = Fraction(r1)
    b2 = phi(1) / (2 * r1)
    a = [(), (phi(1, r1) * r1,)]
    return ExponentialTableau(2, (0, r1), a, (phi(1) - b2, b2), stiff_order=2, embedded=(phi(1), NONE))


def dpm_solver_3(r1: Number = "1/3", r2: Number = "2/3") -> ExponentialTableau:
    """DPM-Solver-3, of third order for ``r2`` = 2/3 and of second order else.

    Its embedded method is DPM-Solver-2 (DPM-Solver-23), or DPM-Solver-1 if it is of second order. Sources:
    arXiv 2206.00927, algorithm 5; with x0 predicted DPM-Solver++(3S).
    """
    r1, r2 = Fraction(r1), Fraction(r2)
    order = 3 if r2 == Fraction(2, 3) else 2
    a32, b3, e2 = phi(2, r2) * (r2**2 / r1), phi(2) / r2, phi(1) / (2 * r1) if order == 3 else NONE
    a = [(), (phi(1, r1) * r1,), (phi(1, r2) * r2 - a32, a32)]
    b, embedded = (phi(1) - b3, NONE, b3), (phi(1) - e2, e2, NONE)
    return ExponentialTableau(order, (0, r1, r2), a, b, stiff_order=order, embedded=embedded)


_HALF = Fraction(1, 2)
_P1, _P2, _P3 = (phi(k) for k in (1, 2, 3))
_Q1, _Q2, _Q3 = (phi(k, _HALF) for k in (1, 2, 3))
_FIRST, _MIDDLE, _LAST = _P1 - _P2 * 3 + _P3 * 4, _P2 * 4 - _P3 * 8, _P3 * 4 - _P2  # exact for parabolas
_FOUR = (_FIRST, _MIDDLE / 2, _MIDDLE / 2, _LAST)
_KROGSTAD_3 = (_Q1 / 2 - _Q2, _Q2)
_A52 = _Q2 / 2 - _P3 + _P2 / 4 - _Q3 / 2
_A54 = _Q2 / 4 - _A52

EXPONENTIAL_TABLEAUX = {
    "etd1": ExponentialTableau(1, (0,), [()], (_P1,), stiff_order=1),
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
    # three stages, of stiff order 3: in the form of the same paper, with c_2 = 1/2, which is that of DPM-Solver-3
    "hochbruck-ostermann-3": dpm_solver_3("1/2"),
    "dpm-solver-2": dpm_solver_2(),
    "dpm-solver-3": dpm_solver_3(),
}

"""Exponential Rosenbrock tableaux, whose linear part is the Jacobian at the start of each step."""

import attrs

from deis.errors import ArgumentError
from deis.numerics.phi_tableaux import NONE, PhiTableau, phi


@attrs.frozen
class RosenbrockTableau(PhiTableau):
    """An exponential Rosenbrock method: an exponential Runge-Kutta step of the ODE linearised where the step starts.

    Linearised there, N has no derivative at the start of the step, so that fewer conditions have to hold than for an
    :class:`~deis.numerics.exponential_tableaux.ExponentialTableau`: sum b = phi_1, and from order 3 on
    sum b c^2 / 2 = phi_3, from order 4 on sum b c^3 / 6 = phi_4.

    Source: Hochbruck, Ostermann and Schweitzer, SIAM J. Numer. Anal. 47 (2009), table 2.1.
    """

    def check(self) -> None:
        if self.order not in range(2, 5):
            raise ArgumentError("order", "must be a whole number from 2 to 4", self.order)
        self.need_moments("b", self.b, _degrees(self.order))
        if self.embedded is not None:
            self.need_moments("embedded", self.embedded, _degrees(self.order - 1))


def _degrees(order: int) -> tuple[int, ...]:
    """Powers of t that the conditions up to ``order`` are about."""
    return 0, *range(2, order)


_E2 = phi(3) * 16
_E3 = phi(3) * -2

ROSENBROCK_TABLEAUX = {
    "rosenbrock-euler": RosenbrockTableau(2, (0,), [()], (phi(1),)),
    # Hochbruck, Ostermann and Schweitzer (2009), section 5.1; Hochbruck and Ostermann (2010), section 2.4
    "exprb32": RosenbrockTableau(
        3, (0, 1), [(), (phi(1),)], (phi(1) - phi(3) * 2, phi(3) * 2), embedded=(phi(1), NONE)
    ),
    "exprb43": RosenbrockTableau(
        order=4,
        c=(0, "1/2", 1),
        a=[(), (phi(1, "1/2") / 2,), (NONE, phi(1))],
        b=(phi(1) - phi(3) * 14 + phi(4) * 36, _E2 - phi(4) * 48, _E3 + phi(4) * 12),
        embedded=(phi(1) - phi(3) * 14, _E2, _E3),
    ),
}

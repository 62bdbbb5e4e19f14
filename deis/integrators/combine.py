"""What a row stands for."""

from collections.abc import Callable, Sequence

from torch import Tensor

from deis.integrators.plan import HERE, Row
from deis.odes.base import Coefficient

Combine = Callable[[Sequence[Coefficient], Sequence[Tensor]], Tensor]
"""Sum of coefficients times states, as :meth:`SemilinearODE.combine`."""


def moving(add: Combine) -> Combine:
    """``add`` for coefficients in double precision on the CPU, which it takes to where the states are."""

    def moved(coefficients: Sequence[Coefficient], states: Sequence[Tensor]) -> Tensor:
        x = states[0]
        return add([c.to(x.device, x.dtype) if isinstance(c, Tensor) and c.dim() else c for c in coefficients], states)

    return moved


def combine(add: Combine, row: Row, state: Tensor, values: Sequence[Tensor], noise: Sequence[Tensor] = ()) -> Tensor:
    """The linear combination that ``row`` stands for, by what adds coefficients times states."""
    if row is HERE:
        return state
    states = (state, *values[: len(row.values)])
    return add(row.coefficients(), (*states, *noise[: len(row.noise)]) if noise else states)

"""What a row stands for."""

from collections.abc import Callable

from torch import Tensor

from deis.integrators.plan import HERE, Coefficient, Row

Apply = Callable[[Coefficient, Tensor], Tensor]


def combine(
    apply: Apply, row: Row, state: Tensor, values: tuple[Tensor, ...], noise: tuple[Tensor, ...] = ()
) -> Tensor:
    """The linear combination that ``row`` stands for."""
    if row is HERE:
        return state
    total = apply(row.state, state)
    for coefficient, value in zip(row.values, values, strict=False):
        total = _add(apply, total, coefficient, value)
    for coefficient, value in zip(row.noise, noise, strict=False):
        total = _add(apply, total, coefficient, value)
    return total


def _add(apply: Apply, total: Tensor, coefficient: Coefficient, value: Tensor) -> Tensor:
    if isinstance(coefficient, Tensor):
        return total.add_(apply(coefficient, value))
    # a zero weight must not turn an Inf of an old value into NaN
    return total.add_(value, alpha=coefficient) if coefficient != 0 else total

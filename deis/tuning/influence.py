"""What each value of N adds to the state at the end of a plan."""

from collections.abc import Sequence
from itertools import count

import torch
from torch import Tensor

from deis.errors import CapabilityError
from deis.fields import need
from deis.integrators.plan import Draw, Plan
from deis.loop import march
from deis.numerics.host import on_host
from deis.odes.base import Coefficient


def influence(plan: Plan) -> Tensor:
    """Coefficients of the state at the end as a combination of the initial state and the values of N.

    The loop itself makes them: it runs on unit vectors in place of states, without noise.

    :param plan: a plan with a scalar linear part; the result carries the gradients of its coefficients.
    :returns: shape (1 + nfe,), double precision: that of the initial state, then those of N in the order of evaluation.
    :raises CapabilityError: if a coefficient is not a number.

    >>> from deis import DiagonalODE, make_plan
    >>> ode = DiagonalODE(0.0, lambda t, x: x)
    >>> influence(make_plan(ode, [0.0, 0.5, 1.0], "tab1"))  # Euler, then 3/2 and -1/2
    tensor([1.0000, 0.2500, 0.7500], dtype=torch.float64)
    """
    start, *units = _units(plan)
    number = count()
    end = start
    for reached in march(plan, _sum, start, lambda step, when, x: units[next(number)], _silence):
        end = reached.state
    return end


def contributions(plan: Plan) -> Tensor:
    """What each step adds to :func:`influence`: a value of N that several steps use counts in each of them.

    :param plan: a plan with a scalar linear part; the result carries the gradients of its coefficients.
    :returns: shape (steps, nfe), double precision; the sum over the steps is the influence of N.
    :raises CapabilityError: if a coefficient is not a number.

    >>> from deis import DiagonalODE, make_plan
    >>> ode = DiagonalODE(0.0, lambda t, x: x)
    >>> contributions(make_plan(ode, [0.0, 0.5, 1.0], "tab1"))
    tensor([[ 0.5000,  0.0000],
            [-0.2500,  0.7500]], dtype=torch.float64)
    """
    units = [unit[1:] for unit in _units(plan)[1:]]
    rows, firsts, made = list[tuple[Coefficient, Tensor]](), list[int](), 0
    for step in plan.steps:
        row, own = step.correct or step.advance, list(range(made, made + len(step.stages)))
        made += len(own)
        read = [made] * (step.correct is not None) + own + firsts[::-1]
        rows.append((row.state, _sum(row.values, [units[k] for k in read[: len(row.values)]])))
        firsts.append(own[0])
    found, carried = list[Tensor](), torch.ones_like(units[0])
    for state, added in reversed(rows):
        found.append(carried * added)
        carried = carried * state
    return torch.stack(found[::-1])


def _units(plan: Plan) -> tuple[Tensor, ...]:
    """Unit vectors in place of the initial state and of every value of N."""
    need("plan", plan, Plan, "make one by make_plan(ode, times, ...)")
    if any(c.dim() for c in plan.tensors()):
        raise CapabilityError("the plan's coefficients are not numbers, so that no single number is N's influence")
    with on_host():
        dtype = torch.complex128 if plan.is_complex else torch.float64
        return torch.eye(1 + plan.nfe, dtype=dtype).unbind(0)


def _sum(coefficients: Sequence[Coefficient], states: Sequence[Tensor]) -> Tensor:
    total = torch.zeros_like(states[0])
    for coefficient, state in zip(coefficients, states, strict=True):
        total = total + coefficient * state
    return total


def _silence(draw: Draw, x: Tensor) -> Tensor:
    return torch.zeros_like(x)

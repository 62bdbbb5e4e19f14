"""Units of parameters in which every direction changes the errors alike."""

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

from deis.integrators.plan import Plan
from deis.tuning.pairs import Pairs, final_state
from deis.tuning.trainable import Trainable

_STEP: Final = 0.02  # of a parameter, for differences
_DAMPING: Final = 1e-4  # of the largest eigenvalue
_VALUES: Final = 1024  # of a sample that count


@torch.no_grad()
def natural_units(trainable: Trainable, pairs: Pairs, tick: Callable[[], object] = lambda: None) -> Tensor:
    """The matrix U such that parameters U p change the errors by about \\|p\\|, whatever the direction of p.

    With r the errors of a sample at the end and J their derivatives by the parameters at zero (by differences, so that
    no gradient of N is needed), U is the inverse root of the mean of J' J / \\|r\\|^2, which approximates the second
    derivative of the mean logarithm of the errors as the method of Gauss and Newton does. Without it the curvatures of
    a plan of five steps differ by a factor of 10^8, and no rate of learning suits all of them.

    :param pairs: samples that are looked at, wholly; of large ones evenly spread values.
    :param tick: called after each parameter.
    :returns: symmetric, shape (size, size), float64; a multiple of the identity where nothing changes the errors.
    """
    unit = torch.eye(trainable.size, dtype=torch.float64)
    start = trainable(0 * unit[0]).numbers()
    end = _ends(start, pairs)
    off = torch.cat([_values(batch.solution) for batch in pairs.split()]) - end
    columns = []
    for direction in unit:
        plan = trainable(_STEP * direction).numbers()
        columns.append(0 * end if plan == start else (_ends(plan, pairs) - end) / _STEP)
        tick()
    relative = torch.stack(columns, dim=-1) / off.norm(dim=1)[:, None, None]
    rows = relative.nan_to_num(0.0, 0.0, 0.0).flatten(0, 1)  # of samples that overflow, or have no error
    values, vectors = torch.linalg.eigh(rows.mT @ rows / len(pairs))
    damped = values.clamp(min=0) + (_DAMPING * float(values[-1]) or 1.0)
    found: Tensor = (vectors * damped.rsqrt()) @ vectors.mT
    return found


def _ends(plan: Plan, pairs: Pairs) -> Tensor:
    return torch.cat([_values(final_state(plan, batch)) for batch in pairs.split()])


def _values(x: Tensor) -> Tensor:
    """Some values of each sample, shape (B, at most 1024), float64."""
    flat = (torch.view_as_real(x) if x.is_complex() else x).flatten(1)
    return flat[:, :: -(-flat.shape[1] // _VALUES)].double().cpu()

"""Units of parameters in which directions change the errors alike, as far as they change them."""

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
    """The matrix U such that parameters U p change the errors by about \\|p\\| of what they are.

    With r the errors of a sample at the end and J their derivatives by the parameters at zero (by differences, so that
    no gradient of N is needed), U is the inverse root of the mean of J' J / \\|r\\|^2: the curvature of a quadratic
    bound of the mean logarithm of the errors, as the method of Gauss and Newton takes it. Damping keeps directions that
    hardly change the errors from being magnified: they change them by less. Without U the curvatures
    differ by many orders of magnitude, and no rate of learning suits all of them.

    :param pairs: samples that are looked at; 1024 values of each that has more.
    :param tick: called after each parameter.
    :returns: symmetric, shape (size, size), float64; a multiple of the identity where nothing changes the errors.
    """
    unit = torch.eye(trainable.size, dtype=torch.float64)
    start = trainable(0 * unit[0]).numbers()
    end = _ends(start, pairs)
    off = torch.cat([_values(batch.solution) for batch in pairs.split()]) - end
    size = off.norm(dim=1, keepdim=True)
    rows = torch.zeros(*off.shape, trainable.size, dtype=torch.float64)
    for number, direction in enumerate(unit):
        plan = trainable(_STEP * direction).numbers()
        if plan != start:
            slopes = (_ends(plan, pairs) - end) / _STEP / size
            rows[..., number] = slopes.nan_to_num(0.0, 0.0, 0.0)  # of samples that overflow, or have no error
        tick()
    rows = rows.flatten(0, 1)
    values, vectors = torch.linalg.eigh(rows.mT @ rows / len(pairs))
    damped = values.clamp(min=0) + (_DAMPING * float(values[-1]) or 1.0)
    found: Tensor = (vectors * damped.rsqrt()) @ vectors.mT
    return found


def _ends(plan: Plan, pairs: Pairs) -> Tensor:
    return torch.cat([_values(final_state(plan, batch)) for batch in pairs.split()])


def _values(x: Tensor) -> Tensor:
    """Some values of each sample, shape (B, at most 1024, or twice that of complex ones), float64; always the same."""
    flat = x.flatten(1)
    if flat.shape[1] > _VALUES:
        chosen = torch.randperm(flat.shape[1], generator=torch.Generator().manual_seed(0))[:_VALUES]
        flat = flat[:, chosen.to(flat.device)]
    return (torch.view_as_real(flat).flatten(1) if flat.is_complex() else flat).double().cpu()

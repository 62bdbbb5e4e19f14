"""Plans of methods whose coefficients are phi functions of h L, from their tableau."""

import torch
from torch import Tensor

from deis.integrators.alike import alike, mean_length
from deis.integrators.base import unstack
from deis.integrators.plan import Row, Step
from deis.integrators.stages import stage_times, steps_of
from deis.numerics.phi_tableaux import PhiTableau
from deis.odes.base import Coefficient, SemilinearODE


def phi_steps(tableau: PhiTableau, form: SemilinearODE, times: Tensor) -> list[Step]:
    """A step of ``tableau`` on each interval; equal steps share their rows.

    :param form: an ODE that has a form with a constant linear part.
    :param times: float64, shape (intervals + 1,).
    """
    constant = form.constant_form()
    hand = form.clock(constant.clock)
    nodes, places = stage_times(hand, times, tableau.c), hand.of(times)
    h, scale = places[1:] - places[:-1], constant.scale(nodes)
    first, kind, length = _kinds(h, scale[:, 1:], float(places.detach().abs().max()))
    weights = unstack(constant.combinations(length, tableau.fractions, _numbers(tableau, length, scale[first])), 3)
    kinds = [
        [Row(own[0], own[1 : i + 2]) for i, own in enumerate(_without_zeros(rows, tableau.used))] for rows in weights
    ]
    return steps_of(nodes, [kinds[k] for k in kind.tolist()])


def _numbers(tableau: PhiTableau, h: Tensor, scale: Tensor) -> Tensor:
    """Factors of the phi functions, shape (n, rows, 1 + stages, k, arguments): of the state, then of the values.

    :param h: lengths of the steps, shape (n,).
    :param scale: the form's scale at the stages and at the end, shape (n, stages + 1).
    """
    table = tableau.numbers
    # an error row ends where the step does
    ends = torch.cat([scale[:, 1:], scale[:, -1:]], dim=1)[:, : len(table)]
    state = (ends / scale[:, :1])[..., None].expand(-1, -1, 1)
    values = (h[:, None] * ends)[..., None].expand(-1, -1, table.shape[1] - 1)
    return torch.cat([state, values], dim=2)[..., None, None] * table


def _kinds(h: Tensor, scale: Tensor, largest: float) -> tuple[Tensor, Tensor, Tensor]:
    """A step of each kind, the kind of each step, and the length of each kind."""
    if len(h) == 1 or h.requires_grad or scale.requires_grad:
        every = torch.arange(len(h))
        return every, every, h
    first, kind = alike(h[:, None], scale, largest)
    return first, kind, mean_length(h, kind)


def _without_zeros(rows: list[list[Coefficient]], used: list[list[bool]]) -> list[list[Coefficient]]:
    """The weights, with the number 0 for those that are 0 whatever L is."""
    return [[w if some else 0.0 for w, some in zip(*both, strict=True)] for both in zip(rows, used, strict=True)]

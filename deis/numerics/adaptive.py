"""Adaptive Gauss-Legendre quadrature of many integrals at once."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from deis.errors import DeisError
from deis.numerics.quadrature import panel_rule

_AGREEMENT = 1e-13
_ROUNDING = 4 * torch.finfo(torch.float64).eps
_LEVELS = 60
_MOST_PANELS = 2**15


@cache
def _rules(points: int) -> tuple[Tensor, Tensor]:
    """Nodes on [-1, 1] of one panel and of its halves, and the weights of the two rules, shape (nodes, 2)."""
    with torch.inference_mode(False):  # kept for later calls, which may need gradients
        pairs = [panel_rule(torch.tensor(e, dtype=torch.float64), points) for e in ([-1.0, 1.0], [-1.0, 0.0, 1.0])]
        (x, coarse), (y, fine) = pairs
        columns = torch.cat([coarse, torch.zeros_like(fine)]), torch.cat([torch.zeros_like(coarse), fine])
        return torch.cat([x, y]), torch.stack(columns, dim=-1)


def integrate(
    function: Callable[[Tensor, Tensor], Tensor],
    start: Tensor,
    end: Tensor,
    owner: Tensor,
    count: int,
    points: int = 12,
) -> Tensor:
    """``count`` vectors of integrals, each the sum over the panels it owns.

    A panel is halved until its value agrees with that of its halves, to 1e-13 of the integral of absolute values of
    its owner, or to the rounding of the panel's ends. Only panels that disagree are halved, so that an end point
    singularity or a kink costs a panel or two a halving.

    :param function: ``function(owner, x)`` with owner of shape (p,) and x of shape (p, m), returning (p, k, m).
    :param start: starts of the panels, shape (p,).
    :param end: ends, shape (p,); below the start for an integral that runs backwards.
    :param owner: the integral, 0 ... count - 1, that each panel is part of.
    :param points: points of the rule in a panel; fewer are cheaper on panels that are short to begin with.
    :returns: shape (count, k).
    :raises DeisError: if the panels become too many.

    >>> end = torch.tensor([1.0, 4.0], dtype=torch.float64)
    >>> integrate(lambda owner, x: x.sqrt()[:, None], torch.zeros_like(end), end, torch.arange(2), 2).flatten()
    tensor([0.6667, 5.3333], dtype=torch.float64)
    """
    nodes, weights = _rules(points)
    accepted: list[tuple[Tensor, Tensor]] = []
    size = None
    for _ in range(_LEVELS):
        half, middle = (end - start) / 2, (end + start) / 2
        values = function(owner, middle[:, None] + half[:, None] * nodes)
        coarse, fine = ((values @ weights) * half[:, None, None]).unbind(-1)
        own = (values.detach().abs() @ weights[:, 1]) * half.detach().abs()[:, None]
        size = _sums(own, owner, count).amax(-1) if size is None else size
        grain = (_ROUNDING * middle.abs() / half.abs()).detach().nan_to_num()  # what the nodes are rounded to
        bad = (fine - coarse).detach().abs().amax(-1) > _AGREEMENT * size[owner] + grain * own.amax(-1)
        if not bad.any():
            accepted.append((fine, owner))
            return _sums(torch.cat([v for v, _ in accepted]), torch.cat([o for _, o in accepted]), count)
        accepted.append((fine[~bad], owner[~bad]))
        start, end = torch.cat([start[bad], middle[bad]]), torch.cat([middle[bad], end[bad]])
        owner = owner[bad].repeat(2)
        if len(owner) > _MOST_PANELS + 2 * count:
            break
    raise DeisError(f"an integral does not converge between {float(start.min()):g} and {float(end.max()):g}")


def _sums(values: Tensor, owner: Tensor, count: int) -> Tensor:
    return torch.zeros((count, *values.shape[1:]), dtype=values.dtype).index_add(0, owner, values)

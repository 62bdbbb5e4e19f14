"""Steps that have the same coefficients, and can share them."""

import torch
from torch import Tensor

_GRAIN = 4 * torch.finfo(torch.float64).eps  # what the rounding of two times can make of equal steps


def alike(lengths: Tensor, labels: Tensor, largest: float) -> tuple[Tensor, Tensor]:
    """The first step of each kind, and the kind of each step.

    :param lengths: what must agree up to the rounding of two times, shape (n, k).
    :param labels: what must agree exactly, shape (n, m).
    :param largest: size of the times.
    """
    keys = torch.cat([(lengths / (_GRAIN * largest)).round(), labels], dim=1)
    keys = keys[:, (keys != keys[:1]).any(0)]
    if keys.shape[1] < 2:  # much the faster case
        found, kind = torch.unique(keys.sum(1), return_inverse=True)
    else:
        found, kind = torch.unique(keys, dim=0, return_inverse=True)
    first = torch.full((len(found),), len(keys)).scatter_reduce(0, kind, torch.arange(len(keys)), "amin")
    return first, kind


def mean_length(h: Tensor, kind: Tensor) -> Tensor:
    """The mean length of the steps of each kind.

    So the sum of all is kept to rounding: a phase that an imaginary L has turned through depends on that sum.
    """
    return h.new_zeros(int(kind.max()) + 1).scatter_reduce(0, kind, h, "mean", include_self=False)

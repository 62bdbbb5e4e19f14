"""Any N of a diffusion ODE from that of another splitting."""

from torch import Tensor

from deis.odes.base import SemilinearODE


def resplit(ode: SemilinearODE, source: str, target: str, times: Tensor) -> tuple[Tensor, Tensor]:
    """Coefficients (a, b) of  N of the splitting ``target`` = a x + b N of ``source``  at each of ``times``.

    The right side is the same, L x + G N, in every splitting of an ODE with scalar L and G.

    :raises CapabilityError: if the ODE lacks one of the splittings.

    >>> import torch
    >>> from deis import EDM, ProbabilityFlowODE
    >>> ode = ProbabilityFlowODE(EDM(), lambda x, t: x)
    >>> resplit(ode, "eps", "x0", torch.tensor([2.0], dtype=torch.float64))  # x0 = x - sigma eps
    (tensor([1.], dtype=torch.float64), tensor([-2.], dtype=torch.float64))
    """
    one, other = ode.split(source), ode.split(target)
    weight = other.weight(times)
    return (one.linear(times) - other.linear(times)) / weight, one.weight(times) / weight

"""Published variants of exponential Adams rows: the leading moment of a row replaced by a simpler number.

With theta = (c - c_s) / (c_t - c_s) in the clock c, and P(theta) = d_0 + d_1 theta + ... the polynomial through k
values of N, a row is  sum_m w_m d_m  with the moments  w_m = int_s^t Psi(t, r) G(r) theta^m dr.  A variant that puts w
for the leading moment w_{k-1} adds (w - w_{k-1}) d_{k-1}, and d_{k-1} is a divided difference of N. Rows of other
lengths are left as they are.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from deis.numerics.derivative import derivative
from deis.odes.base import SemilinearODE

Moment = Callable[[Tensor, Tensor, Callable[[], Tensor]], Tensor]
"""The number to put, from w_0, w_{k-1} and what gives Psi G dr / dtheta at the end of the step."""


def _half_of_first(first: Tensor, leading: Tensor, kernel: Callable[[], Tensor]) -> Tensor:
    return first / 2


def _half_of_kernel(first: Tensor, leading: Tensor, kernel: Callable[[], Tensor]) -> Tensor:
    return kernel() / 2


def _half(first: Tensor, leading: Tensor, kernel: Callable[[], Tensor]) -> Tensor:
    return leading / 2


MOMENTS: Mapping[str, Mapping[int, Moment]] = MappingProxyType(
    {
        "exact": {},
        "bh1": {2: _half_of_kernel},  # B(h) = h in UniPC
        "bh2": {2: _half_of_first},  # B(h) = e^h - 1 in UniPC; also the midpoint form of DPM-Solver++(2M)
        "halved": {3: _half},  # DPM-Solver++(3M), after two steps with exact moments
        "published": {2: _half_of_first, 3: _half},  # DPM-Solver++(3M), after a step in the midpoint form
    }
)
"""For each name, the lengths of row that it changes (arXiv 2302.04867, sec. 3.4; 2211.01095, sec. 4 and appendix B)."""


def row_order(moments: str, nodes: int) -> int:
    """Order of rows of ``nodes`` values: every number put is its moment times 1 + O(h), but for a halved one."""
    return 2 if MOMENTS[moments].get(nodes) is _half else nodes


def moment_weights(moments: str, ode: SemilinearODE, s: Tensor, t: Tensor, nodes: Tensor, clock: str) -> Tensor:
    """Weights as :meth:`SemilinearODE.weights`, with the leading moment that the variant puts."""
    weights, count = ode.weights(s, t, nodes, clock), nodes.shape[1]
    put = MOMENTS[moments].get(count)
    if put is None:
        return weights
    hand = ode.clock(clock)
    length = hand.of(t) - hand.of(s)

    def kernel() -> Tensor:
        density = ode.weight(t)
        density = density * _padded(length / derivative(hand.of, t), density.dim())
        return _padded(ode.compose(ode.transition(t, t), density), weights.dim() - 1)

    theta = (hand.of(nodes) - hand.of(s)[:, None]) / length[:, None]
    gaps = theta[:, :, None] - theta[:, None, :] + torch.eye(count, dtype=theta.dtype)
    leading = (_padded(theta ** (count - 1), weights.dim()) * weights).sum(1)
    change = put(weights.sum(1), leading, kernel) - leading
    return weights + _padded(1 / gaps.prod(2), weights.dim()) * change[:, None]


def _padded(numbers: Tensor, dim: int) -> Tensor:
    """``numbers`` with further axes of length 1 up to ``dim``."""
    return numbers.reshape((*numbers.shape, *[1] * (dim - numbers.dim())))

"""Measurements that the suites share: orders of convergence and reads of a device by the host."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from deis.integrators.base import Integrator
from deis.integrators.fitted import fitted as fitted
from deis.problems import SolvedProblem
from deis.solve import solve

_FLOOR = 5e-13  # errors below hold too much rounding to tell an order
_LEAST = 6  # steps
_READS = ("aten::_local_scalar_dense", "aten::item", "aten::is_nonzero", "aten::equal", "aten::nonzero")


def uneven_grid(domain: tuple[float, float], intervals: int, rate: float = -1.2) -> Tensor:
    """Times over ``domain`` at (e^{rate u} - 1) / (e^rate - 1), u uniform; shape (intervals + 1,).

    With a negative rate the first steps are the largest, so that what a method loses in them shows.

    >>> uneven_grid((0.0, 1.0), 2)
    tensor([0.0000, 0.6457, 1.0000], dtype=torch.float64)
    """
    u = torch.linspace(0.0, 1.0, intervals + 1, dtype=torch.float64)
    times = domain[0] + (domain[1] - domain[0]) * torch.expm1(rate * u) / math.expm1(rate)
    times[-1] = domain[1]
    return times


def measured_order(
    integrator: Integrator,
    problem: SolvedProblem,
    *,
    reverse: bool = False,
    grid: Callable[[tuple[float, float], int], Tensor] = uneven_grid,
    most: int = 768,
) -> float:
    """Order of convergence from the finest two grids, of ``most``, ``most`` / 2, ... 6 steps, above rounding.

    With 6 2^k steps they hold whole blocks of two and of three, for methods whose steps come in such.

    :param problem: a problem with its solution.
    :param reverse: integrate from the end of the problem's domain to its start.
    :param grid: times from a domain and a number of intervals.

    >>> from deis import Bernoulli, ExponentialEuler
    >>> round(measured_order(ExponentialEuler(), Bernoulli()), 1)
    1.0
    """
    ode = problem.ode
    start, end = ode.domain[::-1] if reverse else ode.domain
    x0, exact, method = problem.exact(start), problem.exact(end), fitted(integrator, ode)

    def error(intervals: int) -> float:
        x = solve(ode, x0, grid((start, end), intervals), method).x
        return float((x - exact).abs().max() / exact.abs().max())

    return order_of(error, most)


def order_of(error: Callable[[int], float], most: int = 768) -> float:
    """Order at which ``error``, of a number of steps, falls between the finest two of them above rounding.

    >>> order_of(lambda steps: 3.0 / steps**2)
    2.0
    """
    fine, coarse, intervals = 0.0, error(most), most // 2
    while fine < _FLOOR and intervals >= _LEAST:
        fine, coarse, intervals = coarse, error(intervals), intervals // 2
    return math.log2(coarse / fine)


class HostReads(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operations that make the host wait for a device: reads of values, and copies between devices.

    >>> with HostReads() as reads:
    ...     float(torch.ones(3).sum())
    3.0
    >>> reads.count
    1
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.name().partition(".")[0]
        moved = name == "aten::_to_copy" and kwargs.get("device", args[0].device) != args[0].device
        self.count += name in _READS or moved
        return func(*args, **kwargs)

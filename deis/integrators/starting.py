"""Full-order first steps for multistep methods: explicit exponential Runge-Kutta steps built level by level.

At level j the point of a stage is exact but for a polynomial of N through j nodes, so that its error is O(h^{j+1}); the
values of N there carry j + 1 nodes to the next level (iterated collocation; the stiff order equals the classical one
because every row integrates its polynomial exactly, Hochbruck and Ostermann, Acta Numerica 19 (2010), section 2.3).
Points already on the grid are nodes at every level, so that later starting steps need fewer stages.
"""

import torch
from torch import Tensor

from deis.integrators.base import unstack
from deis.integrators.plan import Row, Stage, Step
from deis.odes.base import Coefficient, SemilinearODE


def extra_evaluations(known: int, target: int) -> int:
    """Stages beyond the first that a starting step needs to get from ``known`` grid points to ``target`` nodes."""
    missing = max(target - known, 0)
    return missing * (missing + 1) // 2


def starting_step(ode: SemilinearODE, clock: str, times: Tensor, n: int, target: int) -> Step:
    """Step ``n`` of the grid ``times`` with a polynomial through ``target`` nodes: local error O(h^{target+1})."""
    start, end = times[n], times[n + 1]
    grid = times[: n + 1].flip(0)  # newest first
    points = times.tolist()
    stages, inner = [Stage(points[n])], times.new_empty(0)
    for count in range(1, max(target - n - 1, 0) + 1):
        fresh = _between(ode, clock, start, end, count)
        rows = [_row(ode, clock, start, t, grid, inner, len(stages), i) for i, t in enumerate(fresh)]
        stages += [Stage(t, row) for t, row in zip(fresh.tolist(), rows, strict=True)]
        inner = fresh
    return Step(points[n], points[n + 1], stages, _row(ode, clock, start, end, grid, inner, len(stages)))


def _between(ode: SemilinearODE, clock: str, start: Tensor, end: Tensor, count: int) -> Tensor:
    """``count`` times at equal distances of the clock in (start, end], the last of them ``end``."""
    hand = ode.clock(clock)
    fraction = torch.arange(1, count, dtype=torch.float64) / count
    inside = hand.time(hand.of(start) + fraction * (hand.of(end) - hand.of(start)))
    return torch.cat([inside, end[None]])


def _row(
    ode: SemilinearODE, clock: str, start: Tensor, end: Tensor, grid: Tensor, inner: Tensor, stages: int, later: int = 0
) -> Row:
    """Integrate from ``start`` to ``end`` the polynomial through ``grid`` and the last ``inner`` of ``stages`` stages.

    ``later`` further stages have been evaluated by then, which the polynomial leaves out.
    """
    nodes = torch.cat([grid, inner])
    weights: list[Coefficient] = unstack(ode.weights(start[None], end[None], nodes[None], clock)[0], 1)
    known = len(grid)
    skipped: list[Coefficient] = [0.0] * (stages - 1 - len(inner))
    unused: list[Coefficient] = [0.0] * later
    return Row(ode.transition(end, start), [weights[0], *skipped, *weights[known:], *unused, *weights[1:known]])

"""What methods that are made of another method share."""

from typing import Any

import torch
from torch import Tensor

from deis.errors import ArgumentError
from deis.integrators.base import BlackBox, Integrator, as_integrator
from deis.integrators.own_grid import OwnGrid
from deis.integrators.plan import Step
from deis.odes.base import SemilinearODE

_PROBE = 8  # steps in which every method here shows whether it keeps values


class Wrapper(Integrator):
    """A method that changes the plan of another one, its field ``method``."""

    method: Integrator

    @property
    def order(self) -> int:  # type: ignore[override]
        return self.method.order

    @property
    def own_grid(self) -> OwnGrid | None:  # type: ignore[override]
        return self.method.own_grid

    @property
    def evaluations_per_step(self) -> int:  # type: ignore[override]
        return self.method.evaluations_per_step


def planned(value: Any) -> Integrator:
    """A method with a plan, or that of a name.

    :raises ArgumentError: for methods without a plan.
    """
    method = as_integrator(value)
    if isinstance(method, BlackBox):
        raise ArgumentError("method", "must have a plan", method, "for example dpmpp-2m")
    return method


def quiet(value: Any) -> Integrator:
    """A method with a plan and without noise, or that of a name.

    :raises ArgumentError: for other methods.
    """
    method = planned(value)
    if method.stochastic:
        raise ArgumentError("method", "must add no noise itself", method, "for example ddim")
    return method


def steps_between(method: Integrator, ode: SemilinearODE, starts: Tensor, ends: Tensor) -> tuple[list[Step], str]:
    """A step of a one-step method from each of ``starts`` to that of ``ends``, and the splitting whose N they use.

    :raises ArgumentError: for methods whose steps are no functions of their own start and end.
    """
    share = torch.linspace(0.0, 1.0, _PROBE + 1, dtype=torch.float64)
    probe = method.plan(ode, torch.lerp(starts[0].detach(), ends[-1].detach(), share))
    if probe.history or len(probe.steps) != _PROBE or any(step.correct for step in probe.steps):
        raise ArgumentError("method", "must make each step from its start alone", method, "for example dpm-solver-2")
    spans = list(zip(starts.tolist(), ends.tolist(), strict=True))
    found: dict[tuple[float, float], Step] = {}
    for row in _disjoint(spans):
        points = torch.stack([starts[row], ends[row]], dim=1).flatten()
        new = torch.cat([points.new_ones(1), points.detach().diff()]) != 0
        found |= {(step.start, step.end): step for step in method.plan(ode, points[new]).steps}
    return [found[span] for span in spans], probe.splitting


def _disjoint(spans: list[tuple[float, float]]) -> list[list[int]]:
    """Numbers of spans that follow one another without overlap, in rows: one plan covers a row, and the gaps in it."""
    rows: list[list[int]] = []
    for n, (start, end) in enumerate(spans):
        for row in rows:
            if (spans[row[-1]][1] - start) * (start - end) >= 0:
                row.append(n)
                break
        else:
            rows.append([n])
    return rows

"""What one-step methods with a tableau share."""

import abc
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Protocol

import torch
from torch import Tensor

from deis.integrators.base import Integrator
from deis.integrators.plan import Row, Stage, Step
from deis.odes.base import Clock


class Tableau(Protocol):
    """The data of an explicit one-step method."""

    @property
    def order(self) -> int: ...

    @property
    def stages(self) -> int: ...


class Staged(Integrator):
    """A one-step method that a tableau describes."""

    @property
    @abc.abstractmethod
    def method(self) -> Tableau:
        """The tableau itself, where the option may be its name."""

    @property
    def order(self) -> int:  # type: ignore[override]
        return self.method.order

    @property
    def evaluations_per_step(self) -> int:  # type: ignore[override]
        return self.method.stages


def stage_times(hand: Clock, times: Tensor, fractions: Sequence[Fraction]) -> Tensor:
    """For every step the times at ``fractions`` of it in a clock, then its end; grid points stay exactly what they are.

    :returns: shape (intervals, len(fractions) + 1).
    """
    share = torch.tensor([float(c) for c in (*fractions, 1)], dtype=torch.float64)
    places = hand.of(times)
    inner = hand.time(places[:-1, None] + (places[1:] - places[:-1])[:, None] * share)
    return torch.where(share == 0, times[:-1, None], torch.where(share == 1, times[1:, None], inner))


def steps_of(nodes: Tensor, rows: Iterable[Sequence[Row]]) -> list[Step]:
    """Steps through ``nodes``, start and end included.

    :param rows: for every step the rows of its stages but the first, of the step and, if there is one, of the error.
    """
    steps = []
    for (start, *inner, end), own in zip(nodes.tolist(), rows, strict=True):
        stages = [Stage(start), *map(Stage, inner, own)]
        advance, *error = own[len(inner) :]
        steps.append(Step(start, end, stages, advance, error=error[0] if error else None))
    return steps

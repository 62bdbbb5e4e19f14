"""Ready plans as an integrator."""

import hashlib
from functools import cached_property
from typing import Any

import attrs

from deis.errors import ArgumentError, CapabilityError
from deis.fields import need
from deis.grids import TimeGrid, Times
from deis.integrators.base import Integrator
from deis.integrators.own_grid import OwnGrid, same_times
from deis.integrators.plan import Plan
from deis.integrators.plan_json import plan_to_json
from deis.integrators.signature import check_signature
from deis.odes.base import SemilinearODE

_SHOWN = 12  # hexadecimal digits


def _sorted(plans: Any) -> Any:
    given = tuple(plans)
    for plan in given:
        need("plans", plan, Plan, "make one by make_plan(ode, times, ...)")
    return tuple(sorted(given, key=lambda plan: plan.nfe))


def _different(instance: Any, attribute: Any, plans: tuple[Plan, ...]) -> None:
    if not plans:
        raise ArgumentError("plans", "must hold at least one plan", plans)
    for name, counts in (
        ("evaluations", [plan.nfe for plan in plans]),
        ("intervals", [len(plan.times) - 1 for plan in plans]),
    ):
        if len(set(counts)) < len(counts):
            raise ArgumentError("plans", f"must differ in their numbers of {name}", tuple(counts))


@attrs.frozen(repr=False)
class Planned(Integrator):
    """Ready plans, one for each budget, in the place of an integrator; they bring their own times.

    It serves the ODEs with the linear part for which the plans were made, and has the budgets that they have.

    :param plans: no two with as many evaluations of N, or as many intervals.
    :raises ArgumentError: for other plans, or none.

    >>> from deis import GaussianMixture, VPLinear, make_grid, make_plan, sample
    >>> import torch
    >>> ode = GaussianMixture(torch.zeros(1, 2), std=1.0).ode(VPLinear())
    >>> method = Planned([make_plan(ode, make_grid("t2")(ode, count), "tab2") for count in (5, 8)])
    >>> sample(ode, (2,), [0, 1], nfe=8, integrator=method).nfe, method.most_intervals(7)
    (8, 5)
    """

    plans: tuple[Plan, ...] = attrs.field(converter=_sorted, validator=_different)

    @property
    def order(self) -> int:  # type: ignore[override]
        """Not available: an order is that of a family of plans.

        :raises CapabilityError: always.
        """
        raise CapabilityError(f"{self!r} has no order, which takes plans on ever finer grids; ask the method it is of")

    @property
    def stochastic(self) -> bool:  # type: ignore[override]
        """Whether a plan adds noise."""
        return any(plan.stochastic for plan in self.plans)

    @property
    def own_grid(self) -> OwnGrid:  # type: ignore[override]
        return OwnGrid(tuple(TimeGrid(plan.times) for plan in self.plans))

    def nfe(self, intervals: int) -> int:
        return self._of(intervals).nfe

    def plan(self, ode: SemilinearODE, times: Times) -> Plan:
        """The plan with these times.

        :raises ArgumentError: if there is none, or if it was made for another linear part.
        """
        grid = times if isinstance(times, TimeGrid) else TimeGrid(times)
        plan = self.plans[0] if len(self.plans) == 1 else self._of(grid.intervals)
        if not same_times(plan.times, grid.times):
            raise ArgumentError("times", "must be those that the plan was made for", grid.times, f"use {plan.times}")
        check_signature(plan, ode)
        return plan

    def _of(self, intervals: int) -> Plan:
        for plan in self.plans:
            if len(plan.times) - 1 == intervals:
                return plan
        raise ArgumentError("intervals", f"must be {' or '.join(map(str, self.own_grid.counts))}", intervals)

    @cached_property
    def _digest(self) -> str:
        """Of everything that the plans hold: the label of other plans is another one."""
        content = "\n".join(map(plan_to_json, self.plans))
        return hashlib.sha256(content.encode()).hexdigest()[:_SHOWN]

    def __repr__(self) -> str:
        budgets = ", ".join(str(plan.nfe) for plan in self.plans)
        return f"Planned(nfe=({budgets}), digest={self._digest!r})"

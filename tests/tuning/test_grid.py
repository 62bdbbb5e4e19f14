import attrs
import pytest
import torch

from deis import ArgumentError, CapabilityError, DiagonalODE, ProbabilityFlowODE, UnknownNameError, VPLinear, make_grid
from deis.tuning.coefficient_bound import CoefficientBound
from deis.tuning.grid import GridObjective, optimise_grid

PLAIN = DiagonalODE(-1.0, lambda t, x: x.sin())


@attrs.frozen
class Content(GridObjective):
    """Finds nothing to improve."""

    def optimise(self, integrator, ode, start):
        return start


def test_it_starts_from_the_default_grid_of_a_diffusion_ode():
    ode = ProbabilityFlowODE(VPLinear(), lambda x, t: x)
    assert optimise_grid("tab2", ode, 7, Content()) == make_grid("default")(ode, 7)


def test_it_starts_from_equal_steps_elsewhere():
    assert optimise_grid("tab2", PLAIN, 4, Content()).times == (0.0, 0.25, 0.5, 0.75, 1.0)


def test_a_budget_is_counted_in_evaluations():
    assert optimise_grid("etd2rk", PLAIN, 6, Content()).intervals == 3
    with pytest.raises(ArgumentError, match="ask for 4 or 6"):
        optimise_grid("etd2rk", PLAIN, 5, Content())


def test_methods_without_a_plan_are_refused():
    with pytest.raises(CapabilityError, match="number of evaluations"):
        optimise_grid("dopri5", PLAIN, 6, CoefficientBound())


def test_arguments_of_another_kind_are_refused():
    with pytest.raises(UnknownNameError, match="tab3"):
        optimise_grid("tab", PLAIN, 6, Content())
    with pytest.raises(ArgumentError, match=r"objective must be a GridObjective.*CoefficientBound"):
        optimise_grid("tab2", PLAIN, 6, "bound")
    with pytest.raises(ArgumentError, match="ode must be"):
        optimise_grid("tab2", torch.sin, 6, Content())

import pytest
import torch

from deis import EDM, ArgumentError, Bernoulli, GaussianMixture
from deis.analysis import reference


@pytest.mark.parametrize(("lam", "size"), [(2.0, 1e-6), (3j, 1e-4)])
def test_uncertainty_bounds_the_error(lam, size):
    problem = Bernoulli(lam)
    found = reference(problem.ode, problem.exact(0.0), nfe=60)
    assert abs(complex(found.x - problem.exact(1.0))) < found.uncertainty < size


def test_halving_the_evaluations_of_a_fourth_order_method_costs_its_order():
    problem = Bernoulli()
    start, method = problem.exact(0.0), "rhork-rk4:clock=t"
    coarse, fine = (reference(problem.ode, start, nfe=nfe, integrator=method) for nfe in (256, 512))
    assert coarse.uncertainty / fine.uncertainty == pytest.approx(16, rel=0.15)


def test_states_of_any_precision_are_solved_in_float64():
    problem = Bernoulli()
    found = reference(problem.ode, torch.ones((), dtype=torch.float32))
    assert found.x.dtype == torch.float64
    assert abs(float(found.x - problem.exact(1.0))) < 1e-9


def test_evaluations_stay_within_the_budget():
    problem = Bernoulli()
    assert reference(problem.ode, problem.exact(0.0), nfe=161).nfe == 161
    assert reference(problem.ode, problem.exact(0.0), nfe=163, integrator="rhork-rk4:clock=t").nfe == 160


def test_diffusion_reference_meets_the_closed_form():
    ode = GaussianMixture(torch.zeros(1, 2), std=1.0).ode(EDM())
    start = torch.full((1, 2), (80.0**2 + 1) ** 0.5)
    found = reference(ode, start, grid="rho7")
    assert (found.x - (1 + 0.002**2) ** 0.5).abs().max() < max(found.uncertainty, 1e-6)


@pytest.mark.parametrize("nfe", [0, 1, 2.5, True])
def test_budgets_that_allow_no_two_solutions_are_refused(nfe):
    problem = Bernoulli()
    with pytest.raises(ArgumentError, match="nfe must be"):
        reference(problem.ode, problem.exact(0.0), nfe=nfe)


def test_the_default_grid_suits_diffusion_models():
    ode = GaussianMixture(torch.zeros(1, 2), std=1.0).ode(EDM())
    start = torch.full((1, 2), (80.0**2 + 1) ** 0.5)
    found = reference(ode, start)
    assert found.uncertainty < 1e-4
    assert (found.x - (1 + 0.002**2) ** 0.5).abs().max() < max(found.uncertainty, 1e-7)
    assert torch.equal(found.x, reference(ode, start, grid="vp-t2").x)

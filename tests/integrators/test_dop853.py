"""The adapter of scipy's method of order 8."""

import math

import pytest
import torch

from deis import ArgumentError, Bernoulli, DeisError, DiagonalODE, Dop853, GaussianMixture, VPLinear, solve
from deis.errors import CapabilityError


@pytest.mark.parametrize("lam", [2.0, 3j])
def test_it_reaches_the_solution_at_every_time_in_both_directions(lam):
    problem, method = Bernoulli(lam), Dop853(rtol=1e-11, atol=1e-12)
    for times in ([0.0, 0.3, 1.0], [1.0, 0.3, 0.0]):
        states = solve(problem.ode, problem.exact(times[0]), times, method, keep_states=True).states
        for t, state in zip(times, states, strict=True):
            assert abs(complex(state - problem.exact(t))) < 1e-9


def test_both_forms_agree_on_gaussian_data():
    ode = GaussianMixture(torch.tensor([[1.0, -2.0]], dtype=torch.float64), std=0.5).ode(VPLinear())
    start, end = (torch.tensor(t, dtype=torch.float64) for t in ode.domain)
    x0 = torch.tensor([[0.3, 0.4], [-1.0, 2.0]], dtype=torch.float64)

    def marginal(t):
        alpha, sigma = ode.marginal(t)
        return alpha * torch.tensor([1.0, -2.0]), (alpha**2 * 0.25 + sigma**2).sqrt()

    (m, s), (n, r) = marginal(start), marginal(end)
    exact = n + r / s * (x0 - m)  # quantiles of a Gaussian are kept
    for form in ("raw", "rho"):
        x = solve(ode, x0, ode.domain, Dop853(1e-10, 1e-10, form)).x
        torch.testing.assert_close(x, exact, rtol=1e-7, atol=1e-7)


def test_it_takes_fewer_evaluations_of_high_accuracy_than_order_five():
    problem = Bernoulli()
    nfe = {name: solve(problem.ode, problem.initial, [0.0, 1.0], name).nfe for name in ("dop853", "dopri5")}
    tight = {name: solve(problem.ode, problem.initial, [0.0, 1.0], f"{name}:rtol=1e-10:atol=1e-10").nfe for name in nfe}
    assert tight["dop853"] < tight["dopri5"]
    assert tight["dop853"] > nfe["dop853"]


def test_states_with_gradients_are_refused_and_networks_with_gradients_are_not():
    factor = torch.ones(3, dtype=torch.float64, requires_grad=True)
    ode = DiagonalODE(-1.0, lambda t, x: factor * x)
    x0 = torch.ones(3, dtype=torch.float64)
    assert not solve(ode, x0, [0.0, 1.0], "dop853").x.requires_grad
    with pytest.raises(CapabilityError, match="no gradients; use dopri5"):
        solve(ode, x0.requires_grad_(), [0.0, 1.0], "dop853")


def test_it_gives_up_with_a_diagnosis():
    with pytest.raises(DeisError, match=r"made 50 evaluations, at t = .*stiff"):
        solve(DiagonalODE(-1e6, lambda t, x: x), torch.ones(1).double(), [0.0, 1.0], Dop853(max_nfe=50))


@pytest.mark.parametrize(("name", "value"), [("rtol", 1e-16), ("rtol", -1.0), ("atol", 0.0), ("max_nfe", 0)])
def test_bad_options_are_refused(name, value):
    with pytest.raises(ArgumentError, match=f"{name} must be"):
        Dop853(**{name: value})


def test_other_forms_are_refused():
    with pytest.raises(DeisError, match="no form named 'lambda'"):
        Dop853(form="lambda")


def test_states_that_torch_conjugates_lazily_are_taken():
    x0 = torch.tensor([1.0 + 1j], dtype=torch.complex128)
    ode = DiagonalODE(-1.0 + 0j, lambda t, x: torch.zeros_like(x))
    found = solve(ode, x0.conj(), [0.0, 1.0], "dop853").x
    assert complex(found) == pytest.approx((1 - 1j) * math.exp(-1), rel=1e-4)

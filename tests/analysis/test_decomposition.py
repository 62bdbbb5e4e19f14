"""Errors split into their sources, on Gaussians whose solutions are known in closed form."""

import pytest
import torch

from deis import ArgumentError, GaussianMixture, PowerGrid, VPLinear, make_grid, solve
from deis.analysis import (
    CoarseReferenceError,
    Decomposition,
    decompose,
    fitting_error,
    geometric_mean_rmse,
    reference,
    rmse,
)
from deis.problems import InitialValueProblem

DATA_STD, MODEL_STD, T_MIN = 0.5, 0.6, 1e-6
MEAN = torch.tensor([[1.0, -2.0, 0.3]], dtype=torch.float64)
X0 = torch.randn(16, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def gaussian(std, t_min=1e-3):
    return GaussianMixture(MEAN, std).ode(VPLinear(t_min=t_min))


def exact(std, t, x=X0):
    """The solution at time t: quantiles of a Gaussian are kept."""
    ode = gaussian(std, T_MIN)
    (a, s), (b, r) = (ode.marginal(torch.tensor(time, dtype=torch.float64)) for time in (1.0, t))
    return b * MEAN + ((b * std) ** 2 + r**2).sqrt() / ((a * std) ** 2 + s**2).sqrt() * (x - a * MEAN)


@pytest.mark.parametrize("norm", [rmse, geometric_mean_rmse])
def test_every_part_meets_its_closed_form(norm):
    ode = gaussian(MODEL_STD)
    times = make_grid("t2")(ode, 6)
    parts = decompose(ode, gaussian(DATA_STD, T_MIN), X0, times, "tab1", norm=norm)
    samples = solve(ode, X0, times, "tab1").x
    model, data, end = exact(MODEL_STD, 1e-3), exact(DATA_STD, 1e-3), exact(DATA_STD, T_MIN)
    assert 0 < parts.uncertainty < 2e-5
    assert parts.discretisation == pytest.approx(norm(samples, model), abs=parts.uncertainty)
    assert parts.network == pytest.approx(norm(model, data), abs=parts.uncertainty)
    assert parts.truncation == pytest.approx(norm(data, end), abs=parts.uncertainty)
    assert parts.total == pytest.approx(norm(samples, end), abs=parts.uncertainty)


def test_the_total_is_at_most_the_sum_of_the_parts():
    ode = gaussian(MODEL_STD)
    for name in ("euler", "ddim", "tab3"):
        parts = decompose(ode, gaussian(DATA_STD, T_MIN), X0, make_grid("t2")(ode, 5), name)
        assert parts.total <= parts.discretisation + parts.network + parts.truncation


def test_without_a_network_error_or_a_cut_off_only_the_discretisation_is_left():
    ode = gaussian(DATA_STD)
    parts = decompose(ode, gaussian(DATA_STD), X0, make_grid("t2")(ode, 5), "ddim")
    assert parts.total == pytest.approx(parts.discretisation, rel=1e-9)
    assert parts.network < 1e-9
    assert parts.truncation == 0


def test_it_reads_well():
    parts = Decomposition(0.123, 0.1, 0.05, 0.001, 1e-7)
    assert str(parts) == "total 0.12: discretisation 0.1, network 0.05, truncation 0.001 (known to 1e-07)"


def test_samples_that_are_too_accurate_for_the_references_are_refused():
    ode = gaussian(MODEL_STD)
    with pytest.raises(CoarseReferenceError, match="finer reference"):
        decompose(ode, gaussian(DATA_STD), X0, make_grid("t2")(ode, 300), "tab3:start=runge-kutta", nfe=40)


def test_exact_equations_that_do_not_fit_are_refused():
    ode = gaussian(MODEL_STD)
    times = make_grid("t2")(ode, 5)
    with pytest.raises(ArgumentError, match=r"exact must start at 1, as ode does, got 0\.9"):
        decompose(ode, GaussianMixture(MEAN, 0.5).ode(VPLinear(t_max=0.9)), X0, times, "ddim")
    with pytest.raises(ArgumentError, match="times must lie between"):
        decompose(ode, gaussian(DATA_STD, 0.01), X0, times, "ddim")
    with pytest.raises(ArgumentError, match=r"run over the domain of ode, from 1 to 0\.001, got \(1\.0, 0\.5\)"):
        decompose(ode, gaussian(DATA_STD), X0, [1.0, 0.5], "ddim")


def test_fitting_error_is_the_rmse_of_n_along_the_exact_path():
    ode, true = gaussian(MODEL_STD), gaussian(DATA_STD)
    path = reference(InitialValueProblem(true, X0), PowerGrid(power=2.0)(true, 10), nfe=200)
    found = fitting_error(ode, true, path)
    for t, error in zip(path.times, found, strict=True):
        alpha, sigma = ode.marginal(torch.tensor(t, dtype=torch.float64))
        slopes = [sigma / ((alpha * std) ** 2 + sigma**2) for std in (MODEL_STD, DATA_STD)]
        expected = (slopes[0] - slopes[1]).abs() * (exact(DATA_STD, t) - alpha * MEAN).square().mean().sqrt()
        assert error == pytest.approx(float(expected), rel=1e-3)
    assert found[0] < found[-1]


def test_fitting_errors_of_different_splittings_are_refused():
    true = gaussian(DATA_STD)
    path = reference(InitialValueProblem(true, X0), nfe=40)
    with pytest.raises(ArgumentError, match="exact must have the splitting 'x0', as ode has, got 'eps'"):
        fitting_error(gaussian(MODEL_STD).split("x0"), true, path)

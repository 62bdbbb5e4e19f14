import math

import pytest
import torch

from deis import (
    EDM,
    VE,
    ArgumentError,
    DiscreteVP,
    GaussianStart,
    PowerGrid,
    ProbabilityFlowODE,
    RectifiedFlow,
    SampleNoise,
    VPLinear,
    sample,
    solve,
)

MEAN = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
ROOT = torch.tensor([[1.0, 0.4, 0.0], [0.0, 0.3, 0.2], [0.5, 0.0, 0.1]], dtype=torch.float64)
COVARIANCE = ROOT @ ROOT.T
UNTIL = {VPLinear(): 0.5, EDM(): 3.0, VE(): 0.6, RectifiedFlow(): 0.7}


def gaussian(schedule):
    """Data N(MEAN, COVARIANCE): eps = sigma (alpha^2 COVARIANCE + sigma^2 I)^-1 (x - alpha MEAN)."""

    def eps(x, t):
        alpha, sigma = schedule.alpha(t[0]), schedule.sigma(t[0])
        matrix = alpha**2 * COVARIANCE + sigma**2 * torch.eye(3, dtype=torch.float64)
        return sigma * torch.linalg.solve(matrix, (x - alpha * MEAN).T).T

    return ProbabilityFlowODE(schedule, eps)


@pytest.mark.parametrize(("schedule", "until"), list(UNTIL.items()), ids=repr)
def test_it_is_the_solution_of_the_ode_of_gaussian_data(schedule, until):
    ode = gaussian(schedule)
    start = GaussianStart(MEAN, COVARIANCE, until)
    x = SampleNoise(range(4)).initial((3,), torch.float64) * float(schedule.sigma(torch.tensor(ode.domain[0]).double()))
    between = ode.clock("log_rho").of(torch.tensor([ode.domain[0], until], dtype=torch.float64))
    fine = ode.clock("log_rho").time(torch.linspace(float(between[0]), float(between[1]), 201, dtype=torch.float64))
    fine[0], fine[-1] = ode.domain[0], until
    expected = solve(ode, x, fine, "rhork-rk4").x
    torch.testing.assert_close(start.state(ode, x), expected, rtol=1e-7, atol=1e-7)
    assert PowerGrid()(start.rest(ode), 1).times == (until, schedule.t_min)


def test_states_keep_their_shape_precision_and_device():
    start = GaussianStart(torch.zeros(1, 2, 3), torch.eye(6), 0.5)
    ode = ProbabilityFlowODE(VPLinear(), lambda x, t: x)
    for dtype in (torch.float16, torch.float32, torch.float64):
        x = torch.ones(4, 1, 2, 3, dtype=dtype)
        found = start.state(ode, x)
        assert (found.shape, found.dtype) == (x.shape, dtype)
        torch.testing.assert_close(found, x)  # variance 1 stays as it is


def test_mean_and_covariance_are_those_of_data():
    data = torch.randn(50, 2, 2, generator=torch.Generator().manual_seed(3))
    start = GaussianStart.of(data, until=0.5)
    flat = data.double().flatten(1)
    torch.testing.assert_close(start.mean, data.double().mean(0))
    centred = flat - flat.mean(0)
    torch.testing.assert_close(start.covariance, centred.T @ centred / 50)


def test_a_sample_starts_in_closed_form_and_makes_its_calls_below():
    asked = []
    exact = gaussian(VPLinear())

    def watched(x, t):
        asked.append(float(t[0]))
        return exact.network(x, t)

    ode = ProbabilityFlowODE(VPLinear(), watched)
    start = GaussianStart(MEAN, COVARIANCE, 0.2)
    options = {"nfe": 8, "integrator": "tab2", "grid": "log", "dtype": torch.float64}
    solution = sample(ode, (3,), [4, 2], start=start, keep_states=True, **options)
    assert solution.nfe == len(asked) == 8
    assert asked[0] == max(asked) == solution.times[0] == 0.2
    assert solution.times[-1] == 1e-3
    noise = SampleNoise([4, 2]).initial((3,), torch.float64) * float(VPLinear().sigma(torch.tensor(1.0).double()))
    torch.testing.assert_close(solution.states[0], start.state(ode, noise))
    fine = sample(ode, (3,), [4, 2], start=None, **options | {"nfe": 200})
    plain = sample(ode, (3,), [4, 2], **options)
    # of Gaussian data it leaves out a part that is exact
    assert (solution.x - fine.x).abs().max() < 0.5 * (plain.x - fine.x).abs().max()


def test_times_may_be_given_from_there_on():
    ode = gaussian(EDM())
    start = GaussianStart(MEAN, COVARIANCE, 5.0)
    solution = sample(ode, (3,), [1], grid=[5.0, 1.0, 0.1], start=start, integrator="ddim", dtype=torch.float64)
    assert solution.times == (5.0, 1.0, 0.1)
    for first in (4.0, 6.0):
        with pytest.raises(ArgumentError, match=r"grid must begin at 5.0, where the start ends, got "):
            sample(ode, (3,), [1], grid=[first, 1.0, 0.1], start=start)


@pytest.mark.parametrize("schedule", [VPLinear(), DiscreteVP(), EDM()], ids=repr)
def test_the_rest_of_an_ode_is_the_same_ode(schedule):
    ode = gaussian(schedule)
    until = ode.domain[1] + 0.5 * (ode.domain[0] - ode.domain[1])
    rest = GaussianStart(MEAN, COVARIANCE, until).rest(ode)
    assert rest.domain == (until, ode.domain[1])
    s, t = (torch.tensor([f * until], dtype=torch.float64) for f in (0.7, 0.3))
    for a, b in ((ode, rest), (ode.split("x0"), rest.split("x0"))):
        torch.testing.assert_close(a.weights(s, t, s[:, None], "rho"), b.weights(s, t, s[:, None], "rho"))
        torch.testing.assert_close(a.transition(t, s), b.transition(t, s))
    assert rest.schedule.knots().numel() <= schedule.knots().numel()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianStart(MEAN, torch.eye(2), 0.5), r"covariance must have shape \(3, 3\), got \(2, 2\)"),
        (lambda: GaussianStart([0.0], COVARIANCE, 0.5), "mean and covariance must be floating point tensors"),
        (lambda: GaussianStart(MEAN, COVARIANCE, math.nan), "until must be a number"),
        (lambda: GaussianStart(MEAN, COVARIANCE, 2.0).rest(gaussian(VPLinear())), "until must be a time above 0.001 "),
        (lambda: GaussianStart(MEAN, COVARIANCE, 1e-3).rest(gaussian(VPLinear())), "until must be a time above 0.001"),
        (
            lambda: GaussianStart(MEAN, COVARIANCE, 0.5).state(gaussian(VPLinear()), torch.zeros(2, 4)),
            r"x must have shape \(B, \*\(3,\)\), got \(2, 4\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()

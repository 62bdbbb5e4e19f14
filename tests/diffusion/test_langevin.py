import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad, solve_ivp

from deis import INTEGRATORS, BlackBox, ExponentialEuler, PolynomialEIAB, PowerGrid, SemilinearODE, TimeGrid, solve
from deis.diffusion import CriticallyDampedLangevin
from deis.errors import ArgumentError, CapabilityError, NetworkError

TIMES = torch.tensor([1e-3, 3e-3, 0.02, 0.1, 0.4, 1.0], dtype=torch.float64)
PARAMETERS = [{}, {"std": 0.3}, {"beta": 2.0, "mass": 1.0, "gamma": 0.5}, {"gamma": 1e-3, "std": 0.01}]

every = pytest.mark.parametrize("options", PARAMETERS, ids=["paper", "blurred", "slow", "sharp"])


def at(values):
    return torch.as_tensor(values, dtype=torch.float64)


def langevin(network=lambda x, t: torch.zeros_like(x), **options):
    return CriticallyDampedLangevin(network, **options)


def matrices(ode):
    """F, G G^T and Sigma_0 from the paper's parameters (arXiv 2112.07068, eq. 5)."""
    friction = 2 * math.sqrt(ode.mass)
    drift = ode.beta * np.array([[0, 1 / ode.mass], [-1, -friction / ode.mass]])
    return drift, np.diag([0, 2 * friction * ode.beta]), np.diag([ode.std**2, ode.gamma * ode.mass])


def integrate(slope, start, times, rtol=1e-13):
    shape = np.shape(start)
    solution = solve_ivp(
        lambda t, y: np.asarray(slope(t, y.reshape(shape))).ravel(),
        (times[0], times[-1]),
        np.ravel(start),
        method="DOP853",
        rtol=rtol,
        atol=1e-15,
        t_eval=times,
    )
    return solution.y.T.reshape(-1, *shape)


class Mixture:
    """Data at points of equal weight, blurred by the ODE's own std; the state is (position, velocity)."""

    def __init__(self, points, **options):
        self.points, self.ode = points, langevin(**options)

    def means(self, t):
        start = torch.stack([self.points, torch.zeros_like(self.points)])  # (2, K, d)
        return self.ode.apply(self.ode.transition(at(t), at(0.0)), start[None])[0].movedim(1, 0)  # (K, 2, d)

    def score(self, t, x):
        inverse = torch.linalg.inv(self.ode.covariance(at(t)))
        gap = x[:, None] - self.means(t)  # (B, K, 2, d)
        pull = torch.einsum("ij,bkjd->bkid", inverse, gap)
        share = (-(gap * pull).sum((-1, -2)) / 2).softmax(1)
        return -torch.einsum("bk,bkid->bid", share, pull)

    def eps(self, x, t):
        return -torch.einsum("ji,bjd->bid", self.ode.factor(t[0]), self.score(float(t[0]), x))

    def slope(self, t, x):
        drift, noise, _ = matrices(self.ode)
        x = torch.from_numpy(np.ascontiguousarray(x))
        return torch.einsum("ij,bjd->bid", at(drift), x) - torch.einsum("ij,bjd->bid", at(noise), self.score(t, x)) / 2


@every
def test_covariance_obeys_the_lyapunov_equation(options):
    ode = langevin(**options)
    drift, noise, start = matrices(ode)
    exact = integrate(lambda t, s: drift @ s + s @ drift.T + noise, start, [0.0, *TIMES.tolist()])[1:]
    error = np.abs(ode.covariance(TIMES).numpy() - exact)
    size = np.sqrt(exact[:, [0, 1], [0, 1]])
    assert (error / (size[:, :, None] * size[:, None, :])).max() < 1e-10  # what the reference reaches


def test_covariance_ends_at_the_equilibrium():
    ode = langevin(t_max=10.0, mass=0.5)
    torch.testing.assert_close(ode.covariance(at(10.0)), torch.diag(at([1.0, 0.5])), rtol=1e-12, atol=1e-12)


@every
def test_factor_times_its_transpose_is_the_covariance(options):
    ode = langevin(**options)
    factor = ode.factor(TIMES)
    torch.testing.assert_close(factor @ factor.mT, ode.covariance(TIMES), rtol=1e-12, atol=1e-15)
    assert float(factor[0, 0, 1]) == 0


@every
def test_factor_obeys_the_equation_of_gddim(options):
    ode = langevin(**options)
    drift, noise, _ = matrices(ode)

    def slope(t, factor):
        return (drift + noise @ np.linalg.inv(ode.covariance(at(t)).numpy()) / 2) @ factor

    exact = integrate(slope, ode.factor(TIMES[0]).numpy(), TIMES.tolist())
    np.testing.assert_allclose(ode.factor(TIMES).numpy(), exact, rtol=1e-11, atol=1e-12)


@every
def test_transition_is_a_group_and_the_exponential_of_the_linear_part(options):
    ode = langevin(**options)
    t, s, r = at([0.9, 0.2, 1e-3]), at([0.1, 0.6, 1.0]), at([0.3, 0.7, 0.5])
    torch.testing.assert_close(
        ode.transition(t, s) @ ode.transition(s, r), ode.transition(t, r), rtol=1e-10, atol=1e-12
    )
    torch.testing.assert_close(ode.transition(t, t), torch.eye(2, dtype=torch.float64).expand(3, 2, 2), rtol=0, atol=0)
    exponential = torch.linalg.matrix_exp((t - s)[:, None, None] * at(matrices(ode)[0]))
    torch.testing.assert_close(ode.transition(t, s), exponential, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(ode.linear(t), at(matrices(ode)[0]).expand(3, 2, 2))


@every
def test_weight_is_half_of_the_noise_times_the_inverse_transpose_of_the_factor(options):
    ode = langevin(**options)
    expected = at(matrices(ode)[1]) @ torch.linalg.inv(ode.factor(TIMES)).mT / 2
    torch.testing.assert_close(ode.weight(TIMES), expected, rtol=1e-9, atol=1e-9)


@every
def test_weights_agree_with_the_base_class(options):
    ode = langevin(**options)
    s, t, nodes = at([0.9, 0.3, 0.1]), at([0.5, 0.12, 0.2]), at([[0.9, 1.0], [0.3, 0.5], [0.1, 0.05]])
    base = SemilinearODE.weights(ode, s, t, nodes)
    torch.testing.assert_close(ode.weights(s, t, nodes), base, rtol=1e-11, atol=1e-11)


@every
def test_one_step_of_exponential_euler_is_exact_for_the_gaussian_of_the_factor(options):
    data = Mixture(torch.randn(1, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64), **options)
    ode = langevin(data.eps, **options)
    z = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    start, exact = (data.means(t) + ode.apply(ode.factor(at(t)), z) for t in (1.0, 1e-3))
    ours = solve(ode, start, [1.0, 1e-3], ExponentialEuler())
    assert ours.nfe == 1
    torch.testing.assert_close(ours.x, exact, rtol=1e-8, atol=1e-8)


def test_the_gaussian_solution_solves_the_probability_flow_ode():
    data = Mixture(at([[1.0, -0.5]]))
    z = torch.randn(2, 2, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    start, exact = (data.means(t) + data.ode.apply(data.ode.factor(at(t)), z) for t in (0.1, 1.0))
    np.testing.assert_allclose(integrate(data.slope, start.numpy(), [0.1, 1.0])[1], exact.numpy(), rtol=1e-9)


POINTS = at([[1.0, -0.5], [-0.8, 0.3], [0.2, 1.1]])


@pytest.fixture(scope="module")
def curved():
    """A nonlinear case, its start, and its solution by a method that knows neither R nor the splitting."""
    data = Mixture(POINTS, std=0.8)
    start = (
        torch.randn(4, 2, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * at([1.0, 0.5])[:, None]
    )
    exact = integrate(data.slope, start.numpy(), [1.0, 0.2], rtol=1e-12)[1]
    return langevin(data.eps, std=0.8), start, torch.from_numpy(exact)


def errors(curved, method, counts):
    ode, start, exact = curved
    found = []
    for count in counts:
        times = TimeGrid(torch.linspace(1.0, 0.2, count + 1, dtype=torch.float64))
        found.append(float((solve(ode, start, times, method).x - exact).square().mean().sqrt()))
    return found


@pytest.mark.parametrize(
    ("method", "order"),
    [
        (ExponentialEuler(), 1),
        (PolynomialEIAB(steps=2), 2),
        (PolynomialEIAB(steps=3, start="runge-kutta"), 3),
        (PolynomialEIAB(steps=4, start="runge-kutta"), 4),
        (PolynomialEIAB(steps=3, start="runge-kutta", corrector=True), 4),
        (INTEGRATORS.create("rhork-kutta3:clock=t"), 3),
        (INTEGRATORS.create("euler"), 1),
    ],
    ids=repr,
)
def test_orders_are_those_of_scalar_problems(curved, method, order):
    coarse, fine = errors(curved, method, (80, 160))
    assert abs(math.log2(coarse / fine) - order) < 0.3
    assert fine < (1e-1 if order == 1 else 1e-2)


def test_more_points_are_better_at_few_steps(curved):
    found = [errors(curved, INTEGRATORS.create(name), [20])[0] for name in ("ddim", "tab1", "tab2")]
    assert found[0] > 1.5 * found[1] > 1.5**2 * found[2]


def test_every_integrator_solves_it_or_says_what_is_missing(curved):
    ode, start, exact = curved
    refused = {}
    for name in INTEGRATORS:
        method = INTEGRATORS.create(name)
        count = 1 if isinstance(method, BlackBox) and method.chooses_steps else 150
        times = TimeGrid(torch.linspace(1.0, 0.2, count + 1, dtype=torch.float64))
        try:
            x = solve(ode, start, times, method, noise=lambda step, x: torch.zeros_like(x)).x
        except CapabilityError as error:
            refused[name] = str(error)
        else:
            assert float((x - exact).square().mean().sqrt()) < 0.2, name
    assert all("CriticallyDampedLangevin has no" in message for message in refused.values())
    assert {"ei-score", "sddim", "rhoab3"} <= refused.keys()
    assert refused.keys().isdisjoint({"ddim", "euler", "tab0", "tab1", "tab2", "tab3", "ipndm", "dopri5"})


def test_encoding_and_decoding_return_to_the_start(curved):
    ode, start, _ = curved
    times = TimeGrid(torch.linspace(1.0, 0.2, 201, dtype=torch.float64))
    there = solve(ode, start, times, "tab3").x
    torch.testing.assert_close(solve(ode, there, times.reversed(), "tab3").x, start, rtol=1e-3, atol=1e-3)


def test_samples_come_back_to_the_data():
    data = Mixture(POINTS, std=0.1)
    ode = langevin(data.eps, std=0.1)
    z = torch.randn(400, 2, 2, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    x = solve(ode, ode.apply(ode.factor(at(1.0)), z), PowerGrid("t", 2.0)(ode, 60), "tab2").x
    distance = torch.cdist(x[:, 0], POINTS).min(1).values
    assert float((distance < 0.5).double().mean()) > 0.97  # five standard deviations
    assert float(x[:, 1].std()) == pytest.approx(math.sqrt(ode.covariance(at(1e-3))[1, 1]), rel=0.1)


def test_the_network_sees_the_whole_state_and_one_time_a_sample():
    seen = []

    def network(x, t):
        seen.append((x.shape, t))
        return x

    langevin(network).nonlinearity(0.5, torch.zeros(3, 2, 4, 4, dtype=torch.bfloat16))
    ((shape, t),) = seen
    assert shape == (3, 2, 4, 4)
    assert (t.shape, t.dtype, t[0].item()) == ((3,), torch.float32, 0.5)


def test_states_without_position_and_velocity_are_refused():
    ode = langevin()
    with pytest.raises(ArgumentError, match=r"x0 must fit the linear part, of shape \(2, 2\)"):
        solve(ode, torch.zeros(3, 3), PowerGrid()(ode, 3), "tab1")
    with pytest.raises(NetworkError, match="the nonlinearity must return"):
        solve(langevin(lambda x, t: x[:, :1]), torch.zeros(3, 2), PowerGrid()(ode, 3), "tab1")


@pytest.mark.parametrize(
    ("argument", "value"),
    [("beta", 0.0), ("mass", -1.0), ("gamma", 0.0), ("std", -0.1), ("t_min", 0.0), ("t_max", 1e-3), ("t_max", "1")],
)
def test_parameters_that_make_no_diffusion_are_refused(argument, value):
    with pytest.raises(ArgumentError, match=f"^{argument} must"):
        langevin(**{argument: value})
    with pytest.raises(ArgumentError, match="network must be callable"):
        langevin(None)


@every
def test_the_angle_is_the_integral_of_its_rate_inside_and_outside_of_the_domain(options):
    ode = langevin(**options)
    a = 1 / math.sqrt(ode.mass)

    def rate(y):
        sigma = ode.covariance(at(math.exp(y))).numpy()
        return -(ode.beta * a**2) * math.sqrt(np.linalg.det(sigma)) / sigma[0, 0] * math.exp(y)

    times = [2e-4, 1e-3, 2.2e-3, 0.05, 0.77, 1.0, 1.6]
    exact = [quad(rate, math.log(ode.t_min), math.log(t), epsabs=1e-13, epsrel=1e-12, limit=500)[0] for t in times]
    factor = ode.factor(at(times))
    angle = torch.atan2(-factor[:, 0, 1], factor[:, 0, 0])
    gap = torch.remainder(angle - at(exact) + math.pi, 2 * math.pi) - math.pi
    assert float(gap.abs().max()) < 1e-10  # what the determinant in the reference reaches


def test_the_factor_is_differentiable_in_time_also_at_the_start():
    ode = langevin()
    times = at([1e-3, 0.02, 0.7]).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: ode.factor(t)[1:], times, eps=1e-6, rtol=1e-5)
    (slope,) = torch.autograd.grad(ode.factor(times)[0, 0, 1], times)
    assert float(slope[0]) != 0


def test_the_angle_is_tabulated_once():
    with torch.inference_mode():
        ode = langevin()
        ode.factor(at(0.3))
    assert ode._angles is ode._angles
    t = at(0.3).requires_grad_()
    ode.factor(t).sum().backward()
    assert t.grad is not None

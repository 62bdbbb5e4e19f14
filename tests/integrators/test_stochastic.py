"""The reverse-SDE family against the formulas of the papers, and its moments and paths against exact ones."""

import math
from itertools import pairwise

import pytest
import torch
from scipy.integrate import quad

from deis import (
    EDM,
    INTEGRATORS,
    IPNDM,
    SCHEDULES,
    BrownianNoise,
    Denoised,
    DiagonalODE,
    EulerMaruyama,
    ExponentialEuler,
    ExponentialRungeKutta,
    GaussianMixture,
    PolynomialEIAB,
    ProbabilityFlowODE,
    RhoRungeKutta,
    Stochastic,
    StochasticDDIM,
    VPLinear,
    make_grid,
    solve,
)
from deis.errors import ArgumentError, CapabilityError

PRESETS = [name for name in INTEGRATORS if INTEGRATORS[name].cls is Stochastic]
SHAPE = (2, 3)


def number(function, t):
    return float(function(torch.tensor(t, dtype=torch.float64)))


def lambda_grid(schedule, start, end, intervals):
    ends = (number(schedule.lambda_, t) for t in (start, end))
    return schedule.time_of_lambda(torch.linspace(*ends, intervals + 1, dtype=torch.float64))


def uneven_times(schedule, start, end, intervals):
    u = torch.linspace(0, 1, intervals + 1, dtype=torch.float64)
    low, high = (number(schedule.lambda_, t) for t in (start, end))
    return schedule.time_of_lambda(low + (high - low) * (u + 0.3 * u**2) / 1.3)


def data(x, sigma):
    """A prediction of x0 for a noise level."""
    return torch.tanh(x / (1 + sigma)) + 0.1 * math.cos(sigma) * x.sin()


def network(x, t):
    """The same as a network."""
    return data(x, float(t[0]))


def normals(count):
    return torch.randn(count, *SHAPE, generator=torch.manual_seed(5), dtype=torch.float64)


def ours(method, sigmas, z):
    ode = ProbabilityFlowODE(EDM(), network, predicts="x0")
    return solve(ode, start(), sigmas, method, noise=lambda draw, x: z[draw.number]).x


def start():
    return 10 * torch.randn(SHAPE, generator=torch.manual_seed(6), dtype=torch.float64)


SIGMAS = [10.0, 6.0, 3.5, 1.5, 0.7, 0.4, 0.1]
NOISE = normals(2 * len(SIGMAS))


# formulas of k-diffusion's samplers, in lambda = -log sigma


def dpmpp_2m_sde(eta, kind):
    x, old, last = start(), None, None
    for (s, t), z in zip(pairwise(SIGMAS), NOISE, strict=False):
        new, h = data(x, s), math.log(s / t)
        gain = -math.expm1(-(1 + eta) * h)
        x = t / s * math.exp(-eta * h) * x + gain * new
        if old is not None:
            slope = gain / 2 if kind == "midpoint" else 1 - gain / ((1 + eta) * h)
            x = x + slope * h / last * (new - old)
        x = x + t * math.sqrt(-math.expm1(-2 * eta * h)) * z
        old, last = new, h
    return x


def dpmpp_3m_sde(eta):
    x, past, steps = start(), [], []
    for (s, t), z in zip(pairwise(SIGMAS), NOISE, strict=False):
        new, h = data(x, s), math.log(s / t)
        k = (1 + eta) * h
        phi1 = -math.expm1(-k)
        phi2 = 1 - phi1 / k
        phi3 = phi2 / k - 0.5
        x = math.exp(-k) * x + phi1 * new
        if past:
            r0 = steps[-1] / h
            slope = (new - past[-1]) / r0
            if len(past) > 1:
                r1 = steps[-2] / h
                older = (past[-1] - past[-2]) / r1
                curve = (slope - older) / (r0 + r1)
                slope = slope + curve * r0
                x = x - phi3 * curve
            x = x + phi2 * slope
        x = x + t * math.sqrt(-math.expm1(-2 * eta * h)) * z
        past, steps = [*past, new], [*steps, h]
    return x


def dpmpp_sde():
    """With eta = 1, r = 1/2, and the noise of a whole step put together from that of its halves."""
    x = start()
    for n, (s, t) in enumerate(pairwise(SIGMAS)):
        middle = math.sqrt(s * t)
        z, rest = NOISE[2 * n], NOISE[2 * n + 1]
        new = data(x, s)

        def ancestral(a, b):
            up = b * math.sqrt(1 - (b / a) ** 2)
            return math.sqrt(b**2 - up**2), up

        down, up = ancestral(s, middle)
        inner = down / s * x + (1 - down / s) * new + up * z
        down, up = ancestral(s, t)
        # B(1 / t^2) - B(1 / s^2) is the sum over the halves
        early, late = 1 / middle**2 - 1 / s**2, 1 / t**2 - 1 / middle**2
        whole = (math.sqrt(early) * z + math.sqrt(late) * rest) / math.sqrt(early + late)
        x = down / s * x + (1 - down / s) * data(inner, middle) + up * whole
    return x


@pytest.mark.parametrize("eta", [0.3, 1.0])
@pytest.mark.parametrize(("name", "kind"), [("dpmpp-2m-sde", "midpoint"), ("dpmpp-2m-sde-heun", "heun")])
def test_2m_sde_is_that_of_k_diffusion_whose_eta_is_the_square_of_tau(name, kind, eta):
    method = INTEGRATORS.create(name, tau=math.sqrt(eta))
    torch.testing.assert_close(ours(method, SIGMAS, NOISE), dpmpp_2m_sde(eta, kind), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_3m_sde_is_that_of_k_diffusion(eta):
    method = INTEGRATORS.create("dpmpp-3m-sde", tau=math.sqrt(eta))
    torch.testing.assert_close(ours(method, SIGMAS, NOISE), dpmpp_3m_sde(eta), rtol=1e-11, atol=1e-11)


def test_dpmpp_sde_is_that_of_k_diffusion():
    torch.testing.assert_close(ours("dpmpp-sde", SIGMAS, NOISE), dpmpp_sde(), rtol=1e-11, atol=1e-11)


# SA-Solver and the stochastic exponential Adams methods by quadrature


def lagrange(nodes, j, at):
    return math.prod((at - node) / (nodes[j] - node) for i, node in enumerate(nodes) if i != j)


def sa_weights(schedule, tau, s, t, nodes):
    """arXiv 2309.05019, eq. 14 and 17: the weight of x0 at each of ``nodes``, in lambda."""
    ls, lt = (number(schedule.lambda_, u) for u in (s, t))
    places = [number(schedule.lambda_, u) for u in nodes]

    def integrand(at, j):
        return math.exp(-(tau**2) * (lt - at)) * (1 + tau**2) * math.exp(at) * lagrange(places, j, at)

    return [
        number(schedule.sigma, t) * quad(integrand, ls, lt, args=(j,), epsabs=0, epsrel=1e-11)[0]
        for j in range(len(nodes))
    ]


@pytest.mark.parametrize("tau", [0.4, 1.0])
@pytest.mark.parametrize(("name", "points"), [("sa-solver-2", 2), ("sa-solver", 3), ("sa-solver-4", 4)])
def test_sa_solver_is_that_of_the_paper(name, points, tau):
    schedule = VPLinear()
    ode = ProbabilityFlowODE(schedule, network, predicts="x0")
    times = uneven_times(schedule, 0.9, 0.1, 6).tolist()
    steps = INTEGRATORS.create(name, tau=tau).plan(ode, times).steps
    for n, (s, t) in enumerate(pairwise(times)):
        h = number(schedule.lambda_, t) - number(schedule.lambda_, s)
        ratio = number(schedule.sigma, t) / number(schedule.sigma, s)
        nodes = [times[i] for i in range(n, max(n - points, -1), -1)]
        rows = [(steps[n].advance, nodes)]
        rows += [(steps[n].correct, [t, *nodes])] if n < 5 else []
        for row, places in rows:
            assert row.state == pytest.approx(math.exp(-(tau**2) * h) * ratio, rel=1e-11)
            assert row.noise[0] == pytest.approx(
                number(schedule.sigma, t) * math.sqrt(1 - math.exp(-2 * tau**2 * h)), rel=1e-11
            )
            assert row.values == pytest.approx(sa_weights(schedule, tau, s, t, places), rel=1e-8)


@pytest.mark.parametrize("tau", [0.5, 1.3])
@pytest.mark.parametrize(("name", "points"), [("sexp-ab2", 2), ("sexp-ab3", 3)])
def test_stochastic_exponential_adams_integrates_eps_for_any_lambda_coef(name, points, tau):
    schedule = VPLinear()
    ode = ProbabilityFlowODE(schedule, network)
    times = uneven_times(schedule, 0.9, 0.1, 4).tolist()
    for n, step in enumerate(INTEGRATORS.create(name, tau=tau).plan(ode, times).steps):
        s, t = step.start, step.end
        alpha = number(schedule.alpha, t)
        rho = [number(schedule.rho, u) for u in (s, t)]
        places = [number(schedule.lambda_, times[i]) for i in range(n, max(n - points, -1), -1)]
        ends = [number(schedule.lambda_, u) for u in (s, t)]

        def integrand(at, j, places=places):
            return math.exp(-at) * lagrange(places, j, at)

        expected = [-(1 + tau**2) * alpha * quad(integrand, *ends, args=(j,))[0] for j in range(len(places))]
        assert step.advance.values == pytest.approx(expected, rel=1e-9)
        assert step.advance.state == pytest.approx(alpha / number(schedule.alpha, s), rel=1e-12)
        assert step.advance.noise[0] == pytest.approx(tau * alpha * math.sqrt(rho[0] ** 2 - rho[1] ** 2), rel=1e-10)


@pytest.mark.parametrize("tau", [0.0, 0.6, 1.0, 1.8])
@pytest.mark.parametrize("name", list(SCHEDULES))
def test_with_one_value_of_x0_it_is_stochastic_ddim(name, tau):
    ode = ProbabilityFlowODE(SCHEDULES.create(name), network, predicts="x0", splitting="x0")
    times = make_grid("log")(ode, 8).tensor()
    levels = [number(f, times[0].item()) for f in (ode.schedule.alpha, ode.schedule.sigma)]
    x0 = levels[1] * start() + levels[0]
    methods = [Stochastic("ddim", tau), StochasticDDIM(tau, law="sde")]
    a, b = (solve(ode, x0, times, method, noise=lambda draw, x: NOISE[draw.number]).x for method in methods)
    torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-11)


# noise within a step


@pytest.mark.parametrize("splitting", ["x0", "eps"])
@pytest.mark.parametrize("tableau", ["dpm-solver-3", "etdrk4", "hochbruck-ostermann"])
def test_stages_share_the_noise_of_the_path(tableau, splitting):
    ode = ProbabilityFlowODE(VPLinear(), network, splitting=splitting)
    times = torch.tensor([0.8, 0.5, 0.3], dtype=torch.float64)
    sde = ode.reverse_sde(0.7)
    for step in Stochastic(ExponentialRungeKutta(tableau), 0.7).plan(ode, times).steps:
        points = [(stage.time, stage.row) for stage in step.stages[1:]] + [(step.end, step.advance)]
        begin = torch.tensor(step.start, dtype=torch.float64)

        def variance(time, begin=begin):
            return float(sde.noise_scale(torch.tensor(time, dtype=torch.float64), begin)) ** 2

        for i, (later, row) in enumerate(points):
            for earlier, other in points[: i + 1]:
                first, last = sorted([earlier, later], reverse=True)
                carried = float(sde.transition(*(torch.tensor(u, dtype=torch.float64) for u in (last, first))))
                covariance = sum(p * q for p, q in zip(row.noise, other.noise, strict=False))
                assert covariance == pytest.approx(carried * variance(first), rel=1e-10)
        assert step.draws == tuple(pairwise(dict.fromkeys(v for span in step.draws for v in span)))  # one after another
        ends = torch.tensor([step.start, step.end], dtype=torch.float64)
        assert [step.draws[0][0], step.draws[-1][1]] == pytest.approx(sde.brownian(ends).tolist(), rel=1e-14)


def test_the_corrected_point_has_the_noise_of_the_predicted_one():
    ode = ProbabilityFlowODE(VPLinear(), network)
    for step in INTEGRATORS.create("sa-solver").plan(ode, torch.linspace(0.9, 0.1, 6).double()).steps[:-1]:
        assert step.correct.noise == step.advance.noise


def test_the_noise_of_a_block_of_dpm_solver_is_that_of_its_steps():
    # its state at the start of the block is put together from later values: the noise before must cancel
    ode = ProbabilityFlowODE(EDM(), network, predicts="x0")
    z = normals(6)
    blocks = Stochastic(INTEGRATORS.create("dpmpp-singlestep", moments="exact"), 0.8)
    two = [*SIGMAS[:2], SIGMAS[2]]
    plan = blocks.plan(ode, two)
    h = [math.log(a / b) for a, b in pairwise(two)]
    nodes = [-math.log(two[0]), -math.log(two[1])]

    def integrand(at, j):
        return (1 + 0.64) * math.exp(at - 0.64 * (-math.log(two[2]) - at)) * lagrange(nodes, j, at)

    ends = -math.log(two[0]), -math.log(two[2])
    weights = [two[2] * quad(integrand, *ends, args=(j,))[0] for j in range(2)]
    x = start()
    gain = -math.expm1(-1.64 * h[0])
    first = data(x, two[0])
    middle = two[1] / two[0] * math.exp(-0.64 * h[0]) * x + gain * first
    middle = middle + two[1] * math.sqrt(-math.expm1(-1.28 * h[0])) * z[0]
    decay = two[2] / two[1] * math.exp(-0.64 * h[1])
    expected = two[2] / two[0] * math.exp(-0.64 * sum(h)) * x + weights[0] * first + weights[1] * data(middle, two[1])
    expected = expected + decay * two[1] * math.sqrt(-math.expm1(-1.28 * h[0])) * z[0]
    expected = expected + two[2] * math.sqrt(-math.expm1(-1.28 * h[1])) * z[1]
    result = solve(ode, x, two, plan, noise=lambda draw, x: z[draw.number]).x
    torch.testing.assert_close(result, expected, rtol=1e-9, atol=1e-9)


# where and how much


@pytest.mark.parametrize(
    "method",
    [PolynomialEIAB("x0", "lambda", 3, corrector=True), RhoRungeKutta("heun2"), IPNDM(), Denoised("dpmpp-2m")],
    ids=repr,
)
def test_without_noise_it_is_the_method(method):
    ode = ProbabilityFlowODE(VPLinear(), network)
    times = make_grid("t2")(ode, 6)
    assert Stochastic(method, 0.0).plan(ode, times) == method.plan(ode, times)
    assert Stochastic(method, 0.0).order == method.order


@pytest.mark.parametrize(("low", "high"), [(0.5, math.inf), (0.0, 2.0), (0.5, 2.0), (5.0, 6.0)])
def test_noise_is_added_between_two_levels_only(low, high):
    method = PolynomialEIAB("x0", "lambda", 3, corrector=True)
    ode = ProbabilityFlowODE(EDM(), network)
    steps, noisy, plain = (
        m.plan(ode, SIGMAS).steps for m in (Stochastic(method, 0.9, low, high), Stochastic(method, 0.9), method)
    )
    for n, sigma in enumerate(SIGMAS[:-1]):
        same = (noisy if low <= sigma <= high else plain)[n]
        assert steps[n].draws == same.draws
        assert steps[n].advance.coefficients() == pytest.approx(same.advance.coefficients(), rel=1e-12)
        assert bool(steps[n].draws) == (low <= sigma <= high)


def test_it_makes_the_evaluations_of_its_method():
    method = Stochastic(PolynomialEIAB("x0", "lambda", 4, start="runge-kutta"))
    assert [method.nfe(n) for n in (1, 2, 5)] == [method.method.nfe(n) for n in (1, 2, 5)]
    assert Stochastic("dpmpp-2s").evaluations_per_step == 2


def test_a_last_evaluation_at_the_end_adds_no_noise():
    ode = ProbabilityFlowODE(EDM(), network, predicts="x0")
    plan = Stochastic(Denoised("dpmpp-2m"), 1.0).plan(ode, SIGMAS)
    assert plan.steps[-1].draws == ()
    plain = solve(ode, start(), SIGMAS, "dpmpp-2m-sde", noise=lambda draw, x: NOISE[draw.number]).x
    result = solve(ode, start(), SIGMAS, plan, noise=lambda draw, x: NOISE[draw.number]).x
    torch.testing.assert_close(result, data(plain, SIGMAS[-1]), rtol=1e-11, atol=1e-11)


# moments on Gaussian data, which the rows carry without a sampling error

MEAN, STD = 0.7, 0.5


def moments(ode, method, times, tau):
    """Errors of gain, mean and variance at the end, from the state alpha mean + 1 at the start.

    N is affine, so that the result is gain x + c + sum_i b_i z_i: the samples are 0, the start, and one for each draw.
    """
    plan = method.plan(ode, times)
    draws = sum(len(step.draws) for step in plan.steps)
    alpha, sigma = ode.marginal(torch.tensor([plan.times[0], plan.times[-1]], dtype=torch.float64))
    x0 = torch.zeros(2 + draws, 1, dtype=torch.float64)
    x0[1] = alpha[0] * MEAN + 1

    def unit(draw, x):
        return torch.eye(len(x), dtype=x.dtype)[:, 2 + draw.number, None]

    x = solve(ode, x0, times, plan, noise=unit).x[:, 0]
    spread = (sigma / alpha) ** 2 + STD**2
    gain = float(alpha[1] / alpha[0] * (spread[1] / spread[0]) ** ((1 + tau**2) / 2))
    variance = float(alpha[1] ** 2 * spread[1] - gain**2 * alpha[0] ** 2 * spread[0])
    mean = float(x[1] - alpha[1] * MEAN) - gain
    return abs(mean), abs(float((x[2:] - x[0]).square().sum()) - variance)


def gaussian(schedule):
    return GaussianMixture(torch.tensor([[MEAN]], dtype=torch.float64), STD).ode(schedule)


def moment_orders(method, tau):
    schedule = EDM()
    ode = gaussian(schedule)
    errors = [moments(ode, method, lambda_grid(schedule, 5.0, 0.1, n), tau) for n in (96, 192)]
    return [math.log2(a / b) if b > 1e-13 else math.inf for a, b in zip(*errors, strict=True)]


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "ddpm"])
@pytest.mark.parametrize("tau", [0.6, 1.0])
def test_mean_and_variance_converge_with_order_2(name, tau):
    assert min(moment_orders(INTEGRATORS.create(name, tau=tau), tau)) >= 1.85


@pytest.mark.parametrize("method", [RhoRungeKutta("rk4"), ExponentialRungeKutta("krogstad", "x0")], ids=repr)
def test_no_method_reaches_more_than_order_2_in_distribution(method):
    _, variance = moment_orders(Stochastic(method), 1.0)
    assert variance == pytest.approx(2, abs=0.1)


ONE_VALUE = [Stochastic("ddim", 0.6), Stochastic(ExponentialEuler("x0"), 0.6), EulerMaruyama(0.6)]


@pytest.mark.parametrize("method", ONE_VALUE, ids=repr)
def test_mean_and_variance_of_one_value_converge_with_order_1(method):
    assert moment_orders(method, 0.6) == pytest.approx([1, 1], abs=0.1)


@pytest.mark.parametrize("name", ["ddpm", "dpmpp-sde", "dpmpp-2m-sde", "dpmpp-3m-sde", "sa-solver"])
def test_x0_has_no_drift_on_the_reverse_process(name):
    # E[x0 | x_t] is a martingale of the reversed forward process, tau = 1: rows that add up to phi_1 have exact means
    ode = gaussian(VPLinear())
    mean, _ = moments(ode, INTEGRATORS.create(name), lambda_grid(ode.schedule, 0.9, 0.1, 5), 1.0)
    assert mean < 1e-13


# paths


def mixture():
    """Independent one-dimensional mixtures in every entry of the state."""
    exact = GaussianMixture(torch.tensor([[1.0], [-0.6]], dtype=torch.float64), 0.4).network(EDM())
    return ProbabilityFlowODE(EDM(), lambda x, t: exact(x.reshape(-1, 1), t[:1]).reshape(x.shape))


def path_order(method):
    """From the root mean square of the changes on one path as the grid is refined, over 500 paths."""
    ode, noise = mixture(), BrownianNoise([3])
    x0 = 2.0 * noise.initial((500,), torch.float64)
    ends = [solve(ode, x0, lambda_grid(ode.schedule, 2.0, 0.2, n), method, noise=noise).x for n in (16, 32, 64, 128)]
    changes = [float((a - b).square().mean().sqrt()) for a, b in pairwise(ends)]
    return math.log2(changes[0] / changes[-1]) / 2, changes[-1]


@pytest.mark.parametrize("name", ["ddpm", "dpmpp-sde", "dpmpp-2m-sde", "dpmpp-3m-sde", "sa-solver", "sexp-ab2"])
def test_paths_converge_with_order_1(name):
    order, _ = path_order(INTEGRATORS.create(name))
    assert order == pytest.approx(1, abs=0.15)


def test_little_noise_leaves_little_of_the_error_of_paths():
    # arXiv 2309.05019, theorem 5.1: O(tau h + h^s)
    errors = {tau: path_order(INTEGRATORS.create("dpmpp-2m-sde-heun", tau=tau))[1] for tau in (1.0, 0.1)}
    assert errors[0.1] < 0.15 * errors[1.0]


# refusals


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ddim", -0.1), "tau must be a number of at least 0"),
        (("ddim", 1.0, -1.0), "low must be a number of at least 0"),
        (("ddim", 1.0, 0.5, 0.5), "high must be a number above low=0.5, got 0.5"),
        (("ddim", 1.0, 0.5, math.nan), "high must be a number above low=0.5"),
        (("ddim", 1.0, 0.5, True), "high must be a number above low=0.5"),
        (("dopri5",), "method must have a plan"),
        (("sddim",), "method must add no noise itself"),
        ((Stochastic("ddim"),), "method must add no noise itself"),
    ],
    ids=str,
)
def test_bad_options(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        Stochastic(*arguments)


def test_it_runs_from_noise_to_data_only():
    with pytest.raises(ArgumentError, match="must run from noise to data for a stochastic sampler"):
        Stochastic("ddim").plan(ProbabilityFlowODE(EDM(), network), SIGMAS[::-1])


def test_it_needs_a_splitting_whose_noise_is_known():
    ode = ProbabilityFlowODE(EDM(), network)
    with pytest.raises(CapabilityError, match="no splitting 'v'; choose eps or x0"):
        Stochastic(PolynomialEIAB("v")).plan(ode, SIGMAS)
    assert Stochastic("tab2").plan(ode.split("v"), SIGMAS) == Stochastic("tab2").plan(ode, SIGMAS)


def test_it_needs_a_diffusion():
    with pytest.raises(CapabilityError, match="DiagonalODE has no"):
        Stochastic("ddim").plan(DiagonalODE(-1.0, lambda t, x: x), [0.0, 1.0])

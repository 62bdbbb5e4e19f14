import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from deis import (
    EDM,
    VE,
    DiscreteVP,
    GaussianMixture,
    PolynomialEIAB,
    PowerGrid,
    ProbabilityFlowODE,
    VPLinear,
    solve,
)
from deis.errors import ArgumentError, CapabilityError, NetworkError, UnknownNameError

KINDS = ["eps", "x0", "denoiser", "score", "v", "flow"]
CLOCKS = ["t", "rho", "lambda", "log_rho", "sqrt_t", "vp_t"]


def at(values):
    return torch.as_tensor(values, dtype=torch.float64)


def zero(x, t):
    return torch.zeros_like(x)


def two_modes(schedule, predicts="eps"):
    means = torch.tensor([[0.5, -1.0], [2.0, 0.0]], dtype=torch.float64)
    network = GaussianMixture(means, std=0.3).network(schedule, predicts)
    return ProbabilityFlowODE(schedule, network, predicts=predicts)


def coefficients(kind, form):
    """L and G from the definition y = p x0 + q eps: x' = alpha' x0 + sigma' eps = L x + G y for all x0 and eps."""
    p, q = {
        "eps": (0.0, 1.0),
        "x0": (1.0, 0.0),
        "denoiser": (1.0, 0.0),
        "score": (0.0, -1 / form.sigma),
        "v": (-form.sigma, form.alpha),
        "flow": (form.alpha_rate, form.sigma_rate),
    }[kind]
    return np.linalg.solve([[form.alpha, p], [form.sigma, q]], [form.alpha_rate, form.sigma_rate])


@pytest.mark.parametrize("kind", KINDS)
def test_linear_and_weight_follow_from_the_definitions(schedule, closed_form, interior, kind):
    ode, t = ProbabilityFlowODE(schedule, zero, splitting=kind), interior(schedule, 20)
    linear, weight = at(np.array([coefficients(kind, closed_form(schedule, when)) for when in t.tolist()])).T
    torch.testing.assert_close(ode.linear(t), linear, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(ode.weight(t), weight, rtol=1e-9, atol=1e-10)


def test_all_splittings_are_the_same_ode(schedule, interior):
    ode, x = two_modes(schedule), torch.randn(3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for t in interior(schedule, 12):
        slopes, sizes = [], []
        for kind in KINDS:
            form = ode.split(kind)
            parts = form.linear(t) * x, form.weight(t) * form.nonlinearity(float(t), x)
            slopes.append(parts[0] + parts[1])
            sizes.append(float(parts[0].abs().max() + parts[1].abs().max()))
        for kind, slope in zip(KINDS, slopes, strict=True):
            assert float((slope - slopes[0]).abs().max()) <= 1e-11 * max(sizes), (kind, float(t))


def _integral(function, start, end, breaks=()):
    inside = sorted(b for b in breaks if min(start, end) < b < max(start, end))
    points = [start, *(inside if end > start else inside[::-1]), end]
    return sum(quad(function, a, b, epsabs=1e-13, epsrel=2e-12, limit=200)[0] for a, b in pairwise(points))


def _clock(name, form, t):
    vp = VPLinear()
    rise, b0, four = vp.beta_1 - vp.beta_0, vp.beta_0, 2 * math.log1p(math.exp(-2 * form.lambda_))
    return {
        "t": t,
        "rho": form.sigma / form.alpha,
        "lambda": form.lambda_,
        "log_rho": -form.lambda_,
        "sqrt_t": math.sqrt(t),
        "vp_t": (math.sqrt(b0**2 + rise * four) - b0) / rise,
    }[name]


def _span(schedule):
    """A step over a few knots, or a sixth of the range in log-like distance, away from both ends."""
    if isinstance(schedule, DiscreteVP):
        return 37.3, 21.9
    ode = ProbabilityFlowODE(schedule, zero)
    times = PowerGrid("log_rho")(ode, 6).times
    return times[2], times[3]


@pytest.mark.parametrize("kind", ["eps", "x0", "score", "v", "flow"])
def test_transition_is_the_flow_of_the_linear_part(schedule, closed_form, kind):
    s, t = _span(schedule)
    ode = ProbabilityFlowODE(schedule, zero, splitting=kind)
    growth = _integral(lambda r: coefficients(kind, closed_form(schedule, r))[0], s, t, schedule.knots().tolist())
    assert float(ode.transition(at(t), at(s))) == pytest.approx(math.exp(growth), rel=1e-11)


def test_transitions_compose(schedule, interior):
    r, s, t = interior(schedule, 9)[[4, 1, 7]]
    for kind in KINDS:
        ode = ProbabilityFlowODE(schedule, zero, splitting=kind)
        torch.testing.assert_close(
            ode.transition(t, s) * ode.transition(s, r), ode.transition(t, r), rtol=1e-13, atol=0
        )
        assert float(ode.transition(t, t)) == 1


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("kind", ["eps", "x0", "score", "v", "flow"])
def test_weights_are_the_integrals_of_their_definition(schedule, closed_form, kind, clock):
    s, t = _span(schedule)
    ode = ProbabilityFlowODE(schedule, zero, splitting=kind)
    nodes = [s, s + 1.3 * (s - t), s + 2.1 * (s - t)] if s + 2.1 * (s - t) < schedule.t_max else [s, t, (s + t) / 2]
    ours = ode.weights(at([s]), at([t]), at([nodes]), clock)[0]
    places = [_clock(clock, closed_form(schedule, node), node) for node in nodes]

    def integrand(r, j):
        form = closed_form(schedule, r)
        here = _clock(clock, form, r)
        lagrange = math.prod((here - c) / (places[j] - c) for i, c in enumerate(places) if i != j)
        return float(ode.transition(at(t), at(r))) * coefficients(kind, form)[1] * lagrange

    exact = [_integral(lambda r, j=j: integrand(r, j), s, t, schedule.knots().tolist()) for j in range(len(nodes))]
    assert ours.tolist() == pytest.approx(exact, rel=2e-10, abs=2e-10 * max(map(abs, exact)))


def test_weights_over_hundreds_of_knots_are_sums_over_the_pieces(closed_form):
    schedule = DiscreteVP()
    ode = ProbabilityFlowODE(schedule, zero)
    s, t, nodes = 700.5, 99.25, [700.5, 900.0]
    x, w = np.polynomial.legendre.leggauss(8)
    edges = np.array([s, *range(700, 99, -1), t])
    exact = np.zeros(2)
    for a, b in pairwise(edges):
        for r, weight in zip((a + b) / 2 + (b - a) / 2 * x, (b - a) / 2 * w, strict=True):
            kernel = float(ode.transition(at(t), at(r))) * coefficients("eps", closed_form(schedule, r))[1]
            exact += weight * kernel * np.array([(r - nodes[1]) / (s - nodes[1]), (r - s) / (nodes[1] - s)])
    np.testing.assert_allclose(ode.weights(at([s]), at([t]), at([nodes]))[0].numpy(), exact, rtol=1e-11)


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("kind", ["eps", "x0", "score", "v"])
def test_weights_of_one_step_over_the_whole_domain_are_sums_over_short_steps(schedule, kind, clock):
    ode = ProbabilityFlowODE(schedule, zero, splitting=kind)
    times = PowerGrid("log_rho")(ode, 60).tensor()
    nodes = times[[0, 20, 45]]
    pieces = ode.weights(times[:-1], times[1:], nodes.expand(60, 3), clock)
    total = (ode.transition(times[-1], times[1:])[:, None] * pieces).sum(0)
    size = float((ode.transition(times[-1], times[1:])[:, None] * pieces).abs().sum(0).max())
    whole = ode.weights(times[:1], times[-1:], nodes[None], clock)[0]
    branch = clock == "sqrt_t" and schedule.t_min == 0  # a square root at the end of the last step
    torch.testing.assert_close(whole, total, rtol=0, atol=(1e-4 if branch else 1e-11) * size)


def test_weights_are_zero_on_a_step_of_no_length_and_change_sign_with_its_direction(schedule):
    s, t = map(at, _span(schedule))
    ode = ProbabilityFlowODE(schedule, zero)
    assert float(ode.weights(s[None], s[None], s[None, None])[0, 0]) == 0
    there, back = ode.weights(s[None], t[None], s[None, None]), ode.weights(t[None], s[None], s[None, None])
    torch.testing.assert_close(back, -there * ode.transition(s, t), rtol=1e-11, atol=0)


@pytest.mark.parametrize("clock", CLOCKS)
def test_clocks_are_monotone_and_their_inverses_return_the_time(schedule, interior, clock):
    hand, t = ProbabilityFlowODE(schedule, zero).clock(clock), interior(schedule, 60)
    steps = hand.of(t).diff()
    assert bool((steps > 0).all()) or bool((steps < 0).all())
    torch.testing.assert_close(hand.time(hand.of(t)), t, rtol=1e-10, atol=1e-11 * schedule.t_max)


def test_in_vp_time_every_schedule_has_the_lambda_of_linear_vp(schedule, interior):
    t = interior(schedule, 20)
    there = ProbabilityFlowODE(schedule, zero).clock("vp_t").of(t)
    torch.testing.assert_close(VPLinear().lambda_(there), schedule.lambda_(t), rtol=1e-11, atol=1e-11)


def test_vp_time_of_linear_vp_is_its_time():
    t = torch.linspace(1e-3, 1, 50, dtype=torch.float64)
    torch.testing.assert_close(ProbabilityFlowODE(VPLinear(), zero).clock("vp_t").of(t), t, rtol=1e-11, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_gaussian_data_flow_to_the_closed_form(schedule, kind):
    mean, std = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64), 0.4
    network = GaussianMixture(mean[None], std).network(schedule, kind)
    ode = ProbabilityFlowODE(schedule, network, predicts=kind)
    ends = at(ode.domain)
    alpha, sigma = ode.marginal(ends)
    spread = (alpha**2 * std**2 + sigma**2).sqrt()
    x = alpha[0] * mean + spread[0] * torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    exact = alpha[1] * mean + spread[1] / spread[0] * (x - alpha[0] * mean)
    method = PolynomialEIAB(clock="lambda", steps=4, start="runge-kutta")
    torch.testing.assert_close(solve(ode, x, PowerGrid("log_rho")(ode, 150), method).x, exact, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("splitting", ["eps", "x0", "v", "flow"])
def test_encoding_and_decoding_return_to_the_start(schedule, splitting):
    ode = two_modes(schedule)
    x = torch.tensor([[0.3, -0.8], [1.8, 0.4]], dtype=torch.float64)
    grid = PowerGrid("log_rho")(ode, 150)
    method = PolynomialEIAB(predict=splitting, clock="lambda", steps=4, start="runge-kutta")
    encoded = solve(ode, x, grid.reversed(), method).x
    sigma = float(ode.marginal(at(ode.domain[0]))[1])
    assert float(encoded.abs().max()) < 10 * sigma
    torch.testing.assert_close(solve(ode, encoded, grid, method).x, x, rtol=1e-3, atol=1e-3)


def test_the_network_may_speak_any_kind_and_the_result_is_the_same(schedule):
    x = torch.tensor([[1.0, -0.5]], dtype=torch.float64) * float(schedule.sigma(at(schedule.t_max)))
    ends = []
    for kind in KINDS:
        ode = two_modes(schedule, kind)
        ends.append(solve(ode, x, PowerGrid("log_rho")(ode, 12), "tab2").x)
    for end in ends[1:]:
        torch.testing.assert_close(end, ends[0], rtol=1e-9, atol=1e-9)


def test_only_the_conversion_depends_on_the_splitting():
    ode = two_modes(EDM())
    assert ode.split("eps") is ode
    assert ode.split("x0").split("eps").network is ode.network
    assert ode.split("x0").splitting == "x0"


def test_the_domain_runs_from_noise_to_data():
    assert ProbabilityFlowODE(VE(t_min=0.1), zero).domain == (1.0, 0.1)


def test_wrong_arguments_are_refused():
    with pytest.raises(ArgumentError, match="schedule must be a NoiseSchedule"):
        ProbabilityFlowODE("edm", zero)
    with pytest.raises(ArgumentError, match="network must be callable"):
        ProbabilityFlowODE(EDM(), None)
    with pytest.raises(UnknownNameError, match="no prediction named 'epsi'"):
        ProbabilityFlowODE(EDM(), zero, predicts="epsi")
    with pytest.raises(UnknownNameError, match="no prediction named"):
        ProbabilityFlowODE(EDM(), zero).split("noise")
    with pytest.raises(CapabilityError, match="has no clock 'rh'"):
        ProbabilityFlowODE(EDM(), zero).clock("rh")


@pytest.mark.parametrize("answer", [lambda x, t: x[:1], lambda x, t: x.float(), lambda x, t: None])
def test_answers_that_do_not_fit_are_refused_by_the_solver(answer):
    ode = ProbabilityFlowODE(EDM(), answer, predicts="x0")
    with pytest.raises(NetworkError, match="the nonlinearity must return"):
        solve(ode, torch.zeros(2, 3, dtype=torch.float64), PowerGrid()(ode, 3), "ddim")

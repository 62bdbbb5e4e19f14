"""Ancestral samplers, churn and the end at noise level 0 of diffusers."""

import math
from itertools import pairwise

import attrs
import pytest
import torch

from deis import EDM, Ancestral, Churn, Denoised, Integrator, Plan, PolynomialEIAB, ProbabilityFlowODE, Stage, solve

NOISE = torch.randn(10, 2, 1, 3, 3, generator=torch.Generator().manual_seed(22), dtype=torch.float64)
EULER = "EulerAncestralDiscreteScheduler"


def noise(number):
    return NOISE[number]


def blind(x, t):
    return (1.3 * x).sin() - 0.4 * x


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("spacing", ["linspace", "trailing"])
def test_euler_ancestral(published, ours, assert_same, prediction, spacing):
    run = published(EULER, 8, noise=noise, prediction_type=prediction, timestep_spacing=spacing)
    for method in ("euler-ancestral", "sddim"):  # which are the same
        assert_same(run, ours(method, run, noise=noise, predicts=prediction))


def test_euler_ancestral_in_single_precision(published, ours, assert_same):
    run = published(EULER, 8, noise=lambda k: NOISE[k].float(), dtype=torch.float32)
    assert_same(run, ours("euler-ancestral", run, noise=lambda k: NOISE[k].float()), tolerance=1e-5)


@pytest.mark.parametrize("karras", [False, True])
def test_dpm2_ancestral(published, ours, karras):
    # the scheduler tells the network times interpolated from rounded noise levels: the network here is told none
    run = published("KDPM2AncestralDiscreteScheduler", 8, noise=noise, network=blind, use_karras_sigmas=karras)
    levels = [level for level in dict.fromkeys(run.levels) if level > 0]
    mine = ours("dpm2-ancestral", run, levels=levels, noise=noise, network=blind)
    assert len(mine.calls) == 2 * (len(levels) - 1) == len(run.calls) - 1
    for a, b in zip(run.calls, mine.calls, strict=False):
        torch.testing.assert_close(b.point, a.point, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(mine.result, run.calls[-1].point, rtol=1e-9, atol=1e-9)


@attrs.frozen
class Early(Integrator):
    """Churn that evaluates N before the noise of a step is added."""

    churn: Churn
    order = 1
    stochastic = True

    def plan(self, ode, times):
        plan = self.churn.plan(ode, times)
        return Plan([attrs.evolve(step, stages=[Stage(step.start)]) for step in plan.steps], plan.splitting)


@pytest.mark.parametrize(("churn", "low", "high"), [(4.0, 0.0, 1e6), (2.0, 0.5, 5.0), (0.0, 0.0, 1e6)])
def test_churn_of_diffusers_asks_the_network_before_the_noise_which_edm_does_not(
    published, ours, assert_same, churn, low, high
):
    # arXiv 2206.00364, algorithm 2, line 7 evaluates D at x_hat and t_hat; in a pipeline the scheduler gets the value
    # of the network at x and t, and only then adds the noise
    options = {"s_churn": churn, "s_tmin": low, "s_tmax": high, "s_noise": 1.003}
    run = published("EulerDiscreteScheduler", 8, noise=noise, step=options)
    drawing = [n for n, level in enumerate(run.levels[:-2]) if low <= level <= high]
    draws = dict(zip(drawing, NOISE, strict=False))  # the scheduler draws only where gamma is above 0

    def same(number):
        return draws.get(number, torch.zeros_like(NOISE[0]))

    method = Churn("ddim", churn * 7 / 8, low, high, 1.003)  # it divides by 8 intervals, the last one to 0 included
    assert_same(run, ours(Early(method), run, noise=same))
    mine = ours(method, run, noise=same)
    assert (float((mine.result - run.calls[-1].point).abs().max()) > 1e-2) == (churn > 0)


def preconditioned(x, sigma, value):
    """D of arXiv 2206.00364, eq. 7, from what the network returns; sigma_data = 0.5."""
    total = sigma**2 + 0.25
    return 0.25 / total * x + sigma * 0.5 / math.sqrt(total) * value


@pytest.mark.parametrize("churn", [0.0, 3.0])
def test_euler_of_edm_and_its_churn(published, churn):
    run = published("EDMEulerScheduler", 8, noise=noise, network=blind, step={"s_churn": churn})
    scaled = run.calls[0].point * math.sqrt(run.levels[0] ** 2 + 0.25)

    def denoiser(x, t):
        total = float(t[0]) ** 2 + 0.25
        return preconditioned(x, float(t[0]), blind(x / math.sqrt(total), t))

    ode = ProbabilityFlowODE(EDM(t_min=1e-3, t_max=1e3), denoiser, predicts="x0")
    if churn == 0:
        solution = solve(ode, scaled, run.levels[:-1], Denoised("ddim"))
        torch.testing.assert_close(solution.x, run.result, rtol=1e-10, atol=1e-10)
        return
    x = scaled  # as above: the value at x and sigma, put into the formulas at sigma_hat
    for n, (s, t) in enumerate(pairwise(run.levels)):
        value = blind(x / math.sqrt(s**2 + 0.25), None)
        hat = s * (1 + min(churn / 8, math.sqrt(2) - 1))
        x = x + math.sqrt(hat**2 - s**2) * NOISE[n]
        x = x + (x - preconditioned(x, hat, value)) / hat * (t - hat)
    torch.testing.assert_close(x, run.result, rtol=1e-9, atol=1e-9)
    draws = iter(NOISE)
    right = solve(ode, scaled, run.levels[:-1], Churn("ddim", churn * 7 / 8), noise=lambda draw, x: next(draws))
    assert float((right.x - run.result).abs().max()) > 1e-2


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_end_of_dpm_solver_at_noise_level_0(published, ours, order):
    """The last call gives the end by itself, whatever the order, so that nothing else need be lowered up to order 2."""
    run = published("DPMSolverMultistepScheduler", 8, solver_order=order, solver_type="heun", final_sigmas_type="zero")
    method = PolynomialEIAB("x0", "lambda", steps=order, moments="halved")
    mine = ours(Denoised(method), run)
    assert run.levels[-1] == 0
    assert len(mine.calls) == len(run.calls) == 8
    distances = [float((a.point - b.point).abs().max()) for a, b in zip(run.calls, mine.calls, strict=True)]
    assert max(distances[:7]) < 1e-10
    if order < 3:
        torch.testing.assert_close(mine.result, run.result, rtol=1e-10, atol=1e-10)
    else:  # below 15 steps its last but one, the last step of our grid, has two points
        assert distances[7] > 1e-6
    if order > 1:  # lower_final counts steps of the grid only, and so lowers a step that is not lowered there
        lowered = ours(Denoised(attrs.evolve(method, lower_final=True)), run)
        assert float((lowered.calls[7].point - run.calls[7].point).abs().max()) > 1e-6


def test_less_noise_is_less_ancestral(published, ours):
    run = published(EULER, 8, noise=noise)
    half, none = (ours(Ancestral("ddim", eta), run, noise=noise).result for eta in (0.5, 0.0))
    assert not torch.allclose(half, none)
    torch.testing.assert_close(none, ours("ddim", run).result, rtol=1e-12, atol=1e-12)

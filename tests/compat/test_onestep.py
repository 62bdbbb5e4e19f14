"""One-step schedulers of diffusers, and those with fixed averages: DDIM, Euler, Heun, flow matching, PNDM and iPNDM."""

import attrs
import pytest
import torch

from deis import IPNDM, DiscreteVP, Plan, ProbabilityFlowODE, RectifiedFlow, RhoRungeKutta, Row, Stage

# DDIM and Euler


@pytest.mark.parametrize("predicts", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("grid", [{}, {"timestep_spacing": "trailing"}, {"beta_schedule": "squaredcos_cap_v2"}])
def test_ddim(published, ours, assert_same, predicts, grid):
    run = published("DDIMScheduler", 10, prediction_type=predicts, clip_sample=False, **grid)
    mine = ours("ddim", run, predicts=predicts)
    assert len(mine.calls) == 9
    assert_same(run, mine)


def test_ddim_ends_on_the_prediction_of_the_data(published):
    run = published("DDIMScheduler", 10, clip_sample=False)
    torch.testing.assert_close(run.result, run.x0[-1], rtol=1e-12, atol=1e-12)


def test_ddim_without_a_last_noise_level_of_0(published, ours, assert_same):
    run = published("DDIMScheduler", 10, clip_sample=False, set_alpha_to_one=False, steps_offset=1)
    assert run.levels[-1] > 0
    assert_same(run, ours("ddim", run))


@pytest.mark.parametrize("grid", [{}, {"use_karras_sigmas": True}, {"use_exponential_sigmas": True}])
def test_euler_in_the_noise_level_is_ddim(published, ours, assert_same, grid):
    run = published("EulerDiscreteScheduler", 10, **grid)
    assert_same(run, ours("ddim", run))
    torch.testing.assert_close(run.result, run.x0[-1], rtol=1e-12, atol=1e-12)


def test_euler_on_edm(published, ours, assert_same):
    run = published("EDMEulerScheduler", 10, prediction_type="v_prediction", sigma_data=1.0)
    assert_same(run, ours("ddim", run, predicts="v"))


def test_euler_on_straight_paths(published, ours, assert_same):
    # diffusers starts at sigma = 1, where there is no signal; here just below
    run = published("FlowMatchEulerDiscreteScheduler", {"sigmas": [0.99, 0.9, 0.75, 0.5, 0.3, 0.1, 0.02]}, shift=1.5)
    sigmas = run.scheduler.sigmas.tolist()
    mine = ours("ddim", run, levels=sigmas[:-1], schedule=RectifiedFlow(), predicts="flow_prediction")
    assert len(mine.calls) == 6
    assert_same(run, mine)
    last = run.calls[-1]
    torch.testing.assert_close(run.result, last.point - sigmas[-2] * last.value, rtol=1e-12, atol=1e-12)


# Heun


@pytest.mark.parametrize("predicts", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("grid", [{}, {"use_karras_sigmas": True}])
def test_heun(published, ours, assert_same, predicts, grid):
    run = published("HeunDiscreteScheduler", 8, prediction_type=predicts, **grid)
    mine = ours("rhork-heun2", run, predicts=predicts)
    assert len(mine.calls) == 14
    assert_same(run, mine)


def test_heun_ends_on_the_prediction_of_the_data(published):
    run = published("HeunDiscreteScheduler", 8)
    torch.testing.assert_close(run.result, run.x0[-1], rtol=1e-12, atol=1e-12)


def test_heun_on_straight_paths(published, ours, assert_same):
    # diffusers' first step starts at sigma = 1, where there is no signal; compared are those after it
    run = published("FlowMatchHeunDiscreteScheduler", 8)
    run = attrs.evolve(run, calls=run.calls[2:])
    sigmas = list(dict.fromkeys(run.scheduler.sigmas.tolist()))[1:-1]
    heun = RhoRungeKutta("heun2", clock="t")
    mine = ours(heun, run, levels=sigmas, schedule=RectifiedFlow(), predicts="flow_prediction", splitting="flow")
    assert len(mine.calls) == 12
    assert_same(run, mine)


# averages with fixed numbers


def discrete(run):
    """The schedule of which the scheduler's times are times: a stage is in the middle between two of them."""
    return DiscreteVP(run.scheduler.alphas_cumprod)


def test_pndm_with_its_runge_kutta_steps(published, ours, assert_same):
    run = published("PNDMScheduler", 10)
    times = list(range(900, -1, -100))
    mine = ours("pndm", run, levels=times, schedule=discrete(run))
    assert len(mine.calls) == 9 + 9
    assert_same(run, mine)


def test_pndm_without_them_begins_with_an_average_of_its_own(published, ours, assert_same):
    # skip_prk_steps: the first step is made again with the mean of N at both its ends, and the mean's second value is
    # not kept: the next step evaluates at the new point. Then the averages are those of iPNDM.
    run = published("PNDMScheduler", 10, skip_prk_steps=True)
    times = [float(t) for t in range(900, -1, -100)]
    ode = ProbabilityFlowODE(discrete(run), lambda x, t: x)
    first, *later = IPNDM().plan(ode, times).steps
    [weight] = first.advance.values
    stages = [*first.stages, Stage(first.end, first.advance)]
    plan = Plan([attrs.evolve(first, stages=stages, advance=Row(first.advance.state, [weight / 2] * 2)), *later], "eps")
    mine = ours(plan, run, levels=times, schedule=discrete(run))
    assert_same(run, mine)
    plain = ours("ipndm", run, levels=times, schedule=discrete(run))
    assert (plain.calls[1].point - run.calls[2].point).abs().max() > 1e-3


def test_ipndm(published, ours, assert_same):
    # diffusers' own noise levels begin without any signal; these do not
    sigmas = torch.linspace(0.998, 0.05, 11).tolist()
    run = published("IPNDMScheduler", 10, trained_betas=sigmas)
    mine = ours("ipndm", run, predicts="v")
    assert len(mine.calls) == 10
    assert_same(run, mine)

"""Stochastic schedulers of diffusers on their own noise: SDE variants of DPM-Solver++, SA-Solver, DDPM and DDIM."""

import math

import attrs
import pytest
import torch

from deis import Integrator, PolynomialEIAB, Row, Stochastic, StochasticDDIM

DPM = "DPMSolverMultistepScheduler"
SHAPE = (2, 1, 3, 3)
NOISE = torch.randn(40, *SHAPE, generator=torch.Generator().manual_seed(22), dtype=torch.float64)


def noise(k):
    return NOISE[k]


def adams(predict, steps, moments="exact", tau=1.0, **options):
    return Stochastic(PolynomialEIAB(predict, "lambda", steps=steps, moments=moments, **options), tau)


# DPM-Solver and DPM-Solver++ on the reverse SDE

SPLITTINGS = pytest.mark.parametrize(("algorithm", "predict"), [("sde-dpmsolver++", "x0"), ("sde-dpmsolver", "eps")])


@SPLITTINGS
@pytest.mark.parametrize(
    ("order", "solver_type", "moments"), [(1, "midpoint", "bh2"), (2, "midpoint", "bh2"), (2, "heun", "exact")]
)
@pytest.mark.parametrize("lower_final", [False, True])
def test_dpm_solver(published, ours, assert_same, algorithm, predict, order, solver_type, moments, lower_final):
    options = {"algorithm_type": algorithm, "solver_type": solver_type, "lower_order_final": lower_final}
    run = published(DPM, 10, solver_order=order, final_sigmas_type="sigma_min", noise=noise, **options)
    mine = ours(adams(predict, order, moments, lower_final=lower_final), run, noise=noise)
    assert len(mine.calls) == 10
    assert_same(run, mine)


def test_a_preset_on_karras_noise_levels(published, ours, assert_same):
    options = {"algorithm_type": "sde-dpmsolver++", "lower_order_final": False, "use_karras_sigmas": True}
    run = published(DPM, 12, noise=noise, **options)
    assert_same(run, ours("dpmpp-2m-sde", run, noise=noise))
    torch.testing.assert_close(run.result, run.x0[-1], rtol=1e-12, atol=1e-12)  # at noise level 0


def test_the_third_order_step_has_a_wrong_sign(published, ours):
    # with k = 2 h, diffusers weights D2 by (1 - e^-k - k) / k^2 - 1/2, while half of the moment of theta^2 is
    # (1 - e^-k - k) / k^2 + 1/2, as in k-diffusion's 3M SDE: the paths part with the first step of three values
    options = {"algorithm_type": "sde-dpmsolver++", "solver_type": "heun", "lower_order_final": False}
    run = published(DPM, 10, solver_order=3, final_sigmas_type="sigma_min", noise=noise, **options)
    mine = ours("dpmpp-3m-sde", run, noise=noise)
    assert all((a.point - b.point).abs().max() < 1e-10 for a, b in zip(run.calls[:3], mine.calls[:3], strict=True))
    theirs, own = run.calls[3].point, mine.calls[3].point
    h, last, before = (math.log(run.levels[i] / run.levels[i + 1]) for i in (2, 1, 0))
    slope, older = (run.x0[2] - run.x0[1]) * h / last, (run.x0[1] - run.x0[0]) * h / before
    curve = (slope - older) * h / (last + before)
    alpha = 1 / math.sqrt(1 + run.levels[3] ** 2)
    torch.testing.assert_close(theirs + alpha * curve, own, rtol=1e-10, atol=1e-10)


def test_dpm_solver_in_single_precision(published, ours, assert_same):
    options = {"algorithm_type": "sde-dpmsolver++", "lower_order_final": False, "dtype": torch.float32}
    run = published(DPM, 12, noise=lambda k: noise(k).float(), **options)
    mine = ours("dpmpp-2m-sde", run, noise=lambda k: noise(k).float(), levels=run.levels[:-3])
    assert_same(run, mine, tolerance=1e-5)


# SA-Solver


def always(tau):
    return lambda t: torch.tensor(tau, dtype=torch.float64)


@attrs.frozen
class TwoOrders(Integrator):
    """The advance rows of one method and the correct rows of another."""

    predictor: Integrator
    corrector: Integrator

    order = 1
    stochastic = True

    def plan(self, ode, times):
        steps, other = (method.plan(ode, times).steps for method in (self.predictor, self.corrector))
        mixed = [attrs.evolve(a, correct=b.correct) for a, b in zip(steps, other, strict=True)]
        return attrs.evolve(self.predictor.plan(ode, times), steps=mixed)


@pytest.mark.parametrize("tau", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("corrector", [2, 3, 4])
@pytest.mark.parametrize("predictor", [1, 2, 3, 4])
def test_sa_solver(published, ours, assert_same, predictor, corrector, tau):
    # diffusers puts h / 2 for the leading moment of two values; its corrector counts the new value, ours does not
    run = published(
        "SASolverScheduler",
        10,
        predictor_order=predictor,
        corrector_order=corrector,
        tau_func=always(tau),
        lower_order_final=False,
        noise=noise,
    )
    methods = [adams("x0", steps, "bh1", tau, corrector=True) for steps in (predictor, corrector - 1)]
    mine = ours(TwoOrders(*methods), run, noise=noise)
    assert len(mine.calls) == 10
    assert_same(run, mine)


def test_the_presets_of_sa_solver(published, ours, assert_same):
    orders = {"predictor_order": 3, "corrector_order": 4}
    run = published("SASolverScheduler", 10, tau_func=always(1.0), lower_order_final=False, noise=noise, **orders)
    assert_same(run, ours("sa-solver-published", run, noise=noise))
    paper = ours("sa-solver", run, noise=noise)
    assert (paper.calls[1].point - run.calls[1].point).abs().max() < 1e-10
    assert (paper.calls[2].point - run.calls[2].point).abs().max() > 1e-3  # after the first corrector


def test_sa_solver_with_a_corrector_of_the_new_value_alone(published, ours, assert_same):
    @attrs.frozen
    class Backward(Integrator):
        order = 1
        stochastic = True

        def plan(self, ode, times):
            plan = adams("x0", 2, "bh1").plan(ode, times)
            rows = [Row(s.advance.state, [sum(s.advance.values)], s.advance.noise) for s in plan.steps[:-1]]
            steps = [attrs.evolve(s, correct=row) for s, row in zip(plan.steps, [*rows, None], strict=True)]
            return attrs.evolve(plan, steps=steps)

    run = published(
        "SASolverScheduler", 10, corrector_order=1, tau_func=always(1.0), lower_order_final=False, noise=noise
    )
    assert_same(run, ours(Backward(), run, noise=noise))


@pytest.mark.parametrize(("predictor", "corrector"), [(1, 2), (2, 3), (3, 4)])
def test_sa_solver_of_eps(published, ours, assert_same, predictor, corrector):
    run = published(
        "SASolverScheduler",
        10,
        predictor_order=predictor,
        corrector_order=corrector,
        algorithm_type="noise_prediction",
        tau_func=always(0.7),
        noise=noise,
    )
    assert_same(run, ours(adams("eps", predictor, tau=0.7, corrector=True, lower_final=True), run, noise=noise))


def test_sa_solver_with_noise_at_some_levels_only(published, ours, assert_same):
    # by default where 200 <= t <= 800
    run = published("SASolverScheduler", 10, predictor_order=3, corrector_order=4, noise=noise)
    noisy = [call.level for call in run.calls if 200 <= call.time <= 800]
    assert 0 < len(noisy) < 10
    method = adams("x0", 3, "bh1", corrector=True, lower_final=True)
    first = next(i for i, call in enumerate(run.calls) if call.time <= 800)  # theirs draws in every step
    banded = attrs.evolve(method, low=min(noisy), high=max(noisy))
    assert_same(run, ours(banded, run, noise=lambda k: noise(k + first)))


# DDPM and DDIM


@pytest.mark.parametrize("name", ["ddpm", "sddim"])
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
def test_ddpm(published, ours, assert_same, name, spacing):
    run = published("DDPMScheduler", 12, clip_sample=False, timestep_spacing=spacing, noise=noise)
    mine = ours(name, run, noise=noise)
    assert len(mine.calls) == 11
    assert_same(run, mine)
    torch.testing.assert_close(run.result, run.x0[-1], rtol=1e-10, atol=1e-10)  # at noise level 0


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_ddim(published, ours, assert_same, eta):
    run = published("DDIMScheduler", 12, clip_sample=False, step={"eta": eta}, noise=noise)
    assert_same(run, ours(StochasticDDIM(eta), run, noise=noise))
    torch.testing.assert_close(run.result, run.x0[-1], rtol=1e-10, atol=1e-10)

"""Multistep schedulers of diffusers: DPM-Solver, DPM-Solver++, UniPC, DEIS and linear multistep."""

import pytest
import torch

from deis import PolynomialEIAB

DPM = "DPMSolverMultistepScheduler"
UNIPC = "UniPCMultistepScheduler"
SPLITTINGS = pytest.mark.parametrize(("algorithm", "predict"), [("dpmsolver++", "x0"), ("dpmsolver", "eps")])
GRIDS = pytest.mark.parametrize(
    "grid",
    [{}, {"use_karras_sigmas": True}, {"timestep_spacing": "trailing"}, {"beta_schedule": "scaled_linear"}],
    ids=lambda grid: next(iter(grid), "default"),
)


def adams(predict, steps, moments="exact", **options):
    return PolynomialEIAB(predict, "lambda", steps=steps, moments=moments, **options)


# DPM-Solver and DPM-Solver++


@SPLITTINGS
@pytest.mark.parametrize(
    ("order", "solver_type", "moments"),
    [(2, "midpoint", "bh2"), (2, "heun", "exact"), (3, "midpoint", "published"), (3, "heun", "halved")],
)
@pytest.mark.parametrize("lower_final", [False, True])
def test_dpm_multistep(published, ours, assert_same, algorithm, predict, order, solver_type, moments, lower_final):
    options = {"algorithm_type": algorithm, "solver_type": solver_type, "lower_order_final": lower_final}
    run = published(DPM, 10, solver_order=order, final_sigmas_type="sigma_min", **options)
    mine = ours(adams(predict, order, moments, lower_final=lower_final), run)
    assert len(mine.calls) == 10
    assert_same(run, mine)


@GRIDS
@pytest.mark.parametrize(("order", "name"), [(2, "dpmpp-2m"), (3, "dpmpp-3m-published")])
def test_presets_on_other_noise_levels(published, ours, assert_same, order, name, grid):
    run = published(DPM, 12, solver_order=order, lower_order_final=False, **grid)
    assert_same(run, ours(name, run))
    assert run.levels[-1] == 0
    torch.testing.assert_close(run.result, run.x0[-1], rtol=1e-12, atol=1e-12)


def test_from_15_steps_on_diffusers_lowers_no_order(published, ours, assert_same):
    run = published(DPM, 16, solver_order=3)
    assert_same(run, ours("dpmpp-3m-published", run))


def test_the_exact_third_order_step_is_another_one(published, ours):
    # diffusers weights the second difference by half of its exact moment, as the authors' code does
    run = published(DPM, 10, solver_order=3, final_sigmas_type="sigma_min", lower_order_final=False)
    mine = ours("dpmpp-3m:moments=bh2", run)
    differences = [float((a.point - b.point).abs().max()) for a, b in zip(run.calls, mine.calls, strict=True)]
    assert max(differences[:3]) < 1e-12
    assert differences[3] > 1e-3


@pytest.mark.parametrize("predicts", ["v_prediction", "sample"])
def test_what_the_network_predicts(published, ours, assert_same, predicts):
    run = published(DPM, 10, prediction_type=predicts, final_sigmas_type="sigma_min", lower_order_final=False)
    assert_same(run, ours("dpmpp-2m", run, predicts=predicts))


@pytest.mark.parametrize(
    ("scheduler", "options", "method"),
    [
        (DPM, {}, "dpmpp-2m"),
        (DPM, {"solver_order": 3}, "dpmpp-3m-published"),
        (UNIPC, {"solver_order": 3}, "unipc-3"),
        ("DEISMultistepScheduler", {"solver_order": 3}, "logrhoab2"),
        ("LMSDiscreteScheduler", {}, "lms"),
        ("DDIMScheduler", {"clip_sample": False}, "ddim"),
        ("EulerDiscreteScheduler", {}, "ddim"),
        ("HeunDiscreteScheduler", {}, "rhork-heun2"),
    ],
)
def test_in_single_precision(published, ours, assert_same, scheduler, options, method):
    run = published(scheduler, 15, dtype=torch.float32, **options)
    mine = ours(method, run, levels=list(dict.fromkeys(run.levels))[:-3])
    assert mine.result.dtype == run.result.dtype == torch.float32
    assert_same(run, mine, tolerance=1e-5)


# UniPC


@pytest.mark.parametrize(("predict_x0", "predict"), [(True, "x0"), (False, "eps")])
@pytest.mark.parametrize("moments", ["bh1", "bh2"])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_unipc(published, ours, assert_same, order, moments, predict_x0, predict):
    options = {"solver_order": order, "solver_type": moments, "predict_x0": predict_x0}
    for lower_final in (False, True):
        run = published(UNIPC, 10, lower_order_final=lower_final, final_sigmas_type="sigma_min", **options)
        mine = ours(adams(predict, order, moments, corrector=True, lower_final=lower_final), run)
        assert len(mine.calls) == 10
        assert_same(run, mine)


@GRIDS
@pytest.mark.parametrize(
    ("name", "order", "moments"),
    [
        ("unipc-1", 1, "bh2"),
        ("unipc-2", 2, "bh2"),
        ("unipc-3", 3, "bh2"),
        ("unipc-4", 4, "bh2"),
        ("unipc-1-bh1", 1, "bh1"),
        ("unipc-2-bh1", 2, "bh1"),
    ],
)
def test_unipc_presets(published, ours, assert_same, name, order, moments, grid):
    run = published(UNIPC, 12, solver_order=order, solver_type=moments, **grid)
    # its defaults lower the order of the last steps, one of them to noise level 0
    mine = ours(name, run, levels=run.levels[: len(run.levels) - order])
    assert len(mine.calls) == 12 - order
    assert_same(run, mine)
    if moments == "bh2":
        torch.testing.assert_close(run.result, run.x0[-1], rtol=1e-12, atol=1e-12)
    else:  # B(h) = h is infinite there, and diffusers multiplies it by 0
        assert run.result.isnan().all()


# DEIS and linear multistep


@pytest.mark.parametrize("lower_final", [False, True])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_deis(published, ours, assert_same, order, lower_final):
    run = published("DEISMultistepScheduler", 10, solver_order=order, lower_order_final=lower_final)
    mine = ours(PolynomialEIAB("eps", "log_rho", steps=order, lower_final=lower_final), run)
    assert len(mine.calls) == 10
    assert_same(run, mine)


@pytest.mark.parametrize(("order", "name"), [(1, "ddim"), (2, "logrhoab1"), (3, "logrhoab2")])
def test_deis_presets(published, ours, assert_same, order, name):
    run = published("DEISMultistepScheduler", 16, solver_order=order)
    assert_same(run, ours(name, run))


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("grid", [{}, {"use_karras_sigmas": True}], ids=["default", "karras"])
def test_linear_multistep(published, ours, assert_same, order, grid):
    run = published("LMSDiscreteScheduler", 10, step={"order": order}, **grid)
    mine = ours(f"lms:steps={order}", run)
    assert len(mine.calls) == 9
    assert_same(run, mine)


# EDM


@pytest.mark.parametrize("sigma_schedule", ["karras", "exponential"])
@pytest.mark.parametrize(
    ("order", "solver_type", "moments"), [(2, "midpoint", "bh2"), (2, "heun", "exact"), (3, "midpoint", "published")]
)
def test_dpm_on_edm(published, ours, assert_same, order, solver_type, moments, sigma_schedule):
    # with data of standard deviation 1, EDM's preconditioning is that of a variance preserving v
    options = {"solver_order": order, "solver_type": solver_type, "sigma_schedule": sigma_schedule, "sigma_data": 1.0}
    run = published(
        "EDMDPMSolverMultistepScheduler", 10, prediction_type="v_prediction", lower_order_final=False, **options
    )
    mine = ours(adams("x0", order, moments), run, predicts="v")
    assert len(mine.calls) == 9
    assert_same(run, mine)

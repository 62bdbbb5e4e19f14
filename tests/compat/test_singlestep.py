"""Singlestep DPM-Solver and DPM2 of diffusers."""

import pytest
import torch

from deis import SinglestepDPM

NAME = "DPMSolverSinglestepScheduler"
# diffusers ends an even number of steps of order 2 on two of order 1 if asked to lower the order, and the published
# list does not
ENDS = [(1, 7), (2, 7), (2, 8), (3, 7), (3, 8), (3, 9)]
SPLITTINGS = pytest.mark.parametrize(("algorithm", "predict"), [("dpmsolver++", "x0"), ("dpmsolver", "eps")])
SOLVERS = pytest.mark.parametrize(("solver_type", "moments"), [("midpoint", "midpoint"), ("heun", "exact")])


def options(order, intervals, algorithm, **others):
    lower = not (order == 2 and intervals % 2 == 0)
    fixed = {"solver_order": order, "algorithm_type": algorithm, "lower_order_final": lower}
    return fixed | {"final_sigmas_type": "sigma_min"} | others


@SOLVERS
@SPLITTINGS
@pytest.mark.parametrize(("order", "intervals"), ENDS)
def test_every_order(published, ours, assert_same, order, intervals, algorithm, predict, solver_type, moments):
    run = published(NAME, intervals, **options(order, intervals, algorithm, solver_type=solver_type))
    assert_same(run, ours(SinglestepDPM(predict, longest=order, moments=moments), run))


@pytest.mark.parametrize("order", [1, 2])
def test_up_to_order_2_midpoint_is_as_published(published, ours, assert_same, order):
    run = published(NAME, 7, **options(order, 7, "dpmsolver++"))
    assert_same(run, ours(SinglestepDPM("x0", longest=order), run))


def test_order_3_halves_the_moment_of_a_stage_which_the_paper_does_not(published, ours, assert_same):
    # arXiv 2206.00927, algorithm 5, line 6 has (e^h - 1) / h - 1 there; diffusers reuses its update of order 2
    run = published(NAME, 7, **options(3, 7, "dpmsolver++"))
    mine, pairs = ours("dpmpp-singlestep:longest=3", run), ours(SinglestepDPM("x0", longest=2), run)
    differences = [float((a.point - b.point).abs().max()) for a, b in zip(run.calls, mine.calls, strict=True)]
    assert max(differences[:2]) < 1e-12
    assert differences[2] > 1e-2
    torch.testing.assert_close(run.calls[2].point, pairs.calls[2].point, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("order", "intervals"), [(2, 8), (3, 8), (3, 9)])
def test_a_last_step_to_noise_level_0_is_the_prediction_of_the_data(published, ours, assert_same, order, intervals):
    run = published(NAME, intervals, **options(order, intervals, "dpmsolver++", final_sigmas_type="zero"))
    mine = ours(SinglestepDPM("x0", longest=order, moments="midpoint"), run)
    assert_same(run, mine)
    assert run.levels[-1] == 0
    torch.testing.assert_close(run.result, run.x0[-1], rtol=1e-12, atol=1e-12)


def test_dpm2_of_k_diffusion(published, ours):
    # its stages are at times between those that the network was trained on, so that the network here is told none
    def blind(x, t):
        return (1.3 * x).sin() - 0.4 * x

    run = published("KDPM2DiscreteScheduler", 8, network=blind)
    levels = [level for level in dict.fromkeys(run.levels) if level > 0]
    mine = ours("dpm2", run, levels=levels, network=blind)
    assert len(mine.calls) == 2 * (len(levels) - 1) == len(run.calls) - 1
    for a, b in zip(run.calls, mine.calls, strict=False):
        torch.testing.assert_close(b.point, a.point, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(mine.result, run.calls[-1].point, rtol=1e-10, atol=1e-10)

"""Ready plans in the uses of a diffusion model: their own times and budgets, and no others."""

import pytest
import torch

from deis import (
    EDM,
    ArgumentError,
    GaussianMixture,
    GaussianStart,
    Planned,
    VPLinear,
    decode,
    encode,
    log_likelihood,
    make_grid,
    make_plan,
    sample,
)

MIXTURE = GaussianMixture(torch.tensor([[1.0, 0.0], [-0.5, 0.8]]), std=0.3)
ODE = MIXTURE.ode(VPLinear())
OPTIONS = {"dtype": torch.float64}


def plan_of(intervals, name="tab2", grid="t2", ode=ODE):
    return make_plan(ode, make_grid(grid)(ode, intervals), name)


@pytest.mark.parametrize("name", ["tab2", "unipc-2", "sddim", "rhork-heun2"])
def test_a_plan_samples_as_its_integrator(name):
    plan = plan_of(6, name)
    found = sample(ODE, (2,), [3, 5], integrator=plan, **OPTIONS)
    expected = sample(ODE, (2,), [3, 5], nfe=plan.nfe, integrator=name, grid="t2", **OPTIONS)
    assert torch.equal(found.x, expected.x)
    assert found.nfe == plan.nfe
    assert found.plan.provenance == plan.provenance


def test_a_budget_chooses_among_plans():
    method = Planned([plan_of(5), plan_of(9)])
    for nfe in (5, 9):
        found = sample(ODE, (2,), [3], nfe=nfe, integrator=method, **OPTIONS)
        assert torch.equal(found.x, sample(ODE, (2,), [3], nfe=nfe, integrator="tab2", grid="t2", **OPTIONS).x)
    with pytest.raises(ArgumentError, match=r"nfe must be a number of evaluations that Planned.*got 7; ask for 5 or 9"):
        sample(ODE, (2,), [3], nfe=7, integrator=method)
    with pytest.raises(ArgumentError, match="got 10; ask for 5 or 9"):
        sample(ODE, (2,), [3], integrator=method)
    with pytest.raises(ArgumentError, match="got 6; ask for 5"):
        sample(ODE, (2,), [3], nfe=6, integrator=plan_of(5))


def test_a_plan_may_be_denoised_at_one_call_more():
    found = sample(ODE, (2,), [3], integrator=plan_of(5), denoise=True, **OPTIONS)
    assert found.nfe == 6
    assert torch.equal(found.x, sample(ODE, (2,), [3], nfe=6, integrator="tab2", grid="t2", denoise=True, **OPTIONS).x)


def test_no_other_grid_is_taken():
    plan = plan_of(5)
    for grid in ("t2", make_grid("t2"), [1.0, 0.5, 1e-3]):
        with pytest.raises(ArgumentError, match="grid must be left out with a plan, which brings its own times"):
            sample(ODE, (2,), [3], integrator=plan, grid=grid)
    assert sample(ODE, (2,), [3], integrator=plan, grid=plan.times).nfe == 5


def test_a_plan_for_another_schedule_is_refused():
    other = MIXTURE.ode(VPLinear(beta_1=25.0))
    with pytest.raises(ArgumentError, match=r"integrator must be a plan made for this linear part .*beta_1=20\.0"):
        sample(other, (2,), [3], integrator=plan_of(5))
    with pytest.raises(ArgumentError, match=r"integrator must be a plan from 80 to 0\.002"):
        sample(MIXTURE.ode(EDM()), (2,), [3], integrator=plan_of(5))


def test_a_plan_that_starts_later_does_not_sample_noise_but_continues_a_start():
    start = GaussianStart(torch.zeros(2), torch.eye(2), until=0.7)
    rest = start.rest(ODE)
    plan = plan_of(5, ode=rest)
    with pytest.raises(ArgumentError, match=r"integrator must be a plan from 1 to 0\.001"):
        sample(ODE, (2,), [3], integrator=plan)
    found = sample(ODE, (2,), [3], integrator=plan, start=start, **OPTIONS)
    expected = sample(ODE, (2,), [3], nfe=5, integrator="tab2", grid="t2", start=start, **OPTIONS)
    assert torch.equal(found.x, expected.x)


def test_plans_encode_and_decode_in_the_direction_for_which_they_were_made():
    times = make_grid("t2")(ODE, 20)
    there, back = (make_plan(ODE, way, "tab2") for way in (times.reversed(), times))
    x = torch.tensor([[0.9, 0.1]], dtype=torch.float64)
    latents = encode(ODE, x, integrator=there).x
    assert torch.equal(latents, encode(ODE, x, nfe=20, integrator="tab2", grid="t2").x)
    assert torch.equal(
        decode(ODE, latents, integrator=back).x, decode(ODE, latents, nfe=20, integrator="tab2", grid="t2").x
    )
    for use, wrong in ((encode, back), (decode, there)):
        with pytest.raises(ArgumentError, match="times must be those that the plan was made for"):
            use(ODE, x, integrator=wrong)


def test_a_likelihood_takes_the_plan_of_the_ode():
    plan = make_plan(ODE, make_grid("t2")(ODE, 12).reversed(), "rhork-kutta3")
    x = torch.tensor([[0.9, 0.1]], dtype=torch.float64)
    found = log_likelihood(ODE, x, integrator=plan, grid="default")
    expected = log_likelihood(ODE, x, nfe=36, integrator="rhork-kutta3", grid="t2")
    assert found.nfe == 36
    assert float(found.log_density) == pytest.approx(float(expected.log_density), abs=0.05)


def test_a_plan_with_noise_has_no_inverse():
    with pytest.raises(ArgumentError, match="integrator must be deterministic"):
        encode(ODE, torch.ones(1, 2), integrator=plan_of(5, "sddim"))

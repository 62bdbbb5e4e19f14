import math
import re

import attrs
import mpmath
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deis import (
    EDM,
    INTEGRATORS,
    SCHEDULES,
    VE,
    Ancestral,
    BlackBox,
    DiscreteVP,
    GaussianMixture,
    NoiseSchedule,
    PowerGrid,
    RectifiedFlow,
    SampleNoise,
    SubVP,
    TimeGrid,
    VPCosine,
    VPLinear,
    solve,
)
from deis.errors import ArgumentError

EVERY = [SCHEDULES.create(name) for name in SCHEDULES]
DEFAULTS = ["log_alpha", "rho", "lambda_", "drift", "squared_diffusion"]


def ends_and_inside(schedule, interior):
    ends = torch.tensor([schedule.t_min, schedule.t_max], dtype=torch.float64)
    return torch.cat([ends, interior(schedule, 25)])


def at(values):
    return torch.as_tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("name", ["alpha", "sigma", "lambda_"])
def test_levels_are_the_closed_forms(schedule, closed_form, interior, name):
    t = ends_and_inside(schedule, interior)
    ours = getattr(schedule, name)(t)
    with mpmath.workdps(40):
        for when, value in zip(t.tolist(), ours.tolist(), strict=True):
            exact = getattr(closed_form(schedule, when, mpmath), name)
            assert abs(value - exact) <= 1e-13 * max(abs(exact), 1 if name == "lambda_" else 0), when


@pytest.mark.parametrize("name", ["drift", "squared_diffusion"])
def test_rates_are_the_closed_forms_in_beta(schedule, closed_form, interior, name):
    t = interior(schedule, 25)
    exact = [getattr(closed_form(schedule, when), name) for when in t.tolist()]
    torch.testing.assert_close(getattr(schedule, name)(t), at(exact), rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("name", DEFAULTS)
def test_overrides_agree_with_the_base_class(schedule, interior, name):
    t = interior(schedule, 25)
    base = getattr(NoiseSchedule, name)(schedule, t)
    torch.testing.assert_close(getattr(schedule, name)(t), base, rtol=1e-11, atol=1e-11)


def test_the_inverse_agrees_with_the_base_class(schedule, interior):
    t = interior(schedule, 25)
    lambda_ = schedule.lambda_(t)
    for inverse in (schedule.time_of_lambda, lambda value: NoiseSchedule.time_of_lambda(schedule, value)):
        torch.testing.assert_close(inverse(lambda_), t, rtol=1e-11, atol=1e-12 * schedule.t_max)


@given(st.sampled_from(EVERY), st.floats(0, 1))
def test_time_of_lambda_inverts_lambda(schedule, share):
    t = at(schedule.t_min + share * (schedule.t_max - schedule.t_min))
    torch.testing.assert_close(schedule.time_of_lambda(schedule.lambda_(t)), t, rtol=1e-11, atol=1e-12 * schedule.t_max)


@given(st.floats(0.01, 5), st.floats(0, 20), st.floats(0, 1))
def test_vp_linear_round_trips_for_any_beta(low, rise, share):
    schedule = VPLinear(beta_0=low, beta_1=low + rise)
    t = at(1e-3 + share * 0.999)
    torch.testing.assert_close(schedule.time_of_lambda(schedule.lambda_(t)), t, rtol=1e-11, atol=0)


def test_noise_rises_from_data_to_noise(schedule, interior):
    t = interior(schedule, 200)
    assert bool((schedule.rho(t).diff() > 0).all())
    assert bool((schedule.lambda_(t).diff() < 0).all())


def test_time_may_have_any_shape(schedule):
    t = torch.full((2, 1, 3), (schedule.t_min + schedule.t_max) / 2, dtype=torch.float64)
    for name in ("alpha", "sigma", "drift", "squared_diffusion", *DEFAULTS):
        assert getattr(schedule, name)(t).shape == t.shape
    assert schedule.time_of_lambda(schedule.lambda_(t)).shape == t.shape


def test_the_cosine_starts_at_one_and_stops_before_its_zero():
    schedule = VPCosine()
    assert float(schedule.alpha(at(0.0))) == 1
    assert float(schedule.sigma(at(0.0))) == 0
    assert schedule.t_max < 1
    assert -6 < float(schedule.lambda_(at(schedule.t_max))) < -4


def test_the_inverse_of_the_cosine_keeps_all_digits_near_the_data():
    schedule, t = VPCosine(t_min=1e-5), torch.logspace(-5, -1, 100, dtype=torch.float64)
    torch.testing.assert_close(schedule.time_of_lambda(schedule.lambda_(t)), t, rtol=1e-13, atol=0)


class TestDiscreteVP:
    abar = torch.tensor([0.99, 0.9, 0.5, 0.3, 0.01], dtype=torch.float64)

    def test_whole_times_give_the_table(self):
        schedule = DiscreteVP(self.abar)
        t = torch.arange(5, dtype=torch.float64)
        torch.testing.assert_close(schedule.alpha(t) ** 2, self.abar, rtol=1e-14, atol=0)
        torch.testing.assert_close(schedule.time_of_lambda(schedule.lambda_(t)), t, rtol=1e-13, atol=1e-13)
        assert (schedule.t_min, schedule.t_max) == (0.0, 4.0)

    def test_levels_fall_strictly_in_between(self):
        t = torch.linspace(0, 4, 401, dtype=torch.float64)
        assert bool((DiscreteVP(self.abar).alpha(t).diff() < 0).all())

    def test_knots_are_the_inner_whole_numbers(self):
        assert DiscreteVP(self.abar).knots().tolist() == [1.0, 2.0, 3.0]
        assert len(VPLinear().knots()) == 0

    def test_the_default_is_that_of_ddpm(self):
        schedule = DiscreteVP()
        assert len(schedule.alphas_cumprod) == 1000
        assert float(schedule.alphas_cumprod[0]) == pytest.approx(1 - 1e-4, rel=1e-15)
        assert float(schedule.alphas_cumprod[-1]) == pytest.approx(4.0358e-5, rel=1e-4)

    def test_lists_are_taken_and_the_repr_stays_short(self):
        shown = repr(DiscreteVP([0.9, 0.5]))
        assert re.fullmatch(r"DiscreteVP\(alphas_cumprod=<2, sha256 [0-9a-f]{8}>\)", shown)
        assert shown == repr(DiscreteVP(torch.tensor([0.9, 0.5], dtype=torch.float64)))
        assert shown != repr(DiscreteVP([0.9, 0.4]))

    @pytest.mark.parametrize("values", ["abc", None, object(), [0.9, "x"], {0.9: 0.5}])
    def test_what_is_no_row_of_numbers_is_refused(self, values):
        with pytest.raises(ArgumentError, match="alphas_cumprod must be a row of numbers"):
            DiscreteVP(values)

    @pytest.mark.parametrize("betas", [torch.linspace(1e-4, 0.02, 1000), [0.1, 0.1, 0.1], [0.1, 0.5, 0.999]])
    def test_betas_in_place_of_the_table_are_recognised(self, betas):
        with pytest.raises(ArgumentError, match=r"these look like betas: pass torch.cumprod\(1 - betas, 0\)"):
            DiscreteVP(betas)
        DiscreteVP(torch.cumprod(1 - torch.as_tensor(betas, dtype=torch.float64), 0))

    @pytest.mark.parametrize(
        "values",
        [[0.9, 0.95, 0.1], [0.9, 0.9, 0.1], [1.0, 0.5], [0.5, 0.0], [0.5, -0.1], [0.5], [[0.9, 0.5]], [0.9, math.nan]],
    )
    def test_tables_that_do_not_fall_are_refused(self, values):
        with pytest.raises(ArgumentError, match="alphas_cumprod must"):
            DiscreteVP(values)


@attrs.frozen
class TwoLineEDM(NoiseSchedule):
    t_min: float = 0.002
    t_max: float = 80.0

    def alpha(self, t):
        return torch.ones_like(t)

    def sigma(self, t):
        return t


@attrs.frozen
class TwoLineFlow(NoiseSchedule):
    t_min: float = 1e-3
    t_max: float = 1 - 1e-3

    def alpha(self, t):
        return 1 - t

    def sigma(self, t):
        return t


@pytest.mark.parametrize("name", list(INTEGRATORS))
@pytest.mark.parametrize(("written", "shipped"), [(TwoLineEDM(), EDM()), (TwoLineFlow(), RectifiedFlow())])
def test_two_lines_make_a_schedule_for_every_integrator(name, written, shipped):
    method = INTEGRATORS.create(name)
    ends = []
    for schedule in (written, shipped):
        ode = GaussianMixture(torch.tensor([[0.5, -1.0], [2.0, 0.0]], dtype=torch.float64), std=0.3).ode(schedule)
        noise = SampleNoise(range(3))
        x = noise.initial((2,), torch.float64) * schedule.t_max
        times = PowerGrid("t", 2.0)(ode, 1 if isinstance(method, BlackBox) else 10)
        if isinstance(method, Ancestral):  # it looks below the last level: beyond the domain, times need a closed form
            times = TimeGrid(times.times[:-1])
        ends.append(solve(ode, x, times, method, noise=noise).x)
    torch.testing.assert_close(*ends, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    ("cls", "options", "argument"),
    [
        (VE, {"sigma_min": 50.0, "sigma_max": 50.0}, "sigma_max"),
        (VE, {"sigma_min": 2.0, "sigma_max": 1.0}, "sigma_max"),
        (VE, {"sigma_min": 0.0}, "sigma_min"),
        (VE, {"t_min": 1.0}, "t_max"),
        (EDM, {"t_min": 80.0}, "t_max"),
        (EDM, {"t_min": 0.0}, "t_min"),
        (EDM, {"t_max": math.inf}, "t_max"),
        (VPLinear, {"t_min": 1.0}, "t_max"),
        (VPLinear, {"t_min": 0.0}, "t_min"),
        (VPLinear, {"beta_0": -0.1}, "beta_0"),
        (VPLinear, {"beta_1": -1.0}, "beta_1"),
        (VPLinear, {"beta_1": "20"}, "beta_1"),
        (VPLinear, {"beta_0": 20.0, "beta_1": 0.1, "t_max": 2.0}, "t_max"),
        (SubVP, {"beta_0": -0.1}, "beta_0"),
        (SubVP, {"t_max": 1e-4}, "t_max"),
        (SubVP, {"beta_0": 20.0, "beta_1": 0.1, "t_max": 2.0}, "t_max"),
        (VPCosine, {"s": 0.0}, "s"),
        (VPCosine, {"t_max": 1.1}, "t_max"),
        (VPCosine, {"t_min": 0.995}, "t_max"),
        (RectifiedFlow, {"t_max": 1.0}, "t_max"),
        (RectifiedFlow, {"t_min": 0.0}, "t_min"),
    ],
)
def test_parameters_that_make_no_schedule_are_refused(cls, options, argument):
    with pytest.raises(ArgumentError, match=f"^{argument} must") as caught:
        cls(**options)
    assert caught.value.argument == argument


def test_the_open_end_of_rectified_flow_is_named():
    with pytest.raises(ArgumentError, match=r"t_max must be a number of at least 0 and below 1, got 1\.0"):
        RectifiedFlow(t_max=1.0)
    assert RectifiedFlow(t_max=1 - 1e-9).t_max < 1

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deis import EDM, PREDICTIONS, SCHEDULES, VE, DiscreteVP, RectifiedFlow, VPLinear, convert
from deis.diffusion.predictions import conversion, prediction
from deis.errors import UnknownNameError

EVERY = [SCHEDULES.create(name) for name in SCHEDULES]
KINDS = ["eps", "x0", "denoiser", "score", "v", "flow"]
DIFFUSERS = {"epsilon": "eps", "sample": "x0", "v_prediction": "v", "flow_prediction": "flow"}

numbers = st.floats(-3, 3, allow_subnormal=False)


def definition(kind, form, x0, eps):
    """The prediction of ``kind`` where x0 and eps are known, from closed forms of the levels and their slopes."""
    return {
        "eps": eps,
        "x0": x0,
        "denoiser": x0,
        "score": -eps / form.sigma,
        "v": form.alpha * eps - form.sigma * x0,
        "flow": form.alpha_rate * x0 + form.sigma_rate * eps,
    }[kind]


def time_at(schedule, share):
    return schedule.t_min + share * (schedule.t_max - schedule.t_min)


@given(st.sampled_from(EVERY), st.floats(0, 1), numbers, numbers)
def test_every_pair_of_kinds_goes_there_and_back(schedule, share, x, value):
    t = time_at(schedule, share)
    x, value = (torch.tensor([number], dtype=torch.float64) for number in (x, value))
    for source in KINDS:
        for target in KINDS:
            there = convert(value, source, target, schedule, t, x)
            back = convert(there, target, source, schedule, t, x)
            a, b = conversion(target, source, schedule, torch.tensor(t, dtype=torch.float64))
            rounding = 1e-14 * float((a * x).abs() + (b * there).abs() + value.abs())  # of the sum that makes ``back``
            assert abs(float(back - value)) <= rounding + 1e-300, (source, target)


@given(st.sampled_from(EVERY), st.floats(0.001, 0.999), numbers, numbers)
def test_every_kind_is_what_its_definition_says(closed_form, schedule, share, x0, eps):
    t = time_at(schedule, share)
    form = closed_form(schedule, t)
    x = torch.tensor([form.alpha * x0 + form.sigma * eps], dtype=torch.float64)
    for source in KINDS:
        for target in KINDS:
            value = torch.tensor([definition(source, form, x0, eps)], dtype=torch.float64)
            a, b = conversion(source, target, schedule, torch.tensor(t, dtype=torch.float64))
            # torch takes exp(y) as expm1(y) + 1 in the slope of expm1, so that sigma' of VP is off by 1e-16 F
            slope = 1e-15 * abs(form.drift) * (abs(x0) + abs(eps))
            rounding = 1e-12 * float((a * x).abs() + (b * value).abs()) + slope
            ours = float(convert(value, source, target, schedule, t, x))
            assert abs(ours - definition(target, form, x0, eps)) <= rounding + 1e-300, (source, target)


def test_the_denoiser_is_x0_under_another_name():
    assert prediction("denoiser") is prediction("x0")
    value = torch.ones(2)
    assert convert(value, "denoiser", "x0", VPLinear(), 0.5, torch.zeros(2)) is value


def test_flow_of_straight_paths_is_noise_minus_data():
    x0, eps, t = torch.tensor([2.0]), torch.tensor([0.5]), 0.25
    x = (1 - t) * x0 + t * eps
    torch.testing.assert_close(convert(x0, "x0", "flow", RectifiedFlow(), t, x), eps - x0)


def test_flow_of_edm_is_eps():
    eps = torch.tensor([0.3])
    torch.testing.assert_close(convert(eps, "eps", "flow", EDM(), 3.0, torch.tensor([9.0])), eps)


def test_v_of_variance_preserving_is_the_rotated_pair():
    schedule, t = DiscreteVP(), 400.0
    x, v = torch.randn(2, 5, dtype=torch.float64)
    alpha, sigma = (level(torch.tensor(t, dtype=torch.float64)) for level in (schedule.alpha, schedule.sigma))
    torch.testing.assert_close(convert(v, "v", "x0", schedule, t, x), alpha * x - sigma * v)
    torch.testing.assert_close(convert(v, "v", "eps", schedule, t, x), sigma * x + alpha * v)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_conversion_keeps_dtype_and_shape(dtype):
    x = torch.ones(2, 3, dtype=dtype)
    converted = convert(x / 2, "eps", "v", VE(), 0.5, x)
    assert (converted.dtype, converted.shape) == (dtype, x.shape)


def test_unknown_kinds_are_refused_with_near_misses():
    with pytest.raises(UnknownNameError, match="no prediction named 'epsilons'; near it: eps"):
        convert(torch.ones(1), "epsilons", "x0", EDM(), 1.0, torch.ones(1))
    with pytest.raises(UnknownNameError, match="near it: score"):
        prediction("scor")


def test_the_names_of_diffusers_are_the_same_kinds():
    assert PREDICTIONS.keys() == {*KINDS, *DIFFUSERS}
    for alias, name in DIFFUSERS.items():
        assert prediction(alias) is prediction(name)


@pytest.mark.parametrize("name", [["eps"], {}, None, 1, b"eps"])
def test_what_is_not_a_name_is_refused(name):
    with pytest.raises(UnknownNameError, match="no prediction named"):
        prediction(name)

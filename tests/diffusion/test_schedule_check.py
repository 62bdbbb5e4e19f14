"""What is refused when an ODE is made of a schedule that a user wrote."""

import math
import time

import pytest
import torch

from deis import EDM, SCHEDULES, DiscreteVPSDE, NoiseSchedule, ProbabilityFlowODE, VPLinear
from deis.errors import ArgumentError


def zero(x, t):
    return torch.zeros_like(x)


def written(alpha, sigma, **ends):
    """A schedule of two functions."""
    content = {
        "t_min": 0.01,
        "t_max": 0.9,
        **ends,
        "alpha": lambda self, t: alpha(t),
        "sigma": lambda self, t: sigma(t),
    }
    return type("Written", (NoiseSchedule,), content)()


def minus(t):
    return 1 - t


@pytest.mark.parametrize("name", list(SCHEDULES))
def test_every_registered_schedule_passes(name):
    ProbabilityFlowODE(SCHEDULES.create(name), zero)


def test_tables_of_th_deis_that_start_at_alpha_one_and_end_at_zero_pass():
    ProbabilityFlowODE(DiscreteVPSDE(torch.linspace(1, 0, 50)), zero)


def test_schedules_with_parameters_pass():
    power = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    ProbabilityFlowODE(written(minus, lambda t: t**power), zero)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (written(lambda t: t, minus), r"falling strictly.* between t = 0\.01 and 0\.12125.*swapped"),
        (written(minus, lambda t: 1 - 2 * t, t_max=0.4), "falling strictly.*swapped"),
        (written(minus, lambda t: (t - 0.5).abs() + 0.1), "falling strictly.*check alpha and sigma there"),
        (written(minus, lambda t: t, t_min=0.0), "must have sigma above 0 and finite .* here at t = 0, got 0.0; move"),
        (written(minus, lambda t: t, t_max=1.0), "must have alpha above 0 and finite .* here at t = 1, got 0.0"),
        (written(minus, lambda t: -t), "must have sigma above 0"),
        (written(minus, lambda t: t / 0), "must have sigma above 0 and finite"),
        (written(lambda t: (t - 0.5).log(), lambda t: t), "must have alpha above 0 and finite.*got nan"),
        (
            written(lambda t: 1.0, lambda t: t),
            r"float64 tensor of the shape of t from alpha\(t\), got 1.0; .*ones_like",
        ),
        (written(minus, lambda t: t.float()), r"from sigma\(t\), got 'torch.float32 of shape \(9,\)"),
        (written(minus, lambda t: t.sum()), r"from sigma\(t\), got 'torch.float64 of shape \(\)"),
        (written(minus, lambda t: math.sin(t)), "write it with functions of torch"),
        (written(minus, lambda t: t, t_max=0.01), "must have t_max above t_min = 0.01"),
        (written(minus, lambda t: t, t_max=math.inf), "must have a finite number as t_max, got inf"),
        (written(minus, lambda t: t, t_min="0"), "must have a finite number as t_min"),
    ],
)
def test_levels_that_cannot_be_used_are_named_with_the_schedule_the_time_and_the_fix(schedule, message):
    with pytest.raises(ArgumentError, match=f"^schedule Written .*{message}"):
        ProbabilityFlowODE(schedule, zero)


@pytest.mark.parametrize("end", ["t_min", "t_max"])
def test_schedules_without_a_domain_are_refused(end):
    schedule = written(minus, lambda t: t)
    delattr(type(schedule), end)
    with pytest.raises(ArgumentError, match=f"schedule Written must have {end}.*write {end}: float"):
        ProbabilityFlowODE(schedule, zero)


@pytest.mark.parametrize("schedule", [VPLinear(), EDM()])
def test_the_check_is_cheap(schedule):
    times = []
    for _ in range(20):
        began = time.perf_counter()
        ProbabilityFlowODE(schedule, zero)
        times.append(time.perf_counter() - began)
    assert min(times) < 1e-3  # about 0.1 ms on one core

"""What every noise schedule must pass."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from deis.diffusion.schedules import NoiseSchedule


class NoiseScheduleConformance:
    """What a noise schedule must pass. Inherit it and supply the fixture ``schedule``.

    >>> import pytest
    >>> from deis import VPLinear
    >>> from deis.testing import NoiseScheduleConformance
    >>> class TestSlow(NoiseScheduleConformance):
    ...     @pytest.fixture
    ...     def schedule(self):
    ...         return VPLinear(beta_1=5.0)
    """

    def test_levels_are_positive(self, schedule: NoiseSchedule) -> None:
        for t in (_evenly_in_time(schedule), _evenly_in_lambda(schedule)):
            for level in (schedule.alpha, schedule.sigma, schedule.rho):
                assert level(t).isfinite().all()
                assert (level(t) > 0).all()

    def test_keeps_shape_and_precision(self, schedule: NoiseSchedule) -> None:
        t = _evenly_in_lambda(schedule)[1:7]
        for function in _functions(schedule):
            for when in (t, t.reshape(2, 3), t[0]):
                value = function(when)
                assert value.dtype == torch.float64
                assert value.shape == when.shape

    def test_lambda_falls_strictly(self, schedule: NoiseSchedule) -> None:
        for t in (_evenly_in_time(schedule), _evenly_in_lambda(schedule)):
            assert (schedule.lambda_(t).diff() < 0).all()
            assert (schedule.rho(t).diff() > 0).all()

    def test_levels_agree_with_one_another(self, schedule: NoiseSchedule) -> None:
        t = _evenly_in_lambda(schedule)
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        torch.testing.assert_close(schedule.log_alpha(t).exp(), alpha, rtol=1e-12, atol=0.0)
        torch.testing.assert_close(schedule.rho(t), sigma / alpha, rtol=1e-12, atol=0.0)
        torch.testing.assert_close((-schedule.lambda_(t)).exp(), sigma / alpha, rtol=1e-12, atol=0.0)

    def test_time_of_lambda_inverts_lambda(self, schedule: NoiseSchedule) -> None:
        span = schedule.t_max - schedule.t_min
        for t in (_evenly_in_time(schedule), _evenly_in_lambda(schedule)):
            torch.testing.assert_close(schedule.time_of_lambda(schedule.lambda_(t)), t, rtol=1e-10, atol=1e-14 * span)

    def test_time_of_lambda_has_the_slope_of_an_inverse(self, schedule: NoiseSchedule) -> None:
        t = _smooth_times(schedule)
        value = schedule.lambda_(t).requires_grad_()
        (slope,) = torch.autograd.grad(schedule.time_of_lambda(value).sum(), value)
        torch.testing.assert_close(slope, 1 / _difference(schedule.lambda_, schedule, t), rtol=1e-5, atol=0.0)

    def test_drift_is_the_rate_of_log_alpha(self, schedule: NoiseSchedule) -> None:
        t = _smooth_times(schedule)
        expected = _difference(schedule.log_alpha, schedule, t)
        torch.testing.assert_close(schedule.drift(t), expected, rtol=1e-6, atol=1e-7)

    def test_squared_diffusion_feeds_sigma(self, schedule: NoiseSchedule) -> None:
        # (sigma^2)' = 2 F sigma^2 + G^2
        t = _smooth_times(schedule)
        variance = schedule.sigma(t) ** 2
        rate = _difference(lambda when: schedule.sigma(when) ** 2, schedule, t)
        growth = 2 * _difference(schedule.log_alpha, schedule, t) * variance
        actual = schedule.squared_diffusion(t)
        assert (actual > 0).all()
        assert ((actual - (rate - growth)).abs() <= 1e-6 * (rate.abs() + growth.abs())).all()

    def test_knots_lie_inside(self, schedule: NoiseSchedule) -> None:
        knots = schedule.knots()
        assert knots.dtype == torch.float64
        assert (knots.diff() > 0).all()
        assert ((knots > schedule.t_min) & (knots < schedule.t_max)).all()

    def test_is_immutable(self, schedule: Any) -> None:
        with pytest.raises(AttributeError):
            schedule.t_max = 2.0


def _functions(schedule: NoiseSchedule) -> list[Callable[[Tensor], Tensor]]:
    return [
        schedule.alpha,
        schedule.sigma,
        schedule.log_alpha,
        schedule.rho,
        schedule.lambda_,
        lambda t: schedule.time_of_lambda(schedule.lambda_(t)),
        schedule.drift,
        schedule.squared_diffusion,
    ]


def _evenly_in_time(schedule: NoiseSchedule) -> Tensor:
    return torch.linspace(schedule.t_min, schedule.t_max, 101, dtype=torch.float64)


def _evenly_in_lambda(schedule: NoiseSchedule) -> Tensor:
    """Times from t_min to t_max found by bisection, without the schedule's own inverse."""
    ends = schedule.lambda_(torch.tensor([schedule.t_min, schedule.t_max], dtype=torch.float64))
    values = torch.linspace(float(ends[0]), float(ends[1]), 101, dtype=torch.float64)
    low, high = torch.full_like(values, schedule.t_min), torch.full_like(values, schedule.t_max)
    for _ in range(60):
        middle = (low + high) / 2
        later = schedule.lambda_(middle) > values
        low, high = torch.where(later, middle, low), torch.where(later, high, middle)
    t = (low + high) / 2
    t[0], t[-1] = schedule.t_min, schedule.t_max
    return t


def _smooth_times(schedule: NoiseSchedule) -> Tensor:
    """Times inside the domain, away from knots."""
    knots = schedule.knots()
    return (knots[1:] + knots[:-1]) / 2 if len(knots) > 1 else _evenly_in_lambda(schedule)[2:-2]


def _difference(function: Callable[[Tensor], Tensor], schedule: NoiseSchedule, t: Tensor) -> Tensor:
    """Central difference with a step that resolves the distance to the ends and to the next knot."""
    h = torch.minimum(t - schedule.t_min, schedule.t_max - t) * 1e-4
    if len(schedule.knots()) > 1:
        h = torch.minimum(h, schedule.knots().diff().min() * 1e-2)
    # fourth order, so that the step may be large against rounding
    near, far = function(t + h) - function(t - h), function(t + 2 * h) - function(t - 2 * h)
    return (8 * near - far) / (12 * h)

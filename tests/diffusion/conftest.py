"""Closed forms of every schedule, written independently of the package and in any arithmetic."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import mpmath
import numpy as np
import pytest
import torch

from deis import EDM, SCHEDULES, VE, DiscreteVP, NoiseSchedule, RectifiedFlow, SubVP, VPCosine, VPLinear

NAMES = list(SCHEDULES)


def _log_alpha(schedule: NoiseSchedule, t: Any, m: Any) -> Any:
    match schedule:
        case VPLinear() | SubVP():
            b0, b1 = schedule.beta_0, schedule.beta_1
            return -t * t * (b1 - b0) / 4 - t * b0 / 2
        case VPCosine():
            s = m.mpf(schedule.s) if m is mpmath else schedule.s
            return m.log(m.cos(m.pi / 2 * (t + s) / (1 + s)) / m.cos(m.pi / 2 * s / (1 + s)))
        case DiscreteVP():
            abar = schedule.alphas_cumprod
            low = min(int(m.floor(t)), len(abar) - 2)
            left, right = (m.log(float(abar[i])) / 2 for i in (low, low + 1))
            return left + (t - low) * (right - left)
        case RectifiedFlow():
            return m.log(1 - t)
        case _:
            return t * 0


def _sigma(schedule: NoiseSchedule, t: Any, m: Any) -> Any:
    log_alpha = _log_alpha(schedule, t, m)
    match schedule:
        case VPLinear() | VPCosine() | DiscreteVP():
            return m.sqrt(-m.expm1(2 * log_alpha))
        case SubVP():
            return -m.expm1(2 * log_alpha)
        case VE():
            low, high = (m.mpf(v) if m is mpmath else v for v in (schedule.sigma_min, schedule.sigma_max))
            return low * (high / low) ** t
        case EDM() | RectifiedFlow():
            return t
    raise AssertionError(f"no closed form for {schedule}")


def _rates(schedule: NoiseSchedule, t: float) -> tuple[float, float]:
    """F and G^2, from the table of the papers."""
    match schedule:
        case VPLinear() | SubVP():
            beta = schedule.beta_0 + t * (schedule.beta_1 - schedule.beta_0)
            integral = t * schedule.beta_0 + t * t * (schedule.beta_1 - schedule.beta_0) / 2
            return -beta / 2, beta * (1.0 if isinstance(schedule, VPLinear) else -math.expm1(-2 * integral))
        case VPCosine():
            beta = math.pi / (1 + schedule.s) * math.tan(math.pi / 2 * (t + schedule.s) / (1 + schedule.s))
            return -beta / 2, beta
        case DiscreteVP():
            abar = schedule.alphas_cumprod.tolist()
            low = min(math.floor(t), len(abar) - 2)
            beta = math.log(abar[low]) - math.log(abar[low + 1])
            return -beta / 2, beta
        case VE():
            ratio = schedule.sigma_max / schedule.sigma_min
            return 0.0, 2 * math.log(ratio) * (schedule.sigma_min * ratio**t) ** 2
        case EDM():
            return 0.0, 2 * t
        case RectifiedFlow():
            return -1 / (1 - t), 2 * t / (1 - t)
    raise AssertionError(f"no closed form for {schedule}")


def _sigma_rate(schedule: NoiseSchedule, alpha: float, sigma: float, alpha_rate: float) -> float:
    """sigma', from sigma as a function of alpha or of time; F sigma + G^2 / (2 sigma) would cancel near the noise."""
    match schedule:
        case VPLinear() | VPCosine() | DiscreteVP():
            return -alpha * alpha_rate / sigma
        case SubVP():
            return -2 * alpha * alpha_rate
        case VE():
            return sigma * math.log(schedule.sigma_max / schedule.sigma_min)
        case EDM() | RectifiedFlow():
            return 1.0
    raise AssertionError(f"no closed form for {schedule}")


def closed_form(schedule: NoiseSchedule, t: float, m: Any = math) -> SimpleNamespace:
    """alpha, sigma, lambda (in the arithmetic of ``m``), F and G^2, and the slopes alpha' and sigma'."""
    when = mpmath.mpf(t) if m is mpmath else t
    log_alpha, sigma = _log_alpha(schedule, when, m), _sigma(schedule, when, m)
    alpha = m.exp(log_alpha)
    drift, diffusion = _rates(schedule, float(t))
    return SimpleNamespace(
        alpha=alpha,
        sigma=sigma,
        lambda_=log_alpha - m.log(sigma),
        drift=drift,
        squared_diffusion=diffusion,
        alpha_rate=drift * float(alpha),
        sigma_rate=_sigma_rate(schedule, float(alpha), float(sigma), drift * float(alpha)),
    )


@pytest.fixture(params=NAMES)
def schedule(request: pytest.FixtureRequest) -> NoiseSchedule:
    return SCHEDULES.create(request.param)


@pytest.fixture(name="closed_form", scope="session")
def _closed_form() -> Callable[..., SimpleNamespace]:
    return closed_form


@pytest.fixture(scope="session")
def interior() -> Callable[[NoiseSchedule, int], torch.Tensor]:
    """Times close to both ends and between them, none of them a knot, rising."""

    def make(schedule: NoiseSchedule, count: int) -> torch.Tensor:
        share = np.concatenate(
            [[1e-9, 1e-6, 1e-3], np.linspace(0.0123, 0.987, count - 6), 1 - np.array([1e-3, 1e-6, 1e-9])]
        )
        return torch.from_numpy(schedule.t_min + share * (schedule.t_max - schedule.t_min))

    return make

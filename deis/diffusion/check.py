"""What a noise schedule must fulfil before an ODE is made of it."""

from typing import Any

import torch
from torch import Tensor

from deis.diffusion.schedules import NoiseSchedule
from deis.errors import ArgumentError
from deis.fields import is_number
from deis.numerics.host import on_host

_PROBES = 9


def check_schedule(instance: Any, attribute: Any, value: Any) -> None:
    """Accept noise schedules whose levels are sound at a few times from ``t_min`` to ``t_max``.

    :raises ArgumentError: naming the schedule, the time and the fix.
    """
    if not isinstance(value, NoiseSchedule):
        raise ArgumentError("schedule", "must be a NoiseSchedule", value, "for example VPLinear()")
    name = f"schedule {type(value).__name__}"
    low, high = _ends(name, value)
    with on_host(), torch.no_grad():
        t = torch.linspace(low, high, _PROBES, dtype=torch.float64)
        for level in ("alpha", "sigma"):
            _check_level(name, level, value, t)
        _check_falls(name, value.lambda_(t), t)


def _ends(name: str, schedule: NoiseSchedule) -> tuple[float, float]:
    for end in ("t_min", "t_max"):
        if not hasattr(schedule, end):
            raise ArgumentError(name, f"must have {end}", "none", f"write {end}: float = ... in the class")
        if not is_number(getattr(schedule, end)):
            raise ArgumentError(name, f"must have a finite number as {end}", getattr(schedule, end))
    if not schedule.t_min < schedule.t_max:
        rule = f"must have t_max above t_min = {schedule.t_min:g}"
        raise ArgumentError(name, rule, schedule.t_max, "data lives at t_min")
    return schedule.t_min, schedule.t_max


def _check_level(name: str, level: str, schedule: NoiseSchedule, t: Tensor) -> None:
    rule = f"must return a float64 tensor of the shape of t from {level}(t)"
    try:
        value = getattr(schedule, level)(t)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ArgumentError(name, rule, error, "write it with functions of torch, elementwise") from error
    if not isinstance(value, Tensor):
        raise ArgumentError(name, rule, value, "a constant level is written torch.ones_like(t)")
    if value.shape != t.shape or value.dtype != t.dtype or value.device != t.device:
        got = f"{value.dtype} of shape {tuple(value.shape)} on {value.device} for t of shape {tuple(t.shape)}"
        raise ArgumentError(name, rule, got, "keep constants Python numbers, or float64 tensors on the CPU")
    bad = ~((value > 0) & value.isfinite())
    if bool(bad.any()):
        at = int(bad.nonzero()[0])
        rule = f"must have {level} above 0 and finite from t_min to t_max, here at t = {float(t[at]):g}"
        raise ArgumentError(name, rule, float(value[at]), "move t_min or t_max inwards")


def _check_falls(name: str, lambda_: Tensor, t: Tensor) -> None:
    rises = ~(lambda_.diff() < 0)
    if not bool(rises.any()):
        return
    at = int(rises.nonzero()[0])
    fix = "check alpha and sigma there"
    if bool(rises.all()):
        fix = "are alpha (signal) and sigma (noise) swapped? Or does time run from noise to data? Then use 1 - t"
    span = f"t = {float(t[at]):g} and {float(t[at + 1]):g}"
    rule = f"must have log(alpha / sigma) falling strictly from data at t_min to noise at t_max, here between {span}"
    raise ArgumentError(name, rule, f"{float(lambda_[at]):g}, then {float(lambda_[at + 1]):g}", fix)

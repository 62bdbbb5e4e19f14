"""What a diffusion network predicts. Every kind is a combination y = p x0 + q eps, and x = alpha x0 + sigma eps.

Hence any two of x, y and another kind determine each other, and any kind can be the N of the probability-flow ODE.
"""

from collections.abc import Callable

import attrs
import torch
from torch import Tensor

from deis.diffusion.schedules import NoiseSchedule
from deis.errors import UnknownNameError
from deis.numerics.derivative import derivative
from deis.numerics.host import on_host

Level = Callable[[NoiseSchedule, Tensor], Tensor]


@attrs.frozen
class Prediction:
    """One kind of prediction.

    :param p: coefficient of x0.
    :param q: coefficient of eps.
    :param log_scale: log of m with Psi(t, s) = m(t) / m(s) when this kind is the N of the probability-flow ODE.
    """

    p: Level
    q: Level
    log_scale: Level


def _zero(schedule: NoiseSchedule, t: Tensor) -> Tensor:
    return torch.zeros_like(t)


def _one(schedule: NoiseSchedule, t: Tensor) -> Tensor:
    return torch.ones_like(t)


def _alpha(schedule: NoiseSchedule, t: Tensor) -> Tensor:
    return schedule.alpha(t)


def _log_alpha(schedule: NoiseSchedule, t: Tensor) -> Tensor:
    return schedule.log_alpha(t)


def _minus_sigma(schedule: NoiseSchedule, t: Tensor) -> Tensor:
    return -schedule.sigma(t)


def _log_sigma(schedule: NoiseSchedule, t: Tensor) -> Tensor:
    return schedule.sigma(t).log()


def _minus_inverse_sigma(schedule: NoiseSchedule, t: Tensor) -> Tensor:
    return -1 / schedule.sigma(t)


def _log_norm(schedule: NoiseSchedule, t: Tensor) -> Tensor:
    return (schedule.alpha(t) ** 2 + schedule.sigma(t) ** 2).log() / 2


def _alpha_rate(schedule: NoiseSchedule, t: Tensor) -> Tensor:
    return derivative(schedule.alpha, t)


def _sigma_rate(schedule: NoiseSchedule, t: Tensor) -> Tensor:
    return derivative(schedule.sigma, t)


_EPS = Prediction(_zero, _one, _log_alpha)
_X0 = Prediction(_one, _zero, _log_sigma)
_V = Prediction(_minus_sigma, _alpha, _log_norm)
_FLOW = Prediction(_alpha_rate, _sigma_rate, _zero)

PREDICTIONS = {
    "eps": _EPS,
    "x0": _X0,
    "denoiser": _X0,  # D(x; sigma) of arXiv 2206.00364
    "score": Prediction(_zero, _minus_inverse_sigma, _log_alpha),
    "v": _V,  # arXiv 2202.00512
    "flow": _FLOW,  # dx/dt along the conditional path, arXiv 2210.02747
    "epsilon": _EPS,
    "sample": _X0,
    "v_prediction": _V,
    "flow_prediction": _FLOW,
}
"""Kinds by name; ``denoiser`` is ``x0`` under another name, and the last four are the names that diffusers uses."""


def prediction(name: str) -> Prediction:
    """The kind called ``name``.

    :raises UnknownNameError: if there is none; near misses are shown.
    """
    if not isinstance(name, str) or name not in PREDICTIONS:
        raise UnknownNameError("prediction", name, PREDICTIONS)
    return PREDICTIONS[name]


def determinant(kind: Prediction, schedule: NoiseSchedule, t: Tensor) -> Tensor:
    """p sigma - q alpha, the determinant of (x0, eps) -> (y, x)."""
    return kind.p(schedule, t) * schedule.sigma(t) - kind.q(schedule, t) * schedule.alpha(t)


def conversion(source: str, target: str, schedule: NoiseSchedule, t: Tensor) -> tuple[Tensor, Tensor]:
    """Coefficients (a, b) of ``target`` = a x + b ``source`` at times ``t``."""
    y, z = prediction(source), prediction(target)
    p, q = y.p(schedule, t), y.q(schedule, t)
    a = z.q(schedule, t) * p - z.p(schedule, t) * q
    d = determinant(y, schedule, t)
    return a / d, determinant(z, schedule, t) / d


def convert(value: Tensor, source: str, target: str, schedule: NoiseSchedule, t: float, x: Tensor) -> Tensor:
    """Turn one kind of prediction at state ``x`` and time ``t`` into another.

    :param value: a prediction of kind ``source``, of the shape of ``x``.
    :returns: the prediction of kind ``target``, same shape and dtype.

    >>> from deis import EDM
    >>> x, eps = torch.tensor([3.0]), torch.tensor([0.5])
    >>> convert(eps, "eps", "x0", EDM(), 2.0, x)  # x - sigma eps
    tensor([2.])
    """
    if prediction(source) is prediction(target):
        return value
    with on_host():
        a, b = conversion(source, target, schedule, torch.tensor(t, dtype=torch.float64))
    return (a * x + b * value).to(x.dtype)  # which a float64 number changes where the state is a number, too

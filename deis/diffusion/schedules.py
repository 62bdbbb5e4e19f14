"""Noise schedules: x_t given x_0 is normal with mean alpha(t) x_0 and covariance sigma(t)^2 I."""

import abc
import math

import attrs
import torch
from torch import Tensor
from torch.nn.functional import softplus

from deis.errors import ArgumentError
from deis.fields import number_in
from deis.numerics.derivative import derivative
from deis.numerics.monotone import invert
from deis.registry import Registry

SCHEDULES: "Registry[NoiseSchedule]" = Registry("schedule")


class NoiseSchedule(abc.ABC):
    """Signal and noise levels as functions of time.

    To add one: subclass, decorate with ``attrs.frozen``, give ``t_min`` and ``t_max`` (data lives at ``t_min``), and
    write :meth:`alpha` and :meth:`sigma`. Times are float64 tensors of any shape; everything else follows. Methods
    with a closed form may be overridden.
    """

    t_min: float
    t_max: float

    @abc.abstractmethod
    def alpha(self, t: Tensor) -> Tensor:
        """Signal level, > 0; same shape as ``t``."""

    @abc.abstractmethod
    def sigma(self, t: Tensor) -> Tensor:
        """Noise level, > 0; same shape as ``t``."""

    def log_alpha(self, t: Tensor) -> Tensor:
        """log alpha(t)."""
        return self.alpha(t).log()

    def rho(self, t: Tensor) -> Tensor:
        """Noise to signal ratio sigma / alpha, rising in t."""
        return self.sigma(t) / self.alpha(t)

    def lambda_(self, t: Tensor) -> Tensor:
        """Half the log signal to noise ratio, log(alpha / sigma), falling in t."""
        return self.log_alpha(t) - self.sigma(t).log()

    def time_of_lambda(self, lambda_: Tensor) -> Tensor:
        """Inverse of :meth:`lambda_`."""
        return invert(self.lambda_, lambda_, self.t_min, self.t_max)

    def drift(self, t: Tensor) -> Tensor:
        """F in dx = F x dt + G dw: the logarithmic derivative of alpha."""
        return derivative(self.log_alpha, t)

    def squared_diffusion(self, t: Tensor) -> Tensor:
        """G^2 in dx = F x dt + G dw: (sigma^2)' - 2 F sigma^2 = -2 sigma^2 lambda'."""
        return -2 * self.sigma(t) ** 2 * derivative(self.lambda_, t)

    def knots(self) -> Tensor:
        """Times at which alpha or sigma is not smooth, rising; none by default."""
        return torch.empty(0, dtype=torch.float64)


class _VariancePreserving(NoiseSchedule):
    """Schedules with sigma^2 = 1 - alpha^2."""

    def sigma(self, t: Tensor) -> Tensor:
        return (-torch.expm1(2 * self.log_alpha(t))).sqrt()

    def alpha(self, t: Tensor) -> Tensor:
        return self.log_alpha(t).exp()


def _log_alpha_of_lambda(lambda_: Tensor) -> Tensor:
    return -softplus(-2 * lambda_, threshold=50) / 2  # alpha^2 = sigmoid(2 lambda)


def _span(instance: NoiseSchedule, attribute: object, value: float) -> None:
    if not instance.t_min < value:
        raise ArgumentError("t_max", f"must be above t_min = {instance.t_min:g}", value)


def _beta_positive(instance: "_LinearBeta", attribute: object, value: float) -> None:
    beta = instance.beta_0 + value * (instance.beta_1 - instance.beta_0)
    if not beta > 0:
        raise ArgumentError("t_max", f"must lie where beta(t) > 0 (it is {beta:g} there)", value)


@attrs.frozen
class _LinearBeta(NoiseSchedule):
    """Schedules with log alpha = -int beta / 2 and beta(t) = beta_0 + (beta_1 - beta_0) t."""

    beta_0: float = attrs.field(default=0.1, validator=number_in(0))
    beta_1: float = attrs.field(default=20.0, validator=number_in(0, open_low=True))
    t_min: float = attrs.field(default=1e-3, validator=number_in(0, open_low=True))
    t_max: float = attrs.field(default=1.0, validator=[number_in(0, open_low=True), _span, _beta_positive])

    def log_alpha(self, t: Tensor) -> Tensor:
        return -(t**2) * (self.beta_1 - self.beta_0) / 4 - t * self.beta_0 / 2

    def alpha(self, t: Tensor) -> Tensor:
        return self.log_alpha(t).exp()

    def _time_of_log_alpha(self, log_alpha: Tensor) -> Tensor:
        # (beta_1 - beta_0) t^2 + 2 beta_0 t + 4 log alpha = 0, in the form without cancellation
        four = -4 * log_alpha
        return four / (self.beta_0 + (self.beta_0**2 + (self.beta_1 - self.beta_0) * four).sqrt())


@SCHEDULES.register("vp-linear")
@attrs.frozen
class VPLinear(_LinearBeta, _VariancePreserving):
    """Variance preserving with beta(t) rising linearly from beta_0 to beta_1 (arXiv 2011.13456, eq. 33)."""

    def time_of_lambda(self, lambda_: Tensor) -> Tensor:
        return self._time_of_log_alpha(_log_alpha_of_lambda(lambda_))


@SCHEDULES.register("vp-cosine")
@attrs.frozen
class VPCosine(_VariancePreserving):
    """Variance preserving with alpha a quarter cosine, normalised to 1 at t = 0 (arXiv 2102.09672, eq. 17)."""

    s: float = attrs.field(default=0.008, validator=number_in(0, open_low=True))
    t_min: float = attrs.field(default=1e-3, validator=number_in(0, open_low=True))
    t_max: float = attrs.field(default=0.9946, validator=[number_in(0, 1), _span])

    def _angle(self, t: Tensor) -> Tensor:
        return (t + self.s) / (1 + self.s) * (math.pi / 2)

    def _start(self) -> float:
        return self.s / (1 + self.s) * (math.pi / 2)

    def log_alpha(self, t: Tensor) -> Tensor:
        return self._angle(t).cos().log() - math.log(math.cos(self._start()))

    def sigma(self, t: Tensor) -> Tensor:
        # cos^2 b - cos^2 a = sin(a + b) sin(a - b)
        a, b = self._angle(t), self._start()
        return ((a + b).sin() * (t / (1 + self.s) * (math.pi / 2)).sin()).sqrt() / math.cos(b)

    def time_of_lambda(self, lambda_: Tensor) -> Tensor:
        cosine = _log_alpha_of_lambda(lambda_).exp() * math.cos(self._start())
        t = cosine.clamp(max=1.0).acos() * (2 * (1 + self.s) / math.pi) - self.s
        # acos loses digits near t = 0: one Newton step on lambda restores them
        return t - (self.lambda_(t) - lambda_) / derivative(self.lambda_, t)


@SCHEDULES.register("ve")
@attrs.frozen
class VE(NoiseSchedule):
    """Variance exploding: alpha = 1, sigma geometric from sigma_min to sigma_max (arXiv 2011.13456, eq. 31)."""

    sigma_min: float = attrs.field(default=0.01, validator=number_in(0, open_low=True))
    sigma_max: float = attrs.field(default=50.0, validator=number_in(0, open_low=True))
    t_min: float = attrs.field(default=0.0, validator=number_in(0))
    t_max: float = attrs.field(default=1.0, validator=[number_in(0, open_low=True), _span])

    def __attrs_post_init__(self) -> None:
        if not self.sigma_min < self.sigma_max:
            raise ArgumentError("sigma_max", f"must be above sigma_min = {self.sigma_min:g}", self.sigma_max)

    def alpha(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def sigma(self, t: Tensor) -> Tensor:
        return self.sigma_min * (t * math.log(self.sigma_max / self.sigma_min)).exp()

    def time_of_lambda(self, lambda_: Tensor) -> Tensor:
        return (-lambda_ - math.log(self.sigma_min)) / math.log(self.sigma_max / self.sigma_min)


@SCHEDULES.register("sub-vp")
@attrs.frozen
class SubVP(_LinearBeta):
    """Sub-variance preserving: alpha as linear VP, sigma = 1 - alpha^2 (arXiv 2011.13456, eq. 29)."""

    def sigma(self, t: Tensor) -> Tensor:
        return -torch.expm1(2 * self.log_alpha(t))

    def time_of_lambda(self, lambda_: Tensor) -> Tensor:
        # rho = 1 / alpha - alpha = 2 sinh(-log alpha)
        return self._time_of_log_alpha(-((-lambda_).exp() / 2).asinh())


@SCHEDULES.register("edm")
@attrs.frozen
class EDM(NoiseSchedule):
    """Time is the noise level: alpha = 1, sigma = t (arXiv 2206.00364)."""

    t_min: float = attrs.field(default=0.002, validator=number_in(0, open_low=True))
    t_max: float = attrs.field(default=80.0, validator=[number_in(0, open_low=True), _span])

    def alpha(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def sigma(self, t: Tensor) -> Tensor:
        return t + 0.0

    def time_of_lambda(self, lambda_: Tensor) -> Tensor:
        return (-lambda_).exp()


@SCHEDULES.register("rectified-flow")
@attrs.frozen
class RectifiedFlow(NoiseSchedule):
    """Straight paths: alpha = 1 - t, sigma = t (arXiv 2209.03003); data at t = 0, both ends are left out."""

    t_min: float = attrs.field(default=1e-3, validator=number_in(0, open_low=True))
    t_max: float = attrs.field(default=1 - 1e-3, validator=[number_in(0, 1, open_high=True), _span])

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t

    def sigma(self, t: Tensor) -> Tensor:
        return t + 0.0

    def time_of_lambda(self, lambda_: Tensor) -> Tensor:
        return torch.sigmoid(-lambda_)

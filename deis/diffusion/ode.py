"""The probability-flow ODE of a diffusion model."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import attrs
import torch
from torch import Tensor

from deis.diffusion.check import check_schedule
from deis.diffusion.network_time import NetworkTime
from deis.diffusion.predictions import convert, determinant, prediction
from deis.diffusion.schedules import NoiseSchedule, VPLinear
from deis.errors import ArgumentError, CapabilityError, DeisError
from deis.fields import number_in
from deis.numerics.adaptive import integrate
from deis.numerics.derivative import derivative
from deis.numerics.lagrange import basis
from deis.numerics.phi import phi, phi_combinations
from deis.odes.base import PLAIN_TIME, Clock, ConstantForm, SemilinearODE

Network = Callable[[Tensor, Tensor], Tensor]

_POINTS = 12
_KNOT_POINTS = 6  # panels between knots are short
_VP = VPLinear(t_min=1e-12, t_max=1e3)
_SPLIT = "choose eps or x0"


def _known(instance: Any, attribute: Any, name: Any) -> None:
    prediction(name)


def check_network(instance: Any, attribute: Any, value: Any) -> None:
    """Accept what can be called."""
    if not callable(value):
        raise ArgumentError("network", "must be callable as network(x, t)", value)


def _network_time(instance: Any, attribute: Any, value: Any) -> None:
    if not callable(value) or isinstance(value, type):
        fix = "for example NetworkTime(scale=1000.0)"
        raise ArgumentError("network_time", "must be a NetworkTime, or callable as network_time(t, x)", value, fix)


def name_of(network: object) -> str:
    """A short name, where the ``repr`` of a network can fill pages."""
    return getattr(network, "__name__", type(network).__name__)


@attrs.frozen(eq=False)
class ProbabilityFlowODE(SemilinearODE):
    """x' = L(t) x + G(t) N(t, x) with N one of the kinds of prediction; noise lives at ``t_max``, data at ``t_min``.

    It is eq. :eq:`probability-flow` of the theory page; L and G of each splitting are eq. :eq:`splitting`.

    :param schedule: noise schedule.
    :param network: ``network(x, t)`` with x of shape (B, ...) and t of shape (B,), returning x's shape and dtype.
    :param predicts: what the network returns: eps, x0, score, v, denoiser or flow, or diffusers' names of these
        (epsilon, sample, v_prediction, flow_prediction).
    :param splitting: which prediction is N; ``eps`` (arXiv 2204.13902, eq. 8) by default.
    :param network_time: the network's own time convention.
    :param tau: above 0, the drift of the reverse SDE (eq. :eq:`reverse-family` of the theory page) with ``tau`` times
        the noise of the forward process; see :meth:`reverse_sde`.
    :raises ArgumentError: for a schedule whose alpha and sigma are not positive float64 tensors with alpha / sigma
        falling, as nine times from ``t_min`` to ``t_max`` show.

    >>> from deis import EDM, PowerGrid, solve
    >>> ode = ProbabilityFlowODE(EDM(), lambda x, t: x / (1 + t**2).sqrt()[:, None], predicts="eps")
    >>> solve(ode, torch.ones(2, 3), PowerGrid("rho", 7.0)(ode, 10), "rhoab2").x.shape
    torch.Size([2, 3])
    """

    schedule: NoiseSchedule = attrs.field(validator=check_schedule)
    network: Network = attrs.field(validator=check_network, repr=name_of)
    predicts: str = attrs.field(default="eps", validator=_known)
    splitting: str = attrs.field(default="eps", validator=_known)
    network_time: Callable[[float, Tensor], Tensor] = attrs.field(default=NetworkTime(), validator=_network_time)
    tau: float = attrs.field(default=0.0, validator=number_in(0))

    @property
    def domain(self) -> tuple[float, float]:  # type: ignore[override]
        return self.schedule.t_max, self.schedule.t_min

    def split(self, name: str) -> "ProbabilityFlowODE":
        return self if name == self.splitting else attrs.evolve(self, splitting=name)

    def nonlinearity(self, t: float, x: Tensor) -> Tensor:
        value = self.network(x, self.network_time(t, x))
        if not isinstance(value, Tensor) or value.shape != x.shape or value.dtype != x.dtype:
            return value  # the solver names the mismatch
        return convert(value, self.predicts, self.splitting, self.schedule, t, x)

    def linear(self, t: Tensor) -> Tensor:
        return derivative(self._log_scale, t)

    def transition(self, t: Tensor, s: Tensor) -> Tensor:
        return (self._log_scale(t) - self._log_scale(s)).exp()

    def weight(self, t: Tensor) -> Tensor:
        return self._density(t) * derivative(self.schedule.lambda_, t)

    def marginal(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return self.schedule.alpha(t), self.schedule.sigma(t)

    def constant_form(self) -> ConstantForm:
        # z = x / alpha: dz/dlambda = (1 + tau^2) (x0 - z);  y = x / sigma: dy/dlambda = y - (1 + tau^2) eps
        rate, schedule = 1 + self.tau**2, self.schedule
        if self._is("x0"):
            falling = torch.tensor(-rate, dtype=torch.float64)
            return ConstantForm(partial(phi_combinations, phi, falling), "lambda", lambda t: rate * schedule.alpha(t))
        if self._is("eps"):
            one = torch.tensor(1.0, dtype=torch.float64)
            return ConstantForm(partial(phi_combinations, phi, one), "lambda", lambda t: -rate * schedule.sigma(t))
        raise CapabilityError(f"the linear part of the splitting {self.splitting!r} is constant in no clock; {_SPLIT}")

    def reverse_sde(self, tau: float) -> "ProbabilityFlowODE":
        """The drift of dx = (F x - (1 + tau^2) / 2 g^2 score) dt + tau g dw, split into eps unless this is x0."""
        return attrs.evolve(self if self._is("x0") else self.split("eps"), tau=tau)

    def noise_scale(self, t: Tensor, s: Tensor) -> Tensor:
        levels, tau = self.schedule, self.tau
        if self._is("x0"):
            return levels.sigma(t) * (-torch.expm1(-2 * tau**2 * (levels.lambda_(t) - levels.lambda_(s)))).sqrt()
        self._need_eps()
        return tau * levels.sigma(t) * torch.expm1(2 * (levels.lambda_(t) - levels.lambda_(s))).sqrt()

    def brownian(self, t: Tensor) -> Tensor:
        if self._is("x0"):
            return 2 * self.tau**2 * self.schedule.lambda_(t)
        self._need_eps()
        return -2 * self.schedule.lambda_(t)

    def _is(self, name: str) -> bool:
        return prediction(self.splitting) is prediction(name)

    def _need_eps(self) -> None:
        if not self._is("eps"):
            raise CapabilityError(f"the reverse SDE has no splitting {self.splitting!r}; {_SPLIT}")

    @property
    def clocks(self) -> Mapping[str, Clock]:
        schedule = self.schedule

        def of_vp(t: Tensor) -> Tensor:
            return _VP.time_of_lambda(schedule.lambda_(t))

        return {
            "t": PLAIN_TIME,
            "rho": Clock(schedule.rho, lambda c: schedule.time_of_lambda(-c.log())),
            "lambda": Clock(schedule.lambda_, schedule.time_of_lambda),
            "log_rho": Clock(lambda t: -schedule.lambda_(t), lambda c: schedule.time_of_lambda(-c)),
            "sqrt_t": Clock(torch.sqrt, torch.square),
            "vp_t": Clock(of_vp, lambda c: schedule.time_of_lambda(_VP.lambda_(c))),
        }

    def weights(self, s: Tensor, t: Tensor, nodes: Tensor, clock: str = "t") -> Tensor:
        """As in the base class, by adaptive Gauss-Legendre in lambda, where alpha, sigma and t are smooth.

        :raises DeisError: if the integrals do not converge.
        """
        hand, schedule = self.clock(clock), self.schedule
        places, end = hand.of(nodes), self._log_scale(t)

        def integrand(owner: Tensor, lambda_: Tensor) -> Tensor:
            r = schedule.time_of_lambda(lambda_)
            kernel = (end[owner, None] - self._log_scale(r)).exp() * self._density(r)
            return basis(places[owner], hand.of(r)) * kernel[:, None, :]

        panels = self._panels(schedule.lambda_(s), schedule.lambda_(t))
        points = _POINTS if len(panels[0]) == len(s) else _KNOT_POINTS
        try:
            return integrate(integrand, *panels, len(s), points)
        except DeisError as error:
            raise DeisError(
                f"the weights of {schedule!r} do not converge ({error}, in lambda); if alpha or sigma is not smooth "
                "there, give knots()"
            ) from error

    def _panels(self, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Starts and ends of panels between which the schedule is smooth, and the interval that each is part of."""
        knots = self.schedule.knots()
        if not len(knots):
            return start, end, torch.arange(len(start))
        inside = self.schedule.lambda_(knots).flip(0)  # rising
        low, high = torch.minimum(start, end), torch.maximum(start, end)
        first, last = (torch.searchsorted(inside, edge.detach(), right=r) for edge, r in ((low, True), (high, False)))
        count = (last - first).clamp(min=0) + 1
        owner = torch.arange(len(start)).repeat_interleave(count)
        place = torch.arange(len(owner)) - (count.cumsum(0) - count)[owner]  # of the panel in its interval
        knot = first[owner] + place  # the one where the panel ends
        left = torch.where(place == 0, low[owner], inside[(knot - 1).clamp(min=0)])
        right = torch.where(place == count[owner] - 1, high[owner], inside[knot.clamp(max=len(inside) - 1)])
        forward = (end >= start)[owner]
        return torch.where(forward, left, right), torch.where(forward, right, left), owner

    def _log_scale(self, t: Tensor) -> Tensor:
        scale = prediction(self.splitting).log_scale(self.schedule, t)
        if not self.tau:
            return scale
        if self._is("x0"):
            return scale - self.tau**2 * self.schedule.lambda_(t)
        self._need_eps()
        return scale

    def _density(self, t: Tensor) -> Tensor:
        """G dt / dlambda = alpha sigma / (p sigma - q alpha)."""
        schedule, rate = self.schedule, 1 + self.tau**2
        return rate * schedule.alpha(t) * schedule.sigma(t) / determinant(prediction(self.splitting), schedule, t)

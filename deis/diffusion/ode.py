"""The probability-flow ODE of a diffusion model."""

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import torch
from torch import Tensor

from deis.diffusion.predictions import convert, determinant, prediction
from deis.diffusion.schedules import NoiseSchedule, VPLinear
from deis.errors import ArgumentError
from deis.numerics.derivative import derivative
from deis.numerics.lagrange import basis
from deis.numerics.quadrature import panel_rule, uniform_edges
from deis.odes.base import PLAIN_TIME, Clock, SemilinearODE, contract

Network = Callable[[Tensor, Tensor], Tensor]

_POINTS = 20
_PANEL_WIDTH = 1.5  # in lambda; alpha and sigma as functions of lambda have their nearest poles at +- i pi / 2
_KNOT_POINTS = 6
_VP = VPLinear(t_min=1e-12, t_max=1e3)


@attrs.frozen
class NetworkTime:
    """The time that a network is given: ``scale`` t + ``shift``.

    For a discrete network on 0 ... N-1: (1, 0) gives i, (1, 1) gives i + 1, (1/N, 1/N) gives (i + 1) / N; for a
    continuous one (1000, 0) gives 1000 t.
    """

    scale: float = attrs.field(default=1.0)
    shift: float = attrs.field(default=0.0)

    def __call__(self, t: float, x: Tensor) -> Tensor:
        """One entry a sample, shape ``x.shape[:1]``, of at least float32."""
        real = x.real.dtype if x.is_complex() else x.dtype
        wide = torch.promote_types(real, torch.float32)
        return torch.full(x.shape[:1], self.scale * t + self.shift, dtype=wide, device=x.device)


def _known(instance: Any, attribute: Any, name: Any) -> None:
    prediction(name)


def _schedule(instance: Any, attribute: Any, value: Any) -> None:
    if not isinstance(value, NoiseSchedule):
        raise ArgumentError("schedule", "must be a NoiseSchedule", value, "for example VPLinear()")


def check_network(instance: Any, attribute: Any, value: Any) -> None:
    """Accept what can be called."""
    if not callable(value):
        raise ArgumentError("network", "must be callable as network(x, t)", value)


def name_of(network: object) -> str:
    """A short name, where the ``repr`` of a network can fill pages."""
    return getattr(network, "__name__", type(network).__name__)


@attrs.frozen(eq=False)
class ProbabilityFlowODE(SemilinearODE):
    """x' = L(t) x + G(t) N(t, x) with N one of the kinds of prediction; noise lives at ``t_max``, data at ``t_min``.

    :param schedule: noise schedule.
    :param network: ``network(x, t)`` with x of shape (B, ...) and t of shape (B,), returning x's shape and dtype.
    :param predicts: what the network returns: eps, x0, score, v, denoiser or flow.
    :param splitting: which prediction is N; ``eps`` (arXiv 2204.13902, eq. 8) by default.
    :param network_time: the network's own time convention.

    >>> from deis import EDM, PowerGrid, solve
    >>> ode = ProbabilityFlowODE(EDM(), lambda x, t: x / (1 + t**2).sqrt()[:, None], predicts="eps")
    >>> solve(ode, torch.ones(2, 3), PowerGrid("rho", 7.0)(ode, 10), "rhoab2").x.shape
    torch.Size([2, 3])
    """

    schedule: NoiseSchedule = attrs.field(validator=_schedule)
    network: Network = attrs.field(validator=check_network, repr=name_of)
    predicts: str = attrs.field(default="eps", validator=_known)
    splitting: str = attrs.field(default="eps", validator=_known)
    network_time: NetworkTime = NetworkTime()

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
        """As in the base class, by Gauss-Legendre in lambda, where alpha, sigma and t are analytic on a wide strip.

        In the clock ``sqrt_t`` a step that ends at t = 0 (a branch point) is accurate to a relative 1e-4 only.
        """
        hand, schedule = self.clock(clock), self.schedule
        lambda_, w = self._rule(schedule.lambda_(s), schedule.lambda_(t))
        r = schedule.time_of_lambda(lambda_)
        kernel = (self._log_scale(t)[..., None] - self._log_scale(r)).exp() * self._density(r)
        return contract(basis(hand.of(nodes), hand.of(r)) * w[..., None, :], kernel)

    def _rule(self, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
        knots = self.schedule.knots()
        if len(knots):  # panels end where the schedule is not smooth
            inside = self.schedule.lambda_(knots)
            low, high = torch.minimum(start, end)[..., None], torch.maximum(start, end)[..., None]
            edges = torch.cat([start[..., None], inside.clamp(low, high), end[..., None]], dim=-1).sort(dim=-1).values
            nodes, weights = panel_rule(edges, _KNOT_POINTS)
            return nodes, weights * torch.sign(end - start)[..., None]
        panels = max(1, int((float((end - start).detach().abs().max()) / _PANEL_WIDTH) + 1))
        return panel_rule(uniform_edges(start, end, panels), _POINTS)

    def _log_scale(self, t: Tensor) -> Tensor:
        return prediction(self.splitting).log_scale(self.schedule, t)

    def _density(self, t: Tensor) -> Tensor:
        """G dt / dlambda = alpha sigma / (p sigma - q alpha)."""
        schedule = self.schedule
        return schedule.alpha(t) * schedule.sigma(t) / determinant(prediction(self.splitting), schedule, t)

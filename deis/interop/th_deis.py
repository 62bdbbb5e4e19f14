"""The interface of ``th_deis``, the original code of DEIS (arXiv 2204.13902), on this package's integrators; no JAX.

Change the import and keep the rest. Grids and coefficients are those of the original up to its own errors: its weights
come from a left Riemann sum of 10 000 points in float32 (relative error about 1e-4), here they are exact in float64.
"alpha" is here the squared signal level: x_t = sqrt(alpha) x_0 + sqrt(1 - alpha) eps. Write jnp functions in torch.
"""

import cmath
import math
from collections.abc import Callable
from typing import Any

import attrs
import torch
from torch import Tensor

from deis.diffusion import NetworkTime, NoiseSchedule, ProbabilityFlowODE
from deis.errors import ArgumentError, UnknownNameError
from deis.fields import is_integer, is_number
from deis.grids import PowerGrid, TimeGrid
from deis.integrators import IPNDM, Integrator, Plan, Planned, PolynomialEIAB, RhoRungeKutta
from deis.interop.elementwise import Function, Values, on_tensors
from deis.solve import make_plan, solve

_CLOCKS = {"t": "t", "rho": "rho", "log": "log_rho"}
_METHODS = ("t_ab", "rho_ab", "rho_rk", "ipndm")
_TABLEAUX = {"1euler": "euler", "2heun": "heun2", "3kutta": "kutta3", "3ral": "ralston3"}
_TABLEAUX |= {"3heun": "heun3", "3vdh": "houwen3", "3ssprk": "ssprk3", "4rk": "rk4"}
_LARGEST = 1 - 2.0**-50  # a factor on alpha: rho and lambda stay finite where alpha is 1, as at t = 0


def _float64(value: Any) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float64)


def get_linear_alpha_fns(beta_0: float, beta_1: float) -> tuple[Function, Function]:
    """alpha(t) of the linear VP schedule and its inverse; each takes numbers, arrays or tensors and returns float64."""

    def t2alpha(t: Any) -> Tensor:
        time = _float64(t)
        return (-(time**2) * (beta_1 - beta_0) / 2 - time * beta_0).exp()

    def alpha2t(alpha: Any) -> Tensor:
        minus_log = -_float64(alpha).log()  # without cancellation, and for beta_1 = beta_0
        return 2 * minus_log / (beta_0 + (beta_0**2 + 2 * (beta_1 - beta_0) * minus_log).sqrt())

    return t2alpha, alpha2t


def get_cos_alpha_fns() -> tuple[Function, Function]:
    """alpha(t) = cos^2((t + 0.008) / 1.008 pi / 2) and its inverse; float64.

    As in the original it is not normalised (alpha(0) = 0.99984; :class:`deis.VPCosine` is); choose ``sampling_T`` < 1.
    """

    def t2alpha(t: Any) -> Tensor:
        return ((_float64(t) + 0.008) / 1.008 * (math.pi / 2)).cos() ** 2

    def alpha2t(alpha: Any) -> Tensor:
        return _float64(alpha).sqrt().acos() * (2 / math.pi * 1.008) - 0.008

    return t2alpha, alpha2t


@attrs.frozen(eq=False)
class VPSDE(NoiseSchedule):
    """Variance preserving SDE given by its alpha; also a :class:`deis.NoiseSchedule`, whose alpha(t) is the root of it.

    :param t2alpha_fn: t -> alpha, falling, elementwise, in torch (best: float64 throughout), numpy or plain Python.
    :param alpha2t_fn: its inverse.
    :param sampling_eps: time at which sampling ends.
    :param sampling_T: time at which sampling starts.
    :raises ArgumentError: for functions that cannot be called, do not fall, or are not inverse to each other.
    """

    t2alpha_fn: Function
    alpha2t_fn: Function
    sampling_eps: float = attrs.field(converter=float)
    sampling_T: float = attrs.field(converter=float)
    _alpha_of: Values = attrs.field(init=False, repr=False)
    _time_of: Values = attrs.field(init=False, repr=False)

    @_alpha_of.default
    def _forward(self) -> Values:
        if not self.sampling_eps < self.sampling_T < math.inf:
            raise ArgumentError("sampling_T", f"must be above sampling_eps = {self.sampling_eps:g}", self.sampling_T)
        return on_tensors("t2alpha_fn", self.t2alpha_fn, self._probe())

    @_time_of.default
    def _backward(self) -> Values:
        alpha = self._alpha_of(self._probe())
        if not (bool((alpha[1:] < alpha[:-1]).all()) and alpha[-1] > 0 and alpha[0] <= 1):
            raise ArgumentError("t2alpha_fn", "must fall strictly, from 1 at most, and stay above 0", alpha.tolist())
        return on_tensors("alpha2t_fn", self.alpha2t_fn, alpha)

    def __attrs_post_init__(self) -> None:
        t = self._probe()[1:-1]
        back = self._time_of(self._alpha_of(t))
        if not bool(((back - t).abs() < 1e-3 * (self.sampling_T - self.sampling_eps)).all()):
            raise ArgumentError("alpha2t_fn", f"must be the inverse of t2alpha_fn, here {t.tolist()}", back.tolist())

    def _probe(self) -> Tensor:
        return torch.linspace(self.sampling_eps, self.sampling_T, 5, dtype=torch.float64)

    @property
    def t_min(self) -> float:  # type: ignore[override]
        """``sampling_eps``."""
        return self.sampling_eps

    @property
    def t_max(self) -> float:  # type: ignore[override]
        """``sampling_T``."""
        return self.sampling_T

    def alpha(self, t: Tensor) -> Tensor:
        return (self._alpha_of(t) * _LARGEST).sqrt()

    def sigma(self, t: Tensor) -> Tensor:
        return (1 - self._alpha_of(t) * _LARGEST).sqrt()

    def time_of_lambda(self, lambda_: Tensor) -> Tensor:
        return self._time_of((torch.sigmoid(2 * lambda_) / _LARGEST).clamp(max=1.0))


def _table_fns(table: Tensor) -> tuple[Function, Function]:
    """Alpha, linear between whole numbers and cut off at 1e-7 from 0 and 1, and its inverse."""
    last = len(table) - 1

    def t2alpha(t: Any) -> Tensor:
        time = _float64(t)
        low = time.detach().floor().clamp(0, last - 1).long()
        line = table[low] + (time - low) * (table[low + 1] - table[low])
        return line + (line.detach().clamp(1e-7, 1 - 1e-7) - line.detach())  # the slope is not cut off

    def alpha2t(alpha: Any) -> Tensor:
        value = _float64(alpha)
        high = torch.searchsorted(-table, -value.detach()).clamp(1, last)
        return (high - 1 + (value - table[high - 1]) / (table[high] - table[high - 1])).clamp(0, last)

    return t2alpha, alpha2t


class DiscreteVPSDE(VPSDE):
    """Variance preserving SDE with alpha given at the times 0 ... N-1 and linear in between.

    Neither shifted nor preceded by alpha = 1: an ``eps_fn`` whose network counts from 1 passes t + 1 to it.

    :param discrete_alpha: N numbers (tensor, array or list) that fall strictly, between 1 and 0.
    """

    def __init__(self, discrete_alpha: Any) -> None:
        table = _float64(discrete_alpha).detach().cpu()
        fits = table.dim() == 1 and len(table) > 1
        if not (fits and bool((table[1:] < table[:-1]).all()) and table[0] <= 1 and table[-1] >= 0):
            raise ArgumentError("discrete_alpha", "must be one row of numbers falling from 1 to 0 at most", table)
        super().__init__(*_table_fns(table), 0.0, len(table) - 1)

    def knots(self) -> Tensor:
        return torch.arange(1, self.sampling_T, dtype=torch.float64)


@attrs.frozen
class _ScalarTime(NetworkTime):
    """The time as the original gives it: a scalar, int32 on grids of whole numbers, otherwise float32."""

    dtype: torch.dtype = torch.float32

    def __call__(self, t: float, x: Tensor) -> Tensor:
        return torch.full((), t, dtype=self.dtype, device=x.device)


def _integrator(method: str, ab_order: int, rk_method: str) -> Integrator:
    if method not in _METHODS:
        raise UnknownNameError("method", method, _METHODS)
    if method == "ipndm":
        return IPNDM()
    if method == "rho_rk":
        if rk_method not in _TABLEAUX:
            raise UnknownNameError("rk_method", rk_method, _TABLEAUX)
        return RhoRungeKutta(_TABLEAUX[rk_method])
    if not is_integer(ab_order) or not 0 <= ab_order <= 5:
        raise ArgumentError("ab_order", "must be a whole number from 0 to 5", ab_order)
    return PolynomialEIAB(clock=method.removesuffix("_ab"), steps=ab_order + 1)


def _grid(ode: ProbabilityFlowODE, phase: str, order: float, intervals: int) -> TimeGrid:
    if not is_integer(intervals) or intervals < 1:
        raise ArgumentError("num_step", "must be a whole number of at least 1", intervals)
    if phase not in _CLOCKS:
        raise UnknownNameError("ts_phase", phase, _CLOCKS)
    if phase != "log" and (not is_number(order) or order <= 0):
        raise ArgumentError("ts_order", f"must be a number above 0 for ts_phase={phase!r}", order)
    if phase == "log" and ode.schedule.sigma(_float64(ode.domain[1])) ** 2 <= 1 - _LARGEST:
        raise ArgumentError("sampling_eps", "must leave some noise for ts_phase='log'", ode.domain[1])
    return PowerGrid(_CLOCKS[phase], 1 if phase == "log" else order)(ode, intervals)


def _whole(grid: TimeGrid, last: int) -> TimeGrid | None:
    """Times cut to whole numbers, doubles replaced by the smallest free ones; None, as originally, without doubles."""
    if grid.intervals > last:
        raise ArgumentError("num_step", f"must be at most {last}, the number of discrete steps", grid.intervals)
    times = {math.floor(t + 1e-6) for t in grid}
    free = [k for k in range(1, last + 1) if k not in times]
    missing = len(grid) - len(times)
    return TimeGrid(sorted([*times, *free[:missing]], reverse=True)) if missing else None


def get_sampler(
    sde: VPSDE,
    eps_fn: Callable[[Tensor, Tensor], Tensor],
    ts_phase: str,
    ts_order: float,
    num_step: int,
    method: str | Plan = "rho_rk",
    ab_order: int = 3,
    rk_method: str = "3kutta",
) -> Callable[[Tensor], Tensor]:
    """A function ``sampler(noise) -> x`` from ``sampling_T`` to ``sampling_eps``; all coefficients are made here.

    Noise may have any shape, dtype and device; x has the same. As originally, gradients flow unless the caller disables
    them (``with torch.no_grad()``), and nothing is clipped or denoised at the end.

    :param sde: a :class:`VPSDE` or :class:`DiscreteVPSDE`.
    :param eps_fn: ``eps_fn(x, t)``, the predicted noise, shaped like x. The time is a *scalar* tensor on x's device:
        float32, or int32 for ``t_ab`` and ``ipndm`` on a discrete SDE where times were moved to whole numbers.
    :param ts_phase: ``t`` or ``rho``, in whose power 1 / ts_order the grid is uniform, or ``log`` (of rho).
    :param ts_order: that power; ``log`` has none. ``ipndm`` ignores both and is uniform in t.
    :param num_step: number of steps; ``eps_fn`` is called once in each, by ``rho_rk`` once for each stage.
    :param method: ``t_ab``, ``rho_ab``, ``rho_rk`` or ``ipndm``; or a plan made for ``sde`` with ``num_step`` steps, in
        whose place ``ts_phase``, ``ts_order`` and the rest say nothing.
    :param ab_order: degree of the polynomials of ``t_ab`` and ``rho_ab``; one less than ``steps`` in this package.
    :param rk_method: 1euler, 2heun, 3kutta, 3ral, 3heun, 3vdh, 3ssprk or 4rk, for ``rho_rk``.
    :raises UnknownNameError: for unknown names; near misses are shown.
    :raises ArgumentError: for other arguments that cannot be used; by the sampler, for noise that is not numbers.
    :raises NetworkError: by the sampler, if ``eps_fn`` returns another shape than x has.
    :raises NonFiniteError: by the sampler, if ``eps_fn`` returns NaN or Inf.

    >>> sde = VPSDE(*get_linear_alpha_fns(0.01, 20), sampling_eps=1e-3, sampling_T=1.0)
    >>> sampler = get_sampler(sde, lambda x, t: x * sde.sigma(t).float(), "t", 2, 10, method="t_ab")
    >>> sampler(torch.ones(2, 3, 8, 8)).shape  # eps of normal data, which the ODE leaves as they are
    torch.Size([2, 3, 8, 8])
    """
    if not isinstance(sde, VPSDE):
        raise ArgumentError("sde", "must be a VPSDE or a DiscreteVPSDE", sde)
    if not callable(eps_fn):
        raise ArgumentError("eps_fn", "must be callable as eps_fn(x, t)", eps_fn)

    def network(x: Tensor, t: Tensor) -> Tensor:
        eps = eps_fn(x, t)
        return eps.to(x.dtype) if isinstance(eps, Tensor) else eps  # under autocast they differ

    ode = ProbabilityFlowODE(sde, network, network_time=_ScalarTime())
    if isinstance(method, Plan):
        return _sampler(ode, _ready(ode, method, num_step))
    method = str(method).lower()
    integrator = _integrator(method, ab_order, rk_method)
    phase, order = ("t", 1) if method == "ipndm" else (ts_phase, ts_order)
    grid = _grid(ode, phase, order, num_step)
    whole = _whole(grid, int(sde.sampling_T)) if isinstance(sde, DiscreteVPSDE) else None
    plan = integrator.plan(ode, (whole or grid).tensor())
    if not all(cmath.isfinite(complex(c)) for c in plan.coefficients()):
        raise ArgumentError("sde", "must give finite coefficients on its grid", sde, "raise sampling_eps a little")
    if whole and method in ("t_ab", "ipndm"):
        ode = attrs.evolve(ode, network_time=_ScalarTime(dtype=torch.int32))
    return _sampler(ode, plan)


def _ready(ode: ProbabilityFlowODE, plan: Plan, intervals: int) -> Plan:
    if plan.stochastic:
        raise ArgumentError("method", "must be a plan without noise", plan, "call deis.sample with it")
    if len(plan.times) - 1 != intervals:
        raise ArgumentError("num_step", f"must be {len(plan.times) - 1}, the steps of the plan", intervals)
    return make_plan(ode, Planned((plan,)).own_grid(ode, intervals), plan)


def _sampler(ode: ProbabilityFlowODE, plan: Plan) -> Callable[[Tensor], Tensor]:
    return lambda noise: solve(ode, noise, plan.times, plan).x

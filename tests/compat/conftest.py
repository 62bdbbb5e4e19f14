"""diffusers' schedulers run by their own loop in float64, and ours on the same noise levels and network.

Three fixtures, all functions:

- ``published(name, intervals, noise=None, step=None, **options)`` makes ``diffusers.<name>(**options)``, sets
  ``intervals`` (a number, or the arguments of ``set_timesteps``), runs it and returns a :class:`Run`. ``noise(k)``
  answers its k-th request for a standard normal tensor; ``step`` holds further arguments of ``scheduler.step``;
  ``dtype=torch.float32`` leaves the scheduler's own precision alone.
- ``ours(method, run, noise=None, ...)`` runs an integrator over the noise levels of ``run`` that are above 0, from the
  same start, and returns a :class:`Run`. See :func:`run_ours` for other grids, schedules and predictions.
- ``assert_same(theirs, mine, tolerance=1e-10)`` compares all calls of the network, and where ``mine`` ends.

What the network is asked (``calls``: its time, the noise level, the point, its answer) says more than a final state,
and does not depend on the library's scaling of the state: the points are those of the variance preserving form,
alpha^2 + sigma^2 = 1, and the noise level is sigma / alpha. ``Run.x0`` holds the prediction of the data at each call:
where a scheduler ends at noise level 0, its result is the last of them.
"""

import importlib
import itertools
import math
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

import attrs
import numpy as np
import pytest
import torch
from torch import Tensor

from deis import Integrator, NoiseSchedule, Plan, ProbabilityFlowODE, solve
from deis.integrators.plan import Draw

SHAPE = (2, 1, 3, 3)


@attrs.frozen
class NoiseLevel(NoiseSchedule):
    """Variance preserving, with the ratio sigma / alpha for a time: every noise level means exactly itself."""

    t_min: float = 1e-6
    t_max: float = 1e6

    def alpha(self, t: Tensor) -> Tensor:
        return (1 + t**2).rsqrt()

    def sigma(self, t: Tensor) -> Tensor:
        return t * (1 + t**2).rsqrt()

    def lambda_(self, t: Tensor) -> Tensor:
        return -t.log()

    def time_of_lambda(self, lambda_: Tensor) -> Tensor:
        return (-lambda_).exp()


class Call(NamedTuple):
    """One call of the network."""

    time: float
    level: float
    point: Tensor
    value: Tensor


@attrs.frozen(eq=False)
class Run:
    """What a run asked of the network, and where it ended."""

    calls: list[Call]
    levels: list[float]
    """Noise levels of the grid, the last one perhaps 0; a level that is used twice may stand there twice."""
    result: Tensor
    scheduler: Any = None

    @property
    def x0(self) -> list[Tensor]:
        """Prediction of the data at each call, of a network that predicts the noise."""
        return [math.sqrt(1 + c.level**2) * c.point - c.level * c.value for c in self.calls]


def small_network(x: Tensor, t: Tensor) -> Tensor:
    """A nonlinear function of all entries of a sample and of the time (0 ... 1000), smooth in both."""
    rng = torch.Generator().manual_seed(20)
    size = x[0].numel()
    mix = torch.randn(size, size, generator=rng, dtype=x.dtype) / size**0.5
    when = (t.to(x.dtype) / 300)[:, None] + torch.arange(size, dtype=x.dtype)
    return (0.8 * x.flatten(1) + 0.5 * (x.flatten(1) @ mix + when).sin()).reshape(x.shape)


def start() -> Tensor:
    """The noise that both sides start from."""
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(21), dtype=torch.float64)


class _Double:
    """A module in which float32 means float64."""

    def __init__(self, module: ModuleType) -> None:
        self._module, self.float32 = module, module.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def _levels(scheduler: Any) -> list[float]:
    """sigma / alpha at each call, and at the end."""
    if type(scheduler).__name__.startswith("FlowMatch"):  # alpha = 1 - sigma
        return list((scheduler.sigmas / (1 - scheduler.sigmas)).tolist())
    if hasattr(scheduler, "sigmas") and len(scheduler.sigmas) > len(scheduler.timesteps):
        return list(scheduler.sigmas.tolist())
    if hasattr(scheduler, "alphas_cumprod"):
        squares = [scheduler.alphas_cumprod[int(t)] for t in scheduler.timesteps]
        return [math.sqrt((1 - a) / a) for a in [*squares, getattr(scheduler, "final_alpha_cumprod", 1.0)]]
    return list((scheduler.betas / scheduler.alphas).tolist())


def run_published(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    intervals: int | Mapping[str, Any],
    *,
    noise: Callable[[int], Tensor] | None = None,
    network: Callable[[Tensor, Tensor], Tensor] = small_network,
    step: Mapping[str, Any] | None = None,
    dtype: torch.dtype = torch.float64,
    **options: Any,
) -> Run:
    """The scheduler's own loop, as a pipeline runs it."""
    with warnings.catch_warnings():
        for kind in (FutureWarning, DeprecationWarning):  # raised inside diffusers
            warnings.simplefilter("ignore", kind)
        import diffusers

        module = importlib.import_module(getattr(diffusers, name).__module__)
        if dtype == torch.float64:
            monkeypatch.setattr(module, "torch", _Double(torch))
            monkeypatch.setattr(module, "np", _Double(np), raising=False)
        if noise is not None:
            numbers = itertools.count()
            monkeypatch.setattr(module, "randn_tensor", lambda *args, **kwargs: noise(next(numbers)))
        scheduler = getattr(diffusers, name)(**options)
        scheduler.set_timesteps(**(intervals if isinstance(intervals, Mapping) else {"num_inference_steps": intervals}))
        calls: list[Call] = []
        x, levels = start().to(dtype) * getattr(scheduler, "init_noise_sigma", 1.0), _levels(scheduler)
        for i, t in enumerate(scheduler.timesteps):
            point = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
            value = network(point, t.expand(len(x)))
            calls.append(Call(t.item(), levels[i], point, value))
            x = scheduler.step(value, t, x, **(step or {})).prev_sample
    return Run(calls, levels, x, scheduler)


class _Recorder:
    """A network that writes down its calls, and is told the times that ``run`` has at the same noise levels."""

    def __init__(self, network: Callable[[Tensor, Tensor], Tensor], run: Run, schedule: NoiseSchedule) -> None:
        self.schedule, self.calls = schedule, list[Call]()
        self._network, self._known = network, run.calls

    def time(self, t: float, x: Tensor) -> Tensor:
        self._level = float(self.schedule.rho(torch.tensor(t, dtype=torch.float64)))
        nearest = min(self._known, key=lambda call: abs(math.log(call.level / self._level)))
        return torch.full((len(x),), nearest.time, dtype=torch.float64)

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        value = self._network(x, t)
        self.calls.append(Call(t[0].item(), self._level, x, value))
        return value


def run_ours(
    method: Integrator | Plan | str,
    run: Run,
    *,
    noise: Callable[[int], Tensor] | None = None,
    levels: list[float] | None = None,
    schedule: NoiseSchedule | None = None,
    network: Callable[[Tensor, Tensor], Tensor] = small_network,
    **options: Any,
) -> Run:
    """The integrator, from the start of ``run``; the network is told ``run``'s time of the nearest noise level.

    :param levels: the grid, by default the noise levels of ``run`` above 0; times of the ``schedule`` if one is given.
    :param schedule: by default the one whose times are noise levels.
    :param options: further ones of the ODE, as ``predicts``.
    """
    levels = levels or [level for level in dict.fromkeys(run.levels) if level > 0]
    recorder = _Recorder(network, run, schedule or NoiseLevel())

    def drawn(draw: Draw, x: Tensor) -> Tensor:
        assert noise is not None
        return noise(draw.number)

    ode = ProbabilityFlowODE(recorder.schedule, recorder, network_time=recorder.time, **options)
    solution = solve(ode, run.calls[0].point, levels, method, noise=drawn)
    return Run(recorder.calls, levels, solution.x)


def compare(theirs: Run, mine: Run, *, tolerance: float = 1e-10) -> None:
    """Every call of the network and the state at the end of ``mine``.

    The end of ``mine`` is compared with the point of their next call, or with their result if they made no other.
    """
    assert 0 < len(mine.calls) <= len(theirs.calls)
    for a, b in zip(theirs.calls, mine.calls, strict=False):
        assert a.time == b.time
        torch.testing.assert_close(b.point, a.point, rtol=tolerance, atol=tolerance)
    ended = len(theirs.calls) == len(mine.calls)
    end = theirs.result if ended else theirs.calls[len(mine.calls)].point
    torch.testing.assert_close(mine.result, end, rtol=tolerance, atol=tolerance)


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    return partial(run_published, monkeypatch)


@pytest.fixture
def ours() -> Callable[..., Run]:
    return run_ours


@pytest.fixture
def assert_same() -> Callable[..., None]:
    return compare

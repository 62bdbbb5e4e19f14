"""The probability-flow ODE in both directions: data to latents, latents to data, and paths between samples."""

from collections.abc import Iterable
from typing import Any

import attrs
import torch
from torch import Tensor

from deis.diffusion.ode import ProbabilityFlowODE
from deis.diffusion.route import deterministic_route
from deis.errors import ArgumentError
from deis.fields import as_integer, is_integer, is_number
from deis.grids import GridFamily, Times
from deis.integrators.base import Integrator
from deis.integrators.plan import Plan
from deis.solve import Solution

_OPPOSITE = 1e-6


@attrs.frozen(eq=False)
class Reconstruction:
    """What :func:`reconstruct` returns."""

    x: Tensor
    """Decoded latents, of the shape of the data."""
    latents: Tensor
    error: Tensor
    """Root of the mean squared difference between data and ``x``, one a sample: shape (B,), float64."""
    nfe: int
    """Network calls of both directions together."""


@attrs.frozen(eq=False)
class Interpolation:
    """What :func:`interpolate` returns."""

    x: Tensor
    """Samples along the paths, shape ``(count, B, *shape)``; the first and last reconstruct the ends."""
    latents: Tensor
    """Their latents, shape ``(count, B, *shape)``."""
    nfe: int
    """Network calls of both directions together."""


def encode(
    ode: ProbabilityFlowODE,
    x: Tensor,
    *,
    nfe: int | None = None,
    integrator: Integrator | Plan | str = "default",
    grid: GridFamily | Times | str = "default",
    keep_states: bool = False,
) -> Solution:
    """The latents of data: the ODE solved from data to noise, without gradients.

    Latents are states at the first time of the grid, so that a standard normal sample times sigma there is one.

    :param ode: the probability-flow ODE of a model.
    :param x: data, floating point, shape ``(B, *shape)``; the result keeps its dtype and device.
    :param nfe: number of network calls, as in :func:`~deis.sample`.
    :param integrator: a deterministic integrator, the name of a registered one, or a plan made for this direction.
    :param grid: a grid family, its name, or times from noise to data, which are gone through backwards: the same
        argument decodes.
    :raises ArgumentError: for stochastic methods, for budgets that cannot be made, and for data that are no tensor.

    >>> from deis import GaussianMixture, VPLinear
    >>> ode = GaussianMixture(torch.zeros(1, 2), std=1.0).ode(VPLinear())
    >>> encode(ode, torch.tensor([[1.0, -0.5]]), nfe=40).x.round(decimals=2)  # normal data are their own latents
    tensor([[ 1.0000, -0.5000]])
    """
    return _along(True, ode, x, "x", (nfe, integrator, grid), keep_states)


def decode(
    ode: ProbabilityFlowODE,
    latents: Tensor,
    *,
    nfe: int | None = None,
    integrator: Integrator | Plan | str = "default",
    grid: GridFamily | Times | str = "default",
    keep_states: bool = False,
) -> Solution:
    """The data of latents: the ODE solved from noise to data, without gradients; arguments as in :func:`encode`.

    :param latents: states at the first time of the grid, floating point, shape ``(B, *shape)``.
    :raises ArgumentError: for stochastic methods, for budgets that cannot be made, and for latents that are no tensor.

    >>> from deis import GaussianMixture, VPLinear
    >>> ode = GaussianMixture(torch.zeros(1, 2), std=1.0).ode(VPLinear())
    >>> decode(ode, torch.tensor([[1.0, -0.5]]), nfe=40).x.round(decimals=2)
    tensor([[ 1.0000, -0.5000]])
    """
    return _along(False, ode, latents, "latents", (nfe, integrator, grid), keep_states)


def reconstruct(
    ode: ProbabilityFlowODE,
    x: Tensor,
    *,
    nfe: int | None = None,
    integrator: Integrator | Plan | str = "default",
    grid: GridFamily | Times | str = "default",
) -> Reconstruction:
    """Encode and decode with the same arguments: what does not come back is the error of the solver.

    :param nfe: network calls in each direction; the others as in :func:`encode`.

    >>> from deis import GaussianMixture, VPLinear
    >>> ode = GaussianMixture(torch.zeros(1, 2), std=1.0).ode(VPLinear())
    >>> cycle = reconstruct(ode, torch.tensor([[1.0, -0.5]]), nfe=40)
    >>> cycle.x.shape, cycle.nfe, bool(cycle.error < 0.01)
    (torch.Size([1, 2]), 80, True)
    """
    there = encode(ode, x, nfe=nfe, integrator=integrator, grid=grid)
    back = decode(ode, there.x, nfe=nfe, integrator=integrator, grid=grid)
    squares = (back.x.double() - x.double()).reshape(len(x), -1) ** 2
    return Reconstruction(back.x, there.x, squares.mean(1).sqrt(), there.nfe + back.nfe)


def interpolate(
    ode: ProbabilityFlowODE,
    a: Tensor,
    b: Tensor,
    count: int = 9,
    *,
    nfe: int | None = None,
    integrator: Integrator | Plan | str = "default",
    grid: GridFamily | Times | str = "default",
) -> Interpolation:
    """Paths between data, by :func:`slerp` of their latents (arXiv 2010.02502, section 5.3).

    :param a: where the paths begin, shape ``(B, *shape)``.
    :param b: where they end, same shape.
    :param count: points on each path, both ends included, at least 2.
    :param nfe: network calls in each direction; the others as in :func:`encode`.
    :raises ArgumentError: also if the shapes of ``a`` and ``b`` differ.

    >>> from deis import GaussianMixture, VPLinear
    >>> ode = GaussianMixture(torch.zeros(1, 2), std=1.0).ode(VPLinear())
    >>> path = interpolate(ode, torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), count=3, nfe=40)
    >>> path.x[1].round(decimals=2), path.nfe  # halfway on the circle
    (tensor([[0.7100, 0.7100]]), 80)
    """
    count = as_integer(count)
    if not is_integer(count) or count < 2:
        raise ArgumentError("count", "must be a whole number of at least 2: both ends are included", count)
    _check_states(a, "a")
    _check_same(a, b)
    there = encode(ode, torch.cat([a, b]), nfe=nfe, integrator=integrator, grid=grid)
    path = slerp(there.x[: len(a)], there.x[len(a) :], torch.linspace(0, 1, count, dtype=torch.float64))
    back = decode(ode, path.flatten(0, 1), nfe=nfe, integrator=integrator, grid=grid)
    return Interpolation(back.x.reshape(path.shape), path, there.nfe + back.nfe)


def slerp(a: Tensor, b: Tensor, fractions: Tensor | Iterable[float]) -> Tensor:
    """Points on the great circle from ``a`` to ``b``, sample by sample; their norms change linearly.

    Normal noise of many dimensions lies near a sphere, which straight lines between samples leave.

    :param a: shape ``(B, *shape)``, floating point.
    :param b: same shape and dtype.
    :param fractions: shape (n,), 0 for ``a`` and 1 for ``b``.
    :returns: shape ``(n, B, *shape)``, computed in float64, of the dtype of ``a``.
    :raises ArgumentError: if the shapes differ, and for ends between which there is no one great circle.

    >>> slerp(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 3.0]]), [0.0, 0.5, 1.0])[:, 0]
    tensor([[1.0000, 0.0000],
            [1.4142, 1.4142],
            [0.0000, 3.0000]])
    """
    _check_states(a, "a")
    _check_same(a, b)
    share = _fractions(fractions).to(a.device)[:, None]  # (n, 1), then (n, B)
    flat_a, flat_b = (end.double().reshape(len(end), -1) for end in (a, b))
    norm_a, norm_b = flat_a.norm(dim=1), flat_b.norm(dim=1)
    if not bool((torch.minimum(norm_a, norm_b) > 0).all()):
        raise ArgumentError("a and b", "must have a direction", 0.0, "leave out states that are zero everywhere")
    unit_a, unit_b = flat_a / norm_a[:, None], flat_b / norm_b[:, None]
    angle = 2 * torch.atan2((unit_a - unit_b).norm(dim=1), (unit_a + unit_b).norm(dim=1))  # Kahan's: exact near 0
    if bool((angle > torch.pi - _OPPOSITE).any()):
        raise ArgumentError("b", "must not point opposite to a: every great circle joins them", float(angle.max()))
    norm = (1 - share) * norm_a + share * norm_b
    weight_a = norm / norm_a * _ratio(1 - share, angle)
    weight_b = norm / norm_b * _ratio(share, angle)
    path: Tensor = weight_a[..., None] * flat_a + weight_b[..., None] * flat_b
    return path.reshape(len(share), *a.shape).to(a.dtype)


def _ratio(share: Tensor, angle: Tensor) -> Tensor:
    """sin(share angle) / sin(angle), which is ``share`` at angle 0."""
    ratio: Tensor = share * torch.sinc(share * angle / torch.pi) / torch.sinc(angle / torch.pi)
    return ratio


def _fractions(values: Any) -> Tensor:
    given = values.tolist() if isinstance(values, Tensor) else values
    row = list(given) if isinstance(given, Iterable) else []
    if not row or not all(map(is_number, row)):
        raise ArgumentError("fractions", "must be a row of finite numbers", values, "for example [0, 0.5, 1]")
    return torch.tensor(row, dtype=torch.float64)


def _along(
    reverse: bool, ode: ProbabilityFlowODE, x: Tensor, name: str, choices: tuple[Any, Any, Any], keep_states: bool
) -> Solution:
    route = deterministic_route(ode, *choices)
    _check_states(x, name)
    with torch.no_grad():
        return (route.reversed() if reverse else route).solve(ode, x, keep_states=keep_states)


def _check_states(x: Any, name: str) -> None:
    if not isinstance(x, Tensor) or not x.is_floating_point() or x.dim() < 1 or not x.numel():
        got = f"{x.dtype} of shape {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise ArgumentError(name, "must be a floating point tensor of shape (B, *shape), not empty", got)


def _check_same(a: Tensor, b: Any) -> None:
    if not isinstance(b, Tensor) or b.shape != a.shape or b.dtype != a.dtype:
        got = f"{b.dtype} of shape {tuple(b.shape)}" if isinstance(b, Tensor) else type(b).__name__
        raise ArgumentError("b", f"must be {a.dtype} of shape {tuple(a.shape)}, as a is", got)

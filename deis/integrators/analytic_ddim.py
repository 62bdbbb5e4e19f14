"""Stochastic DDIM with the variances that are optimal for the data."""

from typing import Any, ClassVar

import attrs
import torch
from torch import Tensor

from deis.errors import ArgumentError
from deis.fields import is_number, number_in
from deis.grids import TimeGrid, Times, as_times
from deis.integrators.base import Integrator
from deis.integrators.levels import falling_levels
from deis.integrators.plan import Plan
from deis.integrators.stochastic_ddim import noisy_ddim
from deis.odes.base import SemilinearODE


def _grid(times: Times) -> TimeGrid:
    return times if isinstance(times, TimeGrid) else TimeGrid(times)


def _moments(instance: "SecondMoments", attribute: object, values: tuple[float, ...]) -> None:
    if len(values) != len(instance.times) or not all(is_number(value) and value >= 0 for value in values):
        raise ArgumentError("values", f"must be {len(instance.times)} numbers of at least 0, one a time", values)


def _is_moments(instance: object, attribute: object, value: Any) -> None:
    if not isinstance(value, SecondMoments):
        raise ArgumentError("moments", "must be SecondMoments", value, "make them by deis.second_moments")


@attrs.frozen
class SecondMoments:
    """E |eps|^2 / d of a model at some times, d being the number of entries of a state.

    :param times: strictly monotone times.
    :param values: one number a time.

    >>> SecondMoments([1.0, 0.5], [1.0, 0.9]).values
    (1.0, 0.9)
    """

    times: TimeGrid = attrs.field(converter=_grid)
    values: tuple[float, ...] = attrs.field(converter=tuple, validator=_moments)

    def at(self, ode: SemilinearODE, times: Tensor) -> Tensor:
        """The values at ``times``, linear in lambda between those that are known.

        :raises ArgumentError: for times outside the known ones.
        """
        hand = ode.clock("lambda")
        known, order = hand.of(self.times.tensor()).sort()
        values, wanted = torch.tensor(self.values, dtype=torch.float64)[order], hand.of(times)
        margin = 1e-9 * (known[-1] - known[0])
        if bool((wanted < known[0] - margin).any() | (wanted > known[-1] + margin).any()):
            raise ArgumentError("moments", f"must be known at all of the times {times.tolist()}", self.times.times)
        right = torch.searchsorted(known, wanted.detach()).clamp(1, len(known) - 1)
        share = (wanted - known[right - 1]) / (known[right] - known[right - 1])
        return torch.lerp(values[right - 1], values[right], share)


@attrs.frozen
class AnalyticDDIM(Integrator):
    """Stochastic DDIM whose noise also makes up for what is not known of x0 given the state: Analytic-DPM.

    With s the noise of :class:`StochasticDDIM` of the same ``eta``, kept^2 = sigma_t^2 - s^2 and
    gap = sigma_s alpha_t / alpha_s - kept, the variance  s^2 + gap^2 (1 - E |eps|^2 / d)  is the one with which a step
    comes closest to the reverse process (eq. :eq:`analytic` of the theory page). An estimated moment is clipped to
    [0, 1], within which the exact one lies.

    :param moments: second moments of eps, of :func:`~deis.second_moments`, that cover the start of every step.
    :param eta: amount of the noise s, at most 1; 1 is Analytic-DDPM and 0 Analytic-DDIM.
    :param half_range: half the length of an interval that holds every entry of the data, 1 for images in [-1, 1]: the
        variance of x0 is at most its square. None if there is none.
    """

    moments: SecondMoments = attrs.field(validator=_is_moments)
    eta: float = attrs.field(default=1.0, validator=number_in(0, 1))
    half_range: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(number_in(0, open_low=True))
    )

    order = 1
    stochastic: ClassVar[bool] = True
    source = "arXiv 2201.06503, theorems 1 and 2"

    def plan(self, ode: SemilinearODE, times: Times) -> Plan:
        times = as_times(times)
        form = ode.split("eps")
        alpha, sigma = form.marginal(times)
        rho = falling_levels(form, times)
        plain = (self.eta * sigma[1:]) ** 2 * (1 - (rho[1:] / rho[:-1]) ** 2)
        kept = (sigma[1:] ** 2 - plain).clamp(min=0).sqrt()
        gap = alpha[1:] / alpha[:-1] * sigma[:-1] - kept
        unknown = gap**2 * (1 - self.moments.at(form, times[:-1]).clamp(0, 1))
        if self.half_range is not None:
            unknown = torch.minimum(unknown, (self.half_range * (alpha[1:] - kept / rho[:-1])) ** 2)
        return noisy_ddim(form, times, kept, (plain + unknown).sqrt())

"""Exponential Runge-Kutta methods on the form of the ODE in which the linear part is constant."""

import attrs
import torch
from torch import Tensor

from deis.fields import name_or, text
from deis.grids import Times, as_times
from deis.integrators.base import INTEGRATORS, unstack
from deis.integrators.plan import Plan, Row
from deis.integrators.stages import Staged, stage_times, steps_of
from deis.numerics.exponential_tableaux import EXPONENTIAL_TABLEAUX, ExponentialTableau
from deis.numerics.phi import phi, phi_dense
from deis.odes.base import ConstantForm, SemilinearODE

_GRAIN = 4 * torch.finfo(torch.float64).eps  # what the rounding of two times can make of equal steps

_register = INTEGRATORS.register


@_register("etd1", tableau="etd1")
@_register("etd2rk", tableau="etd2rk")
@_register("etd3rk", tableau="etd3rk")
@_register("etdrk4", tableau="etdrk4")
@_register("krogstad", tableau="krogstad")
@_register("strehmel-weiner", tableau="strehmel-weiner")
@_register("hochbruck-ostermann", tableau="hochbruck-ostermann")
@_register("dpm-solver-2", tableau="dpm-solver-2", predict="eps")
@_register("dpm-solver-3", tableau="dpm-solver-3", predict="eps")
@_register("dpmpp-2s", tableau="dpm-solver-2", predict="x0")
@_register("dpmpp-3s", tableau="dpm-solver-3", predict="x0")
@_register("dpm2", tableau="dpm-solver-2", predict="eps")
@attrs.frozen
class ExponentialRungeKutta(Staged):
    """One-step methods whose coefficients are phi functions of h L.

    This is eq. :eq:`exponential-runge-kutta` of the theory page, on x = scale(t) y with dy/dc = L y + N and L constant:
    as it stands where L is constant in ``t``; for the splittings eps and x0 of a diffusion ODE in the clock ``lambda``,
    where these are DPM-Solver-2 and -3 (eps) and DPM-Solver++ 2S and 3S (x0), and every other tableau applies as well.

    :param tableau: name of an exponential tableau, or one of your own.
    :param predict: splitting of the ODE; None for its own.
    """

    tableau: str | ExponentialTableau = attrs.field(
        default="krogstad", validator=name_or(ExponentialTableau, EXPONENTIAL_TABLEAUX)
    )
    predict: str | None = attrs.field(default=None, validator=attrs.validators.optional(text))

    source = "Hochbruck and Ostermann, Acta Numerica 19 (2010), section 2.3; arXiv 2206.00927; arXiv 2211.01095"

    @property
    def method(self) -> ExponentialTableau:
        return EXPONENTIAL_TABLEAUX[self.tableau] if isinstance(self.tableau, str) else self.tableau

    def plan(self, ode: SemilinearODE, times: Times) -> Plan:
        times = as_times(times)
        form = ode if self.predict is None else ode.split(self.predict)
        constant, method = form.constant_form(), self.method
        hand = form.clock(constant.clock)
        nodes, places = stage_times(hand, times, method.c), hand.of(times)
        h, scale = places[1:] - places[:-1], constant.scale(nodes[:, 1:])
        first, kind = _alike(h, scale, float(places.detach().abs().max()))
        values = unstack(self._values(constant, h[first], scale[first], form.block_axis is not None), 3)
        states = unstack(form.transition(nodes[:, 1:], nodes[:, :1]), 2)
        if method.embedded is not None:
            states = [[*own, 0.0] for own in states]
        rows = [
            [Row(state, row[: i + 1]) for i, (state, row) in enumerate(zip(own, values[k], strict=True))]
            for own, k in zip(states, kind.tolist(), strict=True)
        ]
        return Plan(steps_of(nodes, rows), form.splitting)

    def _values(self, constant: ConstantForm, h: Tensor, scale: Tensor, dense: bool) -> Tensor:
        """Weights of the tableau's rows on steps of length ``h``, shape (n, rows, stages, *c)."""
        method, column = self.method, (-1, *[1] * constant.matrix.dim())
        table = torch.tensor(method.numbers, dtype=torch.float64)
        fractions = torch.tensor([float(c) for c in method.arguments], dtype=torch.float64)
        z = (h[:, None] * fractions).reshape(len(h), *column) * constant.matrix
        functions = (phi_dense if dense else phi)(table.shape[2] - 1, z)
        values: Tensor = torch.tensordot(table.to(functions.dtype), functions, dims=([2, 3], [0, 2])).movedim(2, 0)
        ends = torch.cat([scale, scale[:, -1:]], dim=1)[:, : len(table)]  # an error row ends where the step does
        return values * (h[:, None] * ends).reshape(*ends.shape, 1, *column[1:])


def _alike(h: Tensor, scale: Tensor, largest: float) -> tuple[Tensor, Tensor]:
    """A step of each kind, and the kind of each: steps of a kind have the same coefficients, and share them."""
    if h.requires_grad or scale.requires_grad:
        every = torch.arange(len(h))
        return every, every
    keys = torch.cat([(h / (_GRAIN * largest)).round()[:, None], scale], dim=1)
    found, kind = torch.unique(keys, dim=0, return_inverse=True)
    first = torch.full((len(found),), len(h)).scatter_reduce(0, kind, torch.arange(len(h)), "amin")
    return first, kind

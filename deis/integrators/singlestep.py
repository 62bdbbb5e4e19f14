"""DPM-Solver singlestep: blocks of one to three grid intervals, each block a step of DPM-Solver-1, -2 or -3."""

from itertools import pairwise

import attrs
import torch
from torch import Tensor

from deis.fields import integer_in, one_of, text
from deis.grids import Times, as_times
from deis.integrators.base import INTEGRATORS, Integrator, unstack
from deis.integrators.plan import Plan, Row, Stage, Step
from deis.odes.base import SemilinearODE

_register = INTEGRATORS.register


def blocks(calls: int, longest: int) -> list[int]:
    """Numbers of calls in each block of a budget: as many long blocks as fit, and at last shorter ones.

    Source: arXiv 2206.00927, section 3.4.

    >>> blocks(9, 3), blocks(10, 3), blocks(11, 3), blocks(9, 2)
    ([3, 3, 2, 1], [3, 3, 3, 1], [3, 3, 3, 2], [2, 2, 2, 2, 1])
    """
    whole, rest = divmod(calls, longest)
    if longest == 3 and rest == 0:
        return [3] * (whole - 1) + [2, 1]
    return [longest] * whole + [rest] * (rest > 0)


@_register("dpm-solver-fast", predict="eps", longest=3)
@_register("dpmpp-singlestep", predict="x0", longest=2)
@attrs.frozen
class SinglestepDPM(Integrator):
    """DPM-Solver-3, -2 and -1 one after the other on a grid whose intervals are network calls.

    The stages of a step of DPM-Solver lie on grid points, so that r1 and r2 come from the grid. Within such a block x_s
    at its start is a linear combination of the present state and of the block's values of N; that makes of every
    stage a step of the plan. The order is 2: the last blocks are short, and DPM-Solver-3 needs r2 = 2/3 for more.

    :param predict: splitting of the ODE, that is, what is extrapolated; None for the ODE's own.
    :param clock: variable in which N is extrapolated.
    :param longest: calls in a long block, 1 to 3.
    :param moments: ``published``: DPM-Solver-2 takes half the integral of the kernel for its first moment, and
        DPM-Solver-3 leaves the first stage out of its last row; ``exact``: each row integrates the polynomial through
        all values of N in the block (the solver type ``taylor``, or ``heun``, of public codes); ``midpoint``: as
        published, but half the integral for the second stage of DPM-Solver-3, too, as diffusers takes it.
    """

    predict: str | None = attrs.field(default=None, validator=attrs.validators.optional(text))
    clock: str = attrs.field(default="lambda", validator=text)
    longest: int = attrs.field(default=3, validator=integer_in(1, 3))
    moments: str = attrs.field(default="published", validator=one_of(["published", "exact", "midpoint"]))

    source = "arXiv 2206.00927, algorithms 4-5 and section 3.4; arXiv 2211.01095, algorithm 1"

    @property
    def order(self) -> int:  # type: ignore[override]
        return min(self.longest, 2)

    def plan(self, ode: SemilinearODE, times: Times) -> Plan:
        times = as_times(times)
        form = ode if self.predict is None else ode.split(self.predict)
        self.need_clock(form, self.clock)
        lengths = torch.tensor(blocks(len(times) - 1, self.longest))
        starts = lengths.cumsum(0) - lengths
        rows: dict[int, Row] = {}
        for length in sorted(set(lengths.tolist())):
            first = starts[lengths == length]
            grid = times[first[:, None] + torch.arange(length + 1)]
            for level, own in enumerate(self._rows(form, grid)):
                rows.update(zip((first + level).tolist(), own, strict=True))
        points = times.tolist()
        return Plan(
            [Step(s, t, [Stage(s)], rows[n]) for n, (s, t) in enumerate(pairwise(points))],
            form.splitting,
        )

    def _rows(self, form: SemilinearODE, grid: Tensor) -> list[list[Row]]:
        """For each interval of blocks that cover the ``grid``, shape (n, length + 1), the row of every block.

        Of x_t = Psi(t, s) x_s + sum_j d_j N_j and the same with d' at the point u before t, x_s is eliminated.
        """
        rows, before = [], None
        for level in range(1, grid.shape[1]):
            total = self._weights(form, grid, level)
            onward = form.transition(grid[:, level], grid[:, level - 1])
            own = total
            if before is not None:
                known = form.compose(onward[:, None], before)
                own = total - torch.cat([known, torch.zeros_like(known[:, :1])], dim=1)
            rows.append(list(map(Row, unstack(onward, 1), unstack(own.flip(1), 2))))
            before = total
        return rows

    def _weights(self, form: SemilinearODE, grid: Tensor, level: int) -> Tensor:
        """Weights of N at the first ``level`` points of blocks, for the point after them; shape (n, level, *c)."""
        start, end, length = grid[:, 0], grid[:, level], grid.shape[1] - 1
        inside = level < length and self.moments == "published"
        if self.moments == "exact" or level == 1 or inside:
            return form.weights(start, end, grid[:, :level], self.clock)
        if level == 3:
            first, last = form.weights(start, end, grid[:, [0, 2]], self.clock).unbind(1)
            return torch.stack([first, torch.zeros_like(first), last], dim=1)
        whole = form.weights(start, end, start[:, None], self.clock)
        places = form.clock(self.clock).of(grid)
        share = (places[:, 2] - places[:, 0]) / (places[:, 1] - places[:, 0]) / 2
        half = share.reshape(-1, *[1] * (whole.dim() - 1)) * whole
        return torch.cat([whole - half, half], dim=1)

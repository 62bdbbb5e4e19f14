"""Initial states with the solutions that belong to them."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import attrs
import torch
from torch import Tensor

from deis.analysis.metrics import per_sample_rmse
from deis.analysis.reference import reference
from deis.integrators.plan import Plan
from deis.loop import Evaluation, march
from deis.odes.base import SemilinearODE
from deis.problems import InitialValueProblem
from deis.tuning.ensemble import Ensemble

_KEPT: Final = ("start", "solution", "doubt")
_ROUNDING: Final = torch.finfo(torch.float64).eps


class Batch(NamedTuple):
    """Some pairs with the ODE that they follow."""

    ode: SemilinearODE
    start: Tensor
    solution: Tensor


@attrs.frozen(eq=False)
class Pairs:
    """Initial states with the solutions that belong to them.

    :param start: initial states, in the precision in which plans run, shape (B, ...).
    :param solution: converged states at the end, double precision.
    :param doubt: RMSE between two solutions, which is what is known about the solution's own error, shape (B,); never
        zero, so that errors have logarithms.
    :param calls: evaluations of N that the solution of a sample took.
    """

    ensemble: Ensemble
    seeds: tuple[int, ...]
    start: Tensor
    solution: Tensor
    doubt: Tensor
    calls: int

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, part: slice) -> "Pairs":
        """Some of the pairs."""
        kept = {name: getattr(self, name)[part] for name in _KEPT}
        return attrs.evolve(self, seeds=self.seeds[part], **kept)

    def rows(self, index: Sequence[int]) -> Batch:
        """The pairs of these numbers."""
        wanted = list(index)
        return Batch(self.ensemble.ode_of([self.seeds[i] for i in wanted]), self.start[wanted], self.solution[wanted])

    def split(self) -> Iterator[Batch]:
        """All pairs, as many at a time as the ensemble says."""
        return (self.rows(some) for some in self.ensemble.split(range(len(self))))


def make_pairs(
    ensemble: Ensemble,
    seeds: Sequence[int],
    nfe: int,
    store: Path | None = None,
    tick: Callable[[int], object] = lambda samples: None,
) -> Pairs:
    """Solve from the initial states of ``seeds``, twice.

    :param nfe: evaluations of the finer solution; the other one, which tells the uncertainty, takes half as many.
    :param store: folder in which solutions are kept, so that no problem is solved again.
    :param tick: called with the number of samples that are done.
    :raises OutputError: if the store cannot be written.
    """
    parts, calls = [], 0
    for some in ensemble.split(seeds):
        start = ensemble.initial_of(some)
        known = reference(InitialValueProblem(ensemble.ode_of(some), start), nfe=nfe, store=store)
        other = known.x if known.check is None else known.check[-1]
        dtype = ensemble.dtype.to_complex() if start.is_complex() else ensemble.dtype
        doubt = per_sample_rmse(other, known.x).clamp(min=_ROUNDING)
        parts.append((start.to(dtype), known.x, doubt))
        calls = known.nfe + nfe // 2
        tick(len(some))
    start, solution, doubt = (torch.cat(column) for column in zip(*parts, strict=True))
    return Pairs(ensemble, tuple(seeds), start, solution, doubt, calls)


def final_state(plan: Plan, batch: Batch, evaluate: Evaluation | None = None) -> Tensor:
    """State at the end of a plan, which is not looked at.

    :param evaluate: N; None for that of the batch's ODE.
    """
    form = batch.ode.split(plan.splitting)
    moved = plan.to(batch.start.dtype, batch.start.device)
    end = batch.start
    for reached in march(
        moved, form.combine, batch.start, evaluate or (lambda step, when, x: form.nonlinearity(when, x))
    ):
        end = reached.state
    return end


@torch.no_grad()
def errors(plan: Plan, pairs: Pairs) -> Tensor:
    """RMSE of each sample at the end, shape (B,), double precision; infinite where a state is not finite.

    No error is below what is known about the solution's own.
    """
    found = torch.cat([per_sample_rmse(final_state(plan, batch), batch.solution) for batch in pairs.split()])
    return torch.maximum(found.cpu().nan_to_num(torch.inf, torch.inf), pairs.doubt.cpu())

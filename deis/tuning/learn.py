"""Grids and coefficients learnt from pairs of initial states and solutions."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from deis.errors import ArgumentError
from deis.integrators.plan import Plan
from deis.loop import Evaluation
from deis.odes.base import SemilinearODE
from deis.tuning.pairs import Batch, Pairs, errors, final_state
from deis.tuning.progress import Progress
from deis.tuning.trainable import Trainable, Trained
from deis.tuning.training import Training
from deis.tuning.units import natural_units

_NEAR: Final = 0.02  # of a step, over which the derivative of N in time is a difference
_LOOKED_AT: Final = 64  # pairs that say how much each parameter changes the errors
_CLIP: Final = 5.0  # norm of a gradient; that of a mean logarithm is about 1


@attrs.frozen(eq=False)
class Learnt:
    """What :func:`learn` returns.

    :param history: after how many iterations the mean logarithms of the errors were so large, on the pairs that are
        learnt from (those of the last batch) and on those set apart.
    """

    plan: Plan
    history: tuple[tuple[int, float, float], ...]
    calls: int
    """Evaluations of N at most, each on one sample; gradients are not counted."""

    @property
    def least(self) -> float:
        """The least mean logarithm of the errors on the pairs set apart, which is that of the plan."""
        return min(row[2] for row in self.history)


def learn(
    trainable: Trainable,
    pairs: Pairs,
    apart: Pairs,
    training: Training,
    state: Path | None = None,
    tick: Callable[[], object] = lambda: None,
) -> Learnt:
    """The parameters that are best on the pairs set apart, on the way of the gradients (arXiv 2405.15506, 2502.17423).

    :param pairs: what is learnt from.
    :param apart: pairs that decide which parameters are kept, and when learning ends; none are worse there than those
        of the start.
    :param state: file in which the progress is kept, so that what was cut off is taken up again.
    :param tick: called after each parameter whose unit is found, and after each iteration.
    :raises ArgumentError: if a seed is among both pairs.
    :raises OutputError: if the file cannot be written.
    """
    shared = set(pairs.seeds) & set(apart.seeds)
    if shared:
        raise ArgumentError("apart", "must have other seeds than the pairs that are learnt from", min(shared))
    known = pairs[:_LOOKED_AT]
    progress = Progress.resumed(state, trainable, pairs, apart, training)
    if progress is None:
        progress = Progress.begun(trainable, pairs, apart, training, natural_units(trainable, known, tick))
        _look(progress, trainable, apart, _mean_log(trainable(progress.best), known))
        progress.save(state)
    while not progress.ended(training.iterations, training.patience):
        loss = _descend(progress, trainable, pairs, training)
        if progress.iteration % training.every == 0 or progress.iteration == training.iterations:
            _look(progress, trainable, apart, loss)
            progress.save(state)
        tick()
    plan = trainable(progress.units @ progress.best).numbers()
    # the derivative in time takes another evaluation, but for the first, whose time is fixed
    learnt = progress.iteration * min(training.batch, len(pairs)) * (2 * plan.nfe - 1)
    looked = ((trainable.size + 2) * len(known) + len(progress.history) * len(apart)) * plan.nfe
    return Learnt(plan, tuple(progress.history), learnt + looked)


def _look(progress: Progress, trainable: Trainable, apart: Pairs, loss: float) -> None:
    progress.look(loss, _mean_log(trainable(progress.units @ progress.parameters.detach()), apart))


def _mean_log(trained: Trained, pairs: Pairs) -> float:
    return float(errors(trained.numbers(), pairs).log().mean())


def _descend(progress: Progress, trainable: Trainable, pairs: Pairs, training: Training) -> float:
    """One step of Adam; returns the mean logarithm of the errors before it."""
    parameters = progress.parameters
    batch = pairs.rows(_numbers(len(pairs), progress.iteration, training))
    trained = trainable(progress.units @ parameters)
    end = final_state(trained.plan, batch, _evaluation(batch.ode.split(trained.plan.splitting), trained, training))
    error = _mean_log_error(end, batch, training)
    parameters.grad = None
    (error + training.decay * parameters.square().sum()).backward()  # type: ignore[no-untyped-call]
    assert parameters.grad is not None
    parameters.grad.nan_to_num_(0.0, 0.0, 0.0)  # of a sample that overflows
    torch.nn.utils.clip_grad_norm_([parameters], _CLIP)
    progress.step(training.rate_of(progress.iteration))
    return float(error.detach())


def _numbers(count: int, iteration: int, training: Training) -> list[int]:
    """Numbers of the pairs of one iteration: every pair once before any comes again."""
    size = min(training.batch, count)
    epoch, place = divmod(iteration, count // size)
    order = torch.randperm(count, generator=torch.Generator().manual_seed((training.seed + epoch) % 2**63))
    return sorted(order[place * size : (place + 1) * size].tolist())


def _mean_log_error(end: Tensor, batch: Batch, training: Training) -> Tensor:
    target = batch.solution.to(end)
    total = _log_rmse(end, target)
    if training.features is not None:
        with torch.no_grad():
            wanted = training.features(target)
        total = total + training.weight * _log_rmse(training.features(end), wanted)
    return total.mean()


def _log_rmse(x: Tensor, y: Tensor) -> Tensor:
    squares = (x - y).abs().square().flatten(1).mean(1)
    return (squares + torch.finfo(squares.dtype).tiny).log() / 2


def _evaluation(form: SemilinearODE, trained: Trained, training: Training) -> Evaluation:
    """N with its derivative in time, which is asked for at a number: a difference of two evaluations."""
    first, last = form.domain
    ends = (*trained.times.tolist()[1:], last)

    def evaluate(step: int, when: float, x: Tensor) -> Tensor:
        value = _called(form, when, x, training)
        time = trained.times[step]
        if not time.requires_grad or not step:
            return value
        shift = _NEAR * (ends[step] - when or first - when or last - when)  # times may meet, at either end, too
        with torch.no_grad():
            slope = (form.nonlinearity(when + shift, x) - value) / shift
        return value + slope * (time - time.detach()).to(value.real.dtype)

    return evaluate


def _called(form: SemilinearODE, when: float, x: Tensor, training: Training) -> Tensor:
    if not training.checkpoint:
        return form.nonlinearity(when, x)
    value: Tensor = checkpoint(form.nonlinearity, when, x, use_reentrant=False)
    return value

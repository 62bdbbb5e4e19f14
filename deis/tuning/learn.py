"""Grids and coefficients learnt from pairs of initial states and solutions."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from deis.errors import ArgumentError
from deis.fields import boolean, integer_in, is_callable, number_in
from deis.integrators.plan import Plan
from deis.loop import Evaluation
from deis.odes.base import SemilinearODE
from deis.tuning.pairs import Batch, Pairs, errors, final_state
from deis.tuning.progress import Progress
from deis.tuning.trainable import Trainable, Trained

_NEAR: Final = 0.02  # of a step, over which the derivative of N in time is a difference
_DEPTH: Final = 1600
_CLIP: Final = 5.0  # norm of a gradient; that of a mean logarithm is about 1

Features = Callable[[Tensor], Tensor]


@attrs.frozen
class Training:
    """How a plan is learnt: Adam on the mean logarithm of the samples' errors, with a rate that falls as a cosine.

    :param iterations: steps of Adam; None for as many as ask for 1600 values of N, one after the other.
    :param batch: pairs in each.
    :param rate: of the first step.
    :param decay: weight of the square of the parameters, which are zero for the analytic plan.
    :param every: iterations between two looks at the pairs set apart.
    :param patience: such looks without progress before learning ends early.
    :param seed: of the order of the pairs.
    :param checkpoint: whether network calls are made again for their gradients instead of kept.
    :param features: a function of states, shape (B, ...) to (B, n), whose errors count, too; None for none.
    :param weight: of those errors.
    """

    iterations: int | None = attrs.field(default=None, validator=attrs.validators.optional(integer_in(1, 1_000_000)))
    batch: int = attrs.field(default=128, validator=integer_in(1, 1_000_000))
    rate: float = attrs.field(default=0.08, validator=number_in(0, open_low=True))
    decay: float = attrs.field(default=1e-3, validator=number_in(0))
    every: int = attrs.field(default=10, validator=integer_in(1, 1_000_000))
    patience: int = attrs.field(default=8, validator=integer_in(1, 1_000_000))
    seed: int = attrs.field(default=0, validator=integer_in(0, 2**63 - 1))
    checkpoint: bool = attrs.field(default=False, validator=boolean)
    features: Features | None = attrs.field(default=None, validator=attrs.validators.optional(is_callable))
    weight: float = attrs.field(default=1.0, validator=number_in(0))

    def steps(self, nfe: int) -> int:
        """How many steps of Adam are made for a plan of ``nfe`` evaluations."""
        return max(1, _DEPTH // nfe) if self.iterations is None else self.iterations


@attrs.frozen(eq=False)
class Learnt:
    """What :func:`learn` returns.

    :param history: after how many iterations the mean logarithms of the errors were so large, on the pairs that are
        learnt from (those of the last batch) and on those set apart.
    """

    plan: Plan
    history: tuple[tuple[int, float, float], ...]
    calls: int
    """Evaluations of N, each on one sample; gradients are not counted."""

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
    :param apart: pairs that decide which parameters are kept, and when learning ends.
    :param state: file in which the progress is kept, so that what was cut off is taken up again.
    :param tick: called after each iteration.
    :raises ArgumentError: if a seed is among both pairs.
    :raises OutputError: if the file cannot be written.
    """
    shared = set(pairs.seeds) & set(apart.seeds)
    if shared:
        raise ArgumentError("apart", "must have other seeds than the pairs that are learnt from", min(shared))
    iterations = training.steps(trainable.grid.intervals)
    progress = Progress.resumed(state, trainable, pairs, apart, training)
    while not progress.ended(iterations, training.patience):
        rate = training.rate * (1 + math.cos(math.pi * progress.iteration / iterations)) / 2
        loss = _descend(progress, trainable, pairs, training, rate)
        if progress.iteration % training.every == 0 or progress.iteration == iterations:
            plan = trainable(progress.parameters.detach()).numbers()
            progress.look(loss, float(errors(plan, apart).log().mean()))
            progress.save(state)
        tick()
    plan = trainable(progress.best).numbers()
    # the derivative in time takes another evaluation, but for the first, whose time is fixed
    learnt = progress.iteration * min(training.batch, len(pairs)) * (2 * plan.nfe - 1)
    return Learnt(plan, tuple(progress.history), learnt + len(progress.history) * len(apart) * plan.nfe)


def _descend(progress: Progress, trainable: Trainable, pairs: Pairs, training: Training, rate: float) -> float:
    """One step of Adam; returns the mean logarithm of the errors before it."""
    parameters = progress.parameters
    batch = pairs.rows(_numbers(len(pairs), progress.iteration, training))
    trained = trainable(parameters)
    end = final_state(trained.plan, batch, _evaluation(batch.ode.split(trained.plan.splitting), trained, training))
    error = _mean_log_error(end, batch, training)
    parameters.grad = None
    (error + training.decay * parameters.square().sum()).backward()  # type: ignore[no-untyped-call]
    assert parameters.grad is not None
    parameters.grad.nan_to_num_(0.0, 0.0, 0.0)  # of a sample that overflows
    torch.nn.utils.clip_grad_norm_([parameters], _CLIP)
    progress.step(rate)
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
    ends = (*trained.times.tolist()[1:], form.domain[1])

    def evaluate(step: int, when: float, x: Tensor) -> Tensor:
        value = _called(form, when, x, training)
        time = trained.times[step]
        if not time.requires_grad or not step:
            return value
        shift = _NEAR * (ends[step] - when) or _NEAR * (form.domain[0] - when)
        with torch.no_grad():
            slope = (form.nonlinearity(when + shift, x) - value) / shift
        return value + slope * (time - time.detach()).to(value.real.dtype)

    return evaluate


def _called(form: SemilinearODE, when: float, x: Tensor, training: Training) -> Tensor:
    if not training.checkpoint:
        return form.nonlinearity(when, x)
    value: Tensor = checkpoint(form.nonlinearity, when, x, use_reentrant=False)
    return value

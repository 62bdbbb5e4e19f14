"""A solve that may stop at an event, and what is known of the solution between its times."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import attrs
from torch import Tensor

from deis.dense_output import DenseOutput
from deis.evaluator import Evaluator, check_result, looking
from deis.grids import TimeGrid
from deis.integrators.base import BlackBox, Integrator, Stepping
from deis.ivp.events import Watch
from deis.ivp.methods import linearisation
from deis.loop import Evaluation, march
from deis.odes.base import SemilinearODE
from deis.solve import prepare, solve, stepping


@attrs.frozen(eq=False)
class Course:
    """States on a grid, up to where the solve ended."""

    dense: DenseOutput
    nfe: int
    """Number of evaluations of N for the states."""
    diagnosis: str = ""
    """Why a method gave up; empty if it did not."""


def follow(
    ode: SemilinearODE, y0: Tensor, grid: TimeGrid, method: Integrator, watch: Watch, checkpoint: bool
) -> Course:
    """Solve to the end of the grid, or to the end of the step in which a terminal event is.

    Neither a method of another library nor a solve with checkpoints is stopped: what lies behind the event is computed,
    and left out.
    """
    if isinstance(method, Stepping):
        return _step_by_step(ode, y0, grid, method, watch)
    if isinstance(method, BlackBox) or checkpoint:
        solution = solve(ode, y0, grid, method, keep_states=True, checkpoint=checkpoint)
        assert solution.states is not None, "they were asked for"
        times, states = _watched(zip(solution.times, solution.states, strict=True), watch)
        return Course(DenseOutput(ode, times, states, linearise=linearisation(method)), solution.nfe)
    form, plan = prepare(ode, y0, grid, method, None)
    evaluate, noted = Evaluator(form), _Noted(grid)
    reached = march(plan, form.combine, y0, noted.by(evaluate))
    times, states = _watched(chain([(grid.times[0], y0)], ((r.time, r.state) for r in reached)), watch)
    check_result(states[-1], y0, looking(form, plan, y0))
    return Course(DenseOutput(form, times, states, noted.known(times, states)), evaluate.nfe)


def _step_by_step(ode: SemilinearODE, y0: Tensor, grid: TimeGrid, method: Stepping, watch: Watch) -> Course:
    evaluate, made = stepping(ode, y0, grid, method)
    diagnosis = ""

    def steps() -> Iterator[tuple[float, Tensor]]:
        nonlocal diagnosis
        yield grid.times[0], y0
        try:
            while True:
                time, state = next(made)
                yield time, state.to(y0.dtype)
        except StopIteration as end:
            diagnosis = end.value.diagnosis

    times, states = _watched(steps(), watch)
    check_result(states[-1], y0)
    return Course(DenseOutput(ode, times, states, linearise=linearisation(method)), evaluate.nfe, diagnosis)


def _watched(steps: Iterable[tuple[float, Tensor]], watch: Watch) -> tuple[list[float], list[Tensor]]:
    """Times and states up to a terminal event."""
    times, states = [], []
    for time, state in steps:
        times.append(time)
        states.append(state)
        if watch(time, state):
            break
    return times, states


class _Noted:
    """The newest value of N at each time of a grid, with its point."""

    def __init__(self, grid: TimeGrid) -> None:
        self._grid = frozenset(grid.times)
        self._noted: dict[float, tuple[Tensor, Tensor]] = {}

    def by(self, evaluate: Evaluation) -> Evaluation:
        """N, of whose values note is taken."""

        def noting(step: int, time: float, point: Tensor) -> Tensor:
            value = evaluate(step, time, point)
            if time in self._grid:
                self._noted[time] = point, value
            return value

        return noting

    def known(self, times: Sequence[float], states: Sequence[Tensor]) -> dict[int, Tensor]:
        """N at those of the states, by their numbers, for which it was asked."""
        found = [(i, *self._noted[time]) for i, time in enumerate(times) if time in self._noted]
        return {i: value for i, point, value in found if point is states[i]}

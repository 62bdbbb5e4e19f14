"""What accuracy costs: error against evaluations of N, seconds and memory."""

import time
from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any, Final

import attrs
import torch
from torch import Tensor
from tqdm import tqdm

from deis.analysis.inputs import Grid, check_end, labelled, make_times, whole_numbers
from deis.analysis.metrics import rmse
from deis.analysis.reference import CoarseReferenceError, Norm, Reference
from deis.analysis.reference import reference as solved
from deis.errors import ArgumentError, CapabilityError, DeisError, NetworkError
from deis.fields import need
from deis.grids import TimeGrid
from deis.integrators.base import BlackBox, Integrator, least_intervals, need_steps
from deis.integrators.plan import Plan, Step
from deis.problems import Problem
from deis.solve import solve
from deis.text import columns, number

BUDGETS: Final = (10, 20, 40, 80)


@attrs.frozen
class WorkPoint:
    """One integrator at one budget; None stands for what was not or cannot be measured, and ``note`` says why."""

    integrator: str
    budget: int | None
    """None for methods that choose their own steps."""
    nfe: int | None = None
    intervals: int | None = None
    error: float | None = None
    seconds_in_solver: float | None = None
    """Median of the repeats, the making of the plan included."""
    seconds_in_network: float | None = None
    """Median of the repeats; on a GPU also what the host waited for at the end."""
    memory: int | None = None
    """Bytes of the states alive at once (see :func:`states_alive`); on a GPU the measured peak, that of N included."""
    note: str = ""


@attrs.frozen
class WorkPrecision:
    """What :func:`work_precision` returns; printed, it is a table."""

    rows: tuple[WorkPoint, ...]
    norm: str
    reference: str
    """How the reference was found."""

    def to_rows(self) -> list[dict[str, Any]]:
        """One flat record a row, as for a CSV file."""
        return [{**attrs.asdict(row), "norm": self.norm} for row in self.rows]

    def __str__(self) -> str:
        names = ["integrator", "budget", "nfe", "intervals", self.norm, "s in solver", "s in network", "bytes", "note"]
        rows = [
            [
                row.integrator,
                *(str("-" if count is None else count) for count in (row.budget, row.nfe, row.intervals)),
                *(number(value) for value in (row.error, row.seconds_in_solver, row.seconds_in_network)),
                "-" if row.memory is None else str(row.memory),
                row.note,
            ]
            for row in self.rows
        ]
        return "\n".join([*columns([names, *rows], "lrrrrrrr"), f"reference: {self.reference}"])


def work_precision(
    problem: Problem,
    integrators: Iterable[Integrator | Plan | str] | Mapping[str, Integrator] | Integrator | Plan | str,
    budgets: Iterable[int] = BUDGETS,
    *,
    grid: Grid = "t",
    norm: Norm = rmse,
    repeats: int = 3,
    reference: Reference | None = None,
) -> WorkPrecision:
    """Error against the number of evaluations, seconds and memory of several integrators.

    A method that cannot make a budget exactly takes the most intervals within it. Methods that choose their own steps
    are solved once, with a budget of None; pass several of them with different tolerances. An error that the reference
    is too coarse to measure is left out, with a note, and so is a solve that fails.

    :param problem: an ODE with its initial state.
    :param integrators: deterministic integrators, their names, or plans; or a table of them by label.
    :param budgets: numbers of evaluations of N.
    :param grid: a grid family, its name, or a function from (domain, intervals) to times; plans bring their own.
    :param norm: distance of a state from the reference.
    :param repeats: how often each solve is timed.
    :param reference: the solution at the end of the grids; None for :func:`~deis.analysis.reference` with four times
        the largest budget.
    :raises ArgumentError: for integrators that add noise, and for budgets or repeats below 1.
    :raises CapabilityError: if the ODE lacks something that an integrator needs; before any solve.

    >>> from deis import Bernoulli, PolynomialEIAB
    >>> study = work_precision(Bernoulli(), ["tab1", "rhork-heun2:clock=t", "dopri5"], [8, 9], repeats=1)
    >>> [(row.integrator, row.budget, row.nfe, row.memory) for row in study.rows[:4]]  # 8 bytes a state
    [('tab1', 8, 8, 40), ('tab1', 9, 9, 40), ('rhork-heun2:clock=t', 8, 8, 40), ('rhork-heun2:clock=t', 9, 8, 40)]
    """
    need("problem", problem, Problem, "for example InitialValueProblem(ode, x0)")
    if not callable(norm):
        raise ArgumentError("norm", "must be callable as norm(x, reference)", norm, "for example deis.analysis.rmse")
    counts, (repeats,) = whole_numbers("budgets", budgets), whole_numbers("repeats", [repeats])
    methods = labelled(integrators)
    for method in methods.values():
        need_steps(method)
        if not isinstance(method, BlackBox):
            times = make_times(problem.ode, method.own_grid or grid, least_intervals(method))
            method.plan(problem.ode, times)  # what it lacks shows before any work
    target = solved(problem, nfe=max(240, 4 * max(counts))) if reference is None else reference
    check_end(target, make_times(problem.ode, grid, 1))
    jobs = [
        (WorkPoint(label, budget), method)
        for label, method in methods.items()
        for budget in ([None] if isinstance(method, BlackBox) else counts)
    ]
    rows = [
        _filled(row, method, problem, grid, repeats, target, norm)
        for row, method in tqdm(jobs, desc="work-precision", disable=None, leave=False)
    ]
    return WorkPrecision(tuple(rows), getattr(norm, "__name__", "error"), target.method)


def states_alive(plan: Plan) -> int:
    """The largest number of states that are alive at once while ``plan`` runs, what N itself makes left out.

    Read off the plan as the loop works: the caller's initial state, the current and the next one, the values of N of
    this step's stages and of its history; with a corrector, until N is known at the predicted point, also the state
    before it and what the last step has read; the noise of a step. What the product of a matrix and a state takes comes
    on top.

    >>> from deis import Bernoulli, make_plan
    >>> states_alive(make_plan(Bernoulli().ode, [0.0, 0.25, 0.5, 0.75, 1.0], "tab3"))  # 4 values, 2 states, the first
    7
    """
    need("plan", plan, Plan, "make one by make_plan(ode, times, ...)")
    pairs = zip([None, *plan.steps], plan.steps, strict=False)
    return max(_alive(plan, n, before, step) for n, (before, step) in enumerate(pairs))


def _alive(plan: Plan, n: int, before: Step | None, step: Step) -> int:
    """States alive at the peak of step ``n``."""
    held = min(n, plan.history) + 1 + (n > 0) + len(step.draws)  # history, current state, the caller's initial state
    peak = held + len(step.stages) + 1
    if before is None or before.correct is None:
        return peak
    known = (
        len(before.stages) + min(n - 1, plan.history) + len(before.draws)
    )  # what the correction of the last step reads
    earlier = n > 1  # else the state before the predicted one is the initial state
    return max(peak, held + earlier + known - min(n, plan.history) + 2)


def _filled(
    row: WorkPoint,
    method: Integrator,
    problem: Problem,
    grid: Grid,
    repeats: int,
    target: Reference,
    norm: Norm,
) -> WorkPoint:
    """The row with all that can be measured of it."""
    try:
        intervals = None if row.budget is None else method.most_intervals(row.budget)
        times = make_times(problem.ode, method.own_grid or grid, intervals or 1)
        runs = [_run(problem, method, times) for _ in range(repeats)]
    except (CapabilityError, NetworkError):
        raise
    except DeisError as error:  # no step fits the budget, the solve overflowed, or the method gave up
        return attrs.evolve(row, note=str(error))
    row = attrs.evolve(
        row,
        nfe=runs[0].nfe,
        intervals=intervals,
        seconds_in_solver=median(run.seconds_in_solver for run in runs),
        seconds_in_network=median(run.seconds_in_network for run in runs),
        memory=runs[0].memory,
    )
    try:
        return attrs.evolve(row, error=target.error(runs[0].x, norm))
    except CoarseReferenceError as error:
        return attrs.evolve(row, note=str(error))


@attrs.frozen(eq=False)
class _Run:
    """One solve, measured."""

    x: Tensor
    nfe: int
    seconds_in_solver: float
    seconds_in_network: float
    memory: int | None


def _run(problem: Problem, method: Integrator, times: TimeGrid) -> _Run:
    x0 = problem.initial
    size = x0.numel() * x0.element_size()
    on_gpu, device = x0.is_cuda, x0.device
    if on_gpu:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device) - size if on_gpu else 0
    with torch.no_grad():
        solution = solve(problem.ode, x0, times, method)
    began = time.perf_counter()
    if on_gpu:
        torch.cuda.synchronize(device)
    waited = time.perf_counter() - began
    memory = None if solution.plan is None else states_alive(solution.plan) * size
    if on_gpu:
        memory = torch.cuda.max_memory_allocated(device) - before
    return _Run(solution.x, solution.nfe, solution.seconds_in_solver, solution.seconds_in_network + waited, memory)

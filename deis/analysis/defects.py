"""Local errors: what each step would lose if everything before it were exact."""

import math
from collections.abc import Sequence

import attrs
import torch
from torch import Tensor

from deis.analysis.metrics import rmse
from deis.analysis.reference import MARGIN, Norm, Reference, reference
from deis.errors import ArgumentError
from deis.fields import need
from deis.grids import Times
from deis.integrators.base import Integrator, as_integrator
from deis.integrators.combine import combine
from deis.integrators.plan import Plan, Row, Step
from deis.numerics.host import on_host
from deis.odes.base import SemilinearODE
from deis.problems import Problem
from deis.solve import make_plan
from deis.text import columns, number

_ROUNDING = 1e-10  # of the sum of absolute values; the integrals are known to 1e-12
_FURTHER = 2  # moments beyond the number of nodes: Simpson's rule has degree 3 on three nodes
_PER_STEP = 16  # evaluations for the reference


@attrs.frozen
class QuadratureDefect:
    """How well one step integrates polynomials in a clock against the flow of L."""

    start: float
    end: float
    degree: int
    """Largest degree up to which polynomials N are integrated exactly, of at most two above the number of values; -1 if
    not even a constant is."""
    coefficient: float
    """Principal error: what multiplies the derivative of N of order ``degree + 1`` in the clock."""


def quadrature_defects(ode: SemilinearODE, plan: Plan, clock: str = "t") -> tuple[QuadratureDefect, ...]:
    """Moment conditions of every step: sum_j w_j theta_j^k - int_s^t Psi(t, r) G(r) theta(r)^k dr for k = 0, 1, ...

    theta runs from 0 to 1 over the step in ``clock``. The first moment k that is not 0 gives the degree k - 1 and the
    coefficient |moment| |step|^k / k!, with the step in units of the clock; of diagonal and matrix weights, the largest
    entry. Where a step is corrected, it is the corrected step that counts.

    Measured is the quadrature alone, with exact N at every node. What Runge-Kutta stages lose because their points are
    not exact is in the defect along a path (:func:`path_defects`).

    :param ode: the problem that the plan was made for.
    :param clock: the variable of the polynomials.
    :raises CapabilityError: if the ODE does not have the clock, or not the splitting of the plan.

    >>> from deis import DiagonalODE, make_plan
    >>> ode = DiagonalODE(0.0, lambda t, x: x)
    >>> last = quadrature_defects(ode, make_plan(ode, [0.0, 0.5, 1.0], "tab1"))[-1]
    >>> last.degree, round(last.coefficient / 0.5**3, 6)  # Adams-Bashforth 2: 5/12 h^3
    (1, 0.416667)
    """
    _check_kinds(ode, plan)
    form = ode.split(plan.splitting)
    with on_host():
        hand = form.clock(clock)
        nodes = [_nodes(plan.steps, n) for n in range(len(plan.steps))]
        most = max(map(len, nodes)) + _FURTHER
        s, t = (torch.tensor(ends, dtype=torch.float64) for ends in (plan.times[:-1], plan.times[1:]))
        begin, span = hand.of(s), hand.of(t) - hand.of(s)
        # a polynomial of degree k is what interpolates it, so that the weights over many nodes give its integral
        inner = (1 - torch.linspace(0.0, math.pi, most + 1, dtype=torch.float64).cos()) / 2
        weights = form.weights(s, t, hand.time(begin[:, None] + span[:, None] * inner), clock)
        found = []
        for n, step in enumerate(plan.steps):
            places = (hand.of(torch.tensor(nodes[n], dtype=torch.float64)) - begin[n]) / span[n]
            row = step.correct or step.advance
            degree, moment = _first_moment(row, places, weights[n], inner)
            scale = float(span[n].abs()) ** (degree + 1) / math.factorial(degree + 1)
            found.append(QuadratureDefect(step.start, step.end, degree, moment * scale))
    return tuple(found)


def _nodes(steps: Sequence[Step], n: int) -> list[float]:
    """Times of the values that the last row of step ``n`` reads, in its order."""
    step = steps[n]
    row = step.correct or step.advance
    own = [step.end] * (step.correct is not None) + [stage.time for stage in step.stages]
    return [*own, *(earlier.stages[0].time for earlier in reversed(steps[:n]))][: len(row.values)]


def _first_moment(row: Row, places: Tensor, weights: Tensor, inner: Tensor) -> tuple[int, float]:
    """Degree up to which the moments vanish, and the size of the first that does not (0 if all do).

    :param weights: of the exact integrals, shape (m, *c), on the ``inner`` nodes in [0, 1], shape (m,).
    """
    column = (-1, *[1] * (weights.dim() - 1))
    values = [torch.as_tensor(w, dtype=weights.dtype, device="cpu").detach() for w in row.values]
    for k in range(len(inner)):
        exact = (weights * inner.reshape(column) ** k).sum(0)
        terms = [w * place**k for w, place in zip(values, places, strict=True)]
        moment = sum(terms, -exact)
        scale = sum((term.abs() for term in terms), exact.abs())
        size = float(moment.abs().max())
        if size > _ROUNDING * float(scale.max()):
            return k - 1, size
    return len(inner) - 1, 0.0


def path_defects(ode: SemilinearODE, plan: Plan, path: Reference) -> Tensor:
    """Errors that the steps make when each starts on the path, with the path's values of N as its history.

    Transported to the end by the flow of the ODE and added up, they are the global error of a one-step method to first
    order; their size falls one order faster than that error.

    :param path: states at the times of the plan, and wherever an earlier step evaluates N first.
    :returns: end of the step less the path, shape ``(steps, *state)``.
    :raises ArgumentError: if the path leaves out a time, or the plan adds noise.

    >>> from deis import Bernoulli, make_plan
    >>> problem, times = Bernoulli(), [0.0, 0.5, 1.0]
    >>> path_defects(problem.ode, make_plan(problem.ode, times, "tab1"), reference(problem, times)).shape
    torch.Size([2])
    """
    _check_kinds(ode, plan)
    need("path", path, Reference, "make it by deis.analysis.reference(problem, times)")
    form, plan = ode.split(plan.splitting), plan.to(path.states.dtype, path.states.device)
    _check_deterministic(plan)
    missing = [t for t in _needed(plan) if t not in path.times]
    if missing:
        raise ArgumentError("path", "must hold the state at every time of the plan", missing, "solve for these times")
    states = dict(zip(path.times, path.states, strict=True))
    history: tuple[Tensor, ...] = ()
    found = []
    with torch.no_grad():
        for step in plan.steps:
            end = _step(form, step, states[step.start], history)
            found.append(end - states[step.end])
            when = step.stages[0].time
            history = (form.nonlinearity(when, states[when]), *history)[: plan.history]
    return torch.stack(found)


def _check_kinds(ode: SemilinearODE, plan: Plan) -> None:
    need("ode", ode, SemilinearODE)
    need("plan", plan, Plan, "make one by make_plan(ode, times, ...)")


def _check_deterministic(plan: Plan) -> None:
    if plan.stochastic:
        raise ArgumentError("plan", "must not add noise", plan, "its steps do not follow the ODE")


def _needed(plan: Plan) -> list[float]:
    """Times of the plan and of the values in its history, in its direction."""
    times = {*plan.times, *(step.stages[0].time for step in plan.steps)}
    return sorted(times, reverse=plan.times[0] > plan.times[-1])


def _step(form: SemilinearODE, step: Step, x: Tensor, history: tuple[Tensor, ...]) -> Tensor:
    """The end of one step; a correction is made at once."""
    values: tuple[Tensor, ...] = ()
    for stage in step.stages:
        point = combine(form.combine, stage.row, x, values + history)
        values = (*values, form.nonlinearity(stage.time, point))
    known = values + history
    end = combine(form.combine, step.advance, x, known)
    if step.correct is None:
        return end
    return combine(form.combine, step.correct, x, (form.nonlinearity(step.end, end), *known))


@attrs.frozen
class StepDefect:
    """The local error of one step."""

    quadrature: QuadratureDefect
    defect: float | None
    """Distance of the step's end from the path it started on; None where the reference is too coarse to tell."""
    uncertainty: float
    """Of the path, at the end of the step or its start, whichever is larger."""


@attrs.frozen(eq=False)
class LocalDefects:
    """What :func:`local_defects` returns; printed, it is a table."""

    steps: tuple[StepDefect, ...]
    differences: Tensor
    """Error of each step along the path, shape ``(steps, *state)``."""
    reference: str
    """How the path was found."""

    def to_rows(self) -> list[dict[str, float | None]]:
        """One flat record a step, as for a CSV file."""
        return [
            {**attrs.asdict(step.quadrature), "defect": step.defect, "uncertainty": step.uncertainty}
            for step in self.steps
        ]

    def __str__(self) -> str:
        names = ["step", "from t", "to t", "exact degree", "coefficient", "defect"]
        rows = [
            [
                str(n),
                *(number(t, 4) for t in (step.quadrature.start, step.quadrature.end)),
                str(step.quadrature.degree),
                number(step.quadrature.coefficient),
                number(step.defect) if step.defect is not None else f"< {MARGIN * step.uncertainty:.1g}",
            ]
            for n, step in enumerate(self.steps, start=1)
        ]
        return "\n".join([*columns([names, *rows], "rrrrrr"), f"path: {self.reference}"])


def local_defects(
    problem: Problem,
    integrator: Integrator | Plan | str,
    times: Times,
    *,
    clock: str | None = None,
    norm: Norm = rmse,
    nfe: int | None = None,
) -> LocalDefects:
    """The local error of every step, from the coefficients alone and along a reference path.

    :param problem: an ODE with its initial state.
    :param integrator: an integrator, its name, or a plan made for these times.
    :param times: the grid, from the start of the problem's domain on.
    :param clock: variable of the polynomials in :func:`quadrature_defects`; None for the integrator's own, else ``t``.
    :param norm: the size of a defect, as distance between two states.
    :param nfe: evaluations for the path where no closed form is known; None for 16 a step.
    :raises ArgumentError: for methods that add noise, and for times that do not fit the problem or the plan.
    :raises CapabilityError: for methods without a plan.

    >>> from deis import Bernoulli
    >>> found = local_defects(Bernoulli(), "tab1", [0.0, 0.25, 0.5, 0.75, 1.0])
    >>> [step.quadrature.degree for step in found.steps]  # the first step has one point
    [0, 1, 1, 1]
    >>> max(step.defect for step in found.steps) == found.steps[0].defect
    True
    """
    need("problem", problem, Problem, "for example InitialValueProblem(ode, x0)")
    method = as_integrator(integrator)
    plan = make_plan(problem.ode, times, method)
    _check_deterministic(plan)
    moments = quadrature_defects(problem.ode, plan, clock or str(getattr(method, "clock", "t")))
    path = reference(problem, _needed(plan), nfe=max(240, _PER_STEP * len(plan.steps)) if nfe is None else nfe)
    differences = path_defects(problem.ode, plan, path)
    steps = []
    for moment, difference in zip(moments, differences, strict=True):
        doubt = max(_doubt(path, t, norm) for t in (moment.start, moment.end))
        end = path.states[path.times.index(moment.end)]
        size = norm(end + difference, end)
        steps.append(StepDefect(moment, size if size >= MARGIN * doubt else None, doubt))
    return LocalDefects(tuple(steps), differences, path.method)


def _doubt(path: Reference, t: float, norm: Norm) -> float:
    """Uncertainty of the path at time ``t``."""
    i = path.times.index(t)
    return 0.0 if path.check is None else norm(path.check[i], path.states[i])

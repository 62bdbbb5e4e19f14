"""solve and iterate: a plan is made, and the one loop is driven by the ODE's nonlinearity."""

import cmath
import time
from collections.abc import Iterator

import attrs
import torch
from torch import Tensor

from deis.checkpointing import recomputed
from deis.errors import ArgumentError, CapabilityError, DeisError
from deis.evaluator import Evaluator, WideEvaluator, check_result, looking
from deis.grids import TimeGrid, Times, as_times
from deis.integrators.base import BlackBox, Integrator, Stepping, Steps, as_integrator
from deis.integrators.plan import Plan
from deis.integrators.planned import Planned
from deis.integrators.signature import signed
from deis.loop import Noise, Reached, accumulation_dtype, march
from deis.numerics.host import on_host
from deis.odes.base import Coefficient, SemilinearODE
from deis.version import __version__


@attrs.frozen(eq=False)
class Solution:
    """What :func:`solve` returns.

    The seconds are host time: on a device that works in the background they hold what the host waited for.
    """

    x: Tensor
    """State at the end."""
    times: tuple[float, ...]
    """Times of the states; a run that ended early on request ends with the time that it reached."""
    states: tuple[Tensor, ...] | None
    """States at all ``times``, if they were asked for."""
    nfe: int
    """Number of evaluations of N that were made."""
    steps: int
    """Steps of the plan; for adaptive methods the accepted ones."""
    seconds_in_network: float
    seconds_in_solver: float
    plan: Plan | None
    """None for methods that make their steps as they go."""
    rejected: int = 0
    """Steps whose error an adaptive method found too large; their evaluations count in ``nfe``."""
    diagnosis: str = ""
    """Why an adaptive method ended early, which it does on request only; empty if it did not."""


def solve(
    ode: SemilinearODE,
    x0: Tensor,
    times: Times,
    integrator: Integrator | Plan | str,
    *,
    noise: Noise | None = None,
    keep_states: bool = False,
    checkpoint: bool = False,
) -> Solution:
    """Integrate ``ode`` from ``x0`` over ``times``.

    :param ode: the problem.
    :param x0: state at ``times[0]``, of any shape; floating point or complex. The result has its dtype and device.
    :param times: a grid, or strictly monotone numbers in the ODE's domain, in either direction.
    :param integrator: an integrator, the name of a registered one, or a plan made for this ODE and these times.
    :param noise: source of standard normal values, called with (:class:`~deis.Draw`, state), for stochastic
        integrators.
    :param keep_states: whether to keep the state at every time.
    :param checkpoint: for gradients through the solve: keep what log2(n) of the n steps start from, and compute the
        steps again when the gradient arrives; N must give the same values then.
    :raises ArgumentError: for times that are not monotone or leave the domain, and for states that cannot be used.
    :raises CapabilityError: if the ODE lacks something that the integrator needs.
    :raises NetworkError: if N returns another shape or dtype than its state has.
    :raises NonFiniteError: if the result is not finite; the step and the time are named, which a second run finds.

    >>> from deis import DiagonalODE
    >>> ode = DiagonalODE(-1.0, lambda t, x: torch.ones_like(x))
    >>> solution = solve(ode, torch.zeros(1, dtype=torch.float64), [0.0, 0.5, 1.0], "ddim")
    >>> solution.x, solution.nfe  # 1 - exp(-1)
    (tensor([0.6321], dtype=torch.float64), 2)
    """
    grid = as_grid(ode, times)
    method = as_integrator(integrator)
    began = time.perf_counter()
    if isinstance(method, BlackBox):
        if checkpoint:
            raise CapabilityError(
                f"{method!r} makes its steps as it goes and has no checkpoints; take a method with a plan"
            )
        return _black_box(ode, x0, grid, method, began, keep_states)
    form, plan = prepare(ode, x0, times if isinstance(times, Tensor) else grid, method, noise)
    evaluate = Evaluator(form)
    states = {grid.times[0]: x0}
    last = x0
    run = march(plan, form.combine, x0, evaluate, noise)
    if checkpoint:
        run = iter(recomputed(plan, form.combine, x0, evaluate, noise, keep_states=keep_states))
    for reached in run:
        last = reached.state
        if keep_states:
            states[reached.time] = last  # the newest at a time, where a step of no length follows
    check_result(last, x0, looking(form, plan, x0, noise))
    kept = list(states.values()) if keep_states else None
    return _solution(last, grid.times, kept, evaluate, len(plan.steps), began, plan)


def iterate(
    ode: SemilinearODE,
    x0: Tensor,
    times: Times,
    integrator: Integrator | Plan | str,
    *,
    noise: Noise | None = None,
) -> Iterator[Reached]:
    """Like :func:`solve`, but yields ``(step, time, state)`` as each time is reached.

    With a corrector the state at a time is known once N has been evaluated there; a time comes twice where a step has
    no length. Nothing waits for the device, so that NaN and Inf are not looked for.

    :raises CapabilityError: for methods of other libraries, which do not tell their steps.
    """
    method = as_integrator(integrator)
    if isinstance(method, Stepping):
        steps = enumerate(stepping(ode, x0, as_grid(ode, times), method)[1], start=1)
        return (Reached(number, time, x.to(x0.dtype)) for number, (time, x) in steps)
    form, plan = prepare(ode, x0, times if isinstance(times, Tensor) else as_grid(ode, times), method, noise)
    return march(plan, form.combine, x0, Evaluator(form), noise)


def make_plan(ode: SemilinearODE, times: Times, integrator: Integrator | Plan | str) -> Plan:
    """The plan of an integrator on one ODE and one grid, with its provenance and its signature.

    A ready plan is returned as it is, if it was made for them.

    :raises ArgumentError: for times that are not monotone or leave the domain.
    :raises CapabilityError: if the ODE lacks something that the integrator needs.
    :raises DeisError: if a coefficient is not finite.

    >>> from deis import DiagonalODE
    >>> make_plan(DiagonalODE(-1.0, lambda t, x: x), [0.0, 0.5, 1.0], "tab1").nfe
    2
    """
    method = as_integrator(integrator)
    plan = _made(ode, times, method)
    return plan if isinstance(method, Planned) else signed(plan, ode)


def _made(ode: SemilinearODE, times: Times, method: Integrator) -> Plan:
    """The checked plan, without the signature that a solve does not need."""
    grid = as_grid(ode, times)
    with on_host():
        plan = method.plan(ode, as_times(times if isinstance(times, Tensor) else grid))
    if isinstance(method, Planned):
        return plan
    for step, row in plan.distinct_rows():
        if not all(map(_is_finite, row.coefficients())):
            raise DeisError(
                f"{method!r} has no finite coefficients between t = {step.start:g} and {step.end:g}; "
                "the linear part or a clock is singular or overflows there"
            )
    return attrs.evolve(plan, provenance={"integrator": repr(method), "ode": repr(ode), "deis": __version__})


def _is_finite(c: Coefficient) -> bool:
    return bool(c.isfinite().all()) if isinstance(c, Tensor) else cmath.isfinite(c)


def as_grid(ode: SemilinearODE, times: Times) -> TimeGrid:
    """A grid inside the ODE's domain."""
    grid = times if isinstance(times, TimeGrid) else TimeGrid(times)
    grid.check_inside(ode.domain)
    return grid


def prepare(
    ode: SemilinearODE, x0: Tensor, times: TimeGrid | Tensor, method: Integrator, noise: Noise | None
) -> tuple[SemilinearODE, Plan]:
    """The form of the ODE and the plan, checked against the state; nothing is evaluated."""
    with torch.inference_mode(False):
        plan = _made(ode, times, method)
    check_state(x0, plan.is_complex)
    if plan.stochastic and noise is None:
        raise ArgumentError(
            "noise", "must be given to a stochastic integrator", noise, "for example SampleNoise(seeds)"
        )
    form = ode.split(plan.splitting)
    plan = plan.to(accumulation_dtype(x0.dtype), x0.device)
    for shape in {c.shape for c in plan.tensors() if c.dim()}:
        _check_shape(form, shape, x0.shape)
    return form, plan


def check_state(x0: Tensor, complex_coefficients: bool) -> None:
    """Refuse states that are not numbers, or real where the coefficients are complex."""
    if not isinstance(x0, Tensor) or not (x0.is_floating_point() or x0.is_complex()):
        got = x0.dtype if isinstance(x0, Tensor) else type(x0).__name__
        raise ArgumentError("x0", "must be a floating point or complex tensor", got)
    if complex_coefficients and not x0.is_complex():
        fix = "pass x0.to(torch.complex128)"
        raise ArgumentError("x0", "must be complex, because the ODE has complex coefficients", x0.dtype, fix)


def _check_shape(form: SemilinearODE, coefficient: torch.Size, state: torch.Size) -> None:
    """Refuse states that a diagonal or matrix linear part cannot multiply."""
    if not form.fits(coefficient, state):
        raise ArgumentError("x0", f"must fit the linear part, of shape {tuple(coefficient)}", tuple(state))


def _black_box(
    ode: SemilinearODE, x0: Tensor, grid: TimeGrid, method: BlackBox, began: float, keep_states: bool
) -> Solution:
    form, evaluate, nonlinearity = _without_plan(ode, x0, grid, method)
    found = method.integrate(form, nonlinearity, x0.to(accumulation_dtype(x0.dtype)), grid.tensor())
    states = [x.to(x0.dtype) for x in found.states]
    check_result(states[-1], x0)
    accepted, rejected, diagnosis = found.account
    steps = len(found.times) - 1 if accepted is None else accepted
    whole = _solution(states[-1], found.times, states if keep_states else None, evaluate, steps, began, None)
    return attrs.evolve(whole, rejected=rejected, diagnosis=diagnosis)


def _without_plan(
    ode: SemilinearODE, x0: Tensor, grid: TimeGrid, method: BlackBox
) -> tuple[SemilinearODE, Evaluator, WideEvaluator]:
    """The form of the ODE for a method without a plan, checked against the state, and its N in the wide precision."""
    start = grid.tensor()[0]
    probe = ode.transition(start, start)
    check_state(x0, probe.is_complex())
    if probe.dim():
        _check_shape(ode, probe.shape, x0.shape)
    form = method.form_of(ode)
    # a method without a plan waits for the device at each step anyway
    evaluate = Evaluator(form, looks=True)
    return form, evaluate, WideEvaluator(evaluate, x0.dtype)


def stepping(ode: SemilinearODE, x0: Tensor, grid: TimeGrid, method: Stepping) -> tuple[Evaluator, Steps]:
    """N of a solve without a plan, and its steps, which are made as they are asked for."""
    form, evaluate, nonlinearity = _without_plan(ode, x0, grid, method)
    return evaluate, method.steps(form, nonlinearity, x0.to(accumulation_dtype(x0.dtype)), grid.tensor())


def _solution(
    x: Tensor,
    times: tuple[float, ...],
    states: list[Tensor] | None,
    evaluate: Evaluator,
    steps: int,
    began: float,
    plan: Plan | None,
) -> Solution:
    total = time.perf_counter() - began
    kept = None if states is None else tuple(states)
    return Solution(x, times, kept, evaluate.nfe, steps, evaluate.seconds, total - evaluate.seconds, plan)

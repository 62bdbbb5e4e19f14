"""solve_ivp: the solvers with the arguments and the results of scipy."""

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from deis.dense_output import DenseOutput
from deis.grids import TimeGrid, Times
from deis.integrators.base import BlackBox, Integrator
from deis.ivp.course import follow
from deis.ivp.events import EventFunction, Watch, as_events
from deis.ivp.initial import as_evaluation_times, as_function, as_span, as_state, grid_of
from deis.ivp.linear import as_linear
from deis.ivp.methods import DEFAULT, as_method, with_tolerances
from deis.ivp.names import renamed

_MESSAGES = {0: "the end of t_span was reached", 1: "a terminal event occurred"}


@attrs.frozen(eq=False)
class IVPSolution:
    """What :func:`solve_ivp` returns, under the names that scipy has for it."""

    t: Tensor
    """Times, float64 on the CPU, shape (T,)."""
    y: Tensor
    """States at these times, shape (*y0.shape, T)."""
    sol: DenseOutput | None
    """The solution at any time, if it was asked for; its values have time on the last axes, too."""
    t_events: list[Tensor] | None
    """Times of each event, float64 on the CPU, shape (k,); None without events."""
    y_events: list[Tensor] | None
    """States there, shape (k, *y0.shape)."""
    nfev: int
    """Number of evaluations of ``fun``; a Jacobian counts as one, later evaluations of ``sol`` do not count."""
    njev: int | None
    """Number of Jacobians: 0 for methods that take none, None where it is not known."""
    status: int
    """0: the end was reached; 1: a terminal event came before; -1: the method gave up, as it does on request only."""
    message: str
    """The status in words."""

    @property
    def success(self) -> bool:
        """Whether the end or a terminal event was reached."""
        return self.status >= 0


def solve_ivp(
    fun: Callable[..., Any],
    t_span: Sequence[float],
    y0: Any,
    method: Integrator | str = DEFAULT,
    t_eval: Times | None = None,
    dense_output: bool = False,
    events: EventFunction | Sequence[EventFunction] | None = None,
    *,
    linear: Any = None,
    steps: int | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    args: tuple[Any, ...] = (),
    checkpoint: bool = False,
) -> IVPSolution:
    """Solve y' = L y + fun(t, y) from a state, with the arguments of ``scipy.integrate.solve_ivp``.

    The solution is known at the steps that the method chooses, as in scipy. Other methods need a grid: ``steps`` equal
    steps, or without ``steps`` the times ``t_eval`` and the ends of ``t_span``. Methods with fixed steps make just
    these; those of other libraries, which do not tell their steps, need a grid only for ``dense_output`` and
    ``events``. Between the times of the steps or the grid the solution is a :class:`~deis.DenseOutput`.

    :param fun: N(t, y), of the shape, dtype and device of y, or a list of its components; t is a Python number. The
        whole right-hand side where ``linear`` is left out.
    :param t_span: times of start and end, in either direction.
    :param y0: state at the start: a tensor of any shape, an array or a list; floating point or complex.
    :param method: an integrator, its registered name, or a name that scipy or torchdiffeq has for it, as RK45.
    :param t_eval: times at which the solution is returned; None for all of the grid.
    :param dense_output: whether to return the solution as a function of time.
    :param events: functions g(t, y) that return one number; their zeros are found. Their attributes ``terminal`` and
        ``direction`` are scipy's. A zero at the very start is not one.
    :param linear: L. None for 0; a number, or a tensor of one axis that multiplies elementwise; or what
        :func:`~deis.diagonal`, :func:`~deis.dense`, :func:`~deis.block_diagonal` or :func:`~deis.matrix_free` make of
        it. A tensor of two axes could be a matrix or a diagonal, so that it must be said which.
    :param steps: number of equal steps of the grid.
    :param rtol: relative tolerance of methods that choose their steps; None for the method's own.
    :param atol: absolute tolerance.
    :param args: further arguments of ``fun`` and the events.
    :param checkpoint: for gradients in little memory, as of :func:`~deis.solve`.
    :raises ArgumentError: for arguments that break a rule, which is named.
    :raises UnknownNameError: for methods that do not exist.
    :raises CapabilityError: for ``checkpoint`` with a method that makes its steps as it goes, and other mismatches.
    :raises NonFiniteError: if ``fun`` or an event returns NaN or Inf.
    :raises DeisError: if the method gives up.

    >>> result = solve_ivp(lambda t, y: y.sin(), (0.0, 10.0), [1.0], "krogstad", linear=-1e4, steps=20)
    >>> result.y.shape, result.nfev
    (torch.Size([1, 21]), 80)
    >>> def low(t, y):
    ...     return float(y[0]) - 0.5
    >>> solve_ivp(lambda t, y: -y, (0.0, 5.0), [1.0], "rhork-rk4:clock=t", events=low, steps=100).t_events  # log 2
    [tensor([0.6931], dtype=torch.float64)]
    """
    span, state = as_span(t_span), as_state(y0)
    chosen = with_tolerances(as_method(method), rtol, atol)
    wanted = None if t_eval is None else as_evaluation_times(t_eval, span)
    watch = Watch(as_events(events, args))
    grid = grid_of(chosen, span, steps, wanted, dense_output or events is not None)
    with renamed(x0="y0"):
        ode = as_linear(linear).make(as_function(fun, args), span)
        path = follow(ode, state, TimeGrid(grid), chosen, watch, checkpoint)
    zeros, end = watch.zeros(path.dense)
    times = torch.tensor(_until(end, path.dense.times, wanted), dtype=torch.float64)
    y = path.dense(times)
    t_events = [torch.tensor(found, dtype=torch.float64) for found in zeros]
    y_events = [path.dense(found).movedim(-1, 0) for found in t_events]
    status = 1 if end is not None else -1 if path.diagnosis else 0
    return IVPSolution(
        t=times,
        y=y,
        sol=path.dense if dense_output else None,
        t_events=None if events is None else t_events,
        y_events=None if events is None else y_events,
        nfev=path.nfe + path.dense.nfe,
        njev=None if isinstance(chosen, BlackBox) else 0,
        status=status,
        message=_MESSAGES.get(status, path.diagnosis),
    )


def _until(end: float | None, grid: tuple[float, ...], wanted: list[float] | None) -> list[float]:
    """Times at which the solution is returned: those that were wanted or all of the grid, up to its end."""
    sign = 1 if grid[-1] > grid[0] else -1
    last = grid[-1] if end is None else end
    times = [t for t in (grid if wanted is None else wanted) if sign * t <= sign * last]
    return [*times, last] if wanted is None and last not in times else times

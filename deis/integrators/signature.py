"""A few numbers that tell the linear part for which a plan was made."""

import math
from collections.abc import Iterable, Sequence
from weakref import ref

import attrs
import torch
from torch import Tensor

from deis.errors import ArgumentError
from deis.grids import Times, as_times
from deis.integrators.plan import Plan
from deis.numerics.host import on_host
from deis.odes.base import SemilinearODE

_RELATIVE = 1e-6  # one part of a complex number may be nothing but rounding, so that a second tolerance is needed:
_ROUNDING = 1e-14  # of the largest number


def signature(form: SemilinearODE, times: Times) -> tuple[float, ...]:
    """Norms of Re Psi, Im Psi and G over the first, a middle and the last step.

    :param form: the ODE, in the splitting of a plan.
    :param times: the times of the plan.
    :returns: nine numbers; none where one of them is not finite.

    >>> from deis import DiagonalODE
    >>> [round(x, 4) for x in signature(DiagonalODE(-1.0, lambda t, x: x), [0.0, 1.0])]  # exp(-1), 0 and 1
    [0.3679, 0.3679, 0.3679, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0]
    """
    with torch.no_grad(), on_host():
        points = as_times(times).detach()
        first = torch.tensor([0, (len(points) - 1) // 2, len(points) - 2])
        s, t = points[first], points[first + 1]
        psi = form.transition(t, s)
        parts = [psi.real, psi.imag if psi.is_complex() else torch.zeros_like(psi), form.weight((s + t) / 2)]
        found = tuple(norm for part in parts for norm in _norms(part))
    return found if all(map(math.isfinite, found)) else ()


def signed(plan: Plan, ode: SemilinearODE) -> Plan:
    """The plan with the signature of the ODE for which it was just made."""
    found = attrs.evolve(plan, signature=signature(ode.split(plan.splitting), plan.times))
    found.checked.append(ref(ode))
    return found


def check_signature(plan: Plan, ode: SemilinearODE) -> None:
    """Refuse a plan that was made for another linear part; one without a signature is taken as it is.

    :raises ArgumentError: naming what the plan was made for, and the ODE.
    """
    if not plan.signature or any(known() is ode for known in plan.checked):
        return
    if not _agree(plan.signature, signature(ode.split(plan.splitting), plan.times)):
        made = plan.provenance.get("ode", "another one")
        rule = f"must be a plan made for this linear part (of a diffusion model: schedule): it was made for {made}"
        raise ArgumentError("integrator", rule, ode, "make one by make_plan(ode, times, ...)")
    plan.checked[:] = [ref(ode)]  # the numbers take as long as a few steps of the loop


def _norms(values: Tensor) -> Iterable[float]:
    norms: list[float] = values.flatten(1).norm(dim=1).tolist() if values.dim() > 1 else values.abs().tolist()
    return norms


def _agree(one: Sequence[float], other: Sequence[float]) -> bool:
    if len(one) != len(other):
        return False
    rounding = _ROUNDING * max(map(abs, one))
    return all(math.isclose(a, b, rel_tol=_RELATIVE, abs_tol=rounding) for a, b in zip(one, other, strict=True))

"""Integrators under the names that other libraries have for them."""

from typing import Any

import attrs

from deis.dense_output import Linearise
from deis.errors import ArgumentError, UnknownNameError
from deis.integrators.adaptive import Adaptive
from deis.integrators.base import INTEGRATORS, BlackBox, Integrator, as_integrator
from deis.integrators.rosenbrock import ExponentialRosenbrock
from deis.integrators.scipy_methods import EXPLICIT, IMPLICIT, SciPy
from deis.ivp.names import renamed

DEFAULT = "adaptive-exprb43"
"""The method when nothing is said."""

_TORCHDIFFEQ = "torchdiffeq-"


def as_method(value: Integrator | str) -> Integrator:
    """An integrator from one, its registered name, or the name that scipy or torchdiffeq has for it.

    Foreign names may be written in any case: RK45, RK23, DOP853, Radau, BDF and LSODA are scipy's methods; dopri5,
    bosh3, rk4, adaptive_heun and so on those of torchdiffeq. Options may follow, as in ``RK45:max_nfe=1000``.

    :raises UnknownNameError: for other names; near misses are shown.
    :raises ArgumentError: for integrators that add noise, and for what is none.

    >>> as_method("adaptive_heun:rtol=1e-3").method
    'adaptive_heun'
    """
    if isinstance(value, str):
        name, colon, options = value.partition(":")
        value = f"{_registered(name)}{colon}{options}"
    with renamed(integrator="method"):
        method = as_integrator(value)
    if method.stochastic:
        raise ArgumentError("method", "must not add noise", method, "call deis.solve with noise=")
    return method


def _registered(name: str) -> str:
    lower = name.lower()
    for candidate in (name, lower, _TORCHDIFFEQ + lower.replace("_", "-")):
        if candidate in INTEGRATORS:
            return candidate
    known = {known.removeprefix(_TORCHDIFFEQ) for known in INTEGRATORS}
    raise UnknownNameError("method", name, known | {*EXPLICIT, *IMPLICIT})


def with_tolerances(method: Integrator, rtol: float | None, atol: float | None) -> Integrator:
    """The method with these tolerances; None keeps its own.

    :raises ArgumentError: if it has none.
    """
    given = {name: value for name, value in (("rtol", rtol), ("atol", atol)) if value is not None}
    for name, value in given.items():
        if not chooses_steps(method):
            fix = f"leave {name} out, or take a method that chooses its steps, as adaptive-exprb43 and RK45 do"
            raise ArgumentError(name, f"must be left out for {method!r}, whose steps are given", value, fix)
    changed: Any = method
    return attrs.evolve(changed, **given) if given else method


def chooses_steps(method: Integrator) -> bool:
    """Whether a method has tolerances, to choose its steps by."""
    return isinstance(method, BlackBox) and method.chooses_steps


def linearisation(method: Integrator) -> Linearise | None:
    """How to split the ODE anew between the times of a solution by a method for stiff N; None for all others."""
    inner = method.method if isinstance(method, Adaptive) else method
    if isinstance(inner, ExponentialRosenbrock):
        return inner.frame
    return ExponentialRosenbrock().frame if isinstance(inner, SciPy) and inner.method in IMPLICIT else None

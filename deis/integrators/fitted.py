"""An integrator made to fit an ODE that lacks what it asks for."""

from typing import Any, TypeVar

import attrs

from deis.errors import CapabilityError
from deis.integrators.base import Integrator
from deis.odes.base import SemilinearODE

M = TypeVar("M", bound=Integrator)


def fitted(integrator: M, ode: SemilinearODE) -> M:
    """The integrator itself, or with ``clock="t"`` and ``predict=None`` where the ODE lacks its clock or splitting.

    >>> from deis import Bernoulli, RhoRungeKutta
    >>> fitted(RhoRungeKutta("rk4"), Bernoulli().ode)
    RhoRungeKutta(tableau='rk4', clock='t')
    """
    changes: dict[str, Any] = {}
    if getattr(integrator, "clock", "t") not in ode.clocks:
        changes["clock"] = "t"
    try:
        ode.split(getattr(integrator, "predict", None) or ode.splitting)
    except CapabilityError:
        changes["predict"] = None
    instance: Any = integrator
    return attrs.evolve(instance, **changes) if changes else integrator

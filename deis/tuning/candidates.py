"""What is tried: members of the family of multistep samplers, and the samplers that have a name, on grids."""

from collections.abc import Iterator
from itertools import product
from typing import Any, Final

import attrs

from deis.errors import DeisError
from deis.grids import GridFamily, PowerGrid, make_grid
from deis.integrators.base import INTEGRATORS, Integrator
from deis.integrators.plan import Plan
from deis.integrators.polynomial import PolynomialEIAB
from deis.odes.base import SemilinearODE
from deis.solve import make_plan

NAMED: Final = (
    *("ddim", "tab1", "tab2", "tab3", "rhoab1", "rhoab2", "rhoab3", "logrhoab1", "logrhoab2", "logrhoab3"),
    *("euler", "ipndm", "pndm", "edm-heun", "rhork-kutta3", "lms"),
    *("dpm-solver-2", "dpm-solver-3", "dpm-solver-fast"),
    *("dpm-2m", "dpm-3m-published", "dpmpp-2m", "dpmpp-2s", "dpmpp-3s", "dpmpp-3m", "dpmpp-3m-published"),
    *("unipc-1", "unipc-2", "unipc-3", "unipc-4"),
)
"""Published samplers."""
NAMED_GRIDS: Final = ("vp-t", "vp-t2", "vp-t3", "rho7", "log")
"""The grids on which each of them is tried."""
_EXPONENTIAL: Final = ("etd2rk", "krogstad", "lawson4", "exp-adams2", "exp-adams3", "exp-adams4")
_PREDICTS: Final = ("eps", "x0")
_CLOCKS: Final = ("vp_t", "sqrt_t", "rho", "lambda")
_POWERS: Final = (2.0, 3.0)


@attrs.frozen
class Candidate:
    """An integrator on a grid.

    :param name: of a published sampler; empty for a member of the family.
    """

    integrator: Integrator
    grid: GridFamily
    name: str = ""

    @property
    def title(self) -> str:
        """What tables call it."""
        return self.name or _options(self.integrator)

    @property
    def spacing(self) -> str:
        """What tables call its grid."""
        return _options(self.grid)

    def plan(self, ode: SemilinearODE, nfe: int) -> Plan:
        """Its plan of at most ``nfe`` evaluations.

        :raises DeisError: if it has none on this ODE.
        """
        method = self.integrator
        return make_plan(ode, self.grid(ode, method.most_intervals(nfe)), method)


def candidates(ode: SemilinearODE) -> list[Candidate]:
    """Published samplers and members of the family that the ODE's linear part offers, each on a few grids."""
    return [*_named(ode), *_family(ode)]


def _named(ode: SemilinearODE) -> Iterator[Candidate]:
    diffusion = "vp_t" in ode.clocks
    for name, grid in product(NAMED if diffusion else _EXPONENTIAL, NAMED_GRIDS if diffusion else ("t",)):
        yield Candidate(INTEGRATORS.create(name), make_grid(grid), name)


def _family(ode: SemilinearODE) -> Iterator[Candidate]:
    diffusion = "vp_t" in ode.clocks
    predicts: list[str | None] = [name for name in _PREDICTS if _splits(ode, name)]
    clocks = [name for name in _CLOCKS if name in ode.clocks] or ["t"]
    powers = _POWERS if diffusion else (1.0,)
    for predict, clock, steps, corrector in product(predicts or [None], clocks, (2, 3, 4), (False, True)):
        member = PolynomialEIAB(predict, clock, steps, corrector)
        for power in powers:
            yield Candidate(member, PowerGrid("vp_t" if diffusion else "t", power))


def variants(candidate: Candidate) -> Iterator[Candidate]:
    """The same member with the other values of each further option."""
    member = candidate.integrator
    if not isinstance(member, PolynomialEIAB):
        return
    others: list[dict[str, Any]] = [{"lower_final": not member.lower_final}, {"corrector": not member.corrector}]
    others += [{"moments": name} for name in ("exact", "bh1", "bh2", "halved") if name != member.moments]
    others += [{"steps": steps} for steps in (member.steps - 1, member.steps + 1) if 1 <= steps <= 6]
    for options in others:
        yield attrs.evolve(candidate, integrator=attrs.evolve(member, **options), name="")


def _splits(ode: SemilinearODE, name: str) -> bool:
    try:
        ode.split(name)
    except DeisError:
        return False
    return True


def _options(value: Any) -> str:
    """The options of a value that are not their defaults."""
    fields = [one for one in attrs.fields(type(value)) if one.init and getattr(value, one.name) != one.default]
    parts = [f"{one.alias}={_short(getattr(value, one.name))}" for one in fields]
    return ", ".join(parts) or type(value).__name__


def _short(value: object) -> str:
    if isinstance(value, GridFamily):
        return f"({_options(value)})"
    if isinstance(value, tuple):
        return f"({', '.join(map(_short, value))})"
    return f"{value:.4g}" if isinstance(value, float) else str(value)

"""Small systems of ODEs from kinetics, most of them stiff."""

from collections.abc import Mapping
from types import MappingProxyType

import attrs
import torch
from torch import Tensor

from deis.fields import number_in
from deis.odes.constant import as_domain
from deis.problems.base import PROBLEMS, Invariant, Recipe
from deis.problems.linearised import LinearisedProblem
from deis.problems.orders import CLASSICAL

_positive = number_in(0, open_low=True)


@PROBLEMS.register("van-der-pol")
@attrs.frozen(eq=False)
class VanDerPol(LinearisedProblem):
    """y1' = y2, y2' = mu^2 ((1 - y1^2) y2 - y1): van der Pol's equation, in time scaled by mu.

    In this scale y1 crawls along a branch for a time of 0.8 and jumps to the other one in no time, so that [0, 2] holds
    two jumps for every large mu.

    Source: Hairer and Wanner (1996), eq. IV.1.5', eps = 1 / mu^2; start and end as in the Test Set for IVP Solvers.

    :param mu: strength of the damping, above 0.
    :param domain: times of start and end.

    >>> VanDerPol(mu=10.0).ode.matrix[1]
    tensor([-100., -300.], dtype=torch.float64)
    """

    mu: float = attrs.field(default=1e3, validator=_positive)
    domain: tuple[float, float] = attrs.field(default=(0.0, 2.0), converter=as_domain)

    components = ("y1", "y2")

    @property
    def initial(self) -> Tensor:
        return torch.tensor([2.0, 0.0], dtype=torch.float64)

    @property
    def recommended(self) -> Recipe:
        return Recipe("adaptive-exprb43:rtol=1e-4:atol=1e-5", 40)

    def slope(self, x: Tensor) -> Tensor:
        y1, y2 = x.unbind(-1)
        return torch.stack([y2, self.mu**2 * ((1 - y1**2) * y2 - y1)], -1)


@PROBLEMS.register("lotka-volterra")
@attrs.frozen(eq=False)
class LotkaVolterra(LinearisedProblem):
    """x' = growth x - predation x y, y' = conversion x y - death y: prey and predators, on closed orbits.

    L has complex eigenvalues and is not stiff. The rates are those of Hairer, Lubich and Wanner, Geometric Numerical
    Integration (2006), section I.1.1.

    :param growth: rate of the prey's births.
    :param predation: rate at which a predator eats prey.
    :param conversion: rate at which prey make predators.
    :param death: rate of the predators' deaths.
    :param domain: times of start and end.
    """

    growth: float = attrs.field(default=1.0, validator=_positive)
    predation: float = attrs.field(default=1.0, validator=_positive)
    conversion: float = attrs.field(default=1.0, validator=_positive)
    death: float = attrs.field(default=2.0, validator=_positive)
    domain: tuple[float, float] = attrs.field(default=(0.0, 10.0), converter=as_domain)

    components = ("prey", "predators")
    orders = CLASSICAL

    @property
    def initial(self) -> Tensor:
        return torch.tensor([2.0, 2.0], dtype=torch.float64)

    @property
    def recommended(self) -> Recipe:
        return Recipe("krogstad", 200)

    @property
    def invariants(self) -> Mapping[str, Invariant]:
        return MappingProxyType({"first integral": self.first_integral})

    @property
    def converged(self) -> Recipe:  # it is not stiff
        return Recipe("dop853:rtol=1e-12:atol=1e-14", self.recommended.intervals)

    def slope(self, x: Tensor) -> Tensor:
        prey, predators = x.unbind(-1)
        eaten = prey * predators
        return torch.stack(
            [self.growth * prey - self.predation * eaten, self.conversion * eaten - self.death * predators], -1
        )

    def first_integral(self, x: Tensor) -> Tensor:
        """conversion x - death log x + predation y - growth log y, for positive states."""
        prey, predators = x.unbind(-1)
        return (self.conversion * prey - self.death * prey.log()) + (
            self.predation * predators - self.growth * predators.log()
        )


@PROBLEMS.register("hires")
@attrs.frozen(eq=False)
class HIRES(LinearisedProblem):
    """The eight concentrations of a plant's high irradiance response to light.

    A phytochrome in six states binds an enzyme E, which is free or bound and thus kept.

    Source: Schaefer, J. Math. Biol. 2 (1975); Hairer and Wanner (1996), section IV.10; start and end as in the Test Set
    for IVP Solvers.

    :param domain: times of start and end.
    """

    domain: tuple[float, float] = attrs.field(default=(0.0, 321.8122), converter=as_domain)

    components = ("Pr", "Pfr", "PrX", "PfrX", "PrX'", "PfrX'", "PfrX'E", "E")

    @property
    def initial(self) -> Tensor:
        return torch.tensor([1.0, 0, 0, 0, 0, 0, 0, 0.0057], dtype=torch.float64)

    @property
    def recommended(self) -> Recipe:
        return Recipe("adaptive-exprb43:rtol=1e-4:atol=1e-7", 40)

    @property
    def invariants(self) -> Mapping[str, Invariant]:
        return MappingProxyType({"PfrX'E + E": lambda x: x[..., 6] + x[..., 7]})

    def slope(self, x: Tensor) -> Tensor:
        a, b, c, d, e, f, bound, free = x.unbind(-1)
        binding = 280 * f * free - 1.81 * bound
        parts = [
            0.0007 - 1.71 * a + 0.43 * b + 8.32 * c,
            1.71 * a - 8.75 * b,
            -10.03 * c + 0.43 * d + 0.035 * e,
            8.32 * b + 1.71 * c - 1.12 * d,
            -1.745 * e + 0.43 * f + 0.43 * bound,
            -280 * f * free + 0.69 * d + 1.71 * e - 0.43 * f + 0.69 * bound,
            binding,
            -binding,
        ]
        return torch.stack(parts, -1)


@PROBLEMS.register("robertson")
@attrs.frozen(eq=False)
class Robertson(LinearisedProblem):
    """A -> B (k1), B + B -> B + C (k2), B + C -> A + C (k3): three reactions of very different speed.

    B settles within 1e-3, and A turns into C ever more slowly: at 1e4, the end of the default, 0.89 of it has. The Test
    Set for IVP Solvers ends at 1e11.

    Source: Robertson (1966); Hairer and Wanner (1996), eq. IV.1.4.

    :param k1: rate of the slow reaction.
    :param k2: rate of the fastest.
    :param k3: rate of the other fast one.
    :param domain: times of start and end.
    """

    k1: float = attrs.field(default=0.04, validator=_positive)
    k2: float = attrs.field(default=3e7, validator=_positive)
    k3: float = attrs.field(default=1e4, validator=_positive)
    domain: tuple[float, float] = attrs.field(default=(0.0, 1e4), converter=as_domain)

    components = ("A", "B", "C")

    @property
    def initial(self) -> Tensor:
        return torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)

    @property
    def recommended(self) -> Recipe:
        return Recipe("adaptive-exprb43:rtol=1e-4:atol=1e-8", 40, "t7")

    @property
    def invariants(self) -> Mapping[str, Invariant]:
        return MappingProxyType({"A + B + C": lambda x: x.sum(-1)})

    def slope(self, x: Tensor) -> Tensor:
        a, b, c = x.unbind(-1)
        slow, fast, back = self.k1 * a, self.k2 * b**2, self.k3 * b * c
        return torch.stack([back - slow, slow - fast - back, fast], -1)

"""Networks of chemical reactions with mass action kinetics."""

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import lcm
from types import MappingProxyType
from typing import Any

import attrs
import torch
from torch import Tensor

from deis.errors import ArgumentError, UnknownNameError
from deis.fields import is_number
from deis.numerics.constants import Constant
from deis.odes.constant import as_domain
from deis.problems.base import PROBLEMS, Invariant, Recipe
from deis.problems.linearised import LinearisedProblem

_TERM = re.compile(r"(?:([1-9]\d*) +)?([^\W\d]\S*)")
_SHAPE = "must be written as A + 2 B -> C"

POLLUTION: Mapping[str, float] = MappingProxyType(
    {
        "NO2 -> NO + O3P": 0.35,
        "NO + O3 -> NO2": 26.6,
        "HO2 + NO -> NO2 + OH": 1.23e4,
        "HCHO -> 2 HO2 + CO": 8.6e-4,
        "HCHO -> CO": 8.2e-4,
        "HCHO + OH -> HO2 + CO": 1.5e4,
        "ALD -> MEO2 + HO2 + CO": 1.3e-4,
        "ALD + OH -> C2O3": 2.4e4,
        "C2O3 + NO -> NO2 + MEO2 + CO2": 1.65e4,
        "C2O3 + NO2 -> PAN": 9e3,
        "PAN -> C2O3 + NO2": 0.022,
        "MEO2 + NO -> CH3O + NO2": 1.2e4,
        "CH3O -> HCHO + HO2": 1.88,
        "NO2 + OH -> HNO3": 1.63e4,
        "O3P -> O3": 4.8e6,
        "O3 -> O1D": 3.5e-4,
        "O3 -> O3P": 0.0175,
        "O1D -> 2 OH": 1e8,
        "O1D -> O3P": 4.44e11,
        "SO2 + OH -> SO4 + HO2": 1240.0,
        "NO3 -> NO": 2.1,
        "NO3 -> NO2 + O3P": 5.78,
        "NO2 + O3 -> NO3": 0.0474,
        "NO3 + NO2 -> N2O5": 1780.0,
        "N2O5 -> NO3 + NO2": 3.12,
    }
)
"""Reactions of polluted air, with their rates (ppm, minutes); source: Verwer, SIAM J. Sci. Comput. 15 (1994)."""

POLLUTED: Mapping[str, float] = MappingProxyType(
    {"NO": 0.2, "O3": 0.04, "HCHO": 0.1, "CO": 0.3, "ALD": 0.01, "SO2": 0.007}
)
"""Concentrations at the start."""


@attrs.frozen
class Reaction:
    """Reactants that become products, at a rate of a constant times the product of the reactants' concentrations.

    :param reactants: species, with how many of each.
    :param products: species, with how many of each.
    :param rate: the constant.
    """

    reactants: Mapping[str, int]
    products: Mapping[str, int]
    rate: float

    @classmethod
    def parse(cls, text: str, rate: float) -> "Reaction":
        """The reaction that ``text`` describes; a side that is 0 is empty.

        :raises ArgumentError: for malformed text, and for rates that are no positive numbers.

        >>> Reaction.parse("2 B -> B + C", 3e7)
        Reaction(reactants={'B': 2}, products={'B': 1, 'C': 1}, rate=30000000.0)
        """
        sides = text.split("->") if isinstance(text, str) else ()
        if len(sides) != 2:
            raise ArgumentError("reactions", _SHAPE, text)
        if not is_number(rate) or rate <= 0:
            raise ArgumentError(f"rate of {text}", "must be a number above 0", rate)
        return cls(_side(sides[0]), _side(sides[1]), float(rate))

    def change(self, species: str) -> int:
        """How many more of a species there are after the reaction."""
        return self.products.get(species, 0) - self.reactants.get(species, 0)


def _side(text: str) -> dict[str, int]:
    """Species of one side of a reaction, with how many of each."""
    total: dict[str, int] = {}
    for term in () if text.strip() == "0" else text.split(" + "):
        match = _TERM.fullmatch(term.strip())
        if not match:
            raise ArgumentError("reactions", _SHAPE, text)
        total[match[2]] = total.get(match[2], 0) + int(match[1] or 1)
    return total


class MassAction:
    """The slopes of concentrations, shape (..., species), under reactions; differentiable as any function of torch."""

    def __init__(self, reactions: Sequence[Reaction], species: Sequence[str]) -> None:
        place = {name: i for i, name in enumerate(species)}
        factors = [[place[name] for name, count in each.reactants.items() for _ in range(count)] for each in reactions]
        most = max(map(len, factors))
        # the place behind the last species holds a 1, which fills up the shorter products
        filled = [row + [len(species)] * (most - len(row)) for row in factors]
        self._factors = torch.tensor(filled, dtype=torch.long, device="cpu").T
        changes = [[each.change(name) for name in species] for each in reactions]
        self._rates = Constant(torch.tensor([each.rate for each in reactions], dtype=torch.float64, device="cpu"))
        self._changes = Constant(torch.tensor(changes, dtype=torch.float64, device="cpu"))

    def __call__(self, x: Tensor) -> Tensor:
        known = torch.cat([x, torch.ones_like(x[..., :1])], -1)
        speeds = self._rates.like(x) * known[..., -1:]
        for factor in self._factors.to(x.device):
            speeds = speeds * known[..., factor]
        return speeds @ self._changes.like(x)


def conserved_sums(changes: Sequence[Sequence[int]]) -> list[list[int]]:
    """A basis of the weighted sums of concentrations that no reaction changes, in whole numbers without a divisor.

    :param changes: how many more of each species there are after each reaction.

    >>> conserved_sums([[-1, 1, 0], [0, -1, 1], [1, 0, -1]])
    [[1, 1, 1]]
    """
    rows, pivots, count = [list(map(Fraction, row)) for row in changes], list[int](), len(changes[0])
    for column in range(count):  # Gauss and Jordan, exact
        done = len(pivots)
        chosen = next((row for row in rows[done:] if row[column]), None)
        if chosen is None:
            continue
        rows.remove(chosen)
        chosen = [value / chosen[column] for value in chosen]
        rows = [[a - row[column] * b for a, b in zip(row, chosen, strict=True)] for row in rows]
        rows.insert(done, chosen)
        pivots.append(column)
    basis = []
    for free in sorted(set(range(count)) - set(pivots)):
        vector = [Fraction(column == free) for column in range(count)]
        for row, column in zip(rows, pivots, strict=False):
            vector[column] = -row[free]
        scale = lcm(*(value.denominator for value in vector))
        basis.append([int(value * scale) for value in vector])
    return basis


def _sum_of(weights: Sequence[int], species: Sequence[str]) -> str:
    """A weighted sum in words."""
    terms = [(weight, name) for weight, name in zip(weights, species, strict=True) if weight]
    words = [f"{'-' if weight < 0 else '+'} {f'{abs(weight)} ' * (abs(weight) > 1)}{name}" for weight, name in terms]
    return " ".join(words).removeprefix("+ ")


def _reactions(value: Any) -> tuple[Reaction, ...]:
    if isinstance(value, tuple) and value and all(isinstance(each, Reaction) for each in value):
        return value  # of a network that is copied
    if not isinstance(value, Mapping) or not value:
        raise ArgumentError("reactions", "must be a mapping from reactions to rates", value)
    return tuple(Reaction.parse(text, rate) for text, rate in value.items())


@PROBLEMS.register("reaction-network")
@attrs.frozen(eq=False)
class ReactionNetwork(LinearisedProblem):
    """x' = v(x) S, concentrations under chemical reactions with mass action kinetics; POLLU by default.

    v_r is a constant times the product of the reactants of reaction r, S_rs the number of molecules of species s that
    it adds. The species stand in the order in which the reactions name them. POLLU, 25 reactions of 20 species in
    polluted air with rates from 1e-4 to 4e11, is from Verwer, SIAM J. Sci. Comput. 15 (1994); start and end are those
    of the Test Set for IVP Solvers.

    :param reactions: from reactions, written as A + 2 B -> C, to their rates.
    :param start: concentrations at the start; those left out are 0.
    :param domain: times of start and end.
    :raises ArgumentError: for malformed reactions, for rates that are not positive, for concentrations below 0.
    :raises UnknownNameError: for species at the start that take part in no reaction.

    >>> network = ReactionNetwork({"A -> B": 0.04, "2 B -> B + C": 3e7, "B + C -> A + C": 1e4}, {"A": 1.0})
    >>> network.components, list(network.invariants)
    (('A', 'B', 'C'), ['A + B + C'])
    """

    reactions: tuple[Reaction, ...] = attrs.field(default=POLLUTION, converter=_reactions, repr=False)
    start: Mapping[str, float] = attrs.field(default=POLLUTED, repr=False)
    domain: tuple[float, float] = attrs.field(default=(0.0, 60.0), converter=as_domain)
    _law: MassAction = attrs.field(init=False, repr=False)

    @_law.default
    def _make_law(self) -> MassAction:
        return MassAction(self.reactions, self.components)

    @start.validator
    def _check_start(self, attribute: Any, value: Any) -> None:
        if not isinstance(value, Mapping):
            raise ArgumentError("start", "must be a mapping from species to concentrations", value)
        for species, amount in value.items():
            if species not in self.components:
                raise UnknownNameError("species", species, self.components)
            if not is_number(amount) or amount < 0:
                raise ArgumentError(f"start of {species}", "must be a number of at least 0", amount)

    @property
    def components(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for each in self.reactions for name in (*each.reactants, *each.products)))

    @property
    def initial(self) -> Tensor:
        return torch.tensor([self.start.get(name, 0.0) for name in self.components], dtype=torch.float64)

    @property
    def recommended(self) -> Recipe:
        return Recipe("adaptive-exprb43:rtol=1e-4:atol=1e-7", 30)

    @property
    def invariants(self) -> Mapping[str, Invariant]:
        laws = conserved_sums([[each.change(name) for name in self.components] for each in self.reactions])
        return MappingProxyType({_sum_of(law, self.components): _weighted(law) for law in laws})

    def slope(self, x: Tensor) -> Tensor:
        return self._law(x)


def _weighted(weights: Sequence[int]) -> Invariant:
    law = Constant(torch.tensor(weights, dtype=torch.float64, device="cpu"))
    return lambda x: (x * law.like(x)).sum(-1)

"""Exponential Rosenbrock tableaux against the order conditions of the paper, and refused where these fail."""

import mpmath
import pytest
from mpmath import mpf

from deis.errors import ArgumentError
from deis.numerics.phi_tableaux import NONE, phi
from deis.numerics.rosenbrock_tableaux import ROSENBROCK_TABLEAUX, RosenbrockTableau

mpmath.mp.dps = 30


def function(k, z):
    """phi_k by its integral: int_0^1 e^{(1 - s) z} s^{k-1} / (k-1)! ds."""
    if k == 0:
        return mpmath.exp(z)
    return mpmath.quad(lambda s: mpmath.exp((1 - s) * z) * s ** (k - 1) / mpmath.factorial(k - 1), [0, 1])


def exact(fraction):
    return mpf(fraction.numerator) / fraction.denominator


def value(entry, z):
    return sum((exact(f) * function(k, z * exact(c)) for k, c, f in entry.terms), mpf(0))


@pytest.mark.parametrize("z", [mpf(-3), mpf("0.4"), mpmath.mpc(0, 2)], ids=["negative", "positive", "imaginary"])
@pytest.mark.parametrize("name", ROSENBROCK_TABLEAUX)
def test_conditions_of_the_paper_hold(name, z):
    # Hochbruck, Ostermann and Schweitzer (2009), table 2.1: sum b = phi_1, sum b c^2 = 2 phi_3, sum b c^3 = 6 phi_4
    tableau = ROSENBROCK_TABLEAUX[name]
    pairs = [(tableau.b, tableau.order)]
    if tableau.embedded is not None:
        pairs.append((tableau.embedded, tableau.order - 1))
    conditions = [(1, 0, function(1, z)), (3, 2, 2 * function(3, z)), (4, 3, 6 * function(4, z))]
    for weights, order in pairs:
        for condition, power, target in conditions:
            if condition <= order:
                found = sum(value(w, z) * exact(c) ** power for w, c in zip(weights, tableau.c, strict=True))
                assert abs(found - target) < 1e-25
    for c, row in zip(tableau.c, tableau.a, strict=True):
        assert abs(sum((value(a, z) for a in row), mpf(0)) - exact(c) * function(1, exact(c) * z)) < 1e-25


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"order": 4}, r"b must satisfy sum b c\^3 / 3! = phi_4"),
        ({"order": 5}, "order must be a whole number from 2 to 4"),
        ({"order": 1}, "order must be a whole number from 2 to 4"),
        ({"b": (phi(1), NONE)}, r"b must satisfy sum b c\^2 / 2! = phi_3"),
        ({"b": (phi(1), phi(3) * 2)}, r"b must satisfy sum b c\^0 / 0! = phi_1"),
        ({"embedded": (phi(2), NONE)}, r"embedded must satisfy sum b c\^0 / 0! = phi_1"),
        ({"a": [(), (phi(2),)]}, r"a must have c phi_1\(c z\) with c = 1"),
        ({"c": (0,)}, "c must have 2 times"),
    ],
    ids=str,
)
def test_a_wrong_tableau_is_refused(change, message):
    right = {"order": 3, "c": (0, 1), "a": [(), (phi(1),)], "b": (phi(1) - phi(3) * 2, phi(3) * 2)}
    RosenbrockTableau(**right)
    with pytest.raises(ArgumentError, match=message):
        RosenbrockTableau(**(right | change))

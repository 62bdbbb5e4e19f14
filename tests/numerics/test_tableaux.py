import math
from fractions import Fraction

import attrs
import pytest

from deis.errors import ArgumentError
from deis.numerics.tableaux import TABLEAUX, ButcherTableau, second_order

LEAF = ()
TREES = {  # a rooted tree is the tuple of its branches (Hairer, Norsett and Wanner, section II.2)
    1: [LEAF],
    2: [(LEAF,)],
    3: [(LEAF, LEAF), ((LEAF,),)],
    4: [(LEAF, LEAF, LEAF), (LEAF, (LEAF,)), ((LEAF, LEAF),), (((LEAF,),),)],
    5: [
        (LEAF, LEAF, LEAF, LEAF),
        (LEAF, LEAF, (LEAF,)),
        (LEAF, (LEAF, LEAF)),
        (LEAF, ((LEAF,),)),
        ((LEAF,), (LEAF,)),
        ((LEAF, LEAF, LEAF),),
        ((LEAF, (LEAF,)),),
        (((LEAF, LEAF),),),
        ((((LEAF,),),),),
    ],
    6: [(LEAF,) * 5],  # the quadrature condition alone
}
KNOWN = {  # order, c, b as printed in the literature
    "euler": (1, "0", "1"),
    "midpoint": (2, "0 1/2", "0 1"),
    "ralston2": (2, "0 2/3", "1/4 3/4"),
    "heun2": (2, "0 1", "1/2 1/2"),
    "kutta3": (3, "0 1/2 1", "1/6 2/3 1/6"),
    "ralston3": (3, "0 1/2 3/4", "2/9 1/3 4/9"),
    "heun3": (3, "0 1/3 2/3", "1/4 0 3/4"),
    "houwen3": (3, "0 8/15 2/3", "1/4 0 3/4"),
    "ssprk3": (3, "0 1 1/2", "1/6 1/6 2/3"),
    "rk4": (4, "0 1/2 1/2 1", "1/6 1/3 1/3 1/6"),
    "bogacki-shampine": (3, "0 1/2 3/4 1", "2/9 1/3 4/9 0"),
    "dormand-prince": (5, "0 1/5 3/10 4/5 8/9 1 1", "35/384 0 500/1113 125/192 -2187/6784 11/84 0"),
}
EMBEDDED = {  # as printed in the literature
    "midpoint": "1 0",
    "ralston2": "1 0",
    "heun2": "1 0",
    "bogacki-shampine": "7/24 1/4 1/3 1/8",
    "dormand-prince": "5179/57600 0 7571/16695 393/640 -92097/339200 187/2100 1/40",
}


def nodes(tree):
    return 1 + sum(map(nodes, tree))


def density(tree):
    return nodes(tree) * math.prod(map(density, tree))


def stage_weights(tableau, tree):
    """For each stage the product over branches of sum_j a_ij (weight of the branch at stage j)."""
    products = [Fraction(1)] * tableau.stages
    for branch in tree:
        inner = stage_weights(tableau, branch)
        sums = [sum((a * w for a, w in zip(row, inner, strict=False)), Fraction(0)) for row in tableau.a]
        products = [p * s for p, s in zip(products, sums, strict=True)]
    return products


def satisfied(tableau, tree):
    weight = sum(b * w for b, w in zip(tableau.b, stage_weights(tableau, tree), strict=True))
    return weight == Fraction(1, density(tree))


def numbers(text):
    return tuple(map(Fraction, text.split()))


def test_every_tableau_is_checked_here():
    assert set(TABLEAUX) == set(KNOWN)


@pytest.mark.parametrize("name", KNOWN)
def test_coefficients_are_those_of_the_literature(name):
    order, c, b = KNOWN[name]
    tableau = TABLEAUX[name]
    assert (tableau.order, tableau.c, tableau.b) == (order, numbers(c), numbers(b))
    assert tableau.stages == len(tableau.b) == len(tableau.a)


def test_inner_rows_are_those_of_the_literature():
    third = {name: TABLEAUX[name].a[2] for name in ("kutta3", "ralston3", "heun3", "houwen3", "ssprk3")}
    assert third == {
        "kutta3": numbers("-1 2"),
        "ralston3": numbers("0 3/4"),
        "heun3": numbers("0 2/3"),
        "houwen3": numbers("1/4 5/12"),
        "ssprk3": numbers("1/4 1/4"),
    }
    assert TABLEAUX["rk4"].a == ((), numbers("1/2"), numbers("0 1/2"), numbers("0 0 1"))


@pytest.mark.parametrize("name", KNOWN)
def test_every_rooted_tree_up_to_the_order_and_not_all_of_the_next_is_satisfied(name):
    tableau = TABLEAUX[name]
    for order in range(1, tableau.order + 1):
        assert all(satisfied(tableau, tree) for tree in TREES[order])
    assert not all(satisfied(tableau, tree) for tree in TREES[tableau.order + 1])


def integrate(tableau, steps):
    """x' = -2 t x^2 from x(0) = 1 to t = 1; the solution is 1 / (1 + t^2)."""
    a, b, c = [[float(v) for v in row] for row in tableau.a], list(map(float, tableau.b)), list(map(float, tableau.c))
    x, h = 1.0, 1 / steps
    for n in range(steps):
        slopes = []
        for row, node in zip(a, c, strict=True):
            point = x + h * sum(w * k for w, k in zip(row, slopes, strict=True))
            slopes.append(-2 * (n + node) * h * point**2)
        x += h * sum(w * k for w, k in zip(b, slopes, strict=True))
    return x


@pytest.mark.parametrize("name", KNOWN)
def test_the_measured_order_is_the_declared_one(name):
    tableau = TABLEAUX[name]
    coarse, fine = (abs(integrate(tableau, n) - 0.5) for n in (64, 128))
    assert math.log2(coarse / fine) == pytest.approx(tableau.order, abs=0.15)


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_weights_are_of_one_order_less_and_no_more(name):
    tableau = TABLEAUX[name]
    assert tableau.embedded == numbers(EMBEDDED[name])
    lower = attrs.evolve(tableau, order=tableau.order - 1, b=tableau.embedded, embedded=None)
    assert all(satisfied(lower, tree) for order in range(1, lower.order + 1) for tree in TREES[order])
    assert not all(satisfied(lower, tree) for tree in TREES[tableau.order])


def test_wrong_embedded_weights_are_refused():
    with pytest.raises(ArgumentError, match=r"embedded must satisfy the condition b.c = 1/2 of order 2"):
        ButcherTableau(3, *KUTTA3, (1, 0, 0))
    with pytest.raises(ArgumentError, match="embedded must have 3 weights, as b has"):
        ButcherTableau(3, *KUTTA3, ("1/2", "1/2"))


KUTTA3 = ([(), ("1/2",), (-1, 2)], ("1/6", "2/3", "1/6"))
RK4_B = ("1/6", "1/3", "1/3", "1/6")
BROKEN = {
    "sum b = 1 of order 1": (1, [()], ("1/2",)),
    "b.c = 1/2 of order 2": (2, [(), ("1/2",)], ("1/2", "1/2")),
    "b.c^2 = 1/3 of order 3": (3, [(), ("1/2",)], (0, 1)),
    "b.a.c = 1/6 of order 3": (3, [(), ("1/2",), (1, 0)], KUTTA3[1]),
    "b.c^3 = 1/4 of order 4": (4, [(), ("1/2",), (0, "3/4")], ("2/9", "1/3", "4/9")),
    "b.(c a.c) = 1/8 of order 4": (4, *KUTTA3),
    "b.a.c^2 = 1/12 of order 4": (
        4,
        [(), ("1/2",), (0, "1/2"), (1, 0, 0), ("1/2", 0, 0, "1/2")],
        ("1/6", "1/3", "1/3", 0, "1/6"),
    ),
    "b.a.a.c = 1/24 of order 4": (4, [(), ("1/2",), (0, "1/2"), (0, "1/2", "1/2")], RK4_B),
}


@pytest.mark.parametrize("condition", BROKEN)
def test_a_wrong_tableau_is_refused_and_the_failing_condition_named(condition):
    with pytest.raises(ArgumentError) as caught:
        ButcherTableau(*BROKEN[condition])
    assert f"b must satisfy the condition {condition}, got" in str(caught.value)


def test_conditions_above_the_declared_order_are_not_asked_for():
    assert ButcherTableau(2, *KUTTA3).order == 2


@pytest.mark.parametrize(
    "a",
    [[], [(1,)], [(), ()], [(), (1, 0)], [(), ("1/2",), (0,)]],
    ids=["no rows", "implicit", "row too short", "row too long", "ragged"],
)
def test_a_shape_that_is_not_explicit_is_refused(a):
    with pytest.raises(ArgumentError, match="a must have one row a stage, each one longer than the last"):
        ButcherTableau(1, a, ("1/2", "1/2"))


@pytest.mark.parametrize("order", [0, 6, -1, None, "2"])
def test_an_order_outside_1_to_5_is_refused(order):
    with pytest.raises(ArgumentError, match="order must be a whole number from 1 to 5"):
        ButcherTableau(order, [()], (1,))


@pytest.mark.parametrize("alpha", [0.25, "3/4", 2, -1])
def test_a_second_stage_may_be_anywhere_but_at_the_first(alpha):
    tableau, share = second_order(alpha), Fraction(alpha)
    assert tableau.c == (0, share)
    assert tableau.b == (1 - 1 / (2 * share), 1 / (2 * share))
    with pytest.raises(ArgumentError, match="alpha must not be 0"):
        second_order(0)

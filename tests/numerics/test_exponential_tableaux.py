"""Exponential tableaux against the formulas of the papers, evaluated with 40 digits."""

from fractions import Fraction

import attrs
import mpmath
import pytest
from mpmath import exp, mpf

from deis.errors import ArgumentError
from deis.numerics.exponential_tableaux import (
    EXPONENTIAL_TABLEAUX,
    ExponentialTableau,
    dpm_solver_2,
    dpm_solver_3,
    etd2rk,
)
from deis.numerics.phi_tableaux import NONE, Phis, phi
from deis.numerics.tableaux import TABLEAUX

POINTS = [mpmath.mpmathify(z) for z in (-30.0, -1.7, 0.3, 2j, 1.5 - 4j)]
HALF = mpf(1) / 2


@pytest.fixture(autouse=True)
def digits():
    with mpmath.workdps(40):
        yield


def function(k, z):
    """phi_k(z) from its definition."""
    if z == 0:
        return 1 / mpmath.factorial(k)
    return (exp(z) - sum(z**n / mpmath.factorial(n) for n in range(k))) / z**k


def mp(fraction):
    return mpf(fraction.numerator) / fraction.denominator


def value(entry, z):
    return sum((mp(factor) * function(k, z * mp(c)) for k, c, factor in entry.terms), mpf(0))


def close(a, b):
    return abs(a - b) <= mpf(10) ** -25 * (1 + abs(b))


def published(name, z):
    """Rows of the stages after the first, then of the step, as printed."""
    p = {k: function(k, z) for k in (1, 2, 3)}
    q = {k: function(k, z / 2) for k in (1, 2, 3)}
    s = {k: function(k, 2 * z / 3) for k in (1, 2)}
    cox_matthews = [p[1] - 3 * p[2] + 4 * p[3], 2 * p[2] - 4 * p[3], 2 * p[2] - 4 * p[3], 4 * p[3] - p[2]]
    a52 = q[2] / 2 - p[3] + p[2] / 4 - q[3] / 2
    a54 = q[2] / 4 - a52
    return {
        "etd1": [[p[1]]],
        # Cox and Matthews (2002), eq. 22, 23-25 and 26-29, in c = L and h = 1
        "etd2rk": [[(exp(z) - 1) / z], [(exp(z) - 1) / z - (exp(z) - 1 - z) / z**2, (exp(z) - 1 - z) / z**2]],
        "etd3rk": [
            [(exp(z / 2) - 1) / z],
            [-(exp(z) - 1) / z, 2 * (exp(z) - 1) / z],
            [
                (-4 - z + exp(z) * (4 - 3 * z + z**2)) / z**3,
                4 * (2 + z + exp(z) * (-2 + z)) / z**3,
                (-4 - 3 * z - z**2 + exp(z) * (4 - z)) / z**3,
            ],
        ],
        "etdrk4": [
            [(exp(z / 2) - 1) / z],
            [0, (exp(z / 2) - 1) / z],
            [(exp(z / 2) - 1) ** 2 / z, 0, 2 * (exp(z / 2) - 1) / z],
            [
                (-4 - z + exp(z) * (4 - 3 * z + z**2)) / z**3,
                2 * (2 + z + exp(z) * (-2 + z)) / z**3,
                2 * (2 + z + exp(z) * (-2 + z)) / z**3,
                (-4 - 3 * z - z**2 + exp(z) * (4 - z)) / z**3,
            ],
        ],
        "krogstad": [[q[1] / 2], [q[1] / 2 - q[2], q[2]], [p[1] - 2 * p[2], 0, 2 * p[2]], cox_matthews],
        "strehmel-weiner": [
            [q[1] / 2],
            [q[1] / 2 - q[2] / 2, q[2] / 2],
            [p[1] - 2 * p[2], -2 * p[2], 4 * p[2]],
            [cox_matthews[0], 0, 4 * p[2] - 8 * p[3], cox_matthews[3]],
        ],
        "hochbruck-ostermann": [
            [q[1] / 2],
            [q[1] / 2 - q[2], q[2]],
            [p[1] - 2 * p[2], p[2], p[2]],
            [q[1] / 2 - 2 * a52 - a54, a52, a52, a54],
            [cox_matthews[0], 0, 0, cox_matthews[3], 4 * p[2] - 8 * p[3]],
        ],
        # Hochbruck and Ostermann (2010), section 2.3: three stages, with 4 / (9 c_2) = 8 / 9
        "hochbruck-ostermann-3": [
            [q[1] / 2],
            [2 * s[1] / 3 - 8 * s[2] / 9, 8 * s[2] / 9],
            [p[1] - 3 * p[2] / 2, 0, 3 * p[2] / 2],
        ],
        "dpm-solver-2": dpm_2(z, HALF),
        "dpm-solver-3": dpm_3(z, mpf(1) / 3, mpf(2) / 3),
    }[name]


def dpm_2(h, r):
    """arXiv 2206.00927, algorithm 4: the factors of eps_s and eps_u, over -sigma h."""
    whole = (exp(h) - 1) / h
    return [[(exp(r * h) - 1) / h], [whole * (1 - 1 / (2 * r)), whole / (2 * r)]]


def dpm_3(h, r1, r2):
    """arXiv 2206.00927, algorithm 5."""
    inner = r2 / r1 * ((exp(r2 * h) - 1) / (r2 * h) - 1) / h
    outer = ((exp(h) - 1) / h - 1) / r2 / h
    whole = (exp(h) - 1) / h
    return [[(exp(r1 * h) - 1) / h], [(exp(r2 * h) - 1) / h - inner, inner], [whole - outer, 0, outer]]


def same(tableau, rows, z):
    own = [*tableau.a[1:], tableau.b]
    return [len(row) for row in own] == list(map(len, rows)) and all(
        close(value(entry, z), number)
        for row, printed in zip(own, rows, strict=True)
        for entry, number in zip(row, printed, strict=True)
    )


@pytest.mark.parametrize("z", POINTS, ids=str)
@pytest.mark.parametrize("name", EXPONENTIAL_TABLEAUX)
def test_entries_are_the_printed_formulas(name, z):
    assert same(EXPONENTIAL_TABLEAUX[name], published(name, z), z)


@pytest.mark.parametrize("r", ["1/5", "1/2", 1])
def test_dpm_solver_2_for_any_stage(r):
    z, ratio = mpf("0.7"), Fraction(r)
    assert same(dpm_solver_2(r), dpm_2(z, mp(ratio)), z)


@pytest.mark.parametrize(("r1", "r2", "order"), [(0.25, 0.5, 2), (0.5, "2/3", 3), ("1/3", 1, 2)])
def test_dpm_solver_3_for_any_stages(r1, r2, order):
    z = mpf("0.7")
    numbers = map(mp, map(Fraction, (r1, r2)))
    tableau = dpm_solver_3(r1, r2)
    assert same(tableau, dpm_3(z, *numbers), z)
    assert tableau.order == order


def test_embedded_weights_are_the_lower_methods():
    assert dpm_solver_2("1/3").embedded == (phi(1), NONE)  # DPM-Solver-12
    assert dpm_solver_3().embedded == (*dpm_solver_2("1/3").b, NONE)  # DPM-Solver-23
    assert dpm_solver_3("1/3", "1/2").embedded == (phi(1), NONE, NONE)
    assert EXPONENTIAL_TABLEAUX["etd3rk"].embedded == (*etd2rk("1/2").b, NONE)


@pytest.mark.parametrize("name", EXPONENTIAL_TABLEAUX)
def test_a_constant_and_where_claimed_a_linear_nonlinearity_is_integrated_exactly(name):
    tableau = EXPONENTIAL_TABLEAUX[name]
    for z in POINTS:
        for c, row in zip(tableau.c, tableau.a, strict=True):
            share = mp(c)
            assert close(sum((value(entry, z) for entry in row), mpf(0)), share * function(1, share * z))
        assert close(sum(value(entry, z) for entry in tableau.b), function(1, z))
        if tableau.stiff_order > 2:
            moment = sum(value(w, z) * mp(c) for w, c in zip(tableau.b, tableau.c, strict=True))
            assert close(moment, function(2, z))


CLASSICAL = {
    "etd1": "euler",
    "etd2rk": "heun2",
    "etd3rk": "kutta3",
    "etdrk4": "rk4",
    "krogstad": "rk4",
    "dpm-solver-2": "midpoint",
    "dpm-solver-3": "heun3",
}


@pytest.mark.parametrize(("name", "classical"), CLASSICAL.items())
def test_without_a_linear_part_it_is_a_classical_method(name, classical):
    own, known = EXPONENTIAL_TABLEAUX[name].classical, TABLEAUX[classical]
    assert (own.a, own.b, own.c) == (known.a, known.b, known.c)


@pytest.mark.parametrize("name", EXPONENTIAL_TABLEAUX)
def test_numbers_are_the_entries_again(name):
    tableau = EXPONENTIAL_TABLEAUX[name]
    z = mpf("-0.8")
    functions = [[function(k, z * mp(c)) for c in tableau.arguments] for k in range(4)]
    rows = [(phi(0, c), *row) for c, row in zip((*tableau.c[1:], 1), (*tableau.a[1:], tableau.b), strict=True)]
    if tableau.embedded is not None:
        rows.append((NONE, *(b - e for b, e in zip(tableau.b, tableau.embedded, strict=True))))
    assert len(tableau.numbers) == len(rows)
    for row, table in zip(rows, tableau.numbers.tolist(), strict=True):
        for entry, factors in zip((*row, *[NONE] * (tableau.stages + 1 - len(row))), table, strict=True):
            total = sum(f * v for fs, vs in zip(factors, functions, strict=False) for f, v in zip(fs, vs, strict=True))
            assert abs(total - value(entry, z)) < 1e-14


def test_combinations_add_scale_and_cancel():
    a, b = phi(1) * 2 - phi(2, "1/2") / 3, phi(2, 0.5) / 3
    assert a + b == phi(1) * "2"
    assert a - a == NONE
    assert Phis([(1, 1, 1), (1, 1, -1)]) == NONE
    assert hash(a + b) == hash(phi(1) * 2)
    assert (phi(0) + phi(3) * 4).without_linear_part() == Fraction(5, 3)


HEUN = {"order": 2, "stiff_order": 2, "c": (0, 1), "a": [(), (phi(1),)], "b": (phi(1) - phi(2), phi(2))}
BROKEN = [
    ({"b": (phi(1), phi(2))}, r"b must satisfy the condition sum b = 1 of order 1"),
    ({"b": (phi(1) - phi(2), phi(1) / 2)}, r"b must satisfy sum b c\^0 / 0! = phi_1"),
    ({"a": [(), (phi(0),)]}, r"a must have c phi_1\(c z\) with c = 1 as the sum of row 1"),
    ({"c": (0, "1/2")}, r"a must have c phi_1\(c z\) with c = 1/2"),
    ({"c": (0, 1, 1)}, "c must have 2 times"),
    ({"embedded": (phi(0), NONE)}, r"embedded must satisfy sum b c\^0 / 0! = phi_1"),
    ({"embedded": (phi(1) / 2, NONE)}, "embedded must satisfy the condition sum b = 1"),
    ({"embedded": (phi(1),)}, "embedded must have 2 weights"),
    ({"order": 3, "stiff_order": 3}, "condition .* of order 3"),
    ({"stiff_order": 3}, "stiff_order must be from 1 to the order 2"),
    ({"stiff_order": 0}, "stiff_order must be from 1 to the order 2"),
    ({"a": [(), (phi(1), NONE)]}, "a must have one row a stage"),
]


@pytest.mark.parametrize(("change", "message"), BROKEN, ids=[message for _, message in BROKEN])
def test_a_wrong_tableau_is_refused(change, message):
    ExponentialTableau(**HEUN)
    with pytest.raises(ArgumentError, match=message):
        ExponentialTableau(**(HEUN | change))


def test_a_stiff_order_of_3_asks_for_exactness_in_linear_functions_of_time():
    with pytest.raises(ArgumentError, match=r"b must satisfy sum b c\^1 / 1! = phi_2"):
        attrs.evolve(dpm_solver_3(), stiff_order=3, b=(phi(1) / 4, NONE, phi(1) * "3/4"), embedded=None)

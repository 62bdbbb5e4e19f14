"""Named multistep samplers against the formulas of their papers."""

import math

import mpmath as mp
import numpy as np
import pytest
import torch

from deis import (
    INTEGRATORS,
    DenseODE,
    DiagonalODE,
    PolynomialEIAB,
    ProbabilityFlowODE,
    VPLinear,
    solve,
)
from deis.errors import UnknownNameError

TIMES = [0.9, 0.78, 0.6, 0.51, 0.37, 0.22, 0.15, 0.06, 0.03]


def network(x, t):
    return (1.3 * x + 2 * t[:, None]).sin() - 0.2 * x


def levels():
    """lambda, alpha and sigma of the linear variance preserving schedule."""
    growth = [19.9 * t * t / 2 + 0.1 * t for t in TIMES]
    alpha = [math.exp(-g / 2) for g in growth]
    sigma = [math.sqrt(-math.expm1(-g)) for g in growth]
    return [math.log(a / s) for a, s in zip(alpha, sigma, strict=True)], alpha, sigma


def start():
    return torch.linspace(-1.5, 1.2, 6, dtype=torch.float64).reshape(2, 3)


def states(name):
    ode = ProbabilityFlowODE(VPLinear(), network)
    return solve(ode, start(), TIMES, name, keep_states=True).states


def assert_states(name, expected):
    for mine, x in zip(states(name), expected, strict=True):
        torch.testing.assert_close(mine, x, rtol=1e-12, atol=1e-12)


def when(n):
    return torch.full((2,), TIMES[n], dtype=torch.float64)


# DPM-Solver and DPM-Solver++ (arXiv 2211.01095, algorithm 2 and appendix B; the authors' code for the noise)


def dpm(increment, data):
    """States of a method of the data or of the noise: x_t = ratio x_s - scale ``increment``."""
    lam, alpha, sigma = levels()
    x, values, found, sign = start(), [], [start()], -1 if data else 1
    for n in range(len(TIMES) - 1):
        eps = network(x, when(n))
        values.insert(0, (x - sigma[n] * eps) / alpha[n] if data else eps)
        ratio, scale = (sigma[n + 1] / sigma[n], alpha[n + 1]) if data else (alpha[n + 1] / alpha[n], sigma[n + 1])
        steps = [lam[n + 1 - j] - lam[n - j] for j in range(n + 1)]
        x = ratio * x - scale * increment(sign, steps, values)
        found.append(x)
    return found


def first(sign, h, m):
    return math.expm1(sign * h[0]) * m[0]


def midpoint(sign, h, m):
    if len(m) < 2:
        return first(sign, h, m)
    r = h[1] / h[0]
    return math.expm1(sign * h[0]) * ((1 + 1 / (2 * r)) * m[0] - 1 / (2 * r) * m[1])


def taylor(sign, h, m):
    if len(m) < 2:
        return first(sign, h, m)
    slope = (m[0] - m[1]) * h[0] / h[1]
    return first(sign, h, m) + sign * (math.expm1(sign * h[0]) / h[0] - sign) * slope


def third(second, share):
    def increment(sign, h, m):
        if len(m) < 3:
            return second(sign, h, m)
        r0, r1 = h[1] / h[0], h[2] / h[0]
        d0, d1 = (m[0] - m[1]) / r0, (m[1] - m[2]) / r1
        slope, bend = d0 + r0 / (r0 + r1) * (d0 - d1), (d0 - d1) / (r0 + r1)
        grown = math.expm1(sign * h[0])
        total = grown * m[0] + sign * (grown / h[0] - sign) * slope
        return total + share * ((grown - sign * h[0]) / h[0] ** 2 - 0.5) * bend

    return increment


@pytest.mark.parametrize(
    ("name", "increment", "data"),
    [
        ("dpm-2m", midpoint, False),
        ("dpm-3m", third(taylor, 2.0), False),
        ("dpm-3m-published", third(midpoint, 1.0), False),
        ("dpmpp-2m", midpoint, True),
        ("dpmpp-2m-taylor", taylor, True),
        ("dpmpp-3m", third(taylor, 2.0), True),
        ("dpmpp-3m-published", third(midpoint, 1.0), True),
        ("dpmpp-3m:moments=halved", third(taylor, 1.0), True),
    ],
)
def test_dpm_solver_multistep(name, increment, data):
    assert_states(name, dpm(increment, data))


# UniPC (arXiv 2302.04867, algorithms 1 and 2), with B(h) = h or 1 - e^-h and linear systems of the paper


def integrals(h, count):
    """h int_0^1 e^{-(1 - u) h} u^k du for k = 1 ... count."""
    with mp.workdps(40):
        value, found = -mp.expm1(-h), []
        for k in range(1, count + 1):
            value = 1 - k * value / h
            found.append(float(value))
        return found


def coefficients(r, h, scale):
    if len(r) < 2:
        return [0.5] * len(r)
    system = np.array([[place**k for place in r] for k in range(len(r))])
    return np.linalg.solve(system, np.array(integrals(h, len(r))) / scale).tolist()


def unipc(order, bh1):
    lam, alpha, sigma = levels()

    def moved(n, x, values, new=None):
        """Step n from x; with ``new``, the prediction at its end, corrected."""
        h = lam[n + 1] - lam[n]
        scale = h if bh1 else -math.expm1(-h)
        r = [(lam[n - j] - lam[n]) / h for j in range(1, min(order, n + 1))]
        slopes = [(value - values[0]) / place for value, place in zip(values[1:], r, strict=False)]
        if new is not None:
            r, slopes = [*r, 1.0], [*slopes, new - values[0]]
        change = sum(a * slope for a, slope in zip(coefficients(r, h, scale), slopes, strict=True))
        return sigma[n + 1] / sigma[n] * x + alpha[n + 1] * (-math.expm1(-h) * values[0] + scale * change)

    x, values, found = start(), [], [start()]
    for n in range(len(TIMES) - 1):
        value = (found[n] - sigma[n] * network(found[n], when(n))) / alpha[n]
        if n:
            x = found[n] = moved(n - 1, x, values, value)
        values.insert(0, value)
        found.append(moved(n, x, values))
    return found


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("bh", ["bh1", "bh2"])
def test_unipc(order, bh):
    assert_states(f"unipc-{order}:moments={bh}", unipc(order, bh == "bh1"))


@pytest.mark.parametrize(("name", "order", "bh1"), [("unipc-1-bh1", 1, True), ("unipc-2-bh1", 2, True)])
def test_unipc_by_its_other_names(name, order, bh1):
    assert_states(name, unipc(order, bh1))


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_the_two_forms_of_unipc_differ_in_rows_of_two_values_alone(order):
    ode = ProbabilityFlowODE(VPLinear(), network)
    one, two = (INTEGRATORS.create(f"unipc-{order}:moments={bh}").plan(ode, TIMES) for bh in ("bh1", "bh2"))
    differ = 0
    for a, b in zip(one.steps, two.steps, strict=True):
        for row, other in [(a.advance, b.advance), (a.correct, b.correct)]:
            if row is None:
                continue
            same = row.values == pytest.approx(other.values, rel=1e-12)
            assert same == (len(row.values) != 2)
            differ += not same
    # each correction of order 1, each prediction of order 2, the first correction and the second prediction beyond
    assert differ == {1: 7, 2: 8, 3: 2, 4: 2}[order]


@pytest.mark.parametrize("moments", ["bh1", "bh2", "halved", "published"])
def test_a_diagonal_and_a_dense_linear_part_have_the_rows_of_their_entries(moments):
    rates = torch.tensor([-3.0, -0.4, 0.0], dtype=torch.float64)

    def rows(linear, kind=DiagonalODE):
        plan = PolynomialEIAB(steps=3, moments=moments).plan(kind(linear, lambda t, x: x), [0.0, 0.3, 0.5, 1.0, 1.2])
        return [torch.stack([torch.as_tensor(w, dtype=torch.float64) for w in s.advance.values]) for s in plan.steps]

    alone = [rows(rate) for rate in rates]
    for n, (diagonal, dense) in enumerate(zip(rows(rates), rows(torch.diag(rates), DenseODE), strict=True)):
        expected = torch.stack([each[n] for each in alone], 1)
        torch.testing.assert_close(diagonal, expected, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(dense, torch.diag_embed(expected), rtol=1e-12, atol=1e-14)


def test_an_unknown_variant_is_refused():
    with pytest.raises(UnknownNameError, match="no moments named 'bh3'; near it: bh1"):
        PolynomialEIAB(moments="bh3")

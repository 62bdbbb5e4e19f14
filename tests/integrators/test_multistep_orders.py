"""Measured orders of multistep variants: with their own start, with one of full order, and from exact values."""

from functools import cache, partial

import attrs
import pytest
import torch

from deis import INTEGRATORS, Bernoulli, GaussianMixture, PolynomialEIAB, VPLinear, solve
from deis.testing import fitted, measured_order, uneven_grid
from deis.testing.measure import order_of

VARIANTS = [(steps, corrector, m) for steps in (1, 2, 3, 4) for corrector in (False, True) for m in ("bh1", "bh2")]
VARIANTS += [(s, c, m) for s in (2, 3, 4) for c in (False, True) for m in ("halved", "published")]


def variant(steps, corrector, moments, **options):
    return PolynomialEIAB(steps=steps, corrector=corrector, moments=moments, **options)


@pytest.mark.parametrize("lam", [2.0, 3j], ids=["real", "imaginary"])
@pytest.mark.parametrize(("steps", "corrector", "moments"), VARIANTS)
def test_variants_have_the_order_they_claim(steps, corrector, moments, lam):
    # a ramp where it costs most, with the largest steps first, and the other start where it does not show
    for start, rate in (("ramp", -1.2), ("runge-kutta", 1.2)):
        method = variant(steps, corrector, moments, start=start)
        measured = measured_order(method, Bernoulli(lam), grid=partial(uneven_grid, rate=rate))
        assert measured == pytest.approx(method.order, abs=0.15)


def test_the_published_third_order_step_is_of_second_order_and_doubled_of_third():
    published, exact = (variant(3, False, m, start="runge-kutta") for m in ("published", "exact"))
    assert (published.order, exact.order) == (2, 3)
    assert measured_order(published, Bernoulli()) == pytest.approx(2, abs=0.1)
    assert measured_order(exact, Bernoulli()) == pytest.approx(3, abs=0.1)


def test_a_corrector_restores_the_order_that_a_halved_moment_costs():
    assert variant(3, True, "halved", start="runge-kutta").order == 3
    assert variant(2, True, "halved", start="runge-kutta").order == 2


def run_from_exact(plan, ode, exact):
    """The plan from where its rows are full, from exact states and values of N before; the state at the end."""
    first = max(plan.history, 1)
    values = [ode.nonlinearity(t, x) for t, x in zip(plan.times[:first], exact[:first], strict=True)][::-1]
    x, pending = exact[first], None
    for step in plan.steps[first:]:
        value = ode.nonlinearity(step.start, x)
        if pending is not None:
            x = combined(*pending, [value, *values])
        values.insert(0, value)
        pending = (step.correct, x) if step.correct is not None else None
        x = combined(step.advance, x, values)
    return x


def combined(row, x, values):
    return row.state * x + sum(w * v for w, v in zip(row.values, values, strict=False))


PRESETS = [name for name in INTEGRATORS if name.startswith(("lms", "exp-adams", "dpm-", "dpmpp-", "unipc-"))]
PRESETS = [name for name in PRESETS if isinstance(INTEGRATORS.create(name), PolynomialEIAB)]


def full(name, ode):
    """The preset with a start that costs no order."""
    return fitted(attrs.evolve(INTEGRATORS.create(name), start="runge-kutta"), ode)


@pytest.mark.parametrize("lam", [2.0, 3j], ids=["real", "imaginary"])
@pytest.mark.parametrize("name", PRESETS)
def test_presets_with_an_exact_start(name, lam):
    problem = Bernoulli(lam)
    method = full(name, problem.ode)

    def error(intervals):
        times = uneven_grid(problem.ode.domain, intervals).tolist()
        plan = attrs.evolve(method, start="ramp").plan(problem.ode, times)
        x = run_from_exact(plan, problem.ode, [problem.exact(t) for t in times])
        return float((x - problem.exact(1.0)).abs())

    assert order_of(error) == pytest.approx(method.order, abs=0.15)


FINEST = 768


@cache
def mixture():
    """A probability-flow ODE over a short range, with states at all times of its finest grid by Runge-Kutta in rho."""
    means = 2 * torch.randn(5, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    ode = GaussianMixture(means, 0.5).ode(VPLinear(t_min=0.25, t_max=0.4))
    times = uneven_grid(ode.domain, FINEST)
    x0 = torch.randn(16, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    return ode, times, solve(ode, x0, times, "rhork-rk4", keep_states=True).states


def distance(states):
    return float((states - mixture()[2][-1]).norm())


@pytest.mark.parametrize("name", PRESETS)
def test_presets_on_a_mixture(name):
    ode, finest, exact = mixture()
    method = INTEGRATORS.create(name)

    def error(intervals):
        return distance(solve(ode, exact[0], finest[:: FINEST // intervals], method).x)

    def error_with_exact_start(intervals):
        stride = FINEST // intervals
        plan = attrs.evolve(method, start="ramp").plan(ode, finest[::stride])
        return distance(run_from_exact(plan, ode.split(plan.splitting), exact[::stride]))

    assert order_of(error, 192) == pytest.approx(method.order, abs=0.15)
    assert order_of(error_with_exact_start, 192) == pytest.approx(full(name, ode).order, abs=0.15)

import math
from itertools import pairwise

import attrs
import numpy as np
import pytest
import torch
from scipy.integrate import quad

from deis import DiscreteVP, NoiseSchedule, ProbabilityFlowODE
from deis.errors import DeisError


def at(values):
    return torch.as_tensor(values, dtype=torch.float64)


def zero(x, t):
    return torch.zeros_like(x)


def _integral(function, start, end, breaks=()):
    inside = sorted(b for b in breaks if min(start, end) < b < max(start, end))
    points = [start, *(inside if end > start else inside[::-1]), end]
    return sum(quad(function, a, b, epsabs=1e-13, epsrel=2e-12, limit=200)[0] for a, b in pairwise(points))


@attrs.frozen
class Bent(NoiseSchedule):
    """sigma rises by e^8 within 4 / bend of t = 1/2, as in a user's own schedule; the inverse is not known."""

    bend: float
    t_min: float = 0.0
    t_max: float = 1.0

    def alpha(self, t):
        return torch.ones_like(t)

    def sigma(self, t):
        return (8 * t + 4 * (self.bend * (t - 0.5)).tanh() - 5).exp()


@pytest.mark.parametrize("bend", [3, 60, 200])
def test_weights_of_schedules_with_steep_parts_are_exact(bend):
    s, t, nodes = 0.62, 0.4, [0.62, 0.8]

    def integrand(r, j):  # eps, alpha = 1: int_s^t sigma'(r) l_j(r) dr
        tanh = math.tanh(bend * (r - 0.5))
        slope = (8 + 4 * bend * (1 - tanh**2)) * math.exp(8 * r + 4 * tanh - 5)
        return slope * (r - nodes[1 - j]) / (nodes[j] - nodes[1 - j])

    breaks = [0.5 + k / bend for k in (-8, -4, -2, -1, 0, 1, 2, 4, 8)]
    exact = [_integral(lambda r, j=j: integrand(r, j), s, t, breaks) for j in range(2)]
    ours = ProbabilityFlowODE(Bent(bend), zero).weights(at([s]), at([t]), at([nodes]))[0]
    np.testing.assert_allclose(ours.numpy(), exact, rtol=0, atol=2e-12 * max(map(abs, exact)))


@attrs.frozen(eq=False)
class Table(NoiseSchedule):
    """log sigma is linear between the entries of a table; the knots may be told or not."""

    told: bool
    t_min: float = 0.0
    t_max: float = 40.0

    def alpha(self, t):
        return torch.ones_like(t)

    def sigma(self, t):
        table = torch.linspace(0, 2, 41, dtype=torch.float64).exp() + torch.linspace(-9, 0, 41, dtype=torch.float64)
        low = t.detach().floor().clamp(0, 39).long()
        return (table[low] + (t - low) * (table[low + 1] - table[low])).exp()

    def knots(self):
        return torch.arange(1, 40, dtype=torch.float64) if self.told else super().knots()


def test_kinks_that_are_not_told_cost_time_but_not_accuracy():
    s, t, nodes = at([33.3, 20.0]), at([11.1, 19.5]), at([[33.3, 36.0], [20.0, 21.0]])
    told, found = (ProbabilityFlowODE(Table(told), zero).weights(s, t, nodes) for told in (True, False))
    torch.testing.assert_close(found, told, rtol=1e-11, atol=0)


def test_each_knot_is_the_end_of_panels_of_its_own_interval_only(monkeypatch):
    sizes, own = [], DiscreteVP.time_of_lambda

    def counting(schedule, lambda_):
        sizes.append(lambda_.numel())
        return own(schedule, lambda_)

    monkeypatch.setattr(DiscreteVP, "time_of_lambda", counting)
    ode, times = ProbabilityFlowODE(DiscreteVP(), zero), torch.linspace(999, 0, 101, dtype=torch.float64)
    ode.weights(times[:-1], times[1:], times[:-1, None])
    assert sum(sizes) < 1100 * 50


def test_weights_that_cannot_converge_say_what_to_do():
    @attrs.frozen
    class Noisy(Bent):
        def alpha(self, t):
            return 1 + 0.01 * (1e9 * t).sin()

        def time_of_lambda(self, lambda_):
            return torch.sigmoid(-lambda_)

    with pytest.raises(DeisError, match=r"weights of .*Noisy.* do not converge .*give knots\(\)"):
        ProbabilityFlowODE(Noisy(1.0), zero).weights(at([0.9]), at([0.1]), at([[0.9]]))


@pytest.mark.parametrize("kind", ["eps", "x0", "v"])
def test_weights_carry_the_gradient_of_the_times(kind):
    ode = ProbabilityFlowODE(DiscreteVP(), zero, splitting=kind)

    def weights(s, t):
        return ode.weights(s, t, torch.stack([s, s + 5], dim=1)) / 10

    ends = at([30.3, 50.6]).requires_grad_(), at([27.7, 53.1]).requires_grad_()
    assert torch.autograd.gradcheck(weights, ends, eps=1e-4, rtol=1e-5, atol=1e-9)

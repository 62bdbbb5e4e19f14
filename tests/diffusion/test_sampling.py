import attrs
import pytest
import torch

from deis import (
    EDM,
    INTEGRATORS,
    VE,
    BlackBox,
    Dopri5,
    GaussianMixture,
    PolynomialEIAB,
    PowerGrid,
    ProbabilityFlowODE,
    SampleNoise,
    VPLinear,
    sample,
    solve,
)
from deis.errors import ArgumentError, DeisError, UnknownNameError

PLANNED = [name for name in INTEGRATORS if not isinstance(INTEGRATORS.create(name), BlackBox)]
MEANS = torch.tensor([[0.5, -1.0], [2.0, 0.0]], dtype=torch.float64)


class Counting:
    def __init__(self, schedule):
        self.network, self.calls, self.first = GaussianMixture(MEANS, 0.3).network(schedule), 0, None

    def __call__(self, x, t):
        self.calls += 1
        self.first = x.clone() if self.first is None else self.first
        return self.network(x, t)


def counted(schedule):
    network = Counting(schedule)
    return ProbabilityFlowODE(schedule, network), network


@pytest.mark.parametrize("name", [*PLANNED, "polynomial:steps=4:start=runge-kutta", "tab2:corrector=on"])
def test_the_network_is_called_exactly_as_often_as_asked_for(name):
    method = INTEGRATORS.create(name)
    for nfe in range(1, 21):
        ode, network = counted(VPLinear())
        if any(method.nfe(intervals) == nfe for intervals in range(1, 21)):
            solution = sample(ode, (2,), range(3), nfe=nfe, integrator=name)
            assert network.calls == solution.nfe == nfe
        else:
            with pytest.raises(ArgumentError, match="nfe must"):
                sample(ode, (2,), range(3), nfe=nfe, integrator=name)
            assert network.calls == 0


def test_budgets_that_cannot_be_kept_name_their_neighbours():
    ode, _ = counted(VPLinear())
    with pytest.raises(ArgumentError, match="got 10; ask for 9 or 12"):
        sample(ode, (2,), [0], nfe=10, integrator="rhork-kutta3")
    with pytest.raises(ArgumentError, match="must be at least 3"):
        sample(ode, (2,), [0], nfe=2, integrator="rhork-kutta3")
    with pytest.raises(ArgumentError, match="nfe must be a whole number"):
        sample(ode, (2,), [0], nfe=0)


@attrs.frozen
class Miscounting(PolynomialEIAB):
    def intervals_for(self, nfe):
        return nfe + 1


def test_a_method_that_breaks_its_budget_is_found_out():
    with pytest.raises(DeisError, match="made 6 network calls where 5 were asked for"):
        sample(counted(EDM())[0], (2,), [0], nfe=5, integrator=Miscounting())


def test_methods_that_choose_their_steps_take_no_budget():
    ode, network = counted(VPLinear())
    solution = sample(ode, (2,), range(3), nfe=None, integrator="dopri5", dtype=torch.float64)
    assert network.calls == solution.nfe > 20
    fine = sample(ode, (2,), range(3), nfe=300, integrator="tab3", dtype=torch.float64)
    torch.testing.assert_close(solution.x, fine.x, rtol=1e-3, atol=1e-3)
    with pytest.raises(ArgumentError, match="nfe must be None for Dopri5"):
        sample(ode, (2,), range(3), nfe=10, integrator=Dopri5())
    with pytest.raises(ArgumentError, match="nfe must be given for"):
        sample(ode, (2,), range(3), nfe=None)


def test_the_start_is_the_noise_of_the_seeds_times_sigma(schedule):
    ode, network = counted(schedule)
    sample(ode, (2,), [4, 2], nfe=1, dtype=torch.float64)
    sigma = schedule.sigma(torch.tensor(schedule.t_max, dtype=torch.float64))
    torch.testing.assert_close(network.first, SampleNoise([4, 2]).initial((2,), torch.float64) * sigma)


@pytest.mark.parametrize("name", ["tab3", "sddim", "ipndm"])
def test_a_sample_depends_on_its_seed_only(name):
    ode, _ = counted(VE())
    together = sample(ode, (2,), [5, 6, 7], nfe=6, integrator=name, dtype=torch.float64).x
    again = sample(ode, (2,), [5, 6, 7], nfe=6, integrator=name, dtype=torch.float64).x
    alone = sample(ode, (2,), [7], nfe=6, integrator=name, dtype=torch.float64).x
    assert torch.equal(together, again)
    torch.testing.assert_close(together[2:], alone, rtol=1e-12, atol=1e-12)
    assert not torch.allclose(together[0], together[1])


def test_stochastic_samplers_draw_from_the_data():
    mixture = GaussianMixture(torch.tensor([[1.0]], dtype=torch.float64), std=0.5)
    solution = sample(mixture.ode(VPLinear()), (1,), range(4000), nfe=60, integrator="sddim", dtype=torch.float64)
    assert float(solution.x.mean()) == pytest.approx(1, abs=0.05)
    assert float(solution.x.std()) == pytest.approx(0.5, abs=0.03)


def test_it_is_a_solve_without_gradients():
    weight = torch.nn.Parameter(torch.tensor(0.5))
    ode = ProbabilityFlowODE(EDM(), lambda x, t: x * weight, predicts="x0")
    solution = sample(ode, (2,), range(2), nfe=4, grid="rho7", keep_states=True)
    assert not solution.x.requires_grad
    start = SampleNoise(range(2)).initial((2,)) * 80.0
    expected = solve(ode, start, PowerGrid("rho", 7.0)(ode, 4), "tab3")
    torch.testing.assert_close(solution.x, expected.x.detach())
    assert len(solution.states) == 5


def test_options_reach_the_samples():
    ode, _ = counted(VPLinear())
    solution = sample(ode, (2,), range(3), nfe=3, dtype=torch.float16)
    assert (solution.x.dtype, solution.x.shape) == (torch.float16, (3, 2))
    numbers = GaussianMixture(torch.zeros(1), std=1.0).ode(VPLinear())
    assert sample(numbers, (), [1, 2], nfe=2).x.shape == (2,)


def test_unknown_names_are_refused_with_near_misses():
    ode, _ = counted(VPLinear())
    with pytest.raises(UnknownNameError, match="no integrator named 'tab'; near it: tab0"):
        sample(ode, (2,), [0], integrator="tab")
    with pytest.raises(UnknownNameError, match="no grid named"):
        sample(ode, (2,), [0], grid="quadratic")
    with pytest.raises(ArgumentError, match="seeds must"):
        sample(ode, (2,), 7)

import attrs
import numpy as np
import pytest
import torch

from deis import (
    EDM,
    INTEGRATORS,
    VE,
    BlackBox,
    CriticallyDampedLangevin,
    Dopri5,
    GaussianMixture,
    PolynomialEIAB,
    PowerGrid,
    ProbabilityFlowODE,
    SampleNoise,
    VPLinear,
    sample,
    solve,
    zoo,
)
from deis.errors import ArgumentError, CapabilityError, DeisError, UnknownNameError

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


@pytest.mark.parametrize("name", ["ddim", "tab3", "dpmpp-2s", "sddim"])
def test_the_last_call_may_denoise(name):
    for nfe in (None, 11):
        ode, network = counted(VPLinear())
        if nfe is None and name == "dpmpp-2s":
            with pytest.raises(ArgumentError, match="got 10; ask for 9 or 11"):
                sample(ode, (2,), range(3), integrator=name, denoise=True)
            continue
        solution = sample(ode, (2,), range(3), nfe=nfe, integrator=name, denoise=True, dtype=torch.float64)
        assert network.calls == solution.nfe == (nfe or 10)
        calls = solution.nfe - 1
        plain = sample(ode, (2,), range(3), nfe=calls, integrator=name, dtype=torch.float64)
        assert plain.times == solution.times
        expected = ode.split("x0").nonlinearity(solution.times[-1], plain.x)
        torch.testing.assert_close(solution.x, expected, rtol=1e-9, atol=1e-9)


def test_denoising_takes_times_that_are_given_and_refuses_methods_without_a_plan():
    ode, network = counted(EDM())
    assert sample(ode, (2,), [0], grid=[10.0, 1.0, 0.1], denoise=True).nfe == network.calls == 3
    with pytest.raises(ArgumentError, match="nfe must be 3"):
        sample(ode, (2,), [0], nfe=2, grid=[10.0, 1.0, 0.1], denoise=True)
    with pytest.raises(ArgumentError, match="method must have a plan"):
        sample(ode, (2,), [0], integrator="dopri5", denoise=True)


def test_methods_that_choose_their_steps_take_no_budget():
    ode, network = counted(VPLinear())
    solution = sample(ode, (2,), range(3), nfe=None, integrator="dopri5", dtype=torch.float64)
    assert network.calls == solution.nfe > 20
    fine = sample(ode, (2,), range(3), nfe=300, integrator="tab3", dtype=torch.float64)
    torch.testing.assert_close(solution.x, fine.x, rtol=1e-3, atol=1e-3)
    with pytest.raises(ArgumentError, match="nfe must be None for Dopri5"):
        sample(ode, (2,), range(3), nfe=10, integrator=Dopri5())
    assert sample(ode, (2,), range(3), integrator=Dopri5()).nfe > 20


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
    expected = solve(ode, start, PowerGrid("rho", 7.0)(ode, 4), "default")
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


def test_ten_calls_are_made_where_nothing_is_said():
    ode, network = counted(VPLinear())
    assert sample(ode, (2,), [0]).nfe == network.calls == 10


def test_times_may_be_given_in_place_of_a_family():
    ode, _ = counted(VPLinear())
    family = PowerGrid("t", 2.0)
    expected = sample(ode, (2,), [0, 1], nfe=6, grid=family).x
    for times in (family(ode, 6), family(ode, 6).tensor(), list(family(ode, 6)), family(ode, 6).tensor().numpy()):
        for nfe in (None, 6):
            solution = sample(ode, (2,), [0, 1], nfe=nfe, grid=times)
            assert solution.nfe == 6
            assert torch.equal(solution.x, expected)
    assert sample(ode, (2,), [0], grid=[1.0, 0.5, 0.1], integrator="rhork-kutta3").nfe == 6
    assert sample(ode, (2,), [0], grid=[1.0, 0.5, 0.1], integrator="dopri5").nfe > 6


def test_noise_has_the_level_of_the_first_time():
    ode, network = counted(EDM())
    sample(ode, (2,), [3], grid=[10.0, 1.0, 0.1], dtype=torch.float64)
    torch.testing.assert_close(network.first, SampleNoise([3]).initial((2,), torch.float64) * 10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid": [1.0, 0.5, 0.1], "nfe": 3}, "nfe must be 2, which is what .* on these 2 intervals, got 3; or leave"),
        ({"grid": [0.1, 1.0]}, "grid must run from noise to data"),
        ({"grid": [2.0, 0.1]}, "times must lie between"),
        ({"grid": [1.0, 0.5, 0.5]}, "times must be strictly monotone"),
        ({"nfe": 2.5}, "nfe must be a whole number"),
        ({"nfe": True}, "nfe must be a whole number"),
        ({"start": "runge-kutta"}, "start must be a GaussianStart, got 'str'"),
        ({"dtype": torch.int32}, "dtype must be float16, bfloat16, float32 or float64"),
        ({"dtype": torch.complex64}, "dtype must be float16"),
        ({"dtype": "float32"}, "dtype must be float16"),
        ({"integrator": PolynomialEIAB}, r"integrator must .*write PolynomialEIAB\(\)"),
        ({"integrator": None}, "integrator must be an integrator or the name of one"),
        ({"shape": 3}, "shape must be the shape of one sample"),
        ({"shape": (3, -1)}, "shape must be the shape of one sample"),
        ({"shape": (3, 0)}, "shape must be the shape of one sample"),
        ({"shape": (2.0,)}, "shape must be the shape of one sample"),
    ],
)
def test_wrong_arguments_are_refused_before_any_call(options, message):
    ode, network = counted(VPLinear())
    with pytest.raises(ArgumentError, match=message):
        sample(ode, options.pop("shape", (2,)), [0], **options)
    assert network.calls == 0


@pytest.mark.parametrize(
    ("ode", "fix"),
    [
        (zoo.load("digits-exact"), r"pass model\.ode\(label\)"),
        (GaussianMixture(MEANS, 0.3), r"mixture\.ode\(schedule\)"),
        ("digits", r"pass deis\.zoo\.load\('digits'\)\.ode\(label\)"),
        (torch.tanh, r"pass ProbabilityFlowODE\(schedule, network\)"),
        (None, "None"),
    ],
)
def test_what_is_no_ode_is_refused_with_the_way_to_make_one(ode, fix):
    with pytest.raises(ArgumentError, match=f"ode must be a ProbabilityFlowODE, got .*{fix}"):
        sample(ode, (2,), [0])


def test_odes_without_scalar_levels_are_refused():
    with pytest.raises(CapabilityError, match="CriticallyDampedLangevin has no scalar signal and noise levels"):
        sample(CriticallyDampedLangevin(lambda x, t: x), (2,), [0])


def test_whole_numbers_of_numpy_and_torch_are_taken():
    ode, _ = counted(VPLinear())
    expected = sample(ode, (2,), [0, 1], nfe=4).x
    for kind in (np.int64, torch.tensor):
        assert torch.equal(sample(ode, (kind(2),), map(kind, [0, 1]), nfe=kind(4)).x, expected)
    assert torch.equal(sample(ode, torch.Size([2]), np.arange(2), nfe=4).x, expected)

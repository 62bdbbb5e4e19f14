import math

import pytest
import torch

from deis import DiscreteVP, NetworkTime, PowerGrid, ProbabilityFlowODE, VPLinear, sample, solve
from deis.errors import ArgumentError


def zero(x, t):
    return torch.zeros_like(x)


@pytest.mark.parametrize(
    ("convention", "told"),
    [
        (NetworkTime(), 7.0),
        (NetworkTime(1.0, 1.0), 8.0),
        (NetworkTime(1 / 1000, 1 / 1000), 0.008),
        (NetworkTime(1000.0), 7000.0),
    ],
)
def test_the_network_is_told_the_time_in_its_own_convention(convention, told):
    seen = []

    def network(x, t):
        seen.append(t)
        return x

    ode = ProbabilityFlowODE(DiscreteVP(), network, network_time=convention)
    ode.nonlinearity(7.0, torch.zeros(3, 2, 2, dtype=torch.float64))
    assert seen[0].shape == (3,)
    assert seen[0].tolist() == [told] * 3


@pytest.mark.parametrize(
    ("state", "time"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
        (torch.complex64, torch.float32),
        (torch.complex128, torch.float64),
    ],
)
def test_time_has_at_least_float32(state, time):
    assert NetworkTime()(0.5, torch.zeros(2, 3, dtype=state)).dtype == time


def test_networks_of_whole_numbers_are_given_the_nearest():
    x = torch.zeros(2, 3)
    assert NetworkTime(999.0, round=True)(0.5004, x).tolist() == [500.0, 500.0]
    assert NetworkTime(999.0, round=True)(0.5004, x).dtype == torch.float32
    told = NetworkTime(dtype=torch.int64)(6.9999999, x)
    assert (told.dtype, told.tolist()) == (torch.int64, [7, 7])
    half = NetworkTime(dtype=torch.float16)(0.25, x)
    assert (half.dtype, half.tolist()) == (torch.float16, [0.25, 0.25])


def test_a_network_with_an_embedding_of_time_can_be_sampled():
    embedding = torch.nn.Embedding(1000, 2)
    convention = NetworkTime(round=True, dtype=torch.int64)
    ode = ProbabilityFlowODE(DiscreteVP(), lambda x, t: x + embedding(t), network_time=convention)
    assert sample(ode, (2,), range(3), nfe=7, grid="ddim-quadratic").nfe == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": "1"}, "scale must be a finite number"),
        ({"shift": math.inf}, "shift must be a finite number"),
        ({"shift": None}, "shift must be a finite number"),
        ({"round": 1}, "round must be True or False"),
        ({"dtype": "int64"}, "dtype must be a real or whole-number"),
        ({"dtype": torch.complex64}, "dtype must be a real or whole-number"),
        ({"dtype": torch.bool}, "dtype must be a real or whole-number"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ArgumentError, match=message):
        NetworkTime(**options)


@pytest.mark.parametrize("value", [1000, None, NetworkTime])
def test_a_convention_must_be_callable(value):
    with pytest.raises(ArgumentError, match=r"network_time must be a NetworkTime.*NetworkTime\(scale=1000.0\)"):
        ProbabilityFlowODE(VPLinear(), zero, network_time=value)


def test_any_function_of_time_and_state_is_a_convention():
    ode = ProbabilityFlowODE(VPLinear(), lambda x, t: x * t, network_time=lambda t, x: torch.tensor(2 * t))
    assert float(ode.nonlinearity(0.5, torch.ones(1))) == 1


def test_half_precision_networks_see_half_precision_states():
    dtypes = set()

    def network(x, t):
        dtypes.add((x.dtype, t.dtype))
        return x / 2

    ode = ProbabilityFlowODE(VPLinear(), network)
    x = solve(ode, torch.ones(2, 3, dtype=torch.bfloat16), PowerGrid()(ode, 5), "tab2").x
    assert x.dtype == torch.bfloat16
    assert dtypes == {(torch.bfloat16, torch.float32)}

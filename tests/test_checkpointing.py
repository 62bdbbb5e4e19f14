"""Gradients by computing steps again: the same numbers, in memory that hardly grows with the number of steps."""

import math
import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from deis import CapabilityError, DenseODE, DiagonalODE, ProbabilityFlowODE, SampleNoise, VPLinear, solve

SIZE = 97  # the states of these tests are the only tensors of this length


def problem(parameter, calls=None):
    def function(t, x):
        if calls is not None:
            calls.append(t)
        return (parameter * x + t).sin()

    return DiagonalODE(torch.linspace(-30.0, 0.0, SIZE), function)


def gradient(integrator, intervals, **options):
    parameter = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    x0 = torch.linspace(-1.0, 1.0, SIZE, dtype=torch.float64).requires_grad_()
    times = torch.linspace(0.0, 1.0, intervals + 1, dtype=torch.float64)
    solution = solve(problem(parameter), x0, times, integrator, **options)
    return solution, torch.autograd.grad(solution.x.square().sum(), (parameter, x0))


@pytest.mark.parametrize("intervals", [1, 2, 7, 16])
@pytest.mark.parametrize(
    "integrator", ["krogstad", "etd1", "exp-adams3", "tab3:corrector=true", "polynomial:steps=3:corrector=true"]
)
def test_solution_and_gradients_are_the_same_bit_for_bit(integrator, intervals):
    plain, expected = gradient(integrator, intervals, keep_states=True)
    again, found = gradient(integrator, intervals, keep_states=True, checkpoint=True)
    assert torch.equal(plain.x, again.x)
    assert plain.times == again.times
    assert plain.nfe == again.nfe
    assert all(torch.equal(a, b) for a, b in zip(plain.states, again.states, strict=True))
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-13, atol=1e-13)


def test_without_states_only_the_last_one_is_kept():
    solution, _ = gradient("krogstad", 8, checkpoint=True)
    assert solution.states is None


def test_noise_is_the_same_when_steps_are_computed_again():
    parameter = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    ode = ProbabilityFlowODE(VPLinear(), lambda x, t: parameter * x.sin())
    noise = SampleNoise(range(4))
    x0 = noise.initial((3,), torch.float64)
    times = torch.linspace(1.0, 0.1, 9, dtype=torch.float64)
    found = [
        torch.autograd.grad(solve(ode, x0, times, "ddpm", noise=noise, checkpoint=option).x.sum(), parameter)[0]
        for option in (False, True)
    ]
    torch.testing.assert_close(*found, rtol=1e-12, atol=0.0)


class Alive(TorchDispatchMode):
    """Most tensors of the states' size that are alive after any operation."""

    def __init__(self):
        super().__init__()
        self.peak, self._alive = 0, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and result.shape == (SIZE,) and result._base is None:
            self._alive += 1
            self.peak = max(self.peak, self._alive)
            weakref.finalize(result, self._gone)
        return result

    def _gone(self):
        self._alive -= 1


def peak(intervals, **options):
    with Alive() as alive:
        gradient("etd1", intervals, **options)
    return alive.peak


def test_memory_grows_with_the_logarithm_of_the_number_of_steps():
    few, many = peak(16, checkpoint=True), peak(256, checkpoint=True)
    assert many - few <= 8 * math.log2(256 / 16)
    assert peak(256) - peak(16) > 2 * 240
    assert many < peak(256) / 8


@pytest.mark.parametrize("intervals", [8, 64])
def test_each_step_is_computed_again_as_often_as_the_halving_says(intervals):
    calls = []
    parameter = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    x0 = torch.ones(SIZE, dtype=torch.float64)
    times = torch.linspace(0.0, 1.0, intervals + 1, dtype=torch.float64)
    solution = solve(problem(parameter, calls), x0, times, "etd1", checkpoint=True)
    assert len(calls) == solution.nfe == intervals
    solution.x.sum().backward()
    assert len(calls) <= intervals * (1 + math.log2(intervals) / 2)


def test_methods_without_a_plan_have_no_checkpoints():
    x0 = torch.ones(2, dtype=torch.float64)
    with pytest.raises(CapabilityError, match="no checkpoints; take a method with a plan"):
        solve(DenseODE(-torch.eye(2), lambda t, x: x), x0, [0.0, 1.0], "dopri5", checkpoint=True)

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deis.numerics.derivative import derivative
from deis.numerics.monotone import invert

FUNCTIONS = {
    "rising": (lambda x: x.exp() + x, -3.0, 2.0),
    "falling": (lambda x: -(x**3) - x, -2.0, 5.0),
    "steep": (lambda x: (20 * x).exp(), 0.0, 1.0),
    "logarithm": (torch.log, 1e-8, 1e4),
    "flat in the middle": (lambda x: x**3, -1.0, 1.0),
}


def double(value):
    return torch.tensor(value, dtype=torch.float64)


@pytest.mark.parametrize("name", FUNCTIONS)
@given(share=st.floats(0, 1))
def test_values_of_the_function_give_back_their_arguments(name, share):
    function, low, high = FUNCTIONS[name]
    values = function(double([low + share * (high - low)]))
    root = invert(function, values, low, high)
    assert low <= float(root) <= high
    rounding = 1e-15 * (float(values.abs()) + float((root * derivative(function, root)).abs()) + 1e-3)
    assert abs(float(function(root) - values)) <= 8 * rounding


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_at_and_beyond_the_ends_give_the_ends(name):
    function, low, high = FUNCTIONS[name]
    at_low, at_high = function(double([low, high])).tolist()
    width = (at_high - at_low) / 10
    values = double([at_low, at_low - width, at_low - 1e3 * width, at_high, at_high + width, at_high + 1e3 * width])
    roots = invert(function, values, low, high)
    assert torch.allclose(roots[:3], torch.full_like(roots[:3], low), rtol=1e-14, atol=1e-14)
    assert torch.allclose(roots[3:], torch.full_like(roots[3:], high), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("name", ["rising", "falling", "steep", "logarithm"])
def test_the_gradient_is_that_of_the_implicit_function_theorem(name):
    function, low, high = FUNCTIONS[name]
    x = torch.linspace(low, high, 7, dtype=torch.float64)[1:-1]
    values = function(x).requires_grad_()
    root = invert(function, values, low, high)
    (gradient,) = torch.autograd.grad(root.sum(), values)
    assert torch.allclose(gradient * derivative(function, x), torch.ones_like(x), rtol=1e-10, atol=0)


def test_beyond_the_ends_the_gradient_is_zero():
    values = double([-5.0, 0.5, 9.0]).requires_grad_()
    invert(lambda x: 2 * x, values, 0.0, 1.0).sum().backward()
    assert values.grad.tolist() == [0.0, 0.5, 0.0]


def test_requiring_a_gradient_does_not_change_the_value():
    values = double([0.1, 1.0, 2.0])
    plain = invert(torch.exp, values, -3.0, 1.0)
    assert torch.equal(plain, invert(torch.exp, values.clone().requires_grad_(), -3.0, 1.0).detach())
    assert not plain.requires_grad


@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
def test_the_shape_of_the_values_is_kept(shape):
    assert invert(torch.exp, torch.ones(shape, dtype=torch.float64), -1.0, 1.0).shape == shape


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_it_works_where_gradients_are_off(mode):
    with mode():
        root = invert(torch.exp, double([2.0]), 0.0, 1.0)
    assert float(root) == pytest.approx(float(double(2.0).log()), rel=1e-15)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_few_evaluations_are_enough_for_many_values(name):
    function, low, high = FUNCTIONS[name]
    calls = []
    x = torch.linspace(low, high, 1001, dtype=torch.float64)
    root = invert(lambda x: calls.append(1) or function(x), function(x), low, high)
    assert len(calls) <= (20 if name != "flat in the middle" else 130)
    torch.testing.assert_close(root, x, rtol=1e-13, atol=1e-14 if name != "flat in the middle" else 1e-9)


def test_a_function_with_a_kink_and_a_plateau_is_inverted():
    def function(x):
        return torch.where(x < 0, x, 50 * x) + (x - 0.5).clamp(min=0) * 1e6

    x = torch.linspace(-1, 1, 777, dtype=torch.float64)
    torch.testing.assert_close(invert(function, function(x), -1.0, 1.0), x, rtol=1e-12, atol=1e-15)


def test_rounding_in_the_function_does_not_spoil_the_root():
    x = torch.linspace(1e-4, 1, 501, dtype=torch.float64)
    root = invert(lambda x: 1e3 + (1e3 * x + 1e6) - 1e6, 1e3 + 1e3 * x, 1e-4, 1.0)
    torch.testing.assert_close(root, x, rtol=0, atol=1e-12)

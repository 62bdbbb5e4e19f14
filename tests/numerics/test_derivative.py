import math

import pytest
import torch

from deis.numerics.derivative import derivative

T = torch.linspace(0.1, 2.0, 6, dtype=torch.float64)
PAIRS = {
    "sine": (torch.sin, torch.cos),
    "power": (lambda t: t**3, lambda t: 3 * t**2),
    "logarithm": (lambda t: (1 + t**2).log(), lambda t: 2 * t / (1 + t**2)),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("shape", [(), (6,), (2, 3)])
def test_it_is_the_closed_form(name, shape):
    function, slope = PAIRS[name]
    t = T[2] if shape == () else T.reshape(shape)
    value = derivative(function, t)
    assert value.shape == shape
    assert torch.allclose(value, slope(t), rtol=1e-14, atol=0)


@pytest.mark.parametrize("function", [lambda t: torch.full_like(t, 3.0), lambda t: 0 * t + 3.0])
def test_a_constant_has_slope_zero(function):
    assert torch.equal(derivative(function, T), torch.zeros_like(T))
    assert torch.equal(derivative(function, T.clone().requires_grad_()), torch.zeros_like(T))


def test_a_parameter_alone_does_not_count_as_time():
    parameter = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    assert torch.equal(derivative(lambda t: parameter * torch.ones_like(t), T), torch.zeros_like(T))


def test_it_leaves_its_argument_alone():
    t = T.clone()
    assert not derivative(torch.sin, t).requires_grad
    assert not t.requires_grad
    assert t.grad is None


def test_the_graph_is_kept_where_the_time_requires_a_gradient():
    t = T.clone().requires_grad_()
    (second,) = torch.autograd.grad(derivative(torch.sin, t).sum(), t)
    assert torch.allclose(second, -T.sin(), rtol=1e-14, atol=0)


def test_the_graph_reaches_what_the_time_was_made_from():
    scale = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    derivative(torch.sin, scale * T).sum().backward()
    assert float(scale.grad) == pytest.approx(float((-(2 * T).sin() * T).sum()), rel=1e-13)


def test_it_nests():
    assert torch.allclose(derivative(lambda t: derivative(torch.sin, t), T), -T.sin(), rtol=1e-14, atol=0)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_it_works_where_gradients_are_off(mode):
    with mode():
        inside = torch.linspace(0.1, 2.0, 6, dtype=torch.float64)  # made in the mode too
        assert torch.allclose(derivative(torch.sin, inside), inside.cos(), rtol=1e-14, atol=0)
        assert torch.allclose(derivative(torch.sin, T), T.cos(), rtol=1e-14, atol=0)
    assert float(derivative(torch.exp, T)[0]) == pytest.approx(math.exp(0.1), rel=1e-15)

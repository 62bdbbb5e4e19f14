import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deis.numerics.quadrature import panel_rule, uniform_edges


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


def integral_of_power(edges, points, degree):
    x, w = panel_rule(edges, points)
    return float(w @ x**degree)


@given(st.integers(1, 20), st.floats(-2, 2), st.floats(-2, 2), st.integers(1, 4))
def test_polynomials_up_to_degree_2p_minus_1_are_exact(points, start, end, panels):
    edges = uniform_edges(double(start)[0], double(end)[0], panels)
    for degree in (0, points, 2 * points - 1):
        exact = (end ** (degree + 1) - start ** (degree + 1)) / (degree + 1)
        scale = max(abs(start), abs(end), 1.0) ** (degree + 1)
        assert abs(integral_of_power(edges, points, degree) - exact) <= 1e-13 * scale


@pytest.mark.parametrize("points", [1, 2, 5])
def test_degree_2p_is_not_exact(points):
    error = integral_of_power(double(-1.0, 1.0), points, 2 * points) - 2 / (2 * points + 1)
    assert abs(error) > 1e-4


def test_panels_of_zero_length_contribute_nothing():
    x, w = panel_rule(double(0.0, 0.3, 0.3, 0.3, 1.0), 5)
    assert torch.equal(w[5:15], torch.zeros(10, dtype=torch.float64))
    assert torch.equal(x[5:15], torch.full((10,), 0.3, dtype=torch.float64))
    assert float(w @ x.exp()) == pytest.approx(float(double(1.0).exp()) - 1, rel=1e-10)


def test_reversed_edges_reverse_the_sign():
    edges = double(0.0, 0.4, 1.0)
    forth, back = panel_rule(edges, 6), panel_rule(edges.flip(0), 6)
    assert float(forth[1] @ forth[0].exp()) == pytest.approx(-float(back[1] @ back[0].exp()), rel=1e-15)
    assert bool((back[1] < 0).all())


def test_nodes_lie_inside_their_panels_and_weights_sum_to_the_lengths():
    edges = double(0.0, 0.1, 1.0, 5.0)
    x, w = (part.reshape(3, 7) for part in panel_rule(edges, 7))
    assert bool(((x > edges[:-1, None]) & (x < edges[1:, None])).all())
    assert torch.allclose(w.sum(1), edges.diff(), rtol=1e-14, atol=0)


def test_smooth_functions_converge_with_panels():
    errors = []
    for panels in (1, 2, 4):
        x, w = panel_rule(uniform_edges(double(0.0)[0], double(3.0)[0], panels), 3)
        errors.append(abs(float(w @ x.sin()) - (1 - float(double(3.0).cos()))))
    assert errors[0] > 30 * errors[1] > 900 * errors[2]  # order 6: 64 each time


def test_batches_of_intervals_are_independent():
    start, end = double(0.0, 1.0, 2.0), double(1.0, 0.5, 2.0)
    edges = uniform_edges(start, end, 3)
    assert edges.shape == (3, 4)
    x, w = panel_rule(edges, 4)
    assert x.shape == w.shape == (3, 12)
    for i in range(3):
        assert torch.equal(x[i], panel_rule(uniform_edges(start[i], end[i], 3), 4)[0])
    assert torch.allclose((w * x**2).sum(1), (end**3 - start**3) / 3, rtol=1e-14, atol=1e-15)


def test_uniform_edges_hit_both_ends_exactly():
    edges = uniform_edges(double(0.1)[0], double(0.7)[0], 7)
    assert (float(edges[0]), float(edges[-1])) == (0.1, 0.7)
    assert torch.allclose(edges.diff(), torch.full((7,), 0.6 / 7, dtype=torch.float64), rtol=1e-13, atol=0)


def test_a_rule_first_used_in_inference_mode_can_be_differentiated_later():
    with torch.inference_mode():
        panel_rule(double(0.0, 1.0), 13)  # 13 points are used nowhere else
    end = double(2.0).requires_grad_()
    x, w = panel_rule(torch.cat([double(0.0), end]), 13)
    (w * x**2).sum().backward()
    assert float(end.grad) == pytest.approx(4.0, rel=1e-14)

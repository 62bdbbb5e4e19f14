import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deis.numerics.lagrange import basis, monomials

POINTS = torch.linspace(-1.5, 2.0, 11, dtype=torch.float64)
GAPS = st.lists(st.floats(0.1, 1.0), min_size=1, max_size=6)


def falling(gaps):
    return 0.5 - torch.tensor(gaps, dtype=torch.float64).cumsum(0)


def powers(x, count):
    return torch.stack([x**k for k in range(count)], dim=-2)


def scale(nodes):
    return float(basis(nodes, POINTS).abs().max())


@given(GAPS)
def test_the_basis_sums_to_one_everywhere(gaps):
    nodes = falling(gaps)
    assert float((basis(nodes, POINTS).sum(0) - 1).abs().max()) <= 1e-13 * scale(nodes)


@given(GAPS)
def test_each_function_is_one_at_its_node_and_zero_at_the_others(gaps):
    nodes = falling(gaps)
    assert torch.equal(basis(nodes, nodes), torch.eye(len(nodes), dtype=torch.float64))


@given(GAPS, st.integers(0, 5))
def test_polynomials_below_the_number_of_nodes_are_reproduced(gaps, degree):
    nodes = falling(gaps)
    degree = min(degree, len(nodes) - 1)
    error = nodes**degree @ basis(nodes, POINTS) - POINTS**degree
    assert float(error.abs().max()) <= 1e-12 * scale(nodes) * max(1.0, float(nodes.abs().max()) ** degree)


def test_a_polynomial_of_higher_degree_is_not_reproduced():
    nodes = falling([1.0, 1.0, 1.0])
    assert float((nodes**3 @ basis(nodes, POINTS) - POINTS**3).abs().max()) > 1


@given(GAPS)
def test_monomial_coefficients_describe_the_same_functions(gaps):
    nodes = falling(gaps)
    rows = monomials(nodes)
    values = rows @ powers(POINTS, len(nodes))
    rounding = float((rows.abs() @ powers(POINTS.abs(), len(nodes))).max())
    assert float((values - basis(nodes, POINTS)).abs().max()) <= 1e-13 * rounding


def test_monomial_coefficients_of_two_nodes_are_the_textbook_line():
    # (x - 3) / (1 - 3) and (x - 1) / (3 - 1), lowest power first
    expected = [[1.5, -0.5], [-0.5, 0.5]]
    assert monomials(torch.tensor([1.0, 3.0], dtype=torch.float64)).tolist() == expected


def test_one_node_gives_the_constant():
    node = torch.tensor([0.3], dtype=torch.float64)
    assert torch.equal(basis(node, POINTS), torch.ones(1, len(POINTS), dtype=torch.float64))
    assert monomials(node).tolist() == [[1.0]]


@pytest.mark.parametrize("function", [lambda n: basis(n, POINTS.expand(*n.shape[:-1], -1)), monomials])
def test_batches_of_nodes_are_independent(function):
    nodes = torch.tensor([[[0.0, 1.0, 3.0]], [[-1.0, 0.5, 0.7]]], dtype=torch.float64)
    together = function(nodes)
    for i in range(2):
        assert torch.equal(together[i, 0], function(nodes[i, 0]))


def test_the_basis_carries_gradients_of_nodes_and_points():
    nodes = torch.tensor([0.0, 0.4, 1.0], dtype=torch.float64, requires_grad=True)
    x = torch.tensor([0.2, 0.9], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(basis, (nodes, x))
    assert torch.autograd.gradcheck(monomials, (nodes,))

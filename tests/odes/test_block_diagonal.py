import pytest
import torch

from deis import (
    ArgumentError,
    BlockDiagonalODE,
    CapabilityError,
    DenseODE,
    make_plan,
    plan_from_json,
    plan_to_json,
    solve,
)
from deis.testing import SemilinearODEConformance

BLOCKS = torch.stack(
    [
        torch.tensor([[-1.0, 2.0, 0.0], [-2.0, -1.0, 0.0], [0.3, 0.0, -5.0]], dtype=torch.float64),
        torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]], dtype=torch.float64),
    ]
)
STIFF = torch.tensor([[[-1e6, 1.0], [0.0, -1.0]], [[0.0, 1e3], [-1e3, 0.0]]], dtype=torch.float64)


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def nothing(t, x):
    return x


def sine(t, x):
    return x.sin() + t


class TestConformance(SemilinearODEConformance):
    @pytest.fixture(
        params=[
            BLOCKS,
            BLOCKS[:1].expand(2, 3, 3),
            torch.zeros(2, 3, 3),
            1j * BLOCKS,
        ],
        ids=["two kinds", "one kind", "zero", "complex"],
    )
    def ode(self, request):
        return BlockDiagonalODE(request.param, sine)


class TestStiffConformance(SemilinearODEConformance):
    @pytest.fixture
    def ode(self):
        return BlockDiagonalODE(STIFF / 100, sine, (-0.5, 1.0))

    @pytest.fixture
    def state(self):
        return double([[1.0, 2.0], [-1.0, 0.5]])


@pytest.mark.parametrize("matrix", [BLOCKS, STIFF], ids=["mild", "stiff"])
def test_coefficients_are_those_of_each_block(matrix):
    ode = BlockDiagonalODE(matrix, nothing)
    s, t = double([0.0, 0.3, 0.6]), double([0.3, 0.6, 1.0])
    nodes = torch.stack([s, s - 0.1, t], dim=1)
    for b, block in enumerate(matrix):
        dense = DenseODE(block, nothing)
        torch.testing.assert_close(ode.transition(t, s)[:, b], dense.transition(t, s), rtol=1e-12, atol=1e-13)
        torch.testing.assert_close(
            ode.weights(s, t, nodes)[:, :, b], dense.weights(s, t, nodes), rtol=1e-11, atol=1e-13
        )


def test_the_transition_is_the_exponential():
    ode = BlockDiagonalODE(BLOCKS, nothing)
    value = ode.transition(double([[0.5, 1.0], [0.0, -0.5]]), double(0.0))
    assert value.shape == (2, 2, 2, 3, 3)
    torch.testing.assert_close(value[0, 1], torch.linalg.matrix_exp(BLOCKS), rtol=1e-13, atol=1e-14)
    torch.testing.assert_close(value[1, 1], torch.linalg.matrix_exp(-BLOCKS / 2), rtol=1e-13, atol=1e-14)


def test_a_block_acts_on_its_own_row():
    ode = BlockDiagonalODE(BLOCKS, nothing)
    x = torch.arange(24, dtype=torch.float64).reshape(4, 2, 3)
    value = ode.apply(ode.linear(double(0.0)), x)
    for n in range(4):
        for b in range(2):
            torch.testing.assert_close(value[n, b], BLOCKS[b] @ x[n, b], rtol=1e-15, atol=0)
    assert torch.equal(ode.apply(0.5, x), 0.5 * x)


def test_products_of_coefficients_are_products_of_matrices():
    ode = BlockDiagonalODE(BLOCKS, nothing)
    a, b = ode.transition(double([0.2, 0.3]), double(0.0)), ode.transition(double([0.5, 0.1]), double(0.0))
    torch.testing.assert_close(ode.compose(a, b), a @ b, rtol=0, atol=0)
    assert torch.equal(ode.compose(a, double([2.0, 3.0]))[1], 3 * a[1])


@pytest.mark.parametrize("integrator", ["krogstad", "exp-adams3", "lawson4", "euler"])
def test_blocks_may_be_coupled_by_n(integrator):
    """A block-diagonal matrix is a matrix: the same equation with the state in one row."""

    def coupled(t, x):
        return 0.3 * x.flip(-2) * x.sum((-2, -1), keepdim=True).cos()

    blocks = BlockDiagonalODE(BLOCKS, coupled)
    dense = DenseODE(torch.block_diag(*BLOCKS), lambda t, y: coupled(t, y.unflatten(-1, (2, 3))).flatten(-2))
    x = torch.linspace(-1.0, 1.0, 24, dtype=torch.float64).reshape(4, 2, 3)
    times = [0.0, 0.1, 0.25, 0.3]
    expected = solve(dense, x.flatten(-2), times, integrator).x.unflatten(-1, (2, 3))
    torch.testing.assert_close(solve(blocks, x, times, integrator).x, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("integrator", ["krogstad", "exp-adams3"])
def test_batches_are_single_solves(integrator):
    ode = BlockDiagonalODE(BLOCKS, sine)
    x = torch.linspace(-1.0, 1.0, 24, dtype=torch.float64).reshape(4, 2, 3)
    together = solve(ode, x, [0.0, 0.1, 0.4], integrator).x
    for n in range(4):
        alone = solve(ode, x[n], [0.0, 0.1, 0.4], integrator).x
        torch.testing.assert_close(together[n], alone, rtol=1e-13, atol=1e-14)


def test_plans_return_from_json():
    ode = BlockDiagonalODE(BLOCKS, sine)
    plan = make_plan(ode, [0.0, 0.1, 0.4], "krogstad")
    assert plan_from_json(plan_to_json(plan)) == plan


def test_single_precision_states_stay_so():
    ode = BlockDiagonalODE(BLOCKS, sine)
    x = torch.linspace(-1.0, 1.0, 6).reshape(2, 3)
    value = solve(ode, x, [0.0, 0.1, 0.4], "krogstad").x
    assert value.dtype == torch.float32
    torch.testing.assert_close(
        value.double(), solve(ode, x.double(), [0.0, 0.1, 0.4], "krogstad").x, rtol=1e-5, atol=1e-5
    )


def test_weights_carry_the_gradient_of_the_matrix():
    s, t, nodes = double([0.0]), double([0.5]), double([[0.0, -0.25]])
    matrix = double([[[-1.0, 0.5], [0.2, -2.0]], [[0.0, 1.0], [0.0, 0.0]]]).requires_grad_()
    assert torch.autograd.gradcheck(lambda m: BlockDiagonalODE(m, nothing).weights(s, t, nodes), matrix)


@pytest.mark.parametrize("shape", [(), (2,), (2, 2), (3, 2, 1), (1, 2, 2, 2)], ids=str)
def test_a_matrix_of_another_shape_is_refused(shape):
    with pytest.raises(ArgumentError, match=r"matrix must have shape \(blocks, d, d\)"):
        BlockDiagonalODE(torch.ones(shape), nothing)


@pytest.mark.parametrize("shape", [(), (3,), (2, 2), (3, 3), (2, 3, 2), (5, 1, 3)], ids=str)
def test_a_state_of_another_shape_is_refused(shape):
    ode = BlockDiagonalODE(BLOCKS, lambda t, x: 1 / 0)
    with pytest.raises(ArgumentError, match="x0 must fit the linear part"):
        solve(ode, torch.ones(shape, dtype=torch.float64), [0.0, 1.0], "krogstad")


def test_complex_blocks_need_a_complex_state():
    with pytest.raises(ArgumentError, match="x0 must be complex"):
        solve(BlockDiagonalODE(1j * BLOCKS, nothing), torch.ones(2, 3), [0.0, 1.0], "krogstad")


def test_clocks_of_diffusion_are_refused():
    with pytest.raises(CapabilityError, match="no clock 'rho'"):
        solve(BlockDiagonalODE(BLOCKS, nothing), torch.ones(2, 3), [0.0, 1.0], "rhoab1")

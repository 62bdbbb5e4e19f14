import math

import mpmath
import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deis.errors import ArgumentError, CapabilityError, DeisError, NetworkError, NonFiniteError
from deis.numerics.krylov import Krylov
from deis.numerics.phi import phi, phi_dense


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def times(matrix):
    return lambda x: x @ matrix.mT


class Counted:
    """An operator that counts its calls."""

    def __init__(self, operator):
        self._operator, self.calls = operator, 0

    def __call__(self, x):
        self.calls += 1
        return self._operator(x)


def laplacian(size, norm):
    """Second differences with period ``size``, and the eigenvalues in the order of the FFT, from -``norm`` to 0."""
    k = torch.arange(size, dtype=torch.float64)
    return (
        lambda x: norm / 4 * (x.roll(1, -1) - 2 * x + x.roll(-1, -1)),
        -norm * (math.pi * k / size).sin() ** 2,
    )


def by_fourier(eigenvalues, vectors, tau):
    functions = phi(len(vectors) - 1, tau * eigenvalues)
    return torch.fft.ifft(sum(f * torch.fft.fft(v) for f, v in zip(functions, vectors, strict=True)))


def gap(one, other, vectors):
    """Largest distance of a sample, relative to its largest vector."""
    scale = torch.stack([v.norm(dim=-1) for v in vectors if v is not None]).amax(0)
    return float(((one - other).norm(dim=-1) / scale).max())


def rotation(size, seed):
    return torch.linalg.qr(normal(size, size, seed=seed))[0]


def matrices():
    basis, size = rotation(12, 1), 12
    negative = -torch.logspace(-3, 2, size, dtype=torch.float64)
    skew = normal(size, size, seed=2)
    complex_basis = torch.linalg.qr(normal(size, size, seed=3, dtype=torch.complex128))[0]
    jordan = torch.diag(torch.full((size,), -2.0, dtype=torch.float64)) + torch.diag(torch.ones(size - 1).double(), 1)
    return {
        "general": (normal(size, size, seed=4), False),
        "symmetric": (basis @ (negative[:, None] * basis.mT), True),
        "indefinite": (basis @ (torch.linspace(-9, 3, size).double()[:, None] * basis.mT), True),
        "skew": (skew - skew.mT, False),
        "defective": (jordan, False),
        "nilpotent": (torch.diag(torch.ones(size - 1).double(), 1), False),
        "zero": (torch.zeros(size, size, dtype=torch.float64), False),
        "symmetric zero": (torch.zeros(size, size, dtype=torch.float64), True),
        "complex": (normal(size, size, seed=5, dtype=torch.complex128), False),
        "hermitian": (complex_basis @ (negative[:, None] * complex_basis.mH), True),
        "imaginary": (complex_basis @ (1j * negative[:, None] * complex_basis.mH), False),
    }


@pytest.mark.parametrize("short", [False, True], ids=["all vectors", "substeps"])
@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("name", list(matrices()))
def test_sums_are_those_of_the_matrix_functions(name, count, short):
    matrix, symmetric = matrices()[name]
    vectors = [normal(3, 12, seed=10 + k, dtype=matrix.dtype) * 10.0**-k for k in range(count)]
    krylov = Krylov(symmetric=symmetric, most=9 if short else 100)
    expected = sum(v @ p.mT for p, v in zip(phi_dense(count - 1, 0.7 * matrix), vectors, strict=True))
    value = krylov.phi_sum(times(matrix), vectors, 0.7)
    size = max(1.0, float((expected.norm(dim=-1) / vectors[0].norm(dim=-1)).max()))
    assert gap(value, expected, vectors) <= 1e-9 * size


def test_the_exponential_is_that_of_scipy():
    x = normal(200, 3, seed=1)
    matrix = scipy.sparse.random(200, 200, 0.05, random_state=np.random.default_rng(0)) - 2 * scipy.sparse.eye(200)
    expected = torch.from_numpy(scipy.sparse.linalg.expm_multiply(1.5 * matrix, x.numpy())).T
    value = Krylov().phi_sum(lambda v: torch.from_numpy(np.ascontiguousarray((matrix @ v.numpy().T).T)), [x.T], 1.5)
    assert gap(value, expected, [x.T]) <= 1e-10


def test_the_functions_are_those_of_their_power_series():
    matrix = [[-3.0, 1.0, 0.5], [0.25, -1.0, 2.0], [1.0, -2.0, 0.5]]
    vectors = [[1.0, -1.0, 2.0], [0.5, 0.25, 0.0], [3.0, 1.0, -1.0], [0.0, 0.0, 1.0]]
    with mpmath.workdps(40):
        a, expected = mpmath.matrix(matrix), mpmath.zeros(3, 1)
        for k, v in enumerate(vectors):
            term = mpmath.matrix(v) / mpmath.factorial(k)
            for n in range(1, 90):  # phi_k(z) v = sum_n z^n v / (n + k)!
                expected += term
                term = a * term / (n + k)
    value = Krylov().phi_sum(times(torch.tensor(matrix).double()), [torch.tensor(v).double() for v in vectors], 1.0)
    assert float((value - torch.tensor([float(e) for e in expected], dtype=torch.float64)).abs().max()) <= 1e-12


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize(
    ("norm", "rough"),
    [(1e4, True), pytest.param(1e5, True, marks=pytest.mark.slow), (1e6, False)],
    ids=["1e4", "1e5", "1e6, smooth"],
)
def test_stiff_parts_keep_the_tolerance(norm, rough, symmetric):
    operator, eigenvalues = laplacian(128, norm)
    place = torch.arange(128, dtype=torch.float64) * (2 * math.pi / 128)
    vectors = [normal(128, seed=1), normal(128, seed=2)] if rough else [place.sin() + (3 * place).cos()]
    value = Krylov(symmetric=symmetric, most=60).phi_sum(operator, vectors, 1.0)
    assert gap(value, by_fourier(eigenvalues, vectors, 1.0).real, vectors) <= 1e-10


@pytest.mark.slow
@pytest.mark.parametrize("symmetric", [True, False])
def test_very_stiff_parts_keep_the_tolerance(symmetric):
    operator, eigenvalues = laplacian(300, 1e6)
    vectors = [normal(300, seed=1)]
    value = Krylov(symmetric=symmetric).phi_sum(operator, vectors, 1.0)
    assert gap(value, by_fourier(eigenvalues, vectors, 1.0).real, vectors) <= 1e-10


def test_oscillating_parts_keep_the_tolerance():
    frequency = 1j * torch.linspace(-1e3, 1e3, 150, dtype=torch.float64)
    vectors = [normal(150, seed=k, dtype=torch.complex128) for k in range(3)]
    value = Krylov(most=100).phi_sum(lambda x: frequency * x, vectors, 1.0)
    functions = phi(2, frequency)
    assert gap(value, sum(f * v for f, v in zip(functions, vectors, strict=True)), vectors) <= 1e-10


def test_calls_grow_like_the_root_of_the_norm_for_symmetric_parts():
    calls = {}
    for norm in (25.0, 400.0, 6400.0):
        operator = Counted(laplacian(2000, norm)[0])
        with torch.no_grad():
            Krylov(symmetric=True, most=1000).phi_sum(operator, [normal(2000, seed=1)], 1.0)
        calls[norm] = operator.calls
    # each norm is 16 times the one before: the root makes that 4 times; looks at the error come at 1.3 the dimension
    assert calls[400.0] <= 4 * 1.3 * calls[25.0]
    assert calls[6400.0] <= 4 * 1.3 * calls[400.0]
    assert calls[6400.0] < 400


@pytest.mark.parametrize("symmetric", [True, False])
def test_eigenvectors_take_two_products_and_no_more(symmetric):
    operator, eigenvalues = laplacian(64, 300.0)
    place = torch.arange(64, dtype=torch.float64) * (2 * math.pi / 64)
    x = (5 * place).cos()
    counted = Counted(operator)
    with torch.no_grad():
        value = Krylov(symmetric=symmetric).phi_sum(counted, [x], 1.0)
    assert gap(value, eigenvalues[5].exp() * x, [x]) <= 1e-13
    assert counted.calls <= 2


def test_the_exact_result_in_a_small_space_ends_its_growth():
    matrix = torch.block_diag(normal(3, 3, seed=1), normal(60, 60, seed=2))
    counted = Counted(times(matrix))
    x = torch.nn.functional.pad(normal(3, seed=3), (0, 60))
    with torch.no_grad():
        value = Krylov(tolerance=1e-14).phi_sum(counted, [x], 1.0)
    assert counted.calls <= 4
    assert gap(value, torch.linalg.matrix_exp(matrix) @ x, [x]) <= 1e-13


def test_samples_do_not_depend_on_each_other():
    operator, _ = laplacian(40, 200.0)
    batch = [normal(2, 3, 40, seed=k) * torch.tensor([[1e-8], [1.0], [1e6]]).double() for k in range(3)]
    together = Krylov().phi_sum(operator, batch, 0.5)
    for i in range(2):
        for j in range(3):
            alone = [v[i, j] for v in batch]
            assert gap(together[i, j], Krylov().phi_sum(operator, alone, 0.5), alone) <= 2e-10


def test_operators_may_act_on_several_axes():
    def plane(x):
        return 30 * (x.roll(1, -1) + x.roll(-1, -1) + x.roll(1, -2) + x.roll(-1, -2) - 4 * x)

    x = normal(2, 8, 8, seed=1)
    k = 2 * torch.arange(8, dtype=torch.float64) * (math.pi / 8)
    eigenvalues = 60 * (k.cos()[:, None] + k.cos() - 2)
    expected = torch.fft.ifft2(torch.fft.fft2(x) * (0.1 * eigenvalues).exp()).real
    for symmetric in (True, False):
        value = Krylov(axes=2, symmetric=symmetric).phi_sum(plane, [x], 0.1)
        assert float((value - expected).abs().max()) <= 1e-10


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
@pytest.mark.parametrize("symmetric", [True, False])
def test_single_precision_is_kept_and_ends_at_its_rounding(dtype, symmetric):
    operator, _ = laplacian(50, 100.0)
    vectors = [normal(50, seed=k, dtype=torch.promote_types(dtype, torch.float64)) for k in range(3)]
    exact = Krylov().phi_sum(operator, vectors, 1.0)
    counted = Counted(operator)
    value = Krylov(symmetric=symmetric).phi_sum(counted, [v.to(dtype) for v in vectors], 1.0)
    assert value.dtype == dtype
    assert counted.calls < 200
    assert gap(value.to(exact.dtype), exact, vectors) <= 2e-5


@settings(max_examples=25)
@given(st.floats(0.05, 0.95), st.integers(0, 1000), st.booleans())
def test_the_exponential_is_a_semigroup(share, seed, symmetric):
    operator, _ = laplacian(30, 80.0)
    x, krylov = normal(30, seed=seed), Krylov(symmetric=symmetric)
    middle = krylov.phi_sum(operator, [x], share)
    assert gap(krylov.phi_sum(operator, [middle], 1 - share), krylov.phi_sum(operator, [x], 1.0), [x]) <= 3e-10


@settings(max_examples=25)
@given(st.integers(1, 5), st.integers(0, 1000))
def test_each_function_follows_from_the_one_before(k, seed):
    matrix, v = normal(9, 9, seed=seed), normal(9, seed=seed + 1)
    alone = [Krylov().phi_sum(times(matrix), [*[None] * i, v], 1.0) for i in (k - 1, k)]
    expected = alone[0] - v / math.factorial(k - 1)  # z phi_k(z) = phi_{k-1}(z) - 1 / (k-1)!
    assert float((matrix @ alone[1] - expected).norm()) <= 1e-8 * float(v.norm() + expected.norm())


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("vectors", [[0], [0, 0, 0], [None, 0]], ids=["one", "three", "source"])
def test_zero_vectors_give_zero(vectors, symmetric):
    own = [v if v is None else torch.zeros(2, 5, dtype=torch.float64) for v in vectors]
    value = Krylov(symmetric=symmetric).phi_sum(lambda x: -x, own, 1.0)
    assert torch.equal(value, torch.zeros(2, 5, dtype=torch.float64))


def test_a_zero_sample_beside_others_is_safe():
    x = torch.stack([torch.zeros(20, dtype=torch.float64), normal(20, seed=1)])
    operator, _ = laplacian(20, 50.0)
    value = Krylov().phi_sum(operator, [x, x], 1.0)
    assert torch.equal(value[0], x[0])
    assert gap(value[1], Krylov().phi_sum(operator, [x[1], x[1]], 1.0), [x[1]]) <= 1e-10


def test_nothing_is_applied_where_tau_is_zero_or_the_vectors_are_empty():
    counted = Counted(lambda x: -x)
    v = normal(4, seed=1)
    assert torch.equal(Krylov().phi_sum(counted, [v, None, v], 0.0), 1.5 * v)
    assert Krylov().phi_sum(counted, [v[:0].expand(3, 0)], 1.0).shape == (3, 0)
    assert Krylov().phi_sum(counted, [normal(0, 4)], 1.0).shape == (0, 4)
    assert counted.calls == 0


def test_vectors_that_are_not_finite_give_nan_and_no_error():
    x = torch.tensor([1.0, math.inf, 2.0], dtype=torch.float64)
    assert Krylov().phi_sum(lambda x: -x, [x], 1.0).isnan().all()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("symmetric", [True, False])
def test_operators_that_are_not_finite_are_refused(bad, symmetric):
    with pytest.raises(NonFiniteError, match="operator of the linear part returned NaN or Inf"):
        Krylov(symmetric=symmetric).phi_sum(lambda x: torch.full_like(x, bad), [normal(5)], 1.0)


@pytest.mark.parametrize(
    "operator",
    [lambda x: x[:2], lambda x: x.float(), lambda x: x + 0j, lambda x: None, lambda x: x[None]],
    ids=["short", "dtype", "complex", "none", "axis"],
)
def test_operators_that_return_something_else_are_refused(operator):
    with pytest.raises(NetworkError, match=r"must return torch.float64 of shape \(5,\), as its argument is, got"):
        Krylov().phi_sum(operator, [normal(5)], 1.0)


@pytest.mark.parametrize(
    "matrix", [normal(6, 6, seed=1), 1j * torch.arange(6).double().diag()], ids=["general", "imaginary"]
)
def test_operators_that_are_not_symmetric_are_noticed(matrix):
    x = normal(6, seed=2, dtype=matrix.dtype)
    with pytest.raises(ArgumentError, match="symmetric must be False for an operator that is not symmetric"):
        Krylov(symmetric=True, tolerance=1e-14).phi_sum(times(matrix), [x], 1.0)


def test_hopeless_problems_are_refused(monkeypatch):
    monkeypatch.setattr("deis.numerics.krylov._MOST_SUBSTEPS", 20)
    frequency = 1j * torch.linspace(-1e5, 1e5, 40, dtype=torch.float64)
    with pytest.raises(DeisError, match=r"in 20 substeps of 10 vectors.*shorter steps, or raise most or tolerance"):
        Krylov(most=10).phi_sum(lambda x: frequency * x, [normal(40, dtype=torch.complex128)], 1.0)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
def test_gradients_with_respect_to_vectors(dtype, symmetric):
    matrix = normal(3, 3, seed=1, dtype=dtype)
    matrix = -(matrix @ matrix.mH) if symmetric else matrix
    krylov = Krylov(symmetric=symmetric, tolerance=1e-13)
    vectors = [normal(3, seed=2 + k, dtype=dtype).requires_grad_() for k in range(2)]

    def total(*vectors):
        return krylov.phi_sum(times(matrix), vectors, 0.6)

    assert torch.autograd.gradcheck(total, vectors, fast_mode=True)
    assert torch.autograd.gradgradcheck(total, vectors, fast_mode=True)


def test_gradients_pass_substeps():
    x, matrix = normal(2, 8, seed=1).requires_grad_(), normal(8, 8, seed=2)
    value = Krylov(most=6).phi_sum(times(matrix), [x, x], 0.3)
    functions, other = phi_dense(1, 0.3 * matrix), normal(2, 8, seed=3)
    (gradient,) = torch.autograd.grad(value, x, other)
    assert gap(gradient, other @ (functions[0] + functions[1]), [other]) <= 1e-9


@pytest.mark.parametrize("symmetric", [True, False])
def test_gradients_are_right_where_the_space_is_small(symmetric):
    """An eigenvector spans its own space, in which nothing is known of other directions."""
    operator, eigenvalues = laplacian(16, 20.0)
    place = torch.arange(16, dtype=torch.float64) * (2 * math.pi / 16)
    x, other = place.cos().requires_grad_(), (5 * place).cos()
    value = Krylov(symmetric=symmetric).phi_sum(operator, [x], 1.0)
    (gradient,) = torch.autograd.grad(value, x, other)
    assert gap(gradient, eigenvalues[5].exp() * other, [other]) <= 1e-10


def test_gradients_with_respect_to_what_the_operator_depends_on():
    rates, x = normal(5, seed=1).requires_grad_(), normal(2, 5, seed=2).requires_grad_()

    def total(rates, x):
        return Krylov(tolerance=1e-13).phi_sum(lambda v: rates * v, [x, 2 * x, x], 0.8)

    assert torch.autograd.gradcheck(total, (rates, x), fast_mode=True)
    functions = phi(2, 0.8 * rates)
    expected = torch.autograd.grad(((functions[0] + 2 * functions[1] + functions[2]) * x).sum(), rates)[0]
    actual = torch.autograd.grad(total(rates, x).sum(), rates)[0]
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-10)


def test_gradients_through_an_operator_that_torch_cannot_follow_are_refused():
    x = normal(5).requires_grad_()
    value = Krylov().phi_sum(lambda v: -v.detach(), [x], 1.0)
    with pytest.raises(CapabilityError, match="gradients need an operator that torch can differentiate"):
        value.sum().backward()


def test_gradients_through_an_operator_that_is_written_as_zero():
    x = normal(5).requires_grad_()
    value = Krylov().phi_sum(torch.zeros_like, [x, x], 1.0)
    assert torch.equal(torch.autograd.grad(value.sum(), x)[0], torch.full((5,), 2.0).double())


@pytest.mark.parametrize(
    ("option", "bad"), [("axes", -1), ("tolerance", 0.0), ("tolerance", 1.0), ("most", 1), ("symmetric", 1)]
)
def test_options_are_checked(option, bad):
    with pytest.raises(ArgumentError, match=f"^{option} must be"):
        Krylov(**{option: bad})

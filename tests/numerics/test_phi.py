import itertools
import math

import mpmath
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from deis.numerics.phi import phi, phi_dense

ORDER = 4
SIZES = st.floats(-12, 4).map(lambda e: 10.0**e)
ANGLES = st.floats(0, 2 * math.pi)


def reference(order, z):
    """phi_0 ... phi_order by the recurrence in 120 digits; |z|^order may be 1e-48 or less."""
    with mpmath.workdps(120):
        z = mpmath.mpmathify(z)
        if z == 0:
            return [1 / mpmath.factorial(k) for k in range(order + 1)]
        values = [mpmath.exp(z)]
        for k in range(order):
            values.append((values[-1] - 1 / mpmath.factorial(k)) / z)
        return values


def slopes(values):
    """phi_k' = phi_k - k phi_{k+1}."""
    return [values[k] - k * values[k + 1] for k in range(len(values) - 1)]


def at(z, order=ORDER):
    dtype = torch.complex128 if isinstance(z, complex) else torch.float64
    return phi(order, torch.tensor(z, dtype=dtype)).tolist()


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def relative(a, b):
    return float((a - b).abs().max() / b.abs().max())


@given(SIZES, st.sampled_from([1, -1]))
@example(2.0, 1)
@example(2.0, -1)
@example(math.nextafter(2, 0), -1)
def test_real_arguments_have_a_relative_error_of_1e_14(size, sign):
    z = min(sign * size, 700.0)
    for value, exact in zip(at(z), reference(ORDER, z), strict=True):
        if abs(exact) < 1e-300:  # exp underflows
            assert abs(value) < 1e-300
        else:
            assert abs(value - exact) <= 1e-14 * abs(exact)


@given(SIZES, st.one_of(st.sampled_from([math.pi / 2, -math.pi / 2]), ANGLES))
def test_imaginary_and_complex_arguments_have_an_error_of_1e_14(size, angle):
    z = complex(size * math.cos(angle), size * math.sin(angle))
    if abs(angle) == math.pi / 2:
        z = complex(0.0, z.imag)
    z = complex(min(z.real, 700.0), z.imag)
    exact = reference(ORDER + 1, z)
    for value, true, slope in zip(at(z), exact, slopes(exact), strict=False):
        # at a zero of phi no relative accuracy is possible: allow what a change of z by 1e-14 makes
        assert abs(value - true) <= 1e-14 * (abs(true) + abs(slope)) + 1e-300


@pytest.mark.parametrize("turns", [1, -1, 3, 100])
def test_the_zeros_on_the_imaginary_axis_are_zero_to_rounding(turns):
    assert abs(at(2j * math.pi * turns, 1)[1]) < 1e-15


def test_at_zero_the_values_are_inverse_factorials():
    assert at(0.0) == [1.0, 1.0, 1 / 2, 1 / 6, 1 / 24]
    assert at(0j) == [1.0, 1.0, 1 / 2, 1 / 6, 1 / 24]


def test_very_negative_arguments_follow_the_asymptote_and_do_not_fail():
    z = -1e300
    value = at(z)
    assert value[0] == 0
    for k in range(1, ORDER + 1):
        assert value[k] == pytest.approx(-1 / (z * math.factorial(k - 1)), rel=1e-14)


def test_overflow_gives_infinity_and_not_nan():
    assert at(1e4) == [math.inf] * (ORDER + 1)


@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (2, 3, 4)])
def test_the_order_is_a_new_first_axis(order, shape):
    assert phi(order, torch.zeros(shape, dtype=torch.float64)).shape == (order + 1, *shape)


def test_small_and_large_arguments_in_one_tensor_do_not_disturb_each_other():
    z = double([0.0, 1e-12, -1.999, 2.0, -40.0, 1e4, -1e4])
    together = phi(ORDER, z)
    for i, one in enumerate(z):
        assert torch.equal(together[:, i], phi(ORDER, one))


def test_real_and_complex_arithmetic_agree():
    z = double([-50.0, -2.0, -0.5, 0.0, 1.0, 30.0])
    assert relative(phi(ORDER, z.to(torch.complex128)), phi(ORDER, z).to(torch.complex128)) < 1e-15


@given(st.complex_numbers(min_magnitude=0.1, max_magnitude=100))
def test_the_recurrence_holds(z):
    value = at(z)
    for k in range(ORDER):
        scale = abs(value[k]) + 1 / math.factorial(k)
        assert abs(z * value[k + 1] + 1 / math.factorial(k) - value[k]) <= 1e-14 * scale * (1 + abs(z))


@pytest.mark.parametrize("z", [0.0, 1e-9, 1.99, 2.01, -2.0, -30.0, 5.0])
def test_gradients_are_those_of_the_functions(z):
    point = double(z).requires_grad_()
    with_next = [float(v) for v in reference(ORDER + 1, z)]
    for k, slope in enumerate(slopes(with_next)):
        (gradient,) = torch.autograd.grad(phi(ORDER, point)[k], point)
        assert float(gradient) == pytest.approx(slope, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_on_a_diagonal_matrix_the_dense_form_is_elementwise(dtype):
    z = 5 * random(6, dtype=dtype)
    assert relative(phi_dense(ORDER, torch.diag(z)), torch.diag_embed(phi(ORDER, z))) < 1e-14


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_the_dense_form_commutes_with_similarity(dtype):
    z, basis = -20 * random(5, seed=1, dtype=dtype).abs().to(dtype), torch.linalg.qr(random(5, 5, dtype=dtype))[0]
    matrix = basis @ torch.diag(z) @ basis.mH
    assert relative(phi_dense(ORDER, matrix), basis @ torch.diag_embed(phi(ORDER, z)) @ basis.mH) < 1e-13


@pytest.mark.parametrize("z", [0.0, -1.0, -40.0, 3j])
def test_a_defective_matrix_gives_the_derivatives_of_phi(z):
    block = torch.tensor([[z, 1.0, 0.0], [0.0, z, 1.0], [0.0, 0.0, z]])
    block = block.to(torch.complex128 if isinstance(z, complex) else torch.float64)
    value = phi_dense(2, block)
    exact = reference(4, z)
    for k in range(3):
        first = exact[k] - k * exact[k + 1]
        second = first - k * (exact[k + 1] - (k + 1) * exact[k + 2])  # phi'' by the same rule
        expected = [complex(v) for v in (exact[k], first, second / 2)]
        for band, number in enumerate(expected):
            diagonal = value[k].diagonal(band).to(torch.complex128)
            assert float((diagonal - number).abs().max()) <= 1e-13 * max(map(abs, expected))
        assert torch.equal(value[k].tril(-1), torch.zeros_like(value[k]))


def test_the_dense_recurrence_holds():
    matrix = 3 * random(4, 4)
    value = phi_dense(ORDER, matrix)
    for k in range(ORDER):
        right = matrix @ value[k + 1] + torch.eye(4, dtype=torch.float64) / math.factorial(k)
        assert relative(right, value[k]) < 1e-12


def test_a_batch_of_matrices_gives_what_each_gives():
    matrices = random(2, 3, 4, 4)
    value = phi_dense(2, matrices)
    assert value.shape == (3, 2, 3, 4, 4)
    assert relative(value[:, 1, 2], phi_dense(2, matrices[1, 2])) < 1e-14


def test_a_stiff_matrix_keeps_thirteen_digits_in_norm():
    n = 24  # central differences: eigenvalues are known
    modes = torch.arange(1, n + 1, dtype=torch.float64)
    sines = (modes[:, None] * modes * (math.pi / (n + 1))).sin() * math.sqrt(2 / (n + 1))
    z = -1e4 * (modes * (math.pi / (2 * n + 2))).sin() ** 2
    value = phi_dense(3, sines @ torch.diag(z) @ sines)
    for k, exact in enumerate(sines @ torch.diag_embed(phi(3, z)) @ sines):
        assert relative(value[k], exact) < 1e-11


def high_precision(matrix, order):
    """phi_0 ... phi_order by one exponential of a larger matrix, with 60 digits."""
    d = len(matrix)
    with mpmath.workdps(60):
        block = mpmath.zeros(d * (order + 1))
        for i, j in itertools.product(range(d), repeat=2):
            block[i, j] = mpmath.mpf(float(matrix[i, j]))
        for i in range(d * order):
            block[i, i + d] = 1
        whole = mpmath.expm(block)
        rows = [[[float(whole[i, k * d + j]) for j in range(d)] for i in range(d)] for k in range(order + 1)]
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize(
    "matrix",
    [
        [[0.0, 0.1], [-1e5, -3e5]],  # Van der Pol's Jacobian: eigenvalues -0.03 and -3e5
        [[-40.0, 1e5, 1e5], [40.0, -6.1e6, -1e5], [0.0, 6e6, 0.0]],  # Robertson's: singular, with entries of 1e7
        [[0.0, 1e3, 0.0], [0.0, 0.0, 1e3], [0.0, 0.0, 0.0]],  # nilpotent
    ],
    ids=["van-der-pol", "robertson", "nilpotent"],
)
def test_slow_modes_keep_their_digits_beside_fast_ones(matrix):
    matrix = torch.tensor(matrix, dtype=torch.float64)
    for value, exact in zip(phi_dense(4, matrix), high_precision(matrix, 4), strict=True):
        assert relative(value, exact) < 1e-13


def test_a_batch_of_matrices_is_done_one_by_one():
    matrices = torch.randn(3, 2, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 5
    together = phi_dense(2, matrices)
    for i, j in itertools.product(range(3), range(2)):
        for k, exact in enumerate(high_precision(matrices[i, j], 2)):
            assert relative(together[k, i, j], exact) < 1e-12

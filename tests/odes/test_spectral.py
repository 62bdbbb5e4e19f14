import math

import numpy as np
import pytest
import scipy.fft
import torch
from hypothesis import given
from hypothesis import strategies as st

from deis import ArgumentError, Chebyshev, Cosine, Fourier, Fourier2, Sine
from deis.numerics.constants import Constant

SIZES = [1, 2, 3, 8, 9, 64, 65]
LINES = [Fourier(9), Fourier(8), Fourier(7, real=False), Fourier(6, real=False), Sine(7), Cosine(7), Chebyshev(7)]
REAL = [Fourier(9), Fourier(8), Sine(7), Cosine(7), Cosine(6), Chebyshev(7, ends=(1.0, -2.0))]
COMPLEX = [Fourier(7, real=False), Fourier(6, real=False), Sine(7), Cosine(6), Chebyshev(7)]


def noise(*shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(0))


def name(basis):
    return repr(basis).replace("=", "").replace(" ", "")


def orthonormal(basis):
    """The matrix of the transform."""
    return basis.to_coefficients(torch.eye(basis.size, dtype=torch.float64))


@pytest.mark.parametrize("basis", REAL, ids=name)
def test_values_of_real_fields_come_back(basis):
    u = noise(2, 3, basis.size)
    back = basis.to_values(basis.to_coefficients(u))
    assert back.dtype == torch.float64
    assert torch.allclose(back, u, rtol=0, atol=2e-15)


@pytest.mark.parametrize("basis", COMPLEX, ids=name)
def test_values_of_complex_fields_come_back(basis):
    u = noise(2, basis.size, dtype=torch.complex128)
    assert torch.allclose(basis.to_values(basis.to_coefficients(u)), u, rtol=0, atol=2e-15)


@pytest.mark.parametrize("basis", COMPLEX[2:4], ids=name)
def test_a_real_basis_transforms_complex_fields_by_their_parts(basis):
    u = noise(basis.size, dtype=torch.complex128)
    parts = torch.complex(basis.to_coefficients(u.real), basis.to_coefficients(u.imag))
    assert torch.allclose(basis.to_coefficients(u), parts, rtol=0, atol=1e-15)


@pytest.mark.parametrize("size", SIZES)
def test_the_transforms_are_those_of_scipy(size):
    u = noise(size)
    for basis, expected in [
        (Fourier(size), scipy.fft.rfft(u.numpy(), norm="ortho")),
        (Fourier(size, real=False), scipy.fft.fft(u.numpy(), norm="ortho")),
        (Sine(size), scipy.fft.dst(u.numpy(), type=1, norm="ortho")),
        (Cosine(size), scipy.fft.dct(u.numpy(), type=2, norm="ortho")),
    ]:
        np.testing.assert_allclose(basis.to_coefficients(u).numpy(), expected, rtol=0, atol=5e-15)


def test_the_transform_of_two_axes_is_that_of_scipy():
    u = noise(3, 6, 5)
    expected = scipy.fft.rfft2(u.numpy(), norm="ortho")
    np.testing.assert_allclose(Fourier2((6, 5)).to_coefficients(u).numpy(), expected, rtol=0, atol=5e-15)


@pytest.mark.parametrize("basis", [Fourier(7, real=False), Fourier(6, real=False), Sine(7), Cosine(6)], ids=name)
def test_the_bases_are_orthonormal(basis):
    matrix = orthonormal(basis)
    assert torch.allclose(matrix @ matrix.mH, torch.eye(basis.size, dtype=matrix.dtype), rtol=0, atol=2e-15)


@pytest.mark.parametrize("size", [16, 17])
@pytest.mark.parametrize("real", [True, False])
def test_derivatives_of_periodic_functions(size, real):
    basis = Fourier(size, 3.0, origin=-1.0, real=real)
    x, w = basis.points, 2 * math.pi / 3
    u = 1 + (2 * w * x).sin() + (5 * w * (x - 0.3)).cos()
    slope = 2 * w * (2 * w * x).cos() - 5 * w * (5 * w * (x - 0.3)).sin()
    bend = -((2 * w) ** 2) * (2 * w * x).sin() - (5 * w) ** 2 * (5 * w * (x - 0.3)).cos()
    c = basis.to_coefficients(u)
    for multiplier, expected in [(basis.derivative, slope), (basis.laplacian, bend)]:
        found = basis.to_values(multiplier * c)
        assert found.is_complex() is not real
        assert torch.allclose(found, expected.to(found), rtol=0, atol=3e-13)


@pytest.mark.parametrize("real", [True, False])
def test_the_derivative_of_nyquists_mode_is_zero_and_its_second_derivative_is_not(real):
    basis = Fourier(8, real=real)
    u = torch.cos(4 * basis.points)  # 1, -1, 1, ...
    c = basis.to_coefficients(u)
    assert basis.to_values(basis.derivative * c).abs().max() == 0
    assert torch.allclose(basis.to_values(basis.laplacian * c), (-16 * u).to(c if not real else u), atol=1e-13)


@pytest.mark.parametrize("size", [7, 8])
def test_derivatives_of_real_fields_are_real_in_the_complex_basis(size):
    basis = Fourier(size, real=False)
    slope = basis.to_values(basis.derivative * basis.to_coefficients(noise(size)))
    assert slope.imag.abs().max() < 1e-14


def test_the_modes_of_both_kinds_of_fourier_bases_are_those_of_torch():
    for size in SIZES:
        assert torch.equal(Fourier(size).modes, (torch.fft.rfftfreq(size, dtype=torch.float64) * size).round())
        modes = (torch.fft.fftfreq(size, dtype=torch.float64) * size).round()
        assert torch.equal(Fourier(size, real=False).modes, modes)


@pytest.mark.parametrize("size", [8, 9, 12])
@pytest.mark.parametrize("real", [True, False])
def test_products_of_dealiased_fields_are_exact_in_the_modes_that_are_kept(size, real):
    basis, fine = Fourier(size, real=real), Fourier(4 * size, real=real)
    kept = basis.dealiasing
    assert 0 < int(kept.sum()) < len(kept)
    c = kept * basis.to_coefficients(noise(size) if real else noise(size, dtype=torch.complex128))
    wide = torch.zeros(len(fine.modes), dtype=c.dtype)
    places = [fine.modes.tolist().index(mode) for mode, keep in zip(basis.modes, kept, strict=True) if keep]
    wide[places] = 2 * c[kept.bool()]  # a field on four times the points has twice the orthonormal coefficients
    exact = fine.to_coefficients(fine.to_values(wide) ** 2)[places] / 2
    found = basis.to_coefficients(basis.to_values(c) ** 2)[kept.bool()]
    assert torch.allclose(found, exact, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("basis", "function"), [(Sine(9, 2.5), torch.sin), (Cosine(9, 2.5), torch.cos)], ids=["sine", "cosine"]
)
def test_modes_are_eigenfunctions_of_the_laplacian(basis, function):
    for number, (k, eigenvalue) in enumerate(zip(basis.frequencies, basis.laplacian, strict=True)):
        assert float(eigenvalue) == pytest.approx(-(float(k) ** 2))
        assert float(k) == pytest.approx((number + isinstance(basis, Sine)) * math.pi / 2.5)
        c = basis.to_coefficients(function(k * basis.points))
        others = torch.arange(9) != number
        assert c[others].abs().max() < 1e-14 < 1 < c[number].abs()


def test_derivatives_of_fields_on_the_plane():
    basis = Fourier2((16, 11), (2.0, 2 * math.pi), origin=(-1.0, 0.5))
    x, y = basis.points[0][:, None], basis.points[1]
    w = math.pi
    u = (3 * w * x).sin() * (2 * y + 1).cos()
    c = basis.to_coefficients(u)
    along, across = basis.derivative
    for multiplier, expected in [
        (along, 3 * w * (3 * w * x).cos() * (2 * y + 1).cos()),
        (across, -2 * (3 * w * x).sin() * (2 * y + 1).sin()),
        (basis.laplacian, -(9 * w**2 + 4) * u),
        (along * across, -6 * w * (3 * w * x).cos() * (2 * y + 1).sin()),
    ]:
        assert torch.allclose(basis.to_values(multiplier * c), expected, rtol=0, atol=1e-12)


def test_one_number_stands_for_both_axes_of_the_plane():
    assert Fourier2(8, 2.0) == Fourier2((8, 8), (2.0, 2.0), (0.0, 0.0)) != Fourier2((8, 6), 2.0)


def test_wavenumbers_of_the_plane_broadcast_to_the_coefficients():
    basis = Fourier2((6, 4))
    c = basis.to_coefficients(torch.zeros(6, 4, dtype=torch.float64))
    kx, ky = basis.frequencies
    assert (kx + ky).shape == basis.laplacian.shape == basis.dealiasing.shape == c.shape
    assert torch.allclose(-(kx**2 + ky**2), basis.laplacian)
    assert basis.dealiasing.tolist() == [[float(abs(a) < 2 and b < 4 / 3) for b in ky] for a in kx.ravel()]


@pytest.mark.parametrize("size", [3, 10, 24])
@pytest.mark.parametrize("interval", [(-1.0, 1.0), (0.5, 3.0)])
def test_collocation_differentiates_polynomials_exactly(size, interval):
    left, right = interval
    basis = Chebyshev(size, interval)
    x = basis.points
    assert bool((torch.cat([x[:1] - left, x.diff(), right - x[-1:]]) > 0).all())
    chebyshev = np.polynomial.Chebyshev.basis
    for degree in range(2, size + 2):
        u = chebyshev(degree, interval) - chebyshev(degree % 2, interval)  # which vanishes at both ends
        c = basis.to_coefficients(torch.from_numpy(u(x.numpy())))
        for matrix, times in [(basis.derivative, 1), (basis.laplacian, 2)]:
            expected = torch.from_numpy(u.deriv(times)(x.numpy()))
            rounding = 1e-14 * float(matrix.abs().sum(1).max() * c.abs().max())
            assert torch.allclose(matrix @ c, expected, rtol=1e-11, atol=rounding)


def test_collocation_converges_spectrally_with_values_at_the_ends():
    basis = Chebyshev(30, ends=(math.exp(-1), math.exp(1)))
    x = basis.points
    c = basis.to_coefficients(x.exp())
    assert torch.allclose(basis.laplacian @ c, x.exp(), rtol=0, atol=1e-10)
    assert torch.allclose(basis.derivative @ c + math.sinh(1), x.exp(), rtol=0, atol=1e-12)


def test_the_eigenvalues_of_the_collocated_laplacian():
    found = torch.linalg.eigvals(Chebyshev(40).laplacian).real.sort(descending=True).values
    expected = -((torch.arange(1, 15).double() * math.pi / 2) ** 2)
    assert torch.allclose(found[:14], expected, rtol=1e-10)
    assert bool((found < 0).all())


@pytest.mark.parametrize("basis", [*LINES, Fourier2((4, 3))], ids=name)
def test_transforms_keep_precision_and_leading_axes(basis):
    u = noise(2, 5, *(basis.size if isinstance(basis, Fourier2) else [basis.size]), dtype=torch.float32)
    c = basis.to_coefficients(u)
    back = basis.to_values(c)
    assert {c.dtype.to_real(), back.dtype.to_real()} == {torch.float32}
    assert c.shape[:2] == (2, 5)
    assert torch.allclose(back, u.to(back), atol=1e-6)
    assert torch.allclose(c[1, 3], basis.to_coefficients(u[1, 3]), atol=1e-6)


@pytest.mark.parametrize("basis", [*LINES, Fourier2((4, 3))], ids=name)
def test_transforms_are_differentiable(basis):
    u = noise(*(basis.size if isinstance(basis, Fourier2) else [basis.size])).requires_grad_()
    assert torch.autograd.gradcheck(lambda u: basis.to_values(2 * basis.to_coefficients(u)), u)


@pytest.mark.parametrize("basis", [*LINES, Fourier2((4, 3))], ids=name)
def test_a_default_device_does_not_move_the_mathematics(basis):
    with torch.device("meta"):
        points, laplacian = basis.points, basis.laplacian
    for tensor in [*(points if isinstance(points, tuple) else [points]), laplacian]:
        assert (tensor.device.type, tensor.dtype) == ("cpu", torch.float64)


@given(
    size=st.integers(1, 40),
    length=st.floats(0.1, 100.0),
    seed=st.integers(0, 2**20),
    kind=st.sampled_from([Fourier, Sine, Cosine]),
)
def test_transforms_are_isometries_on_any_grid(size, length, seed, kind):
    basis = kind(size, length)
    u, v = torch.randn(2, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    c, d = basis.to_coefficients(u), basis.to_coefficients(v)
    share = torch.ones(len(c), dtype=torch.float64)
    if kind is Fourier:  # modes that stand for two
        share[1 : (size + 1) // 2] = 2
    product = float((share * c * d.conj()).sum().real)
    assert product == pytest.approx(float(u @ v), abs=1e-12)
    assert torch.allclose(basis.to_values(c + 2 * d), u + 2 * v, rtol=0, atol=1e-13)
    assert len(basis.points) == size
    assert basis.laplacian.shape == basis.frequencies.shape == c.shape


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: Fourier(0), "size"),
        (lambda: Fourier(8.0), "size"),
        (lambda: Fourier(8, 0.0), "length"),
        (lambda: Fourier(8, 1.0, math.inf), "origin"),
        (lambda: Fourier(8, real=1), "real"),
        (lambda: Fourier2((8, 0)), "size"),
        (lambda: Fourier2((8, 8, 8)), "size"),
        (lambda: Fourier2(8, (1.0, -1.0)), "length"),
        (lambda: Sine(True), "size"),
        (lambda: Sine(8, -1.0), "length"),
        (lambda: Cosine(8, math.nan), "length"),
        (lambda: Chebyshev(0), "size"),
        (lambda: Chebyshev(8, (1.0, 0.0)), "interval"),
        (lambda: Chebyshev(8, (0.0, 1.0, 2.0)), "interval"),
        (lambda: Chebyshev(8, ends=(0.0, math.nan)), "ends"),
        (lambda: Chebyshev(8, ends=1.0), "ends"),
        (lambda: Fourier(8).to_coefficients(torch.zeros(9)), "values"),
        (lambda: Fourier(8).to_values(torch.zeros(8)), "coefficients"),
        (lambda: Fourier(8, real=False).to_values(torch.zeros(5)), "coefficients"),
        (lambda: Fourier2(8).to_coefficients(torch.zeros(8)), "values"),
        (lambda: Fourier2(8).to_values(torch.zeros(8, 8)), "coefficients"),
        (lambda: Sine(8).to_values(torch.zeros(7)), "coefficients"),
        (lambda: Cosine(8).to_coefficients(torch.zeros(())), "values"),
        (lambda: Chebyshev(8).to_coefficients(torch.zeros(1)), "values"),
    ],
)
def test_what_cannot_be_meant_is_refused(make, argument):
    with pytest.raises(ArgumentError) as caught:
        make()
    assert caught.value.argument == argument


def test_a_constant_is_cast_once_for_each_precision():
    constant = Constant(torch.ones(3, dtype=torch.float64))
    single = constant.like(torch.zeros(1, dtype=torch.complex64))
    assert single.dtype == torch.float32
    assert constant.like(torch.zeros(1, dtype=torch.complex64)) is single
    assert constant.like(torch.zeros(1, dtype=torch.float64)).dtype == torch.float64


def test_a_constant_made_in_inference_mode_can_meet_a_graph():
    with torch.inference_mode():
        constant = Constant(torch.full((3,), 2.0))
        constant.like(torch.zeros(3))
    x = torch.ones(3, requires_grad=True)
    (x * constant.like(x)).sum().backward()
    assert x.grad.tolist() == [2.0] * 3

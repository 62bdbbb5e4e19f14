"""The defaults of the abstract class, on small ODEs that supply the four obligatory parts only."""

import math

import mpmath
import pytest
import torch

from deis.errors import CapabilityError, DeisError
from deis.odes import Clock, DenseODE, DiagonalODE, SemilinearODE


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def relative(a, b):
    return float((a - b).abs().max() / b.abs().max())


def nothing(t, x):
    return x


class Varying(SemilinearODE):
    """L(t) = rate (1 + 2 t), G(t) = 1 + t / 2, on t > 0, with a second clock t^2."""

    domain = (0.25, 2.0)

    def __init__(self, rate, power=2):
        self.rate, self.power = rate, power

    def linear(self, t):
        return self.rate * (1 + 2 * t)

    def transition(self, t, s):
        return (self.rate * (t - s) * (1 + t + s)).exp()

    def weight(self, t):
        return 1 + t / 2

    def nonlinearity(self, t, x):
        return x

    @property
    def clocks(self):
        return {**super().clocks, "power": Clock(lambda t: t**self.power, lambda c: c ** (1 / self.power))}


class Rotating(SemilinearODE):
    """A matrix L = J that turns the axis of size 2, with a scalar weight; the axis is an option."""

    block_axis = -1
    domain = (0.0, 1.0)

    def __init__(self, axis=-1):
        self.block_axis = axis  # an instance attribute, so that one class serves every axis

    def linear(self, t):
        return double([[0.0, -1.0], [1.0, 0.0]]).expand(*t.shape, 2, 2)

    def transition(self, t, s):
        c, z = (t - s).cos(), (t - s).sin()
        return torch.stack([torch.stack([c, -z], -1), torch.stack([z, c], -1)], -2)

    def nonlinearity(self, t, x):
        return x


def exact_weight(rate, s, t, nodes, j, power):
    """int_s^t Psi(t, r) G(r) l_j(r) dr by adaptive quadrature in 30 digits, with the basis in the clock t^power."""
    with mpmath.workdps(30):
        rate, s, t = mpmath.mpmathify(rate), mpmath.mpf(s), mpmath.mpf(t)
        c = [mpmath.mpf(n) ** power for n in nodes]

        def integrand(r):
            factors = [(r**power - c[m]) / (c[j] - c[m]) for m in range(len(c)) if m != j]
            return mpmath.exp(rate * (t - r) * (1 + t + r)) * (1 + r / 2) * mpmath.fprod(factors)

        return complex(mpmath.quad(integrand, mpmath.linspace(s, t, 5)))


@pytest.mark.parametrize("rate", [-1.5, 0.7, 3j, -2 + 5j])
@pytest.mark.parametrize("clock", ["t", "power"])
@pytest.mark.parametrize("nodes", [[0.5], [0.5, 0.3], [1.25, 0.5, 0.3, 0.25]], ids=len)
def test_weights_of_a_time_dependent_linear_part_match_adaptive_quadrature(rate, clock, nodes):
    s, t = 0.5, 1.25
    value = Varying(rate).weights(double([s]), double([t]), double([nodes]), clock)[0]
    exact = torch.tensor(
        [exact_weight(rate, s, t, nodes, j, 2 if clock == "power" else 1) for j in range(len(nodes))],
        dtype=torch.complex128,
    )
    assert value.is_complex() == isinstance(rate, complex)
    assert relative(value.to(torch.complex128), exact) < 1e-12


def test_weights_of_a_falling_interval_match_adaptive_quadrature():
    value = Varying(-1.5).weights(double([1.25]), double([0.5]), double([[1.25, 1.5]]))[0]
    exact = double([exact_weight(-1.5, 1.25, 0.5, [1.25, 1.5], j, 1).real for j in range(2)])
    assert relative(value, exact) < 1e-12


def test_the_weights_sum_to_the_integral_of_the_kernel():
    ode, s, t = Varying(-1.5), double([0.5]), double([1.25])
    one = ode.weights(s, t, double([[0.5]]))[0, 0]
    many = ode.weights(s, t, double([[0.5, 0.4, 0.3]]), "power")[0]
    assert float(many.sum()) == pytest.approx(float(one), rel=1e-13)


def test_intervals_of_a_batch_are_independent():
    ode = Varying(3j)
    s, t = double([0.25, 0.5, 1.5]), double([0.5, 0.625, 2.0])
    nodes = torch.stack([s, s - 0.1], dim=1)
    together = ode.weights(s, t, nodes, "power")
    for i in range(3):
        alone = ode.weights(s[i : i + 1], t[i : i + 1], nodes[i : i + 1], "power")
        assert relative(together[i], alone[0]) < 1e-12


CONSTANT = {
    "real number": DiagonalODE(-1.7, nothing),
    "imaginary number": DiagonalODE(4j, nothing),
    "real diagonal": DiagonalODE(double([-5.0, -0.1, 0.0, 2.0]), nothing),
    "complex diagonal": DiagonalODE(random(2, 3, dtype=torch.complex128), nothing),
    "real matrix": DenseODE(random(4, 4), nothing),
    "complex matrix": DenseODE(random(3, 3, dtype=torch.complex128), nothing),
    "defective matrix": DenseODE(double([[-2.0, 1.0], [0.0, -2.0]]), nothing),
}


@pytest.mark.parametrize("name", CONSTANT)
@pytest.mark.parametrize("falling", [False, True])
def test_quadrature_agrees_with_the_phi_functions(name, falling):
    ode = CONSTANT[name]
    s, t = double([0.0, 0.5, 0.6]), double([0.5, 0.6, 1.0])
    nodes = torch.stack([s, s - 0.2, s - 0.5], dim=1)
    if falling:
        s, t, nodes = -s, -t, -nodes
    exact = ode.weights(s, t, nodes)
    assert exact.shape == (3, 3, *ode.matrix.shape)
    assert relative(SemilinearODE.weights(ode, s, t, nodes), exact) < 1e-12


class Logarithmic(DiagonalODE):
    """A constant L with a clock of its own."""

    @property
    def clocks(self):
        return {**super().clocks, "log": Clock(lambda t: (1 + t).log(), lambda c: c.exp() - 1)}


def test_a_constant_linear_part_in_another_clock_goes_through_quadrature():
    ode = Logarithmic(-1.3, nothing)
    s, t, nodes = double([0.5]), double([1.0]), double([[0.5, 0.25]])
    value = ode.weights(s, t, nodes, "log")[0]
    with mpmath.workdps(30):
        c = [mpmath.log(1.5), mpmath.log(1.25)]

        def integrand(r, j):
            return mpmath.exp(mpmath.mpf(-1.3) * (1 - r)) * (mpmath.log(1 + r) - c[1 - j]) / (c[j] - c[1 - j])

        exact = [mpmath.quad(lambda r, j=j: integrand(r, j), [0.5, 1]) for j in range(2)]
    assert relative(value, double([float(v) for v in exact])) < 1e-12
    assert relative(ode.weights(s, t, nodes, "t")[0], value) > 1e-3


FLOWS = {**CONSTANT, "varying": Varying(-1.5), "varying, complex": Varying(1 + 2j), "rotating": Rotating()}


@pytest.mark.parametrize("name", FLOWS)
def test_the_transition_is_the_flow_of_the_linear_part(name):
    ode = FLOWS[name]
    r, s, t = double([0.3, 0.9]), double([0.5, 0.4]), double([1.0, 0.3])
    direct, composed = ode.transition(t, r), ode.compose(ode.transition(t, s), ode.transition(s, r))
    assert relative(composed, direct) < 1e-13
    identity = ode.transition(t, t)
    shape = ode.linear(t).shape
    assert identity.shape == direct.shape == shape
    one = torch.eye(shape[-1], dtype=identity.dtype) if ode.block_axis is not None else torch.ones_like(identity)
    assert torch.equal(identity, one.expand(shape))
    h = 1e-3  # d/dt Psi(t, r) = L(t) Psi(t, r), by a difference of order 4
    weights = {-2: 1 / 12, -1: -2 / 3, 1: 2 / 3, 2: -1 / 12}
    slope = sum(w * ode.transition(t + k * h, r) for k, w in weights.items()) / h
    assert relative(slope, ode.compose(ode.linear(t), direct)) < 1e-8


@pytest.mark.parametrize("coefficient", [0.5, 2 + 1j, double(-3.0)])
@pytest.mark.parametrize("ode", [Varying(1.0), Rotating()], ids=["elementwise", "matrix"])
def test_a_number_multiplies_the_state_whatever_the_linear_part(ode, coefficient):
    x = random(3, 2)
    assert torch.equal(ode.apply(coefficient, x), coefficient * x)


def test_a_diagonal_coefficient_multiplies_elementwise():
    x, coefficient = random(5, 2, 3), random(2, 3, seed=1)
    assert torch.equal(Varying(1.0).apply(coefficient, x), coefficient * x)


@pytest.mark.parametrize(
    ("axis", "shape", "formula"),
    [
        (-1, (5, 2), "ij,bj->bi"),
        (0, (2, 5), "ij,jb->ib"),
        (1, (5, 2, 3), "ij,bjc->bic"),
        (-2, (5, 2, 3), "ij,bjc->bic"),
        (-1, (2,), "ij,j->i"),
        (1, (4, 2, 3, 5), "ij,bjcd->bicd"),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_a_matrix_coefficient_contracts_the_block_axis(axis, shape, formula, dtype):
    matrix, x = random(2, 2, dtype=dtype), random(*shape, seed=1, dtype=dtype)
    value = Rotating(axis).apply(matrix, x)
    assert value.shape == x.shape
    assert relative(value, torch.einsum(formula, matrix, x)) < 1e-15


def test_composing_is_applying_twice():
    a, b, x = random(1, 2, 2), random(1, 2, 2, seed=1), random(5, 2, seed=2)
    ode = Rotating()
    assert relative(ode.apply(ode.compose(a, b)[0], x), ode.apply(a[0], ode.apply(b[0], x))) < 1e-14
    diagonal = Varying(1.0)
    assert torch.equal(diagonal.compose(a, b), a * b)


def test_diagonal_and_scalar_coefficients_of_a_batch_of_times_compose():
    a, b = random(3, 4), random(3, seed=1)
    ode = Varying(1.0)
    assert torch.equal(ode.compose(a, b), a * b[:, None])
    assert torch.equal(ode.compose(b, a), a * b[:, None])


@pytest.mark.parametrize("times", [(3,), (2, 3), (2,), (2, 2), (3, 2, 2)], ids=str)
def test_a_scalar_weight_multiplies_every_matrix_of_a_batch_of_times(times):
    a, b = random(*times, 2, 2), random(*times, seed=1)
    assert torch.equal(Rotating().compose(a, b), a * b[..., None, None])


def test_weights_of_a_matrix_with_a_scalar_weight_match_the_integral_of_the_rotation():
    h = 0.75
    value = Rotating().weights(double([0.0]), double([h]), double([[0.0]]))[0, 0]
    c, z = math.sin(h), 1 - math.cos(h)  # integrals of cos and sin over [0, h]
    assert relative(value, double([[c, -z], [z, c]])) < 1e-14


def test_the_defaults_are_weight_one_the_clock_t_and_one_splitting():
    ode = Rotating()
    assert torch.equal(ode.weight(double([0.1, 0.2])), double([1.0, 1.0]))
    assert list(ode.clocks) == ["t"]
    hand = ode.clock("t")
    assert (float(hand.of(double(0.3))), float(hand.time(double(0.3)))) == (0.3, 0.3)
    assert ode.split(ode.splitting) is ode


def test_a_missing_clock_is_named_with_those_there_are():
    with pytest.raises(CapabilityError, match=r"^Varying has no clock 'rho'; it has t, power$"):
        Varying(1.0).clock("rho")
    with pytest.raises(CapabilityError, match="no clock 'rho'"):
        Varying(1.0).weights(double([0.5]), double([1.0]), double([[0.5]]), "rho")
    with pytest.raises(CapabilityError, match="no clock 'rho'"):
        DiagonalODE(-1.0, nothing).weights(double([0.5]), double([1.0]), double([[0.5]]), "rho")


def test_a_missing_splitting_is_named_with_the_one_there_is():
    with pytest.raises(CapabilityError, match=r"^Varying has no splitting 'x0', only 'N'$"):
        Varying(1.0).split("x0")


def test_an_ode_without_a_noise_process_says_so():
    with pytest.raises(CapabilityError, match="Varying has no scalar signal and noise levels, which this"):
        Varying(1.0).marginal(double([1.0]))


@pytest.mark.parametrize("missing", ["linear", "transition", "nonlinearity"])
def test_a_subclass_without_an_obligatory_part_cannot_be_made(missing):
    parts = {name: getattr(Varying, name) for name in ("linear", "transition", "nonlinearity") if name != missing}
    with pytest.raises(TypeError, match=missing):
        type("Half", (SemilinearODE,), parts)()


class Singular(Varying):
    """A weight with a pole that has no integral."""

    def weight(self, t):
        return 1 / (t - 0.7).abs()


class Undefined(Varying):
    """A transition that is not a number."""

    def transition(self, t, s):
        return (t - s) * math.nan


@pytest.mark.parametrize("kind", [Singular, Undefined])
def test_weights_that_do_not_converge_are_an_error_and_not_a_number(kind):
    with pytest.raises(DeisError, match=f"the weights of {kind.__name__} between .* do not converge"):
        kind(1.0).weights(double([0.5]), double([1.0]), double([[0.5]]))


class Oscillating(SemilinearODE):
    """L(t) = i omega cos t, on which rounding of the phase is larger than the agreement asked for."""

    domain = (0.0, 1.0)

    def __init__(self, omega):
        self.omega = omega

    def linear(self, t):
        return 1j * self.omega * t.cos()

    def transition(self, t, s):
        return (1j * self.omega * (t.sin() - s.sin())).exp()

    def nonlinearity(self, t, x):
        return x


@pytest.mark.parametrize("omega", [10.0, 1e3, 1e4])
def test_weights_of_a_fast_rotation_are_found_to_rounding_of_the_phase(omega):
    value = Oscillating(omega).weights(double([0.0]), double([1.0]), double([[0.0]]))[0, 0]
    with mpmath.workdps(25):  # with u = sin r the integrand has no fast phase but a linear one
        exact = complex(
            mpmath.quad(
                lambda r: mpmath.expj(omega * (mpmath.sin(1) - mpmath.sin(r))),
                mpmath.linspace(0, 1, 2 + int(omega / 20)),
                maxdegree=4,
            )
        )
    assert abs(complex(value) - exact) < 1e-15 * omega

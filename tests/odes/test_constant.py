import mpmath
import pytest
import torch

from deis.errors import ArgumentError
from deis.odes import DenseODE, DiagonalODE, constant


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def nothing(t, x):
    return x


def exact_weights(rate, s, t, nodes):
    """int_s^t exp((t - r) L) l_j(r) dr by repeated integration by parts, in 80 digits.

    = sum_m (exp(h L) l_j^(m)(s) - l_j^(m)(t)) / L^{m+1}
    """
    with mpmath.workdps(80):
        rate, s, t = mpmath.mpmathify(rate), mpmath.mpf(s), mpmath.mpf(t)
        points = list(map(mpmath.mpf, nodes))
        result = []
        for j, own in enumerate(points):
            poly = [mpmath.mpf(1)]  # highest power first
            for m, other in enumerate(points):
                if m != j:
                    scaled = [c / (own - other) for c in poly]
                    shifted = [*scaled, mpmath.mpf(0)]
                    poly = [a - other * b for a, b in zip(shifted, [mpmath.mpf(0), *scaled], strict=True)]
            total, divisor = mpmath.mpf(0), rate
            while poly:
                total += (mpmath.exp((t - s) * rate) * mpmath.polyval(poly, s) - mpmath.polyval(poly, t)) / divisor
                degree = len(poly) - 1
                poly, divisor = [c * (degree - i) for i, c in enumerate(poly[:-1])], divisor * rate
            result.append(complex(total))
        return torch.tensor(result, dtype=torch.complex128)


STIFF = [-(10.0**e) for e in range(-6, 7)] + [1j * 10.0**e for e in (-3, 0, 3, 6)] + [-1e6 + 1e6j, 30.0]
NODES = {
    "one": [0.0],
    "Adams, equal steps": [0.0, -1.0, -2.0, -3.0],
    "Adams, uneven steps": [0.0, -0.2, -1.5, -1.6, -4.0],
    "corrector": [1.0, 0.0, -1.0],
}


@pytest.mark.parametrize("rate", STIFF)
@pytest.mark.parametrize("name", NODES)
def test_weights_of_stiff_modes_are_exact(rate, name):
    nodes = NODES[name]
    value = DiagonalODE(rate, nothing).weights(double([0.0]), double([1.0]), double([nodes]))[0]
    exact = exact_weights(rate, 0.0, 1.0, nodes)
    assert float((value - exact).abs().max()) <= 1e-13 * float(exact.abs().max())


@pytest.mark.parametrize("start", [0.0, 0.7])
@pytest.mark.parametrize("h", [1e-3, 0.25, -0.25])
def test_weights_scale_and_shift_with_the_interval(start, h):
    rates = [-2e3, -3.0, 0.5]
    nodes = [start, start - h / 2, start - 2 * h]
    s, t = double([start]), double([start + h])
    value = DiagonalODE(double(rates), nothing).weights(s, t, double([nodes]))[0]
    for i, rate in enumerate(rates):
        exact = exact_weights(rate, start, float(t), nodes).real
        assert float((value[:, i] - exact).abs().max()) <= 1e-12 * float(exact.abs().max())


def test_stiff_modes_do_not_spoil_the_others():
    rates = [-1e6, -1.0, 0.0, -1e-9]
    s, t, nodes = double([0.0]), double([1.0]), double([[0.0, -1.0]])
    together = DiagonalODE(double(rates), nothing).weights(s, t, nodes)[0]
    for i, rate in enumerate(rates):
        assert torch.equal(together[:, i], DiagonalODE(rate, nothing).weights(s, t, nodes)[0])


@pytest.mark.parametrize("rate", [0.0, 0j])
def test_without_a_linear_part_the_weights_are_those_of_adams_and_bashforth(rate):
    value = DiagonalODE(rate, nothing).weights(double([0.0]), double([0.1]), double([[0.0, -0.1, -0.2, -0.3]]))[0]
    expected = double([55.0, -59.0, 37.0, -9.0]) / 24 * 0.1
    assert torch.allclose(value, expected.to(value.dtype), rtol=1e-14, atol=0)


def test_a_diagonal_matrix_is_a_diagonal_ode():
    rates = double([-300.0, -2.0, 1.0])
    s, t = double([0.0, 1.0]), double([1.0, 1.5])
    nodes = torch.stack([s, s - 0.5, s - 0.75], dim=1)
    dense, diagonal = DenseODE(torch.diag(rates), nothing), DiagonalODE(rates, nothing)
    expected = torch.diag_embed(diagonal.weights(s, t, nodes))
    assert torch.allclose(dense.weights(s, t, nodes), expected, rtol=1e-12, atol=1e-15)
    assert torch.allclose(dense.transition(t, s), torch.diag_embed(diagonal.transition(t, s)), rtol=1e-13, atol=1e-18)


def test_a_matrix_acts_on_the_last_axis_of_the_state():
    matrix = double([[0.0, 1.0], [0.0, 0.0]])
    ode = DenseODE(matrix, nothing)
    x = double([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    flow = ode.transition(double(0.5), double(0.0))
    assert torch.equal(ode.apply(flow, x), double([[2.0, 2.0], [5.0, 4.0], [8.0, 6.0]]))


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_coefficients_have_the_shape_of_times_and_then_of_the_linear_part(shape):
    t = torch.ones(shape, dtype=torch.float64)
    for ode, own in [
        (DiagonalODE(-1.0, nothing), ()),
        (DiagonalODE(double([-1.0, 2.0]), nothing), (2,)),
        (DenseODE(torch.eye(2), nothing), (2, 2)),
    ]:
        assert ode.linear(t).shape == ode.transition(t, 0 * t).shape == (*shape, *own)
        assert ode.weight(t).shape == shape


def test_the_nonlinearity_is_the_function_called_once():
    calls = []
    x = double([1.0])
    ode = DiagonalODE(-1.0, lambda t, state: calls.append((t, state)) or state)
    assert ode.nonlinearity(0.5, x) is x
    assert calls == [(0.5, x)]


def test_weights_carry_the_gradient_of_the_linear_part():
    s, t, nodes = double([0.0]), double([0.5]), double([[0.0, -0.25]])

    def weights(rate):
        return DiagonalODE(rate, nothing).weights(s, t, nodes)

    assert torch.autograd.gradcheck(weights, double([-8.0, 0.0, 1.0]).requires_grad_())


@pytest.mark.parametrize("value", [1, 2.5, torch.tensor(1, dtype=torch.int32), torch.tensor(0.5, dtype=torch.float16)])
def test_a_real_linear_part_becomes_float64(value):
    assert DiagonalODE(value, nothing).matrix.dtype == torch.float64
    assert float(DiagonalODE(value, nothing).matrix) == float(value)


def test_a_complex_linear_part_becomes_complex128():
    assert DiagonalODE(1j, nothing).matrix.dtype == torch.complex128
    assert DiagonalODE(torch.tensor([1j], dtype=torch.complex64), nothing).matrix.dtype == torch.complex128


@pytest.mark.parametrize("value", ["a", None, {}, [[1.0, 2.0], [3.0]], float("nan"), float("inf"), [1.0, float("nan")]])
@pytest.mark.parametrize("kind", [DiagonalODE, DenseODE])
def test_a_linear_part_that_is_not_finite_numbers_is_refused_by_its_name(kind, value):
    with pytest.raises(ArgumentError, match=r"^matrix must be (a number or a tensor of numbers|finite), got"):
        kind(value, nothing)


@pytest.mark.parametrize("shape", [(), (2,), (2, 3), (2, 2, 2)], ids=str)
def test_a_dense_linear_part_must_be_square(shape):
    with pytest.raises(ArgumentError, match="matrix must be square"):
        DenseODE(torch.ones(shape), nothing)


@pytest.mark.parametrize("domain", [(1.0, 1.0), (0.0, float("nan")), (float("inf"), 0.0)])
def test_a_domain_must_be_two_different_finite_times(domain):
    with pytest.raises(ArgumentError, match="domain must be two different finite times"):
        DiagonalODE(-1.0, nothing, domain)


@pytest.mark.parametrize("domain", [(0.0, 1.0, 2.0), (0.0,), None, 5, ("a", 1.0), "01"], ids=str)
def test_a_domain_that_is_not_two_numbers_is_refused(domain):
    with pytest.raises(ArgumentError, match="domain must be two different finite times"):
        DiagonalODE(-1.0, nothing, domain)


def test_a_domain_may_run_backwards():
    assert DiagonalODE(-1.0, nothing, (2, 1)).domain == (2.0, 1.0)


def count_steps(monkeypatch, name):
    """Sizes of the batches that the phi functions are evaluated on."""
    seen, own = [], getattr(constant, name)

    def counting(order, z):
        seen.append(len(z))
        return own(order, z)

    monkeypatch.setattr(constant, name, counting)
    return seen


def adams(times, count=3):
    s, t = times[:-1], times[1:]
    return s, t, torch.stack([s - k * (times[1] - times[0]) for k in range(count)], dim=1)


@pytest.mark.parametrize(
    ("ode", "name"),
    [
        (DiagonalODE(double([-1e6, -1.0]), nothing), "phi"),
        (DiagonalODE(double([-1.0, 3.0]) + 500j, nothing), "phi"),
        (DenseODE(double([[0.0, 1.0], [-4e3, -1.0]]), nothing), "phi_dense"),
    ],
)
def test_equal_steps_share_one_evaluation(monkeypatch, ode, name):
    seen = count_steps(monkeypatch, name)
    s, t, nodes = adams(torch.linspace(0.0, 1.0, 51, dtype=torch.float64))
    assert (t - s).unique().numel() > 1  # equal up to rounding
    ode.weights(s, t, nodes)
    ode.transition(t, s)
    assert len(seen) == 2
    assert max(seen) <= 2  # a bin may end between steps that differ by rounding


@pytest.mark.parametrize("rate", [-1e6, 2e5j, -30 + 1e6j, -3.0, 0.0])
def test_shared_steps_have_the_weights_of_their_own_length(rate):
    times = torch.linspace(0.0, 3.0, 8, dtype=torch.float64) * (1 + 1e-16)
    s, t, nodes = adams(torch.cat([times, times[-1] + times[1:] * (1 + 3e-14)]))
    together, tolerance = DiagonalODE(rate, nothing), 1e-12 + 2.3e-16 * abs(rate)  # h L itself is rounded
    value, flow = together.weights(s, t, nodes), together.transition(t, s)
    for n in range(len(s)):
        alone = together.weights(s[n : n + 1], t[n : n + 1], nodes[n : n + 1])[0]
        assert float((value[n] - alone).abs().max()) <= tolerance * float(alone.abs().max())
        exact = together.transition(t[n], s[n])
        assert float((flow[n] - exact).abs()) <= tolerance * float(exact.abs())


def test_a_stiff_matrix_shares_steps_without_loss():
    matrix = double([[0.0, 3e4], [-3e4, 0.0]])  # turns by 3e4 a unit of time
    s, t, _ = adams(torch.linspace(0.0, 1.0, 41, dtype=torch.float64))
    angle = 3e4 * (t - s)
    flow = DenseODE(matrix, nothing).transition(t, s)
    torch.testing.assert_close(flow[:, 0, 1], angle.sin(), rtol=0, atol=1e-10)
    alone = torch.stack([DenseODE(matrix, nothing).transition(b, a) for a, b in zip(s, t, strict=True)])
    torch.testing.assert_close(flow, alone, rtol=0, atol=1e-12)


def test_many_kinds_of_steps_are_evaluated_a_few_at_a_time(monkeypatch):
    monkeypatch.setattr(constant, "_ELEMENTS", 100)
    matrix = double([[0.0, 1.0], [-2.0, -0.3]])
    s, t, nodes = adams(torch.linspace(0.0, 1.0, 31, dtype=torch.float64) ** 2 + 0.01)
    nodes = torch.stack([s, 2 * s - t], dim=1)
    seen = count_steps(monkeypatch, "phi_dense")
    value = DenseODE(matrix, nothing).weights(s, t, nodes)
    assert max(seen) <= 100 // 36 + 1
    assert sum(seen) == 30
    for n in (0, 17, 29):
        alone = DenseODE(matrix, nothing).weights(s[n : n + 1], t[n : n + 1], nodes[n : n + 1])[0]
        torch.testing.assert_close(value[n], alone, rtol=1e-13, atol=0)


def test_steps_that_carry_a_gradient_keep_it():
    ode, times = DiagonalODE(double([-2.0, 1.0]), nothing), torch.linspace(0.0, 1.0, 5, dtype=torch.float64)

    def weights(times):
        return ode.weights(times[:-1], times[1:], torch.stack([times[:-1], times[:-1] - 0.3], dim=1))

    assert torch.autograd.gradcheck(weights, times.requires_grad_())


def test_equal_steps_carry_the_gradient_of_the_linear_part():
    s, t, nodes = adams(torch.linspace(0.0, 1.0, 5, dtype=torch.float64), 2)
    assert torch.autograd.gradcheck(
        lambda rate: DiagonalODE(rate, nothing).weights(s, t, nodes), double([-8.0, 1.0]).requires_grad_()
    )

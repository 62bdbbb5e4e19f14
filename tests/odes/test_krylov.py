import math

import attrs
import pytest
import torch

from deis import (
    ArgumentError,
    CapabilityError,
    DenseODE,
    DiagonalODE,
    ExponentialEuler,
    ExponentialRungeKutta,
    KrylovODE,
    NetworkError,
    NonFiniteError,
    PolynomialEIAB,
    make_plan,
    plan_from_json,
    plan_to_json,
    solve,
)
from deis.testing import SemilinearODEConformance

SIZE = 32
TIMES = [0.0, 0.1, 0.25, 0.45]


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def laplacian(x):
    """Second differences of a function with period 2 pi, times 0.2."""
    return 0.2 * (SIZE / (2 * math.pi)) ** 2 * (x.roll(1, -1) - 2 * x + x.roll(-1, -1))


WAVES = torch.arange(SIZE // 2 + 1, dtype=torch.float64)
EIGENVALUES = -0.8 * (SIZE / (2 * math.pi)) ** 2 * (math.pi * WAVES / SIZE).sin() ** 2
PLACES = torch.arange(SIZE, dtype=torch.float64) * (2 * math.pi / SIZE)


def reaction(t, x):
    return x - x**3 + 0.1 * math.cos(3 * t)


def krylov(function=reaction, **options):
    return KrylovODE(laplacian, function, symmetric=True, **options)


def fourier():
    """The same equation, with the Fourier coefficients as its state."""
    return DiagonalODE(EIGENVALUES, lambda t, y: torch.fft.rfft(reaction(t, torch.fft.irfft(y, n=SIZE))))


def start():
    return torch.stack([PLACES.sin() + 0.3 * (5 * PLACES).cos(), (2 * PLACES).cos().exp()])


def nothing(t, x):
    return x


def test_coefficients_are_coordinates_in_phi_functions():
    ode = krylov()
    s, t = double([0.0, 1.0]), double([0.5, 3.0])
    assert torch.equal(ode.transition(t, s), double([[[1.0, 0.5, 1.0]], [[1.0, 2.0, 1.0]]]))
    # one node: the integral of the flow is h phi_1; two: a polynomial of degree 1
    assert torch.equal(ode.weights(s, t, s[:, None]), double([[[[1.0, 0.5, 0.0, 0.5]]], [[[1.0, 2.0, 0.0, 2.0]]]]))
    two = ode.weights(s, t, torch.stack([s, t], dim=1))
    assert torch.equal(two[0], double([[[1.0, 0.5, 0.0, 0.5, -0.5]], [[1.0, 0.5, 0.0, 0.0, 0.5]]]))
    numbers = double([[[[[1.0, 2.0], [3.0, 4.0], [0.0, 5.0]]]]])  # one step, row and value; three functions, two times
    packed = ode.constant_form().combinations(double([0.2]), double([0.5, 1.0]), numbers)
    assert torch.equal(packed, double([[[[[1.0, 0.1, 1.0, 3.0, 0.0], [1.0, 0.2, 2.0, 4.0, 5.0]]]]]))


@pytest.mark.parametrize("method", ["krogstad", "exp-adams3", "ddim"])
def test_plans_return_from_json(method):
    ode = krylov()
    plan = make_plan(ode, TIMES, method)
    back = plan_from_json(plan_to_json(plan))
    assert back == plan
    assert torch.equal(solve(ode, start(), TIMES, back).x, solve(ode, start(), TIMES, plan).x)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize(
    "method",
    [
        ExponentialEuler(),
        ExponentialRungeKutta("hochbruck-ostermann"),
        PolynomialEIAB(steps=3, corrector=True, start="runge-kutta"),
        PolynomialEIAB(steps=4),
    ],
    ids=["euler", "runge-kutta", "corrector", "ramp"],
)
def test_solutions_are_those_in_fourier_space(method, symmetric):
    expected = torch.fft.irfft(solve(fourier(), torch.fft.rfft(start()), TIMES, method).x, n=SIZE)
    ode = KrylovODE(laplacian, reaction, symmetric=symmetric)
    assert float((solve(ode, start(), TIMES, method).x - expected).abs().max()) <= 1e-9


def test_krogstad_is_of_order_four():
    x0, errors = start()[0], []
    reference = solve(fourier(), torch.fft.rfft(x0), [n / 200 for n in range(201)], "hochbruck-ostermann").x
    for steps in (8, 16):
        x = solve(krylov(tolerance=1e-12), x0, [n / steps for n in range(steps + 1)], "krogstad").x
        errors.append(float((x - torch.fft.irfft(reference, n=SIZE)).abs().max()))
    assert 3.7 <= math.log2(errors[0] / errors[1]) <= 4.3


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float32, 1e-5), (torch.complex64, 1e-5), (torch.complex128, 1e-9), (torch.bfloat16, 0.03)],
)
def test_states_keep_their_precision(dtype, tolerance):
    exact = solve(krylov(), start(), TIMES, "krogstad").x
    x = solve(krylov(), start().to(dtype), TIMES, "krogstad").x
    assert x.dtype == dtype
    assert float((x.to(torch.complex128) - exact).abs().max()) <= tolerance


def test_several_axes_are_one_system_and_the_others_samples():
    def plane(x):
        return 3 * (x.roll(1, -1) + x.roll(-1, -1) + x.roll(1, -2) + x.roll(-1, -2) - 4 * x)

    ode = KrylovODE(plane, reaction, symmetric=True, axes=2)
    x = torch.randn(3, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    whole = solve(ode, x, TIMES, "krogstad").x
    for n in range(3):
        assert float((solve(ode, x[n], TIMES, "krogstad").x - whole[n]).abs().max()) <= 1e-9
    assert ode.system_axes(x) == 2


def test_a_state_with_too_few_axes_is_refused_before_any_work():
    ode = KrylovODE(lambda x: 1 / 0, reaction, axes=2)
    with pytest.raises(ArgumentError, match="x0 must fit the linear part"):
        solve(ode, torch.ones(4), TIMES, "krogstad")


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("euler", "knows L as a function only and has no matrix"),
        ("rhork-rk4:clock=t", "cannot multiply functions of L by each other"),
        ("tab1:clock=rho", "has no clock 'rho'"),
        ("sddim", "has no splitting 'eps'"),
    ],
)
def test_methods_that_need_more_are_refused_before_any_work(method, reason):
    def function(t, x):
        raise AssertionError("N was evaluated")

    with pytest.raises(CapabilityError, match=reason):
        solve(krylov(function), start(), TIMES, method, noise=lambda draw, x: x)


@pytest.mark.parametrize(
    "method",
    ["ipndm", "pndm", PolynomialEIAB(steps=2, moments="bh1"), PolynomialEIAB(steps=2, moments="bh2")],
    ids=repr,
)
def test_methods_that_change_coefficients_are_refused(method):
    with pytest.raises(CapabilityError, match=r"cannot (multiply|be multiplied by numbers or added)"):
        solve(krylov(), start(), TIMES, method)


def test_times_that_carry_a_gradient_are_refused():
    times = double(TIMES).requires_grad_()
    with pytest.raises(CapabilityError, match="times and plans cannot be trained"):
        solve(krylov(), start(), times, "krogstad")


@pytest.mark.parametrize("method", ["krogstad", "exp-adams2"])
def test_gradients_are_those_of_the_matrix(method):
    matrix = torch.stack([laplacian(column) for column in torch.eye(SIZE, dtype=torch.float64)], dim=1)
    gradients = []
    for ode in (krylov(tolerance=1e-12), DenseODE(matrix, reaction)):
        x = start().requires_grad_()
        gradients.append(torch.autograd.grad(solve(ode, x, TIMES, method).x.sin().sum(), x)[0])
    assert float((gradients[0] - gradients[1]).abs().max()) <= 1e-9


def test_gradients_reach_the_parameters_of_the_operator():
    def of_krylov(rate):
        ode = KrylovODE(lambda x: rate * laplacian(x), reaction, symmetric=True, tolerance=1e-12)
        return solve(ode, start(), TIMES, "krogstad").x

    def of_fourier(rate):
        ode = attrs.evolve(fourier(), matrix=rate * EIGENVALUES)
        return torch.fft.irfft(solve(ode, torch.fft.rfft(start()), TIMES, "krogstad").x, n=SIZE)

    gradients = []
    for solution in (of_krylov, of_fourier):
        rate = double(0.7).requires_grad_()
        gradients.append(float(torch.autograd.grad((solution(rate) ** 2).sum(), rate)[0]))
    assert gradients[0] == pytest.approx(gradients[1], rel=1e-6)


def test_no_operator_is_applied_for_numbers():
    ode = KrylovODE(lambda x: 1 / 0, nothing)
    x = double([1.0, 2.0])
    assert torch.equal(ode.apply(2.0, x), 2 * x)
    assert torch.equal(ode.combine([1.0, 0.0, -0.5], [x, x * math.inf, x]), 0.5 * x)
    assert torch.equal(ode.combine([0.0], [x]), 0 * x)
    assert torch.equal(ode.apply(double([[1.0, 0.0, 1.0, 2.0]]), x), 3 * x)  # phi_0(0) + 2 phi_1(0)


def test_each_time_of_a_row_has_one_space():
    calls = []
    ode = KrylovODE(lambda x: calls.append(x) or -x, nothing)
    x = double([[1.0, 2.0], [3.0, 4.0]])
    first, second = double([[1.0, 0.5, 1.0, 0.0]]), double([[1.0, 0.5, 0.0, 2.0], [1.0, 1.0, 1.0, 0.0]])
    with torch.no_grad():
        value = ode.combine([first, second], [x, x])
    phi_1 = (1 - math.exp(-0.5)) / 0.5
    torch.testing.assert_close(value, (math.exp(-0.5) + 2 * phi_1 + math.exp(-1.0)) * x, rtol=1e-12, atol=0)
    assert len(calls) <= 4  # two for the augmented space at 0.5, one or two for the eigenvector at 1
    assert all(point.shape == x.shape for point in calls)


def test_what_is_wrong_with_an_operator_is_said():
    with pytest.raises(NetworkError, match=r"operator of the linear part must return torch.float64 of shape \(2, 32\)"):
        solve(KrylovODE(lambda x: x[0], reaction), start(), TIMES, "krogstad")
    with pytest.raises(NonFiniteError, match="operator of the linear part returned NaN or Inf"):
        solve(KrylovODE(lambda x: x * math.nan, reaction), start(), TIMES, "krogstad")
    with pytest.raises(ArgumentError, match="symmetric must be False"):
        solve(KrylovODE(lambda x: x.roll(1, -1) - x, reaction, symmetric=True), start(), TIMES, "krogstad")


def test_values_of_n_that_are_not_finite_are_named_as_anywhere():
    ode = krylov(lambda t, x: x * (math.nan if t > 0.2 else 1.0))
    with pytest.raises(NonFiniteError, match=r"nonlinearity returned NaN at evaluation 3, in step 3, t = 0.25"):
        solve(ode, start(), TIMES, "tab1")


@pytest.mark.parametrize(
    ("option", "bad"),
    [("operator", 1.0), ("domain", (1.0, 1.0)), ("symmetric", 1), ("axes", -1), ("tolerance", 0.0), ("most", 1)],
)
def test_options_are_checked(option, bad):
    with pytest.raises(ArgumentError, match=f"^{option} must be"):
        KrylovODE(**{"operator": laplacian, "function": nothing, option: bad})


class TestConformance(SemilinearODEConformance):
    """What does not apply: L(t) as a tensor, products of coefficients, and the quadrature made of both."""

    @pytest.fixture(params=[True, False], ids=["symmetric", "general"])
    def ode(self, request):
        return KrylovODE(laplacian, lambda t, x: x.sin() + t, (1.0, -0.5), symmetric=request.param, tolerance=1e-13)

    @pytest.fixture
    def state(self):
        return start()

    def test_coefficients_have_the_shape_of_the_times(self, ode):
        for shape in [(), (4,), (2, 2)]:
            when = torch.full(shape, 0.25, dtype=torch.float64)
            assert ode.transition(when, when).shape == (*shape, 1, 3)
            assert ode.weight(when).shape == shape

    def test_transitions_compose(self, ode, state):
        r, s, t = double([0.3, 0.1, -0.2])
        parts = ode.apply(ode.transition(r, s), ode.apply(ode.transition(s, t), state))
        torch.testing.assert_close(parts, ode.apply(ode.transition(r, t), state), rtol=1e-9, atol=1e-12)

    def test_transition_is_the_flow_of_the_linear_part(self, ode, state):
        t, h = double(0.3), 1e-5
        after, before = (ode.apply(ode.transition(t + sign * h, t), state) for sign in (1, -1))
        slope = (after - before) / (2 * h)
        torch.testing.assert_close(slope, ode.linear_action(0.3, state), rtol=1e-6, atol=1e-6)

    def test_weights_are_the_integrals_they_stand_for(self, ode, state):
        s, t, nodes = double([0.3]), double([0.1]), double([[0.3, 0.5, 0.1]])
        diagonal = DiagonalODE(EIGENVALUES, nothing)
        weights, exact = ode.weights(s, t, nodes)[0], diagonal.weights(s, t, nodes)[0]
        for own, other in zip(weights, exact, strict=True):
            expected = torch.fft.irfft(other * torch.fft.rfft(state), n=SIZE)
            torch.testing.assert_close(ode.apply(own, state), expected, rtol=1e-10, atol=1e-11)

    def test_weights_add_up(self, ode, state):
        s, t, nodes = double([0.3]), double([0.1]), double([[0.3, 0.5, 0.1]])
        one = ode.apply(ode.weights(s, t, nodes[:, :1])[0, 0], state)
        every = ode.combine(list(ode.weights(s, t, nodes)[0]), [state] * 3)
        torch.testing.assert_close(every, one, rtol=1e-10, atol=1e-11)

    def test_its_own_splitting_is_itself(self, ode):
        assert ode.split(ode.splitting) is ode

    def test_it_says_that_there_is_no_matrix(self, ode):
        with pytest.raises(CapabilityError, match="no matrix"):
            ode.linear(double(0.0))

"""solve_ivp and odeint: what comes back agrees with scipy and torchdiffeq, and wrong arguments are refused."""

import math

import attrs
import numpy as np
import pytest
import scipy.integrate
import torch
import torchdiffeq

from deis import (
    Adaptive,
    ArgumentError,
    CapabilityError,
    DeisError,
    DiagonalODE,
    Linear,
    NetworkError,
    NonFiniteError,
    RhoRungeKutta,
    UnknownNameError,
    block_diagonal,
    dense,
    diagonal,
    matrix_free,
    odeint,
    solve,
    solve_ivp,
)
from deis.ivp.methods import as_method

DOUBLE = torch.float64
PREY = [10.0, 5.0]
GENERATOR = torch.tensor([[-0.5, 3.0], [-3.0, -40.0]], dtype=DOUBLE)


def tensor(*values):
    return torch.tensor(values, dtype=DOUBLE)


def lotka_volterra(t, y):
    """Runs on tensors and on arrays."""
    return [1.5 * y[0] - y[0] * y[1], y[0] * y[1] - 3 * y[1]]


def driven(t, y):
    """N of the tests with a linear part."""
    return torch.sin(y) + math.cos(3 * t)


def driven_by_matrix(t, y):
    return GENERATOR.numpy() @ y + np.sin(y) + math.cos(3 * t)


def reference(fun, t_span, y0, **options):
    return scipy.integrate.solve_ivp(fun, t_span, y0, "DOP853", rtol=1e-12, atol=1e-13, **options)


# what comes back


ADAPTIVE = Adaptive(RhoRungeKutta("bogacki-shampine", clock="t"))


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("RK45", {"rtol": 1e-8, "atol": 1e-8}),
        ("DOP853", {"rtol": 1e-8, "atol": 1e-8}),
        ("Radau", {"rtol": 1e-7, "atol": 1e-7}),
        ("LSODA", {"rtol": 1e-9, "atol": 1e-9}),
        ("dopri5", {"rtol": 1e-8, "atol": 1e-8}),
        ("bosh3", {"rtol": 1e-7, "atol": 1e-7}),
        (ADAPTIVE, {"rtol": 1e-6, "atol": 1e-6}),
        ("adaptive-exprb43", {"rtol": 1e-6, "atol": 1e-6}),
        ("rk4", {"steps": 100}),
        ("hochbruck-ostermann", {"steps": 100}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_methods_under_all_their_names_agree_with_scipy(method, options):
    found = solve_ivp(lotka_volterra, (0, 1), PREY, method, **options)
    expected = reference(lotka_volterra, (0, 1), PREY).y[:, -1]
    assert found.success
    assert found.status == 0
    assert float(found.t[-1]) == 1.0
    assert found.y[:, -1].numpy() == pytest.approx(expected, rel=1e-4)


def test_the_result_has_the_fields_and_shapes_of_scipy():
    asked = np.linspace(0, 3, 7)
    found = solve_ivp(lotka_volterra, (0, 3), PREY, "rk4", asked, True, steps=300)
    expected = reference(lotka_volterra, (0, 3), PREY, t_eval=asked, dense_output=True)
    assert torch.equal(found.t, torch.from_numpy(asked))
    assert found.t.dtype == DOUBLE
    assert found.y.numpy() == pytest.approx(expected.y, rel=1e-5)
    assert found.sol(asked).numpy() == pytest.approx(expected.sol(asked), rel=1e-5)
    assert found.sol(1.234).numpy() == pytest.approx(expected.sol(1.234), rel=1e-5)
    assert found.t_events is None
    assert found.y_events is None
    assert (found.status, found.success, found.message) == (0, True, "the end of t_span was reached")
    assert {"t", "y", "sol", "t_events", "y_events", "nfev", "njev", "status", "message", "success"} <= set(dir(found))


@pytest.mark.parametrize("name", ["number", "diagonal", "dense", "blocks", "matrix-free", "own"])
def test_linear_parts_in_all_their_forms(name):
    linear, y0, slope = {
        "number": (-3.0, [1.0, 0.5], lambda t, y: -3.0 * y),
        "diagonal": (tensor(-3.0, 2.0), [1.0, 0.5], lambda t, y: np.array([-3.0, 2.0]) * y),
        "dense": (dense(GENERATOR), [1.0, 0.5], lambda t, y: GENERATOR.numpy() @ y),
        "blocks": (block_diagonal(GENERATOR[None]), [[1.0, 0.5]], lambda t, y: GENERATOR.numpy() @ y),
        "matrix-free": (matrix_free(lambda y: y @ GENERATOR.T), [1.0, 0.5], lambda t, y: GENERATOR.numpy() @ y),
        "own": (Linear(lambda fun, domain: DiagonalODE(-3.0, fun, domain)), [1.0, 0.5], lambda t, y: -3.0 * y),
    }[name]
    found = solve_ivp(driven, (0, 2), y0, "krogstad", linear=linear, steps=50)
    expected = reference(lambda t, y: slope(t, y) + np.sin(y) + math.cos(3 * t), (0, 2), np.ravel(y0))
    assert found.y[..., -1].reshape(2).numpy() == pytest.approx(expected.y[:, -1], rel=1e-4)


def test_a_diagonal_of_two_axes_multiplies_elementwise():
    rates = tensor([-1.0, -2.0], [-3.0, -4.0])
    found = solve_ivp(lambda t, y: 0 * y, (0, 2), torch.ones(5, 2, 2), "etd1", linear=diagonal(rates), steps=1)
    assert torch.allclose(found.y[..., -1], (2 * rates).exp().float().expand(5, 2, 2))


@pytest.mark.parametrize("shape", [(), (3,), (4, 3), (2, 1, 3)], ids=str)
def test_states_may_have_any_shape(shape):
    y0 = torch.linspace(0.1, 1.0, math.prod(shape), dtype=DOUBLE).reshape(shape)
    found = solve_ivp(driven, (0, 1), y0, "krogstad", linear=-5.0, steps=40, dense_output=True)
    assert found.y.shape == (*shape, 41)
    assert found.sol(tensor([0.1, 0.2])).shape == (*shape, 1, 2)
    for index in np.ndindex(shape):
        alone = solve_ivp(driven, (0, 1), y0[index], "krogstad", linear=-5.0, steps=40)
        assert torch.allclose(found.y[index], alone.y, rtol=1e-13)


def test_backward_in_time():
    there = solve_ivp(driven, (0, 1), [1.0, -0.5], "hochbruck-ostermann", linear=-1.0, steps=50)
    back = solve_ivp(driven, (1, 0), there.y[:, -1], "hochbruck-ostermann", [0.5, 0.0], linear=-1.0, steps=50)
    assert back.t.tolist() == [0.5, 0.0]
    assert torch.allclose(back.y[:, -1], tensor(1.0, -0.5), rtol=1e-7)
    assert torch.allclose(back.y[:, 0], there.y[:, 25], rtol=1e-7)


def test_complex_states():
    def rotate(t, y):
        return -1j * y.abs() ** 2 * y

    y0 = torch.tensor([1 + 1j, 0.5], dtype=torch.complex128)
    found = solve_ivp(rotate, (0, 2), y0, "krogstad", linear=3j, steps=100, dense_output=True)
    for t in (1.234, 2.0):  # |y| is constant
        exact = y0 * torch.exp(1j * (3 - y0.abs() ** 2) * t)
        assert torch.allclose(found.sol(t), exact, rtol=1e-6)


def test_single_precision_stays_single():
    found = solve_ivp(driven, (0, 1), torch.ones(2), "krogstad", linear=-1.0, steps=10, dense_output=True)
    assert found.y.dtype == found.sol(0.5).dtype == torch.float32


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor])
def test_states_may_be_lists_arrays_and_tensors(kind):
    y0 = kind((1.0, 0.5))
    assert solve_ivp(driven, (0, 1), y0, "etd1", steps=1).y[:, 0].tolist() == [1.0, 0.5]


def test_a_function_may_return_a_list_of_components_of_a_batch():
    y0 = torch.tensor([PREY, [3.0, 1.0]], dtype=DOUBLE).T
    found = solve_ivp(lotka_volterra, (0, 1), y0, "rk4", steps=50)
    assert torch.allclose(found.y[:, 0], solve_ivp(lotka_volterra, (0, 1), PREY, "rk4", steps=50).y, rtol=1e-13)
    assert torch.equal(solve_ivp(lambda t, y: [1.0, y[0]], (0, 1), [0.0, 0.0], "rk4", steps=1).y[:, -1], tensor(1, 0.5))


def test_further_arguments_reach_the_function_and_the_events():
    def event(t, y, rate, level):
        return y[0] - level

    def grow(t, y, rate, level):
        return rate * y

    found = solve_ivp(grow, (0, 3), [1.0], "rk4", events=event, steps=100, args=(0.5, 2.0))
    assert found.t_events[0].tolist() == pytest.approx([2 * math.log(2)], abs=1e-8)


def test_evaluations_are_counted():
    calls = []

    def count(t, y):
        calls.append(t)
        return -y

    found = solve_ivp(count, (0, 1), [1.0], "krogstad", steps=10)
    assert found.nfev == len(calls) == 40
    assert found.njev == 0
    calls.clear()
    found = solve_ivp(count, (0, 1), [1.0], "krogstad", np.linspace(0, 1, 77), steps=10)
    assert found.nfev == len(calls) == 41  # between times it takes N at the end, which no step asks for


def test_without_steps_the_grid_are_the_times_asked_for():
    asked = [0.1, 0.25, 0.7]
    found = solve_ivp(driven, (0, 1), [1.0], "krogstad", asked, linear=-2.0)
    grid = [0.0, *asked, 1.0]
    states = solve(DiagonalODE(-2.0, driven), tensor(1.0), grid, "krogstad", keep_states=True).states
    assert found.t.tolist() == asked
    assert torch.equal(found.y, torch.stack(states[1:-1], dim=-1))


def test_tolerances_reach_the_method():
    coarse, fine = (solve_ivp(lotka_volterra, (0, 3), PREY, "RK45", rtol=r, atol=r) for r in (1e-3, 1e-9))
    assert coarse.nfev < fine.nfev
    assert as_method("RK45").rtol == 1e-5
    exact = reference(lotka_volterra, (0, 3), PREY).y[:, -1]
    errors = [float((found.y[:, -1] - torch.from_numpy(exact)).abs().max()) for found in (coarse, fine)]
    assert errors[1] < 1e-4 * errors[0]


@pytest.mark.parametrize(
    ("name", "registered"),
    [
        ("RK45", "rk45"),
        ("rk23", "rk23"),
        ("BDF", "bdf"),
        ("Dopri8", "torchdiffeq-dopri8"),
        ("adaptive_heun", "torchdiffeq-adaptive-heun"),
        ("explicit_adams", "torchdiffeq-explicit-adams"),
        ("RK4", "torchdiffeq-rk4"),
        ("Krogstad", "krogstad"),
        ("RK45:max_nfe=7", "rk45:max_nfe=7"),
    ],
)
def test_foreign_names_are_those_of_registered_methods(name, registered):
    assert as_method(name) == as_method(registered)


# events


PENDULUM = dense([[0.0, 1.0], [-1.0, 0.0]])


def gravity(t, y):
    """N of a pendulum whose linear part is known."""
    return torch.stack([torch.zeros_like(y[0]), y[0] - torch.sin(y[0])])


def pendulum(t, y):
    return [y[1], -np.sin(y[0])]


def reaches(level, **attributes):
    def event(t, y):
        return y[0] - level

    for name, value in attributes.items():
        setattr(event, name, value)
    return event


def events_of(events, method="hochbruck-ostermann", **options):
    options = {"steps": 250, "linear": PENDULUM, **options}
    found = solve_ivp(gravity, (0, 12), [1.0, 0.5], method, events=events, **options)
    return found, reference(pendulum, (0, 12), [1.0, 0.5], events=events)


@pytest.mark.parametrize("direction", [0, 1, -1.0])
def test_events_are_those_of_scipy(direction):
    def both_alike(t, y):
        return y[0] - y[1]

    found, expected = events_of([reaches(0.5, direction=direction), both_alike])
    assert len(found.t_events) == 2
    for times, states, t, y in zip(found.t_events, found.y_events, expected.t_events, expected.y_events, strict=True):
        assert len(times) == len(t) > 0
        assert times.numpy() == pytest.approx(t, abs=1e-8)
        assert states.numpy() == pytest.approx(y, abs=1e-8)
        assert states.shape == (len(t), 2)


@pytest.mark.parametrize("terminal", [True, 1, 2])
def test_a_terminal_event_ends_the_solution(terminal):
    found, expected = events_of([reaches(0.5, terminal=terminal), reaches(1.1)], dense_output=True)
    assert (found.status, found.success, found.message) == (1, True, "a terminal event occurred")
    assert [len(t) for t in found.t_events] == [len(t) for t in expected.t_events]
    assert float(found.t[-1]) == float(found.t_events[0][-1]) == pytest.approx(expected.t_events[0][-1], abs=1e-8)
    assert float(found.y[0, -1]) == pytest.approx(0.5, abs=1e-12)
    assert torch.equal(found.sol(found.t_events[0][-1]), found.y[:, -1])


def test_times_behind_a_terminal_event_are_left_out():
    found, expected = events_of(reaches(0.5, terminal=True), t_eval=[0.1, 0.2, 11.0])
    assert 0.2 < expected.t_events[0][0] < 11
    assert found.t.tolist() == [0.1, 0.2]
    assert found.y.shape == (2, 2)


def test_a_method_with_a_plan_stops_at_a_terminal_event():
    def runs_dry(t, y):
        assert bool((y > -0.1).all())
        return -y.clamp(min=0).sqrt() - 1

    found = solve_ivp(runs_dry, (0, 10), [1.0], "hochbruck-ostermann", events=reaches(0.1, terminal=True), steps=200)
    s = math.sqrt(0.1)  # with s = sqrt(y): s' = -(s + 1) / (2 s)
    assert float(found.t[-1]) == pytest.approx(2 * (1 - s) - 2 * math.log(2 / (1 + s)), abs=1e-6)


def test_a_method_with_a_plan_makes_no_more_calls_than_it_needs():
    calls = []

    def count(t, y):
        calls.append(t)
        return -torch.ones_like(y)

    found = solve_ivp(count, (0, 10), [1.0], "krogstad", events=reaches(0.0, terminal=True), steps=100)
    assert float(found.t[-1]) == pytest.approx(1.0, abs=1e-12)
    assert max(calls) < 1.3
    assert found.nfev == len(calls)


def test_events_backward_in_time():
    def event(t, y):
        return y[0] - math.exp(0.5)

    event.terminal = True
    found = solve_ivp(lambda t, y: y, (1, 0), [math.e], "rk4", events=event, steps=100)
    assert float(found.t[-1]) == pytest.approx(0.5, abs=1e-8)
    assert float(found.t_events[0]) == float(found.t[-1])


def test_a_zero_on_a_grid_point_is_found_once_and_one_at_the_start_not_at_all():
    def event(t, y):
        return t - 0.5

    def start(t, y):
        return t

    found = solve_ivp(lambda t, y: y, (0, 1), [1.0], "etd1", events=[event, start], steps=2)
    assert [times.tolist() for times in found.t_events] == [[0.5], []]
    assert found.y_events[1].shape == (0, 1)


def test_events_of_a_batch_return_one_number():
    y0 = tensor([1.0], [2.0])

    def first_to_fall(t, y):
        return y.min() - 0.5

    found = solve_ivp(lambda t, y: 0 * y, (0, 2), y0, "krogstad", events=first_to_fall, linear=-1.0, steps=1)
    assert found.t_events[0].tolist() == pytest.approx([math.log(2)], abs=1e-12)
    with pytest.raises(ArgumentError, match="events must return one real number"):
        solve_ivp(lambda t, y: 0 * y, (0, 2), y0, "krogstad", events=lambda t, y: y - 0.5, steps=1)


def test_events_of_a_method_that_chooses_its_steps():
    for method in ("dopri5", "DOP853"):
        found, expected = events_of(reaches(0.5), method, rtol=1e-10, atol=1e-10)
        assert found.t_events[0].numpy() == pytest.approx(expected.t_events[0], abs=1e-8)


def relaxation(t, y):
    """Van der Pol's equation, stiff."""
    return [y[1], 100 * (1 - y[0] ** 2) * y[1] - y[0]]


def test_the_steps_of_an_adaptive_method_are_those_of_the_solution():
    options = {"rtol": 1e-5, "atol": 1e-5}
    found = solve_ivp(relaxation, (0, 60), [2.0, 0.0], dense_output=True, **options)
    exact = scipy.integrate.solve_ivp(
        relaxation, (0, 60), [2.0, 0.0], "Radau", rtol=1e-9, atol=1e-11, dense_output=True
    )
    assert 3 < len(found.t) < 60
    assert found.y.numpy() == pytest.approx(exact.sol(found.t.numpy()), abs=1e-3)
    asked = np.linspace(0, 60, 50)
    assert found.sol(asked).numpy() == pytest.approx(exact.sol(asked), abs=1e-3)
    same = solve_ivp(relaxation, (0, 60), [2.0, 0.0], t_eval=asked, **options)
    assert torch.equal(same.y, found.sol(asked))  # the times asked for do not change the steps


@pytest.mark.parametrize("method", ["adaptive-exprb43", ADAPTIVE], ids=["exprb43", "bs32"])
def test_an_adaptive_method_stops_at_a_terminal_event(method):
    def runs_dry(t, y):
        return -y.sqrt() - 1  # not a number below 0

    found = solve_ivp(runs_dry, (0, 10), [1.0], method, events=reaches(0.1, terminal=True), rtol=1e-7, atol=1e-7)
    s = math.sqrt(0.1)
    assert found.status == 1
    assert float(found.t[-1]) == pytest.approx(2 * (1 - s) - 2 * math.log(2 / (1 + s)), abs=1e-5)


# odeint


ASKED = torch.linspace(0, 2, 9, dtype=DOUBLE)


def oscillator(t, y):
    """Of tensors only: the time is one, too."""
    return torch.stack([y[..., 1], -y[..., 0] + torch.sin(t)], dim=-1)


@pytest.mark.parametrize("method", ["dopri5", "rk4", "euler", "midpoint"])
@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
def test_odeint_is_that_of_torchdiffeq(method, backward):
    y0 = torch.tensor([[1.0, 0.0], [0.3, -2.0]], dtype=DOUBLE)
    t = ASKED.flip(0) if backward else ASKED
    found = odeint(oscillator, y0, t, method=method)
    expected = torchdiffeq.odeint(oscillator, y0, t, method=method)
    assert found.shape == (9, 2, 2)
    assert torch.allclose(found, expected, rtol=1e-6, atol=1e-7)


def test_odeint_with_a_step_size():
    y0 = tensor(1.0, 0.0)
    options = {"step_size": 0.05}
    found = odeint(oscillator, y0, ASKED, method="rk4", options=options)
    expected = torchdiffeq.odeint(oscillator, y0, ASKED, method="rk4", options=options)
    assert torch.allclose(found, expected, rtol=1e-12)  # the times lie on torchdiffeq's grid, too
    uneven = odeint(oscillator, y0, [0.0, 0.07, 0.3], method="rk4", options=options)
    exact = torchdiffeq.odeint(oscillator, y0, tensor(0.0, 0.07, 0.3), rtol=1e-12, atol=1e-12)
    assert torch.allclose(uneven, exact, rtol=1e-7)


def test_odeint_takes_a_linear_part():
    y0 = tensor([1.0, 0.5], [0.2, -0.3])
    found = odeint(lambda t, y: torch.sin(y) + torch.cos(3 * t), y0, ASKED, method="krogstad", linear=dense(GENERATOR))
    expected = reference(driven_by_matrix, (0, 2), [1.0, 0.5], t_eval=ASKED.numpy())
    assert found[:, 0].numpy() == pytest.approx(expected.y.T, abs=2e-3)


def test_odeint_keeps_its_tolerances():
    errors = []
    for tolerance in (1e-4, 1e-9):
        found = odeint(oscillator, tensor(1.0, 0.0), ASKED, rtol=tolerance, atol=tolerance, method="dopri5")
        t = ASKED  # y'' = -y + sin t: (y, y') = (cos t + sin t / 2 - t cos t / 2, ...)
        errors.append(float((found[:, 0] - (t.cos() + t.sin() / 2 - t * t.cos() / 2)).abs().max()))
    assert errors[1] < 1e-8 < 1e-7 < errors[0] < 1e-3


def test_odeint_in_single_precision():
    found = odeint(oscillator, torch.tensor([1.0, 0.0]), ASKED.float(), method="rk4")
    assert found.dtype == torch.float32


# gradients


@pytest.mark.parametrize("method", ["krogstad", "rk4", "exp-adams3"])
def test_gradients_pass_through_odeint(method):
    def final(y0, rate):
        return odeint(lambda t, y: rate * torch.sin(y) + torch.cos(t), y0, ASKED[:3], method=method, linear=-1.0)

    inputs = tensor(0.5, -0.2).requires_grad_(), tensor(0.7).requires_grad_()
    assert torch.autograd.gradcheck(final, inputs)


@pytest.mark.parametrize("method", ["dopri5", "adaptive-exprb43"])
def test_gradients_pass_through_methods_that_choose_their_steps(method):
    def final(y0, rate):
        return odeint(lambda t, y: rate * torch.sin(y), y0, [0.0, 0.5], method=method, linear=-1.0)

    inputs = tensor(0.5, -0.2).requires_grad_(), tensor(0.7).requires_grad_()
    assert torch.autograd.gradcheck(final, inputs, atol=1e-5)


@pytest.mark.parametrize("checkpoint", [False, True])
def test_gradients_pass_through_solve_ivp(checkpoint):
    def final(y0, rate):
        def fun(t, y):
            return rate * torch.sin(y)

        return solve_ivp(fun, (0, 1), y0, "etd3rk", [0.13, 1.0], linear=-1.0, steps=5, checkpoint=checkpoint).y

    inputs = tensor(0.5, -0.2).requires_grad_(), tensor(0.7).requires_grad_()
    assert torch.autograd.gradcheck(final, inputs)


def test_checkpoints_do_not_change_the_solution():
    a, b = (solve_ivp(driven, (0, 1), [1.0], "krogstad", steps=9, checkpoint=c, events=reaches(0.5)) for c in (0, 1))
    assert torch.equal(a.y, b.y)
    assert a.nfev == b.nfev
    with pytest.raises(CapabilityError, match="checkpoint"):
        solve_ivp(driven, (0, 1), [1.0], "dopri5", checkpoint=True)


# what is refused


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"y0": [1, 2]}, ArgumentError, r"y0 must be floating point.*int64; write its numbers with a point"),
        ({"y0": torch.tensor([1])}, ArgumentError, r"y0 must be floating point.*write y0.double\(\)"),
        ({"y0": (tensor(1.0), tensor(2.0))}, ArgumentError, "y0 must be one tensor.*torch.cat"),
        ({"y0": "one"}, ArgumentError, "y0 must be a tensor or numbers"),
        ({"y0": [math.nan]}, NonFiniteError, "NaN"),
        ({"t_span": (0, 0)}, ArgumentError, "t_span must be two different finite times"),
        ({"t_span": (0, math.inf)}, ArgumentError, "t_span must be two different finite times"),
        ({"t_span": 3.0}, ArgumentError, "t_span must be two times"),
        ({"t_eval": []}, ArgumentError, "t_eval must hold at least one time.*leave it out"),
        ({"t_eval": [0.5, 0.2]}, ArgumentError, "t_eval must run strictly from 0 towards 1"),
        ({"t_eval": [0.2, 0.2]}, ArgumentError, "t_eval must run strictly from 0 towards 1"),
        ({"t_eval": [0.2, 1.5]}, ArgumentError, "t_eval must lie between 0 and 1"),
        ({"t_eval": [math.nan]}, ArgumentError, "t_eval must lie between 0 and 1"),
        ({"t_eval": ["a"]}, ArgumentError, "t_eval must be numbers"),
        ({"method": "krogstat"}, UnknownNameError, "no method named 'krogstat'; near it: .*krogstad"),
        ({"method": "RK54"}, UnknownNameError, "no method named 'RK54'; near it: .*RK45"),
        ({"method": 3}, ArgumentError, "method must be an integrator"),
        ({"method": "ddpm"}, ArgumentError, "method must not add noise"),
        ({"steps": None}, ArgumentError, "steps must be given for .*for example steps=100"),
        ({"steps": 0}, ArgumentError, "steps must be a whole number"),
        ({"steps": 1.5}, ArgumentError, "steps must be a whole number"),
        ({"rtol": 1e-3}, ArgumentError, "rtol must be left out for ExponentialRungeKutta"),
        ({"atol": 1e-3}, ArgumentError, "atol must be left out for ExponentialRungeKutta"),
        ({"fun": 3.0}, ArgumentError, "fun must be a function"),
        ({"fun": lambda t, y: y * math.nan}, NonFiniteError, "NaN at evaluation 1, in step 1"),
        ({"fun": lambda t, y: y.numpy()}, NetworkError, "must return torch.float64 .*ndarray"),
        ({"fun": lambda t, y: y[:0]}, NetworkError, "must return"),
        ({"args": 3.0}, ArgumentError, r"args must be a tuple.*write \(value,\)"),
        ({"linear": 2j}, ArgumentError, "y0 must be complex, because the ODE has complex coefficients"),
        ({"linear": torch.ones(3, 3)}, ArgumentError, r"linear must say whether .*\(3, 3\).*deis.dense\(L\)"),
        ({"linear": [[1.0, 2.0], [3.0, 4.0]]}, ArgumentError, "linear must say whether"),
        ({"linear": lambda y: y}, ArgumentError, r"linear must say what it is.*deis.matrix_free\(L\)"),
        ({"linear": dense(GENERATOR)}, ArgumentError, "y0 must fit the linear part"),
        ({"linear": math.nan}, ArgumentError, "must be finite"),
        ({"events": 3.0}, (ArgumentError, TypeError), "."),
        ({"events": [3.0]}, ArgumentError, "events must be functions"),
        ({"events": lambda t, y: math.nan}, NonFiniteError, "event function"),
        ({"events": reaches(1.0, terminal="yes")}, ArgumentError, "terminal must be True"),
        ({"events": reaches(1.0, direction="up")}, ArgumentError, "direction must be a number"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_wrong_arguments_are_refused(changed, error, message):
    good = {"fun": lambda t, y: -y, "t_span": (0, 1), "y0": [1.0], "method": "krogstad", "steps": 5}
    with pytest.raises(error, match=message):
        solve_ivp(**{**good, **changed})


@pytest.mark.parametrize("wanted", [{"dense_output": True}, {"events": reaches(0.5)}], ids=["sol", "events"])
def test_a_black_box_needs_a_grid_to_be_known_between_times(wanted):
    with pytest.raises(ArgumentError, match="steps must be given for events and dense_output of Dopri5"):
        solve_ivp(driven, (0, 1), [1.0], "dopri5", **wanted)


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"t": [0.0]}, ArgumentError, "t must hold at least two times"),
        ({"t": [0.0, 1.0, 0.5]}, ArgumentError, "t must be strictly monotone"),
        ({"t": tensor(0.0, 1.0).requires_grad_()}, ArgumentError, r"t must not require a gradient.*t.detach\(\)"),
        ({"y0": (tensor(1.0), tensor(2.0))}, ArgumentError, "y0 must be one tensor"),
        ({"func": None}, ArgumentError, "func must be a function"),
        ({"options": {"step_sizes": 1}}, UnknownNameError, "no option named 'step_sizes'; near it: step_size"),
        ({"options": {"step_size": 0.0}}, ArgumentError, "step_size must be a number above 0"),
        ({"options": {"step_size": 0.1}, "method": "dopri5"}, ArgumentError, "step_size must be left out for Dopri5"),
        ({"linear": 1j}, ArgumentError, "y0 must be complex"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_wrong_arguments_of_odeint_are_refused(changed, error, message):
    good = {"func": lambda t, y: -y, "y0": tensor(1.0), "t": [0.0, 1.0], "method": "rk4"}
    with pytest.raises(error, match=message):
        odeint(**{**good, **changed})


def test_a_method_that_gives_up_on_request_says_so():
    def explode(t, y):
        return y**2

    method = attrs.evolve(ADAPTIVE, partial=True, most_steps=50)
    found = solve_ivp(explode, (0, 2), [1.0], method)
    assert (found.status, found.success) == (-1, False)
    assert "stopped at t = " in found.message
    assert 0.5 < float(found.t[-1]) < 1.0
    with pytest.raises(DeisError, match="stopped at t"):
        odeint(explode, tensor(1.0), [0.0, 2.0], method=method)

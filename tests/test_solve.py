"""solve and iterate: what comes back, and what is refused before any evaluation."""

import math

import attrs
import pytest
import torch

from deis import (
    EDM,
    Bernoulli,
    DenseODE,
    DiagonalODE,
    Dopri5,
    ExponentialEuler,
    Plan,
    PolynomialEIAB,
    ProbabilityFlowODE,
    RhoRungeKutta,
    Row,
    SampleNoise,
    StochasticDDIM,
    TimeGrid,
    iterate,
    solve,
)
from deis.errors import ArgumentError, CapabilityError, NetworkError, NonFiniteError, UnknownNameError

TIMES = [0.0, 0.2, 0.5, 1.0]
TIMES_TENSOR = torch.tensor(TIMES, dtype=torch.float64)


class Calls:
    """A nonlinearity that notes the times at which it is called."""

    def __init__(self, function=lambda t, x: -(x**2)):
        self.times, self._function = [], function

    def __call__(self, t, x):
        self.times.append(t)
        return self._function(t, x)


@pytest.fixture
def calls():
    return Calls()


@pytest.fixture
def ode(calls):
    return DiagonalODE(-2.0, calls)


@pytest.fixture
def x0():
    return torch.tensor([[1.0, 0.5, -0.25]], dtype=torch.float64)


# what comes back


def test_solution_of_a_plan(ode, x0, calls):
    solution = solve(ode, x0, TIMES, PolynomialEIAB(steps=2))
    assert solution.times == tuple(TIMES)
    assert solution.steps == 3
    assert solution.nfe == 3
    assert calls.times == TIMES[:-1]
    assert solution.states is None
    assert solution.plan == PolynomialEIAB(steps=2).plan(ode, torch.tensor(TIMES, dtype=torch.float64))
    assert solution.seconds_in_network > 0
    assert solution.seconds_in_solver > 0


@pytest.mark.parametrize("corrector", [False, True])
def test_states_at_every_time(ode, x0, corrector):
    method = PolynomialEIAB(steps=2, corrector=corrector)
    solution = solve(ode, x0, TIMES, method, keep_states=True)
    assert len(solution.states) == 4
    assert torch.equal(solution.states[0], x0)
    assert torch.equal(solution.states[-1], solution.x)
    first = solve(ode, x0, TIMES[:2], method).x
    if corrector:  # the state at an inner time is the corrected one
        assert not torch.equal(solution.states[1], first)
    else:
        assert torch.equal(solution.states[1], first)


@pytest.mark.parametrize("corrector", [False, True])
def test_iterate_yields_what_solve_keeps(ode, x0, corrector):
    method = PolynomialEIAB(steps=2, corrector=corrector)
    reached = list(iterate(ode, x0, TIMES, method))
    assert [(r.step, r.time) for r in reached] == [(1, 0.2), (2, 0.5), (3, 1.0)]
    states = solve(ode, x0, TIMES, method, keep_states=True).states
    assert all(torch.equal(r.state, state) for r, state in zip(reached, states[1:], strict=True))


def test_iterate_works_step_by_step(ode, x0, calls):
    run = iterate(ode, x0, TIMES, "ddim")
    assert calls.times == []
    next(run)
    assert calls.times == [0.0]
    next(run)
    assert calls.times == [0.0, 0.2]


def test_iterate_checks_its_arguments_when_it_is_called(ode, x0):
    with pytest.raises(ArgumentError, match="times"):
        iterate(ode, x0, [0.0, 2.0], "ddim")


@pytest.mark.parametrize(
    "times",
    [TIMES, tuple(TIMES), torch.tensor(TIMES, dtype=torch.float64), TimeGrid(TIMES), (t for t in TIMES)],
    ids=["list", "tuple", "tensor", "grid", "generator"],
)
def test_times_may_be_given_in_many_ways(ode, x0, times):
    assert torch.equal(solve(ode, x0, times, "tab1").x, solve(ode, x0, TIMES, "tab1").x)


@pytest.mark.parametrize("name", ["ddim", "tab3", "tab3:corrector=true", "polynomial:steps=2:start=runge-kutta"])
def test_both_directions_are_inverse_to_each_other(name):
    problem = Bernoulli()
    forward = torch.linspace(0.0, 1.0, 401, dtype=torch.float64)
    x1 = solve(problem.ode, problem.exact(0.0), forward, name).x
    x0 = solve(problem.ode, x1, forward.flip(0), name).x
    assert x1 == pytest.approx(float(problem.exact(1.0)), rel=1e-2)
    assert x0 == pytest.approx(1.0, rel=2e-2)


def test_an_integrator_may_be_named_with_options(ode, x0):
    named = solve(ode, x0, TIMES, "tab3:corrector=true").x
    assert torch.equal(named, solve(ode, x0, TIMES, PolynomialEIAB(steps=4, corrector=True)).x)


def test_the_initial_state_may_be_a_number(ode):
    assert solve(ode, torch.tensor(0.5), TIMES, "tab1").x.shape == ()


def test_an_empty_batch_stays_empty(ode):
    assert solve(ode, torch.empty(0, 3), TIMES, "tab1").x.shape == (0, 3)


def test_gradients_may_be_switched_off(ode, x0):
    x0.requires_grad_()
    with torch.no_grad():
        assert not solve(ode, x0, TIMES, "tab1").x.requires_grad
    with torch.inference_mode():
        assert solve(ode, x0.detach(), TIMES, "tab1").x.is_inference()
    assert solve(ode, x0, TIMES, "tab1").x.requires_grad


def test_a_plan_made_in_inference_mode_serves_training(x0):
    ode = DiagonalODE(torch.tensor([-1.0, -2.0, -3.0]), lambda t, x: -(x**2))
    with torch.inference_mode():
        plan = solve(ode, x0, TIMES, "tab1").plan
    start = x0.clone().requires_grad_()
    (slope,) = torch.autograd.grad(solve(ode, start, TIMES, plan).x.sum(), start)
    assert slope.isfinite().all()
    assert not any(c.is_inference() for c in plan.coefficients() if isinstance(c, torch.Tensor))


# plans as arguments


def test_a_plan_may_be_used_again(ode, x0, calls):
    plan = PolynomialEIAB(steps=3).plan(ode, TIMES_TENSOR)
    first = solve(ode, x0, TIMES, plan)
    assert torch.equal(solve(ode, x0, TIMES, plan).x, first.x)
    assert torch.equal(solve(ode, x0, TIMES, PolynomialEIAB(steps=3)).x, first.x)
    assert solve(ode, x0.float(), TIMES, plan).x.dtype == torch.float32


def test_a_plan_for_other_times_is_refused(ode, x0, calls):
    plan = ExponentialEuler().plan(ode, TIMES_TENSOR)
    with pytest.raises(
        ArgumentError, match=r"times must be those that the plan was made for.*use \(0.0, 0.2, 0.5, 1.0\)"
    ):
        solve(ode, x0, [0.0, 0.3, 0.5, 1.0], plan)
    with pytest.raises(ArgumentError, match="times"):
        solve(ode, x0, TIMES[:-1], plan)
    assert not calls.times


def test_a_plan_for_another_splitting_is_refused(ode, x0, calls):
    diffusion = ProbabilityFlowODE(EDM(t_min=0.1, t_max=1.0), lambda x, t: x, splitting="eps")
    plan = ExponentialEuler().plan(diffusion, TIMES_TENSOR[1:])
    with pytest.raises(CapabilityError, match=r"DiagonalODE has no splitting 'eps', only 'N'"):
        solve(ode, x0, TIMES[1:], plan)
    assert not calls.times


def test_a_plan_names_the_splitting_that_is_evaluated():
    # the network predicts eps; the plan wants x0
    def network(x, t):
        return x / (1 + t[:, None] ** 2).sqrt()

    ode = ProbabilityFlowODE(EDM(), network)
    times = torch.tensor([80.0, 10.0, 1.0], dtype=torch.float64)
    plan = ExponentialEuler(predict="x0").plan(ode, times)
    assert plan.splitting == "x0"
    x0 = torch.full((1, 1), 80.0, dtype=torch.float64)
    exact = ode.split("x0")
    assert torch.equal(solve(ode, x0, times, plan).x, solve(exact, x0, times, ExponentialEuler()).x)


# refusals, all of them before any evaluation


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([], "at least two times"),
        ([0.5], "at least two times"),
        ([0.0, 0.5, 0.5, 1.0], r"strictly monotone, but 0.5 is followed by 0.5"),
        ([0.0, 0.5, 0.4], r"strictly monotone, but 0.5 is followed by 0.4"),
        ([0.0, math.nan, 1.0], "finite"),
        ([0.0, math.inf], "finite"),
        ([0.0, 1.5], "between 0 and 1, where the ODE is defined, got 1.5"),
        ([-0.1, 1.0], "between 0 and 1"),
        (["a", "b"], "must be numbers"),
        (None, "must be numbers"),
        (3.0, "must be numbers"),
        (torch.zeros(2, 2), "must be numbers"),
    ],
    ids=repr,
)
def test_bad_times(ode, x0, calls, times, message):
    for integrator in ("tab1", Dopri5()):
        with pytest.raises(ArgumentError, match=f"times {message}|times must.*{message}"):
            solve(ode, x0, times, integrator)
    assert not calls.times


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ([1.0, 2.0], "must be a floating point or complex tensor, got 'list'"),
        (1.0, "must be a floating point or complex tensor, got 'float'"),
        (None, "must be a floating point or complex tensor, got 'NoneType'"),
        (torch.ones(3, dtype=torch.long), "must be a floating point or complex tensor, got torch.int64"),
        (torch.ones(3, dtype=torch.bool), "got torch.bool"),
    ],
    ids=["list", "number", "none", "integers", "booleans"],
)
def test_bad_states(ode, calls, state, message):
    for integrator in ("tab1", Dopri5()):
        with pytest.raises(ArgumentError, match=f"x0 .*{message}"):
            solve(ode, state, TIMES, integrator)
    assert not calls.times


@pytest.mark.parametrize("shape", [(), (2,), (3, 2), (1,)], ids=str)
@pytest.mark.parametrize("integrator", ["tab1", "euler", RhoRungeKutta("heun2", clock="t"), Dopri5()], ids=repr)
def test_states_that_do_not_fit_a_diagonal_linear_part(calls, integrator, shape):
    ode = DiagonalODE(torch.tensor([-1.0, -2.0, -3.0]), calls)
    with pytest.raises(ArgumentError, match=r"x0 must fit the linear part, of shape \(3,\)"):
        solve(ode, torch.ones(shape, dtype=torch.float64), TIMES, integrator)
    assert not calls.times


@pytest.mark.parametrize("integrator", ["tab1", "euler", Dopri5()], ids=repr)
def test_states_that_do_not_fit_a_matrix(calls, integrator):
    ode = DenseODE(torch.eye(3), calls)
    with pytest.raises(ArgumentError, match=r"x0 must fit the linear part, of shape \(3, 3\)"):
        solve(ode, torch.ones(3, 2, dtype=torch.float64), TIMES, integrator)
    assert not calls.times


@pytest.mark.parametrize("integrator", ["tab1", "euler", "ipndm", RhoRungeKutta("rk4", clock="t"), Dopri5()], ids=repr)
def test_real_states_of_a_complex_equation(calls, integrator):
    ode = DiagonalODE(1j, calls)
    with pytest.raises(ArgumentError, match=r"x0 must be complex.*got torch.float64; pass x0.to\(torch.complex128\)"):
        solve(ode, torch.ones(2, dtype=torch.float64), TIMES, integrator)
    assert not calls.times


@pytest.mark.parametrize("bad", [None, 3, PolynomialEIAB, object()], ids=["none", "number", "class", "object"])
def test_things_that_are_not_integrators(ode, x0, calls, bad):
    with pytest.raises(ArgumentError, match="integrator must be an integrator or the name of one"):
        solve(ode, x0, TIMES, bad)
    with pytest.raises(ArgumentError, match="integrator must be"):
        iterate(ode, x0, TIMES, bad)
    assert not calls.times


def test_unknown_names(ode, x0, calls):
    with pytest.raises(UnknownNameError, match=r"no integrator named 'tab'; near it: tab0, tab1, tab2, tab3"):
        solve(ode, x0, TIMES, "tab")
    with pytest.raises(UnknownNameError, match="stepz"):
        solve(ode, x0, TIMES, "tab3:stepz=2")
    assert not calls.times


@pytest.mark.parametrize(
    ("integrator", "message"),
    [
        ("rhoab3", "DiagonalODE has no clock 'rho'; it has t"),
        ("rhork-heun2", "DiagonalODE has no clock 'rho'"),
        (Dopri5(form="rho"), "DiagonalODE has no clock 'rho'"),
        ("ei-score", "DiagonalODE has no splitting 'score', only 'N'"),
        (StochasticDDIM(), "DiagonalODE has no splitting 'eps'"),
    ],
    ids=repr,
)
def test_methods_that_need_more_than_the_equation_has(ode, x0, calls, integrator, message):
    with pytest.raises(CapabilityError, match=message):
        solve(ode, x0, TIMES, integrator, noise=lambda step, x: x)
    assert not calls.times


def test_noise_must_be_given_where_it_is_needed():
    called = []
    ode = ProbabilityFlowODE(EDM(), lambda x, t: called.append(t) or x)
    x0 = torch.ones(2, 3)
    for run in (solve, iterate):
        with pytest.raises(
            ArgumentError, match=r"noise must be given to a stochastic integrator.*SampleNoise\(seeds\)"
        ):
            run(ode, x0, [80.0, 1.0], "sddim")
    with pytest.raises(ArgumentError, match=r"2 samples|3 samples"):
        solve(ode, x0, [80.0, 1.0], "sddim", noise=SampleNoise([1, 2, 3]))


# what the nonlinearity may do wrong


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (lambda x: x[0], r"got torch.float64 of shape \(3,\)"),
        (lambda x: x.float(), r"got torch.float32 of shape \(1, 3\)"),
        (lambda x: x.to(torch.complex128), "got torch.complex128"),
        (lambda x: None, "got NoneType"),
        (lambda x: (x,), "got tuple"),
        (lambda x: x.numpy(), "got ndarray"),
    ],
)
def test_values_that_do_not_fit(x0, value, got):
    calls = Calls(lambda t, x: x if t < 0.5 else value(x))
    with pytest.raises(NetworkError) as caught:
        solve(DiagonalODE(-1.0, calls), x0, TIMES, "tab1")
    caught.match(rf"must return torch.float64 of shape \(1, 3\), as its state is, {got}")
    caught.match(r"\(evaluation 3, step 3, t = 0.5\)")
    assert len(calls.times) == 3


@pytest.mark.parametrize(("bad", "kind"), [(math.nan, "NaN"), (math.inf, "Inf"), (-math.inf, "Inf")])
def test_values_that_are_not_finite(x0, bad, kind):
    def function(t, x):
        return torch.where(x > 0, x, bad) if t == 0.2 else x

    with pytest.raises(NonFiniteError, match=rf"returned {kind} at evaluation 2, in step 2, t = 0\.2\b"):
        solve(DiagonalODE(-1.0, function), x0, TIMES, "tab1")


def test_infinities_of_both_signs_are_found(x0):
    def function(t, x):
        return x * math.inf

    with pytest.raises(NonFiniteError, match="at evaluation 1, in step 1"):
        solve(DiagonalODE(-1.0, function), x0, TIMES, "ddim")


def test_states_that_overflow_are_not_blamed_on_the_network(x0):
    with pytest.raises(NonFiniteError, match=r"the state overflowed although every value .*, in step 1, before t = 1$"):
        solve(DiagonalODE(80.0, lambda t, x: 0.1 * x), x0.float() * 1e10, [0.0, 1.0], "ddim")


def test_large_values_in_half_precision_are_not_infinities():
    x0 = torch.full((1000,), 300.0, dtype=torch.float16)  # their sum overflows float16, none of them does
    with pytest.raises(NonFiniteError, match="the state overflowed"):
        solve(DiagonalODE(20.0, lambda t, x: x), x0, [0.0, 1.0], "ddim")


def test_a_failure_that_does_not_come_again_is_blamed_on_the_state_of_n(x0):
    calls = Calls(lambda t, x: x * (math.nan if len(calls.times) == 2 else 1.0))
    with pytest.raises(NonFiniteError, match="that of a second run is: N must be a function of t and x"):
        solve(DiagonalODE(-1.0, calls), x0, TIMES, "tab1")


def test_a_solve_that_succeeds_is_made_once(x0):
    calls = Calls(lambda t, x: x.sin())
    assert solve(DiagonalODE(-1.0, calls), x0, TIMES, "krogstad").nfe == len(calls.times) == 4 * (len(TIMES) - 1)


def test_infinities_that_do_not_reach_the_result_are_let_through(x0):
    def function(t, x):
        return x * math.inf if t == 0.5 else x

    steps = ExponentialEuler().plan(DiagonalODE(-1.0, function), TIMES_TENSOR).steps
    plan = Plan([*steps[:2], attrs.evolve(steps[2], advance=Row(0.5, [0.0]))])
    assert solve(DiagonalODE(-1.0, function), x0, TIMES, plan).x.isfinite().all()


def test_errors_of_the_network_pass_through(x0):
    def function(t, x):
        raise ZeroDivisionError("the network's own")

    with pytest.raises(ZeroDivisionError, match="own"):
        solve(DiagonalODE(-1.0, function), x0, TIMES, "tab1")

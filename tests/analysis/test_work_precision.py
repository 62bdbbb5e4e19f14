import weakref

import attrs
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from deis import (
    INTEGRATORS,
    ArgumentError,
    Bernoulli,
    BlackBox,
    CapabilityError,
    DiagonalODE,
    Dopri5,
    InitialValueProblem,
    NetworkError,
    PolynomialEIAB,
    ProbabilityFlowODE,
    RhoRungeKutta,
    VPLinear,
    iterate,
    make_grid,
    make_plan,
)
from deis.analysis import geometric_mean_rmse, reference, states_alive, work_precision

SIZE = 97


class Alive(TorchDispatchMode):
    """Counts the tensors of the state's size that are alive, and remembers the most."""

    def __init__(self, *known):
        super().__init__()
        self._alive, self.most = {}, 0
        for tensor in known:
            self._watch(tensor)

    def _watch(self, tensor):
        if not isinstance(tensor, torch.Tensor) or tensor.is_meta or tensor.numel() != SIZE:
            return
        key = id(tensor)
        if key not in self._alive:
            self._alive[key] = weakref.ref(tensor, lambda _: self._alive.pop(key, None))
        self.most = max(self.most, len(self._alive))

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self._watch(out)
        return out


def most_alive(ode, plan, noise=None):
    x0 = torch.ones(1, SIZE, dtype=torch.float64)
    with Alive(x0) as alive:
        for reached in iterate(ode, x0, plan.times, plan, noise=noise):
            last = reached.state  # as solve keeps it
    assert last.shape == x0.shape
    return alive.most


SCALAR = DiagonalODE(-1.0, lambda t, x: x.sin())
DIAGONAL = DiagonalODE(torch.full((SIZE,), -1.0), lambda t, x: x.sin())
FLOW = ProbabilityFlowODE(VPLinear(), lambda x, t: x.sin())
FAMILY = [
    PolynomialEIAB(steps=steps, corrector=corrector, start=start)
    for steps in (1, 2, 4)
    for corrector in (False, True)
    for start in ("ramp", "runge-kutta")
]


@pytest.mark.parametrize("intervals", [1, 2, 3, 6])
@pytest.mark.parametrize("ode", [SCALAR, DIAGONAL], ids=["scalar", "diagonal"])
@pytest.mark.parametrize("method", [*FAMILY, RhoRungeKutta("rk4", "t"), INTEGRATORS.create("euler")], ids=repr)
def test_states_alive_are_those_that_a_running_loop_holds(method, ode, intervals):
    plan = make_plan(ode, make_grid("t")(ode, intervals), method)
    assert states_alive(plan) == most_alive(ode, plan)


@pytest.mark.parametrize("name", [n for n in INTEGRATORS if not isinstance(INTEGRATORS.create(n), BlackBox)])
def test_states_alive_are_right_for_every_registered_method(name):
    method = INTEGRATORS.create(name)
    grid = make_grid("t2")(FLOW, 8)
    ode = attrs.evolve(FLOW, predicts=make_plan(FLOW, grid, method).splitting)  # so that N converts nothing
    plan = make_plan(ode, grid, method)
    noise = (lambda step, x: torch.randn(x.shape, dtype=x.dtype)) if method.stochastic else None
    assert states_alive(plan) == most_alive(ode, plan, noise)


def test_memory_is_the_states_alive_times_their_bytes():
    problem = InitialValueProblem(DiagonalODE(-1.0, lambda t, x: x.sin()), torch.ones(5, 7))
    row = work_precision(problem, "tab3", [10], repeats=1).rows[0]
    assert row.memory == 7 * 5 * 7 * 8
    wide = InitialValueProblem(DiagonalODE(1j, lambda t, x: x.sin()), torch.ones(5, 7, dtype=torch.complex128))
    assert work_precision(wide, "tab3", [10], repeats=1).rows[0].memory == 7 * 5 * 7 * 16


def test_errors_are_those_of_a_solve_with_that_budget():
    problem = Bernoulli()
    study = work_precision(problem, ["tab3", "rhork-rk4:clock=t"], [8, 10, 20], repeats=1)
    target = reference(problem)
    for row in study.rows:
        *_, last = iterate(problem.ode, problem.initial, make_grid("t")(problem.ode, row.intervals), row.integrator)
        assert row.error == target.error(last.state)
    assert [(row.budget, row.nfe, row.intervals) for row in study.rows] == [
        (8, 8, 8),
        (10, 10, 10),
        (20, 20, 20),
        (8, 8, 2),
        (10, 8, 2),
        (20, 20, 5),
    ]


def test_black_boxes_take_part_through_their_tolerances():
    boxes = [Dopri5(rtol=10.0**-k, atol=10.0**-k) for k in (3, 5, 7)]
    rows = work_precision(Bernoulli(), [*boxes, "tab1"], [12], repeats=1).rows
    assert [row.budget for row in rows] == [None, None, None, 12]
    assert rows[0].nfe < rows[1].nfe < rows[2].nfe
    assert rows[0].error > rows[1].error > rows[2].error
    assert (rows[0].memory, rows[0].intervals) == (None, None)


def test_any_norm_may_measure():
    problem = InitialValueProblem(DiagonalODE(-1.0, lambda t, x: x.sin()), torch.ones(3, 2))
    study = work_precision(problem, "tab1", [10], norm=geometric_mean_rmse, repeats=1)
    assert study.norm == "geometric_mean_rmse"
    assert "geometric_mean_rmse" in str(study)
    *_, last = iterate(problem.ode, problem.initial, make_grid("t")(problem.ode, 10), "tab1")
    assert study.rows[0].error == geometric_mean_rmse(last.state, reference(problem).x)


def test_a_budget_below_one_step_is_a_note():
    row = work_precision(Bernoulli(), "rhork-rk4:clock=t", [3], repeats=1).rows[0]
    assert (row.nfe, row.error, row.memory) == (None, None, None)
    assert "nfe must be at least 4" in row.note


def test_an_error_that_the_reference_cannot_measure_is_a_note():
    problem = InitialValueProblem(Bernoulli().ode, Bernoulli().initial)
    method = PolynomialEIAB(steps=4, start="runge-kutta")
    study = work_precision(problem, method, [10, 80], repeats=1, reference=reference(problem, nfe=60))
    assert study.rows[1].error is None
    assert study.rows[1].nfe == 80
    assert "times the uncertainty" in study.rows[1].note
    assert study.rows[0].note == ""


def test_a_solve_that_overflows_or_gives_up_is_a_note():
    ode = DiagonalODE(0.0, lambda t, x: -1e3 * x**3)
    problem = InitialValueProblem(ode, torch.ones(1))
    target = reference(problem, integrator="dop853:rtol=1e-9:atol=1e-9", check="dop853")
    rows = work_precision(problem, ["euler", Dopri5(max_nfe=20)], [10], repeats=1, reference=target).rows
    assert "t = " in rows[0].note
    assert "made 20 evaluations" in rows[1].note
    assert [row.error for row in rows] == [None, None]


def test_seconds_are_medians_of_the_repeats(monkeypatch):
    ticks = iter([1.0, 9.0, 2.0])
    real = work_precision.__globals__["solve"]

    def timed(*args):
        solution = real(*args)
        seconds = next(ticks)
        return attrs.evolve(solution, seconds_in_solver=seconds, seconds_in_network=10 * seconds)

    monkeypatch.setitem(work_precision.__globals__, "solve", timed)
    row = work_precision(Bernoulli(), "tab1", [5], repeats=3).rows[0]
    assert row.seconds_in_solver == 2.0
    assert row.seconds_in_network == pytest.approx(20.0, abs=0.1)


def test_records_and_the_table_hold_every_row():
    study = work_precision(Bernoulli(), ["tab1", "dopri5"], [5, 10], repeats=1)
    rows = study.to_rows()
    assert [(row["integrator"], row["budget"], row["norm"]) for row in rows] == [
        ("tab1", 5, "rmse"),
        ("tab1", 10, "rmse"),
        ("dopri5", None, "rmse"),
    ]
    lines = str(study).splitlines()
    assert [line.split()[:2] for line in lines[1:4]] == [["tab1", "5"], ["tab1", "10"], ["dopri5", "-"]]
    assert lines[-1] == "reference: exact"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budgets": [0]}, "budgets must be whole numbers"),
        ({"budgets": []}, "budgets must be whole numbers"),
        ({"budgets": 10}, "budgets must be whole numbers"),
        ({"repeats": 0}, "repeats must be whole numbers"),
        ({"repeats": 1.5}, "repeats must be whole numbers"),
        ({"integrators": "sddim"}, "integrators must not add noise"),
        ({"integrators": []}, "integrators must hold at least one"),
        ({"reference": reference(Bernoulli(), [0.0, 0.5])}, "reference must end at 1"),
    ],
)
def test_wrong_inputs_are_refused(options, message):
    with pytest.raises(ArgumentError, match=message):
        work_precision(Bernoulli(), **{"integrators": "tab1", "budgets": [5], **options})


def test_what_the_ode_lacks_is_an_error_before_any_solve():
    calls = []
    problem = InitialValueProblem(DiagonalODE(-1.0, lambda t, x: calls.append(t)), torch.ones(1))
    with pytest.raises(CapabilityError, match="needs the clock 'rho'"):
        work_precision(problem, ["tab1", "rhoab1"], [5])
    assert calls == []


def test_a_network_that_returns_the_wrong_shape_is_an_error():
    problem = InitialValueProblem(DiagonalODE(-1.0, lambda t, x: x[None]), torch.ones(1))
    with pytest.raises(NetworkError):
        work_precision(problem, "tab1", [5], reference=reference(Bernoulli()))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_the_peak_holds_what_the_nonlinearity_needs():
    x0 = torch.ones(1024, 1024, device="cuda")
    problem = InitialValueProblem(DiagonalODE(-1.0, lambda t, x: (x * 2.0 + x.cos()).sin()), x0)
    row = work_precision(problem, "tab3", [10], repeats=2).rows[0]
    size = x0.numel() * 8
    assert 7 * size <= row.memory <= 12 * size

"""The loop, isolated by plans and a nonlinearity made up for the purpose."""

import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from deis import DenseODE, DiagonalODE, Plan, PolynomialEIAB, RhoRungeKutta, Row, Stage, Step
from deis.integrators.combine import combine
from deis.loop import Reached, accumulation_dtype, march

add = DiagonalODE(0.0, lambda t, x: x).combine


def same_point(step, time, point):
    """N(t, x) = x."""
    return point


def tensor(*values, dtype=torch.float64):
    return torch.tensor(values, dtype=dtype)


def run(plan, answers, x0=None, noise=None):
    """Answer the k-th question by the k-th number; returns what was asked and what was reached, as plain numbers."""
    asked, numbers = [], iter(answers)

    def evaluate(step, time, point):
        asked.append((step, time, *point.tolist()))
        return torch.full_like(point, next(numbers))

    loop = march(plan, add, tensor(1.0) if x0 is None else x0, evaluate, noise)
    reached = [(r.step, r.time, *r.state.tolist()) for r in loop]
    assert next(numbers, None) is None, "all answers are used"
    return asked, reached


def test_one_step_is_one_linear_combination():
    plan = Plan([Step(0.0, 1.0, [Stage(0.25)], Row(2.0, [3.0]))])
    assert run(plan, [10.0], tensor(1.0, 5.0)) == ([(0, 0.25, 1.0, 5.0)], [(1, 1.0, 32.0, 40.0)])


def test_stages_see_the_state_and_the_stages_before_them():
    stages = [Stage(0.0), Stage(0.5, Row(1.0, [10.0])), Stage(1.0, Row(2.0, [0.0, 100.0]))]
    plan = Plan([Step(0.0, 1.0, stages, Row(1.0, [1.0, 10.0, 100.0]))])
    asked, reached = run(plan, [2.0, 3.0, 4.0])
    assert asked == [(0, 0.0, 1.0), (0, 0.5, 21.0), (0, 1.0, 302.0)]
    assert reached == [(1, 1.0, 433.0)]


def test_history_runs_from_new_to_old_and_holds_first_stages():
    two = [Stage(0.0), Stage(0.5, Row(1.0))]
    steps = [
        Step(0.0, 1.0, two, Row(1.0, [0.0, 0.0])),
        Step(1.0, 2.0, two, Row(1.0, [0.0, 0.0])),
        Step(2.0, 3.0, two, Row(0.0, [1.0, 10.0, 100.0, 1000.0])),  # two stages, then the first stages of steps 2, 1
    ]
    assert Plan(steps).history == 2
    _, reached = run(Plan(steps), [1.0, 9.0, 2.0, 9.0, 3.0, 4.0])
    assert reached[-1] == (3, 3.0, 3.0 + 40.0 + 200.0 + 1000.0)


def test_stages_may_read_the_history():
    steps = [
        Step(0.0, 1.0, [Stage(0.0)], Row(1.0, [0.0])),
        Step(1.0, 2.0, [Stage(1.0), Stage(1.5, Row(1.0, [10.0, 100.0]))], Row(1.0, [0.0, 1.0])),
    ]
    assert Plan(steps).history == 1
    asked, reached = run(Plan(steps), [5.0, 7.0, 8.0])
    assert asked[-1] == (1, 1.5, 1.0 + 70.0 + 500.0)
    assert reached[-1] == (2, 2.0, 9.0)


def test_a_correction_replaces_the_state_once_n_is_known_there():
    correct = Row(2.0, [1000.0, 100.0, 10.0])  # N at the end, then as in ``advance``: this step's, the one before
    steps = [
        Step(0.0, 1.0, [Stage(0.0)], Row(1.0, [1.0]), correct=Row(3.0, [100.0, 10.0])),
        Step(1.0, 2.0, [Stage(1.0)], Row(1.0, [1.0, 0.0]), correct=correct),
        Step(2.0, 3.0, [Stage(2.0)], Row(1.0, [1.0])),
    ]
    asked, reached = run(Plan(steps), [4.0, 5.0, 6.0])
    first = 3 * 1.0 + 500 + 40  # from the state at the start of the step
    second = 2 * first + 6000 + 500 + 40
    assert asked == [(0, 0.0, 1.0), (1, 1.0, 5.0), (2, 2.0, first + 5.0)]  # N is asked for at predicted points
    assert reached == [(1, 1.0, first), (2, 2.0, second), (3, 3.0, second + 6.0)]


def test_a_correction_makes_no_further_evaluation():
    ode, times = DiagonalODE(-1.0, lambda t, x: x), torch.linspace(0, 1, 8, dtype=torch.float64)
    for corrector in (False, True):
        plan = PolynomialEIAB(steps=3, corrector=corrector).plan(ode, times)
        assert len(run(plan, [1.0] * 7)[0]) == plan.nfe == 7


def test_zero_weights_do_not_spread_what_is_not_finite():
    steps = [
        Step(0.0, 1.0, [Stage(0.0)], Row(1.0, [0.0])),
        Step(1.0, 2.0, [Stage(1.0)], Row(1.0, [1.0, 0.0])),
    ]
    _, reached = run(Plan(steps), [float("inf"), 2.0])
    assert reached[-1] == (2, 2.0, 3.0)


def test_noise_is_asked_for_at_the_start_of_its_step_and_scaled():
    seen = []

    def noise(draw, state):
        seen.append((draw, state.tolist()))
        return torch.full_like(state, 10.0)

    steps = [
        Step(0.0, 1.0, [Stage(0.0)], Row(1.0, [1.0], [0.5]), draws=[None]),
        Step(1.0, 2.0, [Stage(1.0)], Row(1.0, [1.0])),
        Step(2.0, 3.0, [Stage(2.0)], Row(1.0, [1.0], [2.0]), draws=[(0.0, 1.0)]),
    ]
    _, reached = run(Plan(steps), [1.0, 1.0, 1.0], noise=noise)
    assert reached == [(1, 1.0, 7.0), (2, 2.0, 8.0), (3, 3.0, 29.0)]
    assert seen == [((0, None), [1.0]), ((1, (0.0, 1.0)), [8.0])]


def test_every_row_may_use_every_draw_of_its_step():
    def noise(draw, x):
        return torch.full_like(x, 10.0 ** (draw.number + 1))

    stages = [Stage(0.0, Row(1.0, noise=[1.0])), Stage(0.5, Row(1.0, [0.0], [0.0, 1.0]))]
    steps = [
        Step(0.0, 1.0, stages, Row(1.0, [1.0, 1.0], [2.0, 3.0]), Row(1.0, [5.0], [4.0, 0.0]), draws=[None, None]),
        Step(1.0, 2.0, [Stage(1.0)], Row(1.0)),
    ]
    asked, reached = run(Plan(steps), [1.0, 1.0, 1.0], noise=noise)
    assert [point for _, _, point in asked] == [11.0, 101.0, 1.0 + 2.0 + 20.0 + 300.0]
    assert reached == [(1, 1.0, 1.0 + 5.0 + 40.0), (2, 2.0, 46.0)]


def test_a_step_of_no_length_changes_the_state_where_it_is():
    steps = [Step(0.0, 1.0, [Stage(0.0)], Row(1.0, [1.0])), Step(1.0, 1.0, [Stage(1.0)], Row(0.5, [2.0]))]
    plan = Plan(steps)
    assert plan.times == (0.0, 1.0)
    assert plan.nfe == 2
    _, reached = run(plan, [3.0, 5.0])
    assert reached == [(1, 1.0, 4.0), (2, 1.0, 12.0)]


def test_a_noise_scale_may_carry_a_gradient():
    scale = tensor(0.5)[0].requires_grad_()
    plan = Plan([Step(0.0, 1.0, [Stage(0.0)], Row(1.0, [1.0], [scale]), draws=[None])])
    (reached,) = march(plan, add, tensor(1.0), same_point, lambda draw, x: torch.full_like(x, 3.0))
    (slope,) = torch.autograd.grad(reached.state.sum(), scale)
    assert slope == 3.0


def test_complex_coefficients():
    plan = Plan([Step(0.0, 1.0, [Stage(0.0)], Row(1j, [2.0 + 1j]))])
    _, reached = run(plan, [1.0], tensor(1.0, dtype=torch.complex128))
    assert reached == [(1, 1.0, 2.0 + 2j)]


def test_tensor_coefficients_are_what_the_ode_says():
    matrix = tensor([0.0, 1.0], [2.0, 0.0])
    plan = Plan([Step(0.0, 1.0, [Stage(0.0)], Row(matrix, [matrix]))])
    (reached,) = march(plan, DenseODE(matrix, lambda t, x: x).combine, tensor(1.0, 10.0), same_point)
    assert reached.state.tolist() == [20.0, 4.0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_accumulated_in_single(dtype):
    assert accumulation_dtype(dtype) == torch.float32
    steps = [Step(n * 1.0, n + 1.0, [Stage(n * 1.0)], Row(1.0, [1 / 1000])) for n in range(1000)]
    asked = []

    def evaluate(step, time, point):
        asked.append(point.dtype)
        return torch.ones_like(point)

    *_, last = march(Plan(steps), add, torch.ones(1, dtype=dtype), evaluate)
    assert set(asked) == {dtype}
    assert last.state.dtype == dtype
    assert float(last.state) == pytest.approx(2.0, abs=0.01)  # in bfloat16 itself 1 + 0.001 is 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, torch.complex128])
def test_other_precisions_are_kept(dtype):
    assert accumulation_dtype(dtype) == dtype


def test_what_is_reached_comes_before_the_next_evaluation():
    steps = [Step(0.0, 1.0, [Stage(0.0)], Row(1.0, [1.0])), Step(1.0, 2.0, [Stage(1.0)], Row(1.0, [1.0]))]
    asked = []

    def evaluate(step, time, point):
        asked.append(time)
        return torch.full_like(point, 2.0)

    loop = march(Plan(steps), add, tensor(1.0), evaluate)
    assert asked == []
    first = next(loop)
    assert isinstance(first, Reached)
    assert (first.step, first.time, first.state.tolist(), asked) == (1, 1.0, [3.0], [0.0])
    assert next(loop).state.tolist() == [5.0]
    assert asked == [0.0, 1.0]
    with pytest.raises(StopIteration):
        next(loop)


def test_a_corrected_state_comes_before_the_later_stages_of_the_next_step():
    steps = [
        Step(0.0, 1.0, [Stage(0.0)], Row(1.0, [1.0]), correct=Row(1.0, [1.0, 1.0])),
        Step(1.0, 2.0, [Stage(1.0), Stage(1.5, Row(1.0, [1.0]))], Row(1.0, [1.0, 1.0])),
    ]
    asked = []

    def evaluate(step, time, point):
        asked.append(time)
        return torch.ones_like(point)

    assert next(march(Plan(steps), add, tensor(1.0), evaluate)) == (1, 1.0, tensor(3.0))
    assert asked == [0.0, 1.0]


def test_what_it_hands_out_is_never_changed_later():
    ode = DiagonalODE(-1.0, lambda t, x: x)
    plan = PolynomialEIAB(steps=3, corrector=True).plan(ode, torch.linspace(0, 1, 8, dtype=torch.float64))
    kept = []

    def evaluate(step, time, point):
        value = point.sin()
        kept.extend([(point, point.clone()), (value, value.clone())])
        return value

    for reached in march(plan, add, tensor(1.0, 2.0), evaluate):
        kept.append((reached.state, reached.state.clone()))
    assert all(torch.equal(now, then) for now, then in kept)


class Alive(TorchDispatchMode):
    """The largest number of states of a given size that were alive at once."""

    def __init__(self, size):
        super().__init__()
        self.size, self.known, self.peak = size, [], 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and out.numel() == self.size:
            self.known.append(weakref.ref(out))
        self.known = [ref for ref in self.known if ref() is not None]
        self.peak = max(self.peak, len({ref().data_ptr() for ref in self.known}))
        return out


@pytest.mark.parametrize(
    ("method", "history", "stages"),
    [
        (PolynomialEIAB(steps=1), 0, 1),
        (PolynomialEIAB(steps=4), 3, 1),
        (PolynomialEIAB(steps=1, corrector=True), 0, 1),
        (PolynomialEIAB(steps=4, corrector=True), 3, 1),
        (RhoRungeKutta("rk4", clock="t"), 0, 4),
    ],
    ids=["ddim", "adams4", "adams1-corrector", "adams4-corrector", "rk4"],
)
def test_memory_is_the_history_the_stages_and_two_states(method, history, stages):
    ode = DiagonalODE(-1.0, lambda t, x: x)
    plan = method.plan(ode, torch.linspace(0, 1, 20, dtype=torch.float64))
    assert plan.history == history
    with Alive(97) as alive:
        for _ in march(plan, add, torch.ones(97, dtype=torch.float64) + 0.0, lambda step, time, point: point.clone()):
            del _  # who follows the loop keeps nothing
    corrected = int(getattr(method, "corrector", False))
    # the values of this step and of the history, the state and the next state; a correction replaces a state from
    # the one before it, and needs the oldest value once more
    assert alive.peak <= history + stages + 2 + 2 * corrected


def test_combine_returns_a_new_tensor_except_for_the_point_itself():
    from deis.integrators import HERE

    x, value = tensor(1.0), tensor(2.0)
    assert combine(add, HERE, x, (value,)) is x
    assert combine(add, Row(1.0), x, (value,)) is not x
    combine(add, Row(1.0, [5.0]), x, (value,))
    assert x.tolist() == [1.0]
    assert value.tolist() == [2.0]

import shutil

import pytest
import torch

from deis import (
    EDM,
    ArgumentError,
    Bernoulli,
    DiagonalODE,
    GaussianMixture,
    HochbruckOstermann,
    InitialValueProblem,
    OutputError,
    VPLinear,
    make_grid,
)
from deis.analysis import INDEPENDENT, CoarseReferenceError, geometric_mean_rmse, reference, rmse


def unsolved(problem):
    """The same problem without its solution."""
    return InitialValueProblem(problem.ode, problem.initial)


def unit_normal():
    ode = GaussianMixture(torch.zeros(1, 2), std=1.0).ode(EDM())
    return InitialValueProblem(ode, torch.full((1, 2), (80.0**2 + 1) ** 0.5))


@pytest.mark.parametrize(("lam", "size"), [(2.0, 1e-6), (3j, 1e-4)])
def test_uncertainty_bounds_the_error(lam, size):
    problem = Bernoulli(lam)
    found = reference(unsolved(problem), nfe=60)
    assert abs(complex(found.x - problem.exact(1.0))) < found.uncertainty() < size


def test_the_solution_of_the_problem_is_taken_where_it_is_known():
    problem = HochbruckOstermann(20)
    found = reference(problem, [0.0, 0.25, 1.0])
    assert torch.equal(found.states, torch.stack([problem.exact(t) for t in (0.0, 0.25, 1.0)]))
    assert (found.nfe, found.method, found.uncertainty()) == (0, "exact", 0.0)


def test_halving_the_evaluations_of_a_fourth_order_method_costs_its_order():
    problem, method = unsolved(Bernoulli()), "rhork-rk4:clock=t"
    coarse, fine = (reference(problem, nfe=nfe, integrator=method) for nfe in (256, 512))
    assert coarse.uncertainty() / fine.uncertainty() == pytest.approx(16, rel=0.15)


def test_states_of_any_precision_are_solved_in_float64():
    problem = Bernoulli()
    found = reference(InitialValueProblem(problem.ode, torch.ones((), dtype=torch.float32)))
    assert found.x.dtype == torch.float64
    assert abs(float(found.x - problem.exact(1.0))) < 1e-9


def test_evaluations_stay_within_the_budget():
    problem = unsolved(Bernoulli())
    assert reference(problem, nfe=161).nfe == 161
    assert reference(problem, nfe=163, integrator="rhork-rk4:clock=t").nfe == 160


def test_diffusion_reference_meets_the_closed_form():
    found = reference(unit_normal(), grid="rho7")
    assert (found.x - (1 + 0.002**2) ** 0.5).abs().max() < max(found.uncertainty(), 1e-6)


@pytest.mark.parametrize("nfe", [0, 1, 2.5, True, 13])
def test_budgets_that_allow_no_two_solutions_are_refused_as_they_were_given(nfe):
    with pytest.raises(ArgumentError, match=f"nfe must be a whole number of at least 14, .* got {nfe}"):
        reference(unsolved(Bernoulli()), nfe=nfe)


def test_the_default_grid_suits_diffusion_models():
    found = reference(unit_normal())
    assert found.uncertainty() < 1e-4
    assert (found.x - (1 + 0.002**2) ** 0.5).abs().max() < max(found.uncertainty(), 1e-7)
    assert torch.equal(found.x, reference(unit_normal(), grid="vp-t2").x)


@pytest.mark.parametrize("lam", [2.0, 3j])
def test_an_independent_solver_confirms_the_exponential_one(lam):
    problem = Bernoulli(lam)
    found = reference(unsolved(problem), nfe=400, check=INDEPENDENT)
    assert "SciPy(method='DOP853'" in found.method
    assert abs(complex(found.check[-1] - problem.exact(1.0))) < 1e-9
    assert found.uncertainty() < 1e-8


def test_an_independent_solver_confirms_samples_of_a_mixture():
    means = torch.tensor([[1.0, -1.0], [-0.5, 0.7]], dtype=torch.float64)
    ode = GaussianMixture(means, std=0.2).ode(VPLinear())
    start = torch.randn(8, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    found = reference(InitialValueProblem(ode, start), nfe=600, check=INDEPENDENT + ":form=rho")
    assert found.uncertainty() < 1e-8


def test_states_are_given_at_every_time_asked_for():
    problem = Bernoulli()
    times = [0.0, 0.1, 0.5, 1.0]
    for check in (None, INDEPENDENT):
        found = reference(unsolved(problem), times, nfe=300, check=check)
        assert found.times == tuple(times)
        exact = torch.stack([problem.exact(t) for t in times])
        torch.testing.assert_close(found.states, exact, rtol=1e-8, atol=1e-9)
        torch.testing.assert_close(found.check, exact, rtol=1e-6, atol=1e-7)


def test_an_error_is_measured_in_the_norm_that_is_asked_for():
    found = reference(unit_normal())
    x = found.x + torch.tensor([[0.3, 0.4]])
    assert found.error(x) == pytest.approx(rmse(x, found.x))
    assert found.error(x, geometric_mean_rmse) == pytest.approx(geometric_mean_rmse(x, found.x))
    assert found.error(x, lambda a, b: float((a - b).abs().max())) == pytest.approx(0.4)


def test_a_solver_that_is_nearly_as_good_as_the_reference_is_not_compared():
    found = reference(unsolved(Bernoulli()), nfe=24)
    own = found.uncertainty()
    assert found.error(found.x + 10.1 * own) == pytest.approx(10.1 * own)
    with pytest.raises(
        CoarseReferenceError, match=r"less than 10 times the uncertainty .*finer reference \(nfe above 24\)"
    ):
        found.error(found.x + 9.9 * own)


def test_an_exact_solution_may_be_met_exactly():
    problem = Bernoulli()
    assert reference(problem).error(problem.exact(1.0)) == 0


@pytest.mark.parametrize(
    ("times", "message"),
    [([0.5, 1.0], "times must begin at 0"), ([0.0, 2.0], "between"), ([0.0, 0.5, 0.25], "monotone"), ([0.0], "two")],
)
def test_times_that_do_not_fit_are_refused(times, message):
    with pytest.raises(ArgumentError, match=message):
        reference(unsolved(Bernoulli()), times)


def test_too_many_times_for_the_budget_are_refused():
    times = make_grid("t")(Bernoulli().ode, 30)
    with pytest.raises(ArgumentError, match=r"nfe must be .* at least 80, for two solutions on 30 intervals, got 79"):
        reference(unsolved(Bernoulli()), times, nfe=79)
    assert reference(unsolved(Bernoulli()), times, nfe=80).states.shape == (31,)
    with pytest.raises(ArgumentError, match="at least 120, for two"):
        reference(unsolved(Bernoulli()), times, nfe=80, check="rhork-rk4:clock=t")


@pytest.mark.parametrize("problem", [None, "bernoulli", Bernoulli().ode, torch.ones(2)])
def test_what_is_no_problem_is_refused(problem):
    with pytest.raises(ArgumentError, match=r"problem must be a Problem, got .*; for example InitialValueProblem"):
        reference(problem)


def test_a_method_that_chooses_its_steps_needs_a_check():
    with pytest.raises(ArgumentError, match=r"check must be given with SciPy\(method='DOP853'"):
        reference(unsolved(Bernoulli()), integrator="dop853")
    found = reference(unsolved(Bernoulli()), integrator="dop853:rtol=1e-9:atol=1e-9", check="dopri5")
    assert found.uncertainty() < 1e-4


class Counting:
    """A nonlinearity that counts its calls."""

    def __init__(self, factor=1.0):
        self.calls, self.factor = 0, factor

    def __call__(self, t, x):
        self.calls += 1
        return self.factor * torch.sin(x)

    def problem(self, start=1.0):
        return InitialValueProblem(DiagonalODE(-1.0, self), torch.tensor([start, 2.0]))


PROBES = 3


def test_a_stored_solution_is_not_computed_again(tmp_path):
    first, again = Counting(), Counting()
    found = reference(first.problem(), store=tmp_path / "new" / "folder")
    kept = reference(again.problem(), store=tmp_path / "new" / "folder")
    assert first.calls == PROBES + 240 + 120
    assert again.calls == PROBES
    assert torch.equal(found.states, kept.states)
    assert torch.equal(found.check, kept.check)
    assert (found.nfe, found.method, found.times) == (kept.nfe, kept.method, kept.times)


def test_a_complex_solution_is_stored(tmp_path):
    problem = unsolved(Bernoulli(3j))
    found, kept = (reference(problem, store=tmp_path) for _ in range(2))
    assert kept.states.dtype == torch.complex128
    assert torch.equal(found.states, kept.states)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: reference(Counting(1.5).problem(), store=folder),
        lambda folder: reference(Counting().problem(1.25), store=folder),
        lambda folder: reference(Counting().problem(), store=folder, nfe=200),
        lambda folder: reference(Counting().problem(), store=folder, check=INDEPENDENT),
        lambda folder: reference(Counting().problem(), [0.0, 0.5, 1.0], store=folder),
        lambda folder: reference(Counting().problem(), store=folder, grid="cosine"),
        lambda folder: reference(Counting().problem(), store=folder, integrator="rhork-rk4:clock=t"),
    ],
    ids=["network", "state", "nfe", "check", "times", "grid", "integrator"],
)
def test_whatever_a_solution_depends_on_gives_it_another_name(tmp_path, change):
    reference(Counting().problem(), store=tmp_path)
    change(tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) == 2


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_a_damaged_file_is_computed_anew(tmp_path, damage):
    found = reference(Counting().problem(), store=tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-9] if damage is None else damage)
    again = Counting()
    assert torch.equal(reference(again.problem(), store=tmp_path).x, found.x)
    assert again.calls > PROBES
    assert reference((last := Counting()).problem(), store=tmp_path).nfe == found.nfe
    assert last.calls == PROBES


def test_a_store_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        reference(Counting().problem(), store=tmp_path / "file")
    shutil.rmtree(tmp_path)


def test_states_that_torch_conjugates_lazily_can_be_kept(tmp_path):
    problem = InitialValueProblem(Bernoulli(3j).ode, torch.ones(1, dtype=torch.complex128).conj())
    first, second = (reference(problem, nfe=40, store=str(tmp_path)) for _ in range(2))
    assert torch.equal(first.states, second.states)
    assert len(list(tmp_path.iterdir())) == 1

import attrs
import pytest
import torch

from deis import ArgumentError, Bernoulli, Problem, Recipe
from deis.analysis import rmse
from deis.analysis.converged import converged


@attrs.frozen(eq=False)
class Recipes(Problem):
    """A problem with a known solution, which it keeps to itself, and any recipe."""

    recipe: Recipe

    @property
    def solved(self):
        return Bernoulli(2.0)

    @property
    def ode(self):
        return self.solved.ode

    @property
    def initial(self):
        return self.solved.initial

    @property
    def converged(self):
        return self.recipe


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe("krogstad", 40),
        Recipe("etd2rk", 40, "t2"),
        Recipe("dopri5:rtol=1e-8:atol=1e-8", 1),
        Recipe("dopri5:rtol=1e-8:atol=1e-8", 10),
    ],
    ids=lambda recipe: f"{recipe.integrator}, {recipe.intervals}",
)
def test_the_uncertainty_bounds_the_error_of_what_the_recipe_gives(recipe):
    problem = Recipes(recipe)
    found = converged(problem)
    exact = problem.solved.exact(1.0)
    assert 0 < rmse(found.x, exact) < found.uncertainty() < 1e-3
    assert found.times == (0.0, 1.0)
    assert torch.equal(found.states[0], problem.initial)


def test_it_says_how_both_solutions_were_found():
    found = converged(Recipes(Recipe("krogstad", 9)))
    method = "ExponentialRungeKutta(tableau='krogstad', predict=None)"
    assert found.method == f"{method} with 36 evaluations, against itself with 16"
    assert found.nfe == 36


def test_the_second_solution_of_an_adaptive_method_has_ten_times_its_tolerances():
    found = converged(Recipes(Recipe("dopri5:rtol=1e-8:atol=1e-9", 1)))
    assert "against Dopri5(rtol=1e-07, atol=1e-08" in found.method


def test_a_known_solution_needs_no_recipe():
    problem = Bernoulli(3j)
    found = converged(problem)
    assert (found.method, found.nfe, found.uncertainty()) == ("exact", 0, 0.0)
    assert torch.equal(found.x, problem.exact(1.0))


def test_a_recipe_that_cannot_be_made_coarser_is_refused():
    with pytest.raises(ArgumentError, match="converged must have two intervals or tolerances"):
        converged(Recipes(Recipe("krogstad", 1)))


def test_what_is_no_problem_is_refused():
    with pytest.raises(ArgumentError, match="problem must be a Problem"):
        converged("burgers")

"""The solution of a problem to measure against, by the problem's own recipe."""

from typing import Any

import attrs
import torch

from deis.analysis.reference import Reference, reference
from deis.errors import ArgumentError
from deis.fields import need
from deis.grids import make_grid
from deis.integrators.base import Integrator, as_integrator
from deis.problems import Problem, Recipe
from deis.solve import Solution, solve

_LOOSER = 10.0


def converged(problem: Problem) -> Reference:
    """The exact solution at the end of the domain where it is known; otherwise two by ``problem.converged``.

    The second takes half the intervals and, of a method that has tolerances, ten times these.

    :param problem: an ODE with its initial state, and a recipe.
    :raises ArgumentError: if the recipe leaves nothing to make the second solution coarser by.

    >>> from deis import Bernoulli, InitialValueProblem
    >>> problem = Bernoulli()
    >>> converged(problem).method
    'exact'
    >>> solution = converged(InitialValueProblem(problem.ode, problem.initial))  # which has a recipe for any
    >>> abs(float(solution.x - problem.exact(1.0))) < solution.uncertainty() < 1e-12
    True
    """
    need("problem", problem, Problem, "for example deis.Bernoulli()")
    if problem.exact(problem.ode.domain[1]) is not None:
        return reference(problem)
    recipe = problem.converged
    method = as_integrator(recipe.integrator)
    rough = _loosened(method)
    if rough == method and recipe.intervals < 2:
        raise ArgumentError("converged", "must have two intervals or tolerances, for a coarser solution", recipe)
    fine = _solved(problem, method, recipe)
    coarse = _solved(problem, rough, attrs.evolve(recipe, intervals=max(1, recipe.intervals // 2)))
    states, check = (torch.stack([problem.initial, solution.x]) for solution in (fine, coarse))
    other = "itself" if rough == method else repr(rough)
    how = f"{method!r} with {fine.nfe} evaluations, against {other} with {coarse.nfe}"
    return Reference(problem.ode.domain, states, check, fine.nfe, how)


def _loosened(method: Integrator) -> Integrator:
    """The method with ten times its tolerances, or itself if it has none."""
    instance: Any = method
    names = {field.name for field in attrs.fields(type(instance))} & {"rtol", "atol"}
    looser: Integrator = attrs.evolve(instance, **{name: _LOOSER * getattr(method, name) for name in names})
    return looser


def _solved(problem: Problem, method: Integrator, recipe: Recipe) -> Solution:
    with torch.no_grad():
        times = make_grid(recipe.grid)(problem.ode, recipe.intervals)
        return solve(problem.ode, problem.initial, times, method)

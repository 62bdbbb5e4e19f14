"""Autonomous systems of a few equations, split by their Jacobian where they start."""

import abc

import torch
from torch import Tensor

from deis.numerics.constants import Constant
from deis.numerics.host import on_host
from deis.odes.constant import DenseODE
from deis.problems.base import Problem, Recipe


class LinearisedProblem(Problem):
    """x' = f(x), with L the Jacobian of f at the initial state and N(x) = f(x) - L x.

    To write one, supply the domain, :attr:`initial` of shape (d,) and :meth:`slope`. States have shape (..., d):
    systems along the leading axes are independent. Exponential Rosenbrock methods linearise anew at each step, for
    which they differentiate N.
    """

    domain: tuple[float, float]

    @abc.abstractmethod
    def slope(self, x: Tensor) -> Tensor:
        """f(x), by operations on the last axis that ``torch.func`` can differentiate and vectorise."""

    @property
    def ode(self) -> DenseODE:
        with torch.inference_mode(False), on_host():
            jacobian = torch.func.jacrev(self.slope)(self.initial)

        transposed = Constant(jacobian.T)

        def rest(t: float, x: Tensor) -> Tensor:
            return self.slope(x) - x @ transposed.like(x)

        return DenseODE(jacobian, rest, self.domain)

    @property
    def converged(self) -> Recipe:
        return Recipe("radau:rtol=1e-12:atol=1e-16", self.recommended.intervals, self.recommended.grid)

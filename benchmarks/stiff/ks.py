"""The Kuramoto-Sivashinsky equation: its field in numpy, references, and Krogstad's method as one would write it."""

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import scipy.fft
import scipy.sparse
import torch
from torch import Tensor

import deis
from deis.problems.waves import KuramotoSivashinsky

Array = np.ndarray[Any, Any]


@attrs.frozen(eq=False)
class RealView:
    """x' = L x + N(x) in numpy, on the real and imaginary parts of the Fourier coefficients, one after the other.

    The transforms are those of the torch version, without their scales.

    :param size: number of points.
    :param linear: L, one number for each mode.
    :param factor: what the transform of u^2 is multiplied by.
    """

    size: int
    linear: Array
    factor: Array

    @classmethod
    def of(cls, problem: KuramotoSivashinsky) -> "RealView":
        """The field of a problem."""
        factor = -problem.basis.derivative / (2 * problem.size**1.5)
        return cls(problem.size, problem.symbol.numpy(), factor.numpy())

    def nonlinearity(self, c: Array) -> Array:
        """N of coefficients."""
        u = scipy.fft.irfft(c, n=self.size, norm="forward")
        u *= u
        value: Array = scipy.fft.rfft(u)
        value *= self.factor
        return value

    def __call__(self, t: float, y: Array) -> Array:
        c = np.ascontiguousarray(y).view(complex)
        value = self.nonlinearity(c)
        value += self.linear * c
        return value.view(float)

    def jacobian(self, t: float, y: Array) -> Array:
        """The whole Jacobian, all columns by one call of each transform."""
        u = scipy.fft.irfft(np.ascontiguousarray(y).view(complex), n=self.size, norm="forward")
        tangents = scipy.fft.irfft(np.eye(y.size).view(complex), n=self.size, norm="forward")
        columns = 2 * self.factor * scipy.fft.rfft(u * tangents)
        matrix: Array = columns.view(float).T + np.diag(np.repeat(self.linear, 2))
        return matrix

    @property
    def diagonal(self) -> scipy.sparse.csc_matrix:
        """The Jacobian of L alone."""
        return scipy.sparse.diags(np.repeat(self.linear, 2)).tocsc()


def real_view(x: Tensor) -> Array:
    """Real and imaginary parts of coefficients, one after the other."""
    parts: Array = torch.view_as_real(x).flatten().numpy().copy()
    return parts


def complex_view(y: Array) -> Tensor:
    """The coefficients again."""
    return torch.view_as_complex(torch.as_tensor(np.ascontiguousarray(y)).reshape(-1, 2))


def grid(problem: KuramotoSivashinsky, steps: int) -> list[float]:
    """Equal steps over the domain."""
    start, end = problem.ode.domain
    return [*(start + (end - start) * n / steps for n in range(steps)), end]


def difference(problem: KuramotoSivashinsky, x: Tensor, other: Tensor) -> float:
    """Largest difference of the values at the points, relative to the largest value of ``other``."""
    values, true = problem.values(x), problem.values(other)
    return float((values - true).abs().max() / true.abs().max())


def converged(problem: KuramotoSivashinsky, steps: int) -> tuple[Tensor, float]:
    """Krogstad's method with many steps, and its difference to Hochbruck and Ostermann's with as many."""
    state, other = (
        deis.solve(problem.ode, problem.initial, grid(problem, steps), name).x
        for name in ("krogstad", "hochbruck-ostermann")
    )
    return state, difference(problem, other, state)


def _rows(plan: deis.Plan) -> list[tuple[Any, ...]]:
    """The coefficients of Krogstad's method: a2, a3, a4 and b with what the state is multiplied by; no zeros."""
    step = plan.steps[0]
    rows = [stage.row.coefficients() for stage in step.stages[1:]] + [step.advance.coefficients()]
    return [tuple(c for c in row if isinstance(c, Tensor)) for row in rows]


def by_torch(plan: deis.Plan, ode: deis.SemilinearODE, x0: Tensor) -> Callable[[], Tensor]:
    """An eager loop over equal steps of Krogstad's method."""
    # in the dtype of the state, because products of mixed dtypes are slower
    rows = [[c.to(x0.dtype) for c in row] for row in _rows(plan)]
    (e2, a21), (e3, a31, a32), (e4, a41, a43), (e, b1, b2, b3, b4) = rows
    starts = plan.times[:-1]
    h = plan.times[1] - plan.times[0]

    def run() -> Tensor:
        x = x0
        for t in starts:
            n1 = ode.nonlinearity(t, x)
            n2 = ode.nonlinearity(t + h / 2, (e2 * x).addcmul_(a21, n1))
            n3 = ode.nonlinearity(t + h / 2, (e3 * x).addcmul_(a31, n1).addcmul_(a32, n2))
            n4 = ode.nonlinearity(t + h, (e4 * x).addcmul_(a41, n1).addcmul_(a43, n3))
            x = (e * x).addcmul_(b1, n1).addcmul_(b2, n2).addcmul_(b3, n3).addcmul_(b4, n4)
        return x

    return run


def by_numpy(plan: deis.Plan, field: RealView, x0: Tensor) -> Callable[[], Array]:
    """The same in numpy."""
    rows = [[c.numpy() for c in row] for row in _rows(plan)]
    (e2, a21), (e3, a31, a32), (e4, a41, a43), (e, b1, b2, b3, b4) = rows
    start, steps, nonlinearity = x0.numpy(), len(plan.steps), field.nonlinearity

    def run() -> Array:
        x = start
        for _ in range(steps):
            n1 = nonlinearity(x)
            n2 = nonlinearity(e2 * x + a21 * n1)
            n3 = nonlinearity(e3 * x + a31 * n1 + a32 * n2)
            n4 = nonlinearity(e4 * x + a41 * n1 + a43 * n3)
            x = e * x + b1 * n1 + b2 * n2 + b3 * n3 + b4 * n4
        return x

    return run

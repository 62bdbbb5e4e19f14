"""N of one solve: counted, timed, and its answers checked."""

import time
from collections.abc import Iterable, Iterator

import attrs
import torch
from torch import Tensor

from deis.errors import NetworkError, NonFiniteError
from deis.integrators.plan import Plan
from deis.loop import Noise, Reached, accumulation_dtype, march
from deis.odes.base import SemilinearODE


class Evaluator:
    """N of one solve.

    :param looks: whether to look for NaN and Inf in every value, which waits for the device.
    """

    def __init__(self, ode: SemilinearODE, *, looks: bool = False) -> None:
        self._nonlinearity, self._looks = ode.nonlinearity, looks
        self.nfe = 0
        self.seconds = 0.0

    def __call__(self, step: int, when: float, point: Tensor) -> Tensor:
        began = time.perf_counter()
        value = self._nonlinearity(when, point)
        self.seconds += time.perf_counter() - began
        self.nfe += 1
        # what is not a tensor has no dtype of torch's
        if getattr(value, "dtype", None) != point.dtype or value.shape != point.shape:
            raise self._misfit(step, when, point, value)
        if self._looks and not is_finite(value):
            kind = "NaN" if bool(torch.isnan(value).any()) else "Inf"
            raise NonFiniteError(
                f"the nonlinearity returned {kind} at evaluation {self.nfe}, in step {step + 1}, t = {when:g}"
            )
        return value

    def _misfit(self, step: int, when: float, point: Tensor, value: object) -> NetworkError:
        got = f"{value.dtype} of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        return NetworkError(
            f"the nonlinearity must return {point.dtype} of shape {tuple(point.shape)}, "
            f"as its state is, got {got} (evaluation {self.nfe}, step {step + 1}, t = {when:g})"
        )


@attrs.frozen(eq=False)
class WideEvaluator:
    """N in the precision in which the state is accumulated."""

    evaluator: Evaluator
    dtype: torch.dtype
    """The precision in which N is evaluated."""

    def __call__(self, t: float, x: Tensor) -> Tensor:
        value = self.evaluator(self.evaluator.nfe, t, x.to(self.dtype))
        return value.to(accumulation_dtype(self.dtype))


def is_finite(x: Tensor) -> bool:
    """Whether no entry is NaN or Inf; waits for the device."""
    return bool(torch.isfinite(x).all())


def check_result(x: Tensor, x0: Tensor, again: Iterable[Reached] | None = None) -> None:
    """Refuse a result that is not finite.

    :param again: the run once more, with an evaluator that looks; made only to find the first such value. None where
        every value was looked at.
    :raises NonFiniteError: in that case; the step and the time are named.
    """
    if is_finite(x):
        return
    if not is_finite(x0):
        raise NonFiniteError("x0 holds NaN or Inf")
    overflow = "the state overflowed although every value of the nonlinearity was finite"
    if again is None:
        raise NonFiniteError(overflow)
    with torch.no_grad():
        for step, when, state in again:
            if not is_finite(state):
                raise NonFiniteError(f"{overflow}, in step {step}, before t = {when:g}")
    raise NonFiniteError("the result is not finite, but that of a second run is: N must be a function of t and x")


def looking(form: SemilinearODE, plan: Plan, x0: Tensor, noise: Noise | None = None) -> Iterator[Reached]:
    """A run of a plan that stops at the first value of N that is not finite."""
    return march(plan, form.combine, x0, Evaluator(form, looks=True), noise)

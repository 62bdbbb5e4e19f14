"""The loop for gradients in little memory: steps are computed again when their gradient is wanted."""

from collections.abc import Callable
from functools import partial

from torch import Tensor
from torch.utils.checkpoint import checkpoint

from deis.integrators.combine import Combine
from deis.integrators.plan import Plan
from deis.loop import Carried, Evaluation, Noise, Reached, accumulation_dtype, advance, narrow

Result = tuple[Carried, tuple[Reached, ...]]


def recomputed(
    plan: Plan,
    add: Combine,
    x: Tensor,
    evaluate: Evaluation,
    noise: Noise | None = None,
    *,
    keep_states: bool = False,
) -> tuple[Reached, ...]:
    """Run ``plan`` from the state ``x``, and keep for the gradients what log2(n) of the n steps start from.

    The first half of the steps is a checkpoint, as is the first half of the other half, and so on; when the gradient
    arrives there, it is halved in the same way. So the memory grows with log2(n), and a step is computed
    1 + log2(n) / 2 times in all, on average.

    :param evaluate: N, which must give the same value when it is asked again.
    :returns: what was reached, of all steps or of the last only.
    """
    kept, dtype = plan.history, narrow(x.dtype)

    def one(n: int, result: Result) -> Result:
        carried, reached = result
        step = advance(n, plan.steps[n], add, carried, kept, dtype, evaluate, noise)
        try:
            while True:
                event = next(step)
                reached = (*reached, event) if keep_states else (event,)
        except StopIteration as end:
            return end.value, reached

    def several(start: int, end: int, result: Result) -> Result:
        if end - start == 1:
            return one(start, result)
        middle = (start + end) // 2
        return several(middle, end, _checkpoint(partial(several, start, middle), *result, keep_states))

    return several(0, len(plan.steps), (Carried(x.to(accumulation_dtype(x.dtype))), ()))[1]


def _checkpoint(run: Callable[[Result], Result], carried: Carried, reached: tuple[Reached, ...], keep: bool) -> Result:
    tensors, rebuilt = carried.tensors()
    before = reached if keep else ()

    def half(*known: Tensor) -> Result:
        return run((rebuilt(*known), before))

    del carried, reached  # what a checkpoint starts from is let go of only where it is known as tensors
    found: Result = checkpoint(half, *tensors, use_reentrant=False)
    return found

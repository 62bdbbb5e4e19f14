"""What was found for a budget, in words."""

from collections.abc import Sequence

from deis.study.tune_record import Row, TunedBudget
from deis.text import listed

_NAMED = 4  # of the samplers that beat a plan


def verdict(budget: TunedBudget) -> str:
    """How the plan compares with the best published sampler."""
    row, best = budget.row, budget.best
    ratio = row.to_best
    said = (
        f"The {row.role} plan ({row.title}) has {ratio} times the error of {best.title} on {best.grid}, "
        f"the best of {len(budget.published)} published samplers"
    )
    if ratio.high < 1:
        return f"{said}: it is better."
    if ratio.low > 1:
        return f"{said}: it is worse, and {best.title} is to be preferred."
    return f"{said}: they cannot be told apart by so few held-out samples."


def losses(budget: TunedBudget) -> list[str]:
    """Where the plan loses, a sentence for each measure."""
    row, mine = budget.row, budget.row.frechet
    better = [(one, one.error.value) for one in budget.rows if one.error.value < row.error.value]
    sure = [one for one, _ in better if one.error.high < row.error.low]
    said = [_beaten(f"in error ({row.error.value:.3g})", better, sure)]
    if mine is None:
        return said
    measured = [(one, one.frechet) for one in budget.rows if one.frechet is not None]
    closer = [(one, found.value) for one, found in measured if found.value < mine.value]
    apart = [one for one, found in measured if found.value < mine.value and not found.overlaps(mine)]
    floor = f"; the converged solution has {budget.converged.value:.3g}" if budget.converged else ""
    return [*said, _beaten(f"in Frechet distance ({mine.value:.3g}{floor})", closer, apart)]


def cost(budget: TunedBudget) -> str:
    """What tuning took, and when it pays."""
    took = f"Tuning took {budget.calls} network calls on single samples and {sum(budget.seconds.values()):.0f} s."
    after, row = budget.pays_after, budget.row
    if after is None:
        return f"{took} It saves no network calls: a published sampler is as good with {budget.equal_calls}."
    if budget.equal_calls is None:
        needs = f"no published sampler comes as near as its {row.nfe} calls with {budget.tried} or fewer"
        return f"{took} It pays after {after} samples or less: {needs}."
    instead = f"a published sampler needs {budget.equal_calls} calls instead of {row.nfe}"
    return f"{took} It pays after {after} samples: {instead}."


def _beaten(measure: str, better: Sequence[tuple[Row, float]], sure: Sequence[Row]) -> str:
    if not better:
        return f"No sampler beats it {measure}."
    ranked = sorted(better, key=lambda pair: pair[1])
    chance = "within chance, as the 95 % intervals overlap"
    surely = f"beyond chance to {_some([one.title for one in sure])}" if sure else chance
    return f"It loses {measure} to {_some([f'{one.title} ({value:.3g})' for one, value in ranked])}: {surely}."


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return listed([*names[:_NAMED], *([f"{more} more"] if more > 0 else [])])

"""Many independent stiff systems in one batch, against one alone: with an L that they share, or one for each."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs
import torch
from torch import Tensor

import deis
from benchmarks.stiff.measure import least_times

COUNT: Final = 1024
DIMENSION: Final = 32
STEPS: Final = 100
STIFFEST: Final = 1e4
PROMISED: Final = 1 / 50
WHAT: Final = ("steps", "plan", "both")


@attrs.frozen(eq=False)
class Kind:
    """A batch of systems, and one of them alone.

    :param together: all of them.
    :param alone: the first of them.
    :param x0: states at the start, one system a row.
    """

    together: deis.SemilinearODE
    alone: deis.SemilinearODE
    x0: Tensor


def neighbours(t: float, x: Tensor) -> Tensor:
    """A smooth N."""
    return torch.sin(x.roll(1, -1)) - x


def rates(generator: torch.Generator, *shape: int) -> Tensor:
    """Random eigenvalues from -1 to -``STIFFEST``, as many of each magnitude."""
    return -(STIFFEST ** torch.rand(*shape, generator=generator, dtype=torch.float64))


def matrices(generator: torch.Generator, *shape: int) -> Tensor:
    """Random matrices, not symmetric, with such eigenvalues."""
    d = shape[-1]
    basis = torch.eye(d) + 0.3 / d**0.5 * torch.randn(*shape, d, generator=generator, dtype=torch.float64)
    found: Tensor = basis @ (rates(generator, *shape)[..., None] * torch.linalg.inv(basis))
    return found


def kinds(count: int = COUNT, d: int = DIMENSION) -> dict[str, Kind]:
    """The three kinds of linear parts."""
    generator = torch.Generator().manual_seed(0)
    x0 = torch.randn(count, d, generator=generator, dtype=torch.float64)
    dense, diagonals, blocks = matrices(generator, d), rates(generator, count, d), matrices(generator, count, d)
    shared = deis.DenseODE(dense, neighbours)
    return {
        "a dense L that all share": Kind(shared, shared, x0),
        "a diagonal L each": Kind(
            deis.DiagonalODE(diagonals, neighbours), deis.DiagonalODE(diagonals[0], neighbours), x0
        ),
        "a dense L each": Kind(deis.BlockDiagonalODE(blocks, neighbours), deis.DenseODE(blocks[0], neighbours), x0),
    }


def _runs(who: str, ode: deis.SemilinearODE, x0: Tensor, times: list[float]) -> dict[str, Callable[[], object]]:
    plan = deis.make_plan(ode, times, "krogstad")
    return {
        f"{who}, steps": lambda: deis.solve(ode, x0, times, plan),
        f"{who}, plan": lambda: deis.make_plan(ode, times, "krogstad"),
        f"{who}, both": lambda: deis.solve(ode, x0, times, "krogstad"),
    }


def compared(kind: Kind, steps: int, repeats: int) -> dict[str, Any]:
    """Seconds of the batch and of one system alone, what a system of the batch costs of one alone, and agreement."""
    times = [n / steps for n in range(steps + 1)]
    together = _runs("all", kind.together, kind.x0, times)
    alone = _runs("one", kind.alone, kind.x0[0], times)
    spent = least_times(together | alone, repeats)
    shares = {f"share, {what}": spent[f"all, {what}"] / len(kind.x0) / spent[f"one, {what}"] for what in WHAT}
    one = deis.solve(kind.alone, kind.x0[0], times, "krogstad").x
    first = deis.solve(kind.together, kind.x0, times, "krogstad").x[0]
    return {**spent, **shares, "difference": float((one - first).abs().max() / one.abs().max())}


def measured(repeats: int, count: int = COUNT, steps: int = STEPS) -> dict[str, Any]:
    """All kinds."""
    record = {name: compared(kind, steps, repeats) for name, kind in kinds(count).items()}
    return {"systems": count, "dimension": DIMENSION, "steps": steps, "promised share": PROMISED, **record}


def lines(record: Mapping[str, Any]) -> list[str]:
    """A short table."""
    rows = {name: row for name, row in record.items() if isinstance(row, Mapping)}
    return [
        f"{name}: a system of {record['systems']} costs 1/{1 / row['share, steps']:.3g} of one alone, with the plan "
        f"1/{1 / row['share, both']:.3g} ({row['all, both']:.3g} s for all, {row['one, both']:.3g} s for one)"
        for name, row in rows.items()
    ]

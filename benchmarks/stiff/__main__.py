"""Exponential integrators on stiff problems, beside what else there is.

    python -m benchmarks.stiff [PART ...]

The parts are ks (Kuramoto-Sivashinsky against scipy), overhead (of a step), exponax (a batch against jax), batch
(many systems against one) and adaptive (tolerances kept on stiff systems); all by default. States are float64, on one
thread of the CPU; a part's record is written to ``results/stiff/PART.json``.

States of 100 KB and more are given back to Linux in every step, and come back page by page. What a process that keeps
them does, as under jemalloc, is in ``results/stiff/kept``:

    MALLOC_MMAP_THRESHOLD_=1000000000 MALLOC_TRIM_THRESHOLD_=1000000000 \
        python -m benchmarks.stiff exponax --out benchmarks/results/stiff/kept
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import click
import threadpoolctl
import torch

from benchmarks.stiff import adaptive, against_exponax, against_scipy, batch, overhead
from benchmarks.stiff.measure import brief, circumstances
from benchmarks.training import write_json

RESULTS: Final = Path(__file__).parents[1] / "results" / "stiff"


@attrs.frozen
class Part:
    """What measures, and what prints."""

    measured: Callable[..., dict[str, Any]]
    lines: Callable[[Any], list[str]]


PARTS: Final = {
    "ks": Part(against_scipy.measured, against_scipy.lines),
    "overhead": Part(overhead.measured, overhead.lines),
    "exponax": Part(against_exponax.measured, against_exponax.lines),
    "batch": Part(batch.measured, batch.lines),
    "adaptive": Part(adaptive.measured, adaptive.lines),
}


@click.command(help=__doc__)
@click.argument("parts", nargs=-1, type=click.Choice(list(PARTS)))
@click.option("--repeats", default=7, show_default=True, type=click.IntRange(1))
@click.option("--jax-python", default=sys.executable, help="Interpreter that has jax and exponax.  [default: this one]")
@click.option("--out", default=RESULTS, show_default=True, type=click.Path(path_type=Path))
def main(parts: tuple[str, ...], repeats: int, jax_python: str, out: Path) -> None:
    torch.set_num_threads(1)
    for name in parts or PARTS:
        part = PARTS[name]
        measure = partial(part.measured, python=jax_python) if name == "exponax" else part.measured
        before = circumstances()
        with threadpoolctl.threadpool_limits(1), torch.no_grad():
            record = measure(repeats)
        write_json(out / f"{name}.json", {**brief(record), "circumstances": before})
        click.echo("\n".join([f"{name} (load {before['load']})", *(f"  {line}" for line in part.lines(record))]))


if __name__ == "__main__":
    main()

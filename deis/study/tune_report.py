"""The report of ``deis tune``: one page that needs nothing else."""

import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from deis.files import write_text
from deis.study.outcomes import Estimate
from deis.study.page import page
from deis.study.plots import Plot, legend
from deis.study.tune_plots import TUNED, curves, history, published_names, times
from deis.study.tune_record import Row, TunedBudget, TuneRecord, read_record
from deis.study.tune_words import cost, losses, verdict
from deis.tuning import Interval

PAGE: Final = "tune.html"
_WHERE: Final = ("outdir", "force")  # options that say nothing about the plans
_PAPERS: Final = (
    "Zhang and Chen, Fast Sampling of Diffusion Models with Exponential Integrator, arXiv:2204.13902 (DEIS)",
    "Frankel and others, S4S: Solving for a Diffusion Model Solver, arXiv:2502.17423 (learnt coefficients and times)",
    "Tong and others, Learning to Discretize Denoising Diffusion ODEs, arXiv:2405.15506 (learnt times)",
    "Heusel and others, GANs Trained by a Two Time-Scale Update Rule, arXiv:1706.08500 (Frechet distance)",
)


@attrs.frozen(eq=False)
class Section:
    """All that the page shows of one budget."""

    budget: TunedBudget
    verdict: str
    losses: list[str]
    cost: str
    plots: list[Plot]


def tune_report(folder: Path | str) -> Path:
    """Write ``tune.html`` into a folder of ``deis tune``, and return it.

    :param folder: holds the ``tune.json`` that the page is made of.
    :raises ArgumentError: if it holds none that is sound.
    :raises OutputError: if the file cannot be written.

    >>> tune_report("nowhere")
    Traceback (most recent call last):
        ...
    deis.errors.ArgumentError: folder must hold tune.json (No such file or directory), got 'nowhere'; make it by deis
    tune --outdir FOLDER
    """
    path = Path(folder) / PAGE
    write_text(path, _page(read_record(folder)))
    return path


def _page(record: TuneRecord) -> str:
    budgets = record.budgets
    return page(
        "tune.html.jinja",
        {"key": _key, "closer": _closer},
        record=record,
        model=record.options["model"],
        sections=[_section(budget) for budget in budgets],
        curves=curves(budgets),
        legend=legend([TUNED, *published_names(budgets)]),
        measured=any(row.frechet for budget in budgets for row in budget.rows),
        command=_command(record.options),
        whole=float(record.options.get("strength", 1.0)) == 1,
        papers=_PAPERS,
    )


def _section(budget: TunedBudget) -> Section:
    plots = [plot for plot in (times(budget), history(budget)) if plot]
    return Section(budget, verdict(budget), losses(budget), cost(budget), plots)


def _closer(budget: TunedBudget) -> Row | None:
    """The published sampler whose samples are closest to the digits."""
    found = [(row.frechet.value, row) for row in budget.published if row.frechet]
    return min(found, key=lambda pair: pair[0])[1] if found else None


def _key(measured: Interval | Estimate | None) -> str:
    """What a column is sorted by; nothing for what was not measured or is not finite."""
    return str(measured.value) if measured and math.isfinite(measured.value) else ""


def _command(options: Mapping[str, Any]) -> str:
    """The command line that makes the same plans."""
    given = {name.replace("_", "-"): value for name, value in options.items() if name not in _WHERE}
    words = [word for name, value in given.items() if value is not None for word in (f"--{name}", str(value))]
    return shlex.join(["deis", "tune", *words])

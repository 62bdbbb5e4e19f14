"""The report of a study: one page that needs nothing else, and its tables as CSV and LaTeX."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs
from torch import Tensor

from deis.files import write_text
from deis.study.outcomes import Outcome, Outcomes, read_outcomes, read_states
from deis.study.page import page
from deis.study.pictures import Group, Picture, model_of, sample_groups, strips
from deis.study.plots import Plot, legend, plots
from deis.study.ranking import Leader, best_cells, budgets, leaders, merit, metrics
from deis.study.tables import as_csv, as_latex, by_budget, heading, written

FILES: Final = ("results.csv", "results.tex", "report.html")
_PAPERS: Final = (
    "Zhang and Chen, Fast Sampling of Diffusion Models with Exponential Integrator, arXiv:2204.13902 (DEIS)",
    "Song, Meng and Ermon, Denoising Diffusion Implicit Models, arXiv:2010.02502 (DDIM)",
    "Hochbruck and Ostermann, Exponential integrators, Acta Numerica 19 (2010)",
    "Heusel and others, GANs Trained by a Two Time-Scale Update Rule, arXiv:1706.08500 (Frechet distance)",
)


@attrs.frozen
class Section:
    """All that the page shows of one target."""

    target: str
    outcomes: tuple[Outcome, ...]
    names: Mapping[str, str]
    """What each cell is called, by its id; cells that differ in the budget only share a name."""
    reference: Outcome | None
    known: str
    """What the reference is."""
    metrics: tuple[str, ...]
    merit: str | None
    leaders: Mapping[int, Leader]
    best: frozenset[tuple[str, str]]
    legend: Mapping[str, Any]
    plots: list[Plot]
    samples: list[Group]
    strips: list[Picture]


def report(folder: Path | str) -> Path:
    """Write ``report.html``, ``results.csv`` and ``results.tex`` into the folder of a study, and return the first.

    The page is made of what the folder holds: cells that are missing, damaged or failed are named in it. Reports of
    equal results differ in the elements of class ``timing`` only.

    :param folder: what ``deis study run`` wrote.
    :raises ArgumentError: if it holds no study.
    :raises OutputError: if a file cannot be written.

    >>> report("nowhere")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    deis.errors.ArgumentError: folder must hold a study (No such file or directory), got 'nowhere'; make it ...
    """
    folder = Path(folder)
    outcomes = read_outcomes(folder)
    texts = (as_csv(outcomes), as_latex(outcomes), _page(folder, outcomes))
    for name, text in zip(FILES, texts, strict=True):
        write_text(folder / name, text)
    return folder / FILES[-1]


def _page(folder: Path, outcomes: Outcomes) -> str:
    pictured = [one for one in (*outcomes.cells, *outcomes.references.values()) if model_of(one) and one.arrays]
    read = {one.id: read_states(folder, one) for one in pictured}
    states = {name: tensors for name, tensors in read.items() if tensors is not None}
    return page(
        "report.html.jinja",
        {"heading": heading, "written": written},
        outcomes=outcomes,
        index=outcomes.index,
        labels=list(dict.fromkeys(one.cell.label for one in outcomes.cells)),
        budgets=[budget for budget in budgets(outcomes.cells) if budget is not None],
        notes=_notes(outcomes),
        sections=[_section(outcomes, target, states) for target in outcomes.targets],
        unseen=[f"{name}.safetensors" for name, tensors in read.items() if tensors is None],
        papers=_PAPERS,
    )


def _section(outcomes: Outcomes, target: str, states: Mapping[str, Mapping[str, Tensor]]) -> Section:
    cells, reference = outcomes.of(target), outcomes.references.get(target)
    several = len({one.cell.grid for one in cells}) > 1
    names = {
        one.id: f"{one.cell.label}, {one.cell.grid}" if several and one.cell.grid else one.cell.label for one in cells
    }
    known = "exact solution" if reference and reference.nfe == 0 else "converged solution"
    called = names | ({reference.id: known} if reference else {})
    samples, trajectories = (
        {name: tensors[kind] for name, tensors in states.items()} for kind in ("samples", "trajectory")
    )
    first = merit(cells)
    return Section(
        target=target,
        outcomes=tuple(one for group in by_budget(cells) for one in group),
        names=names,
        reference=reference,
        known=known,
        metrics=metrics(cells),
        merit=first,
        leaders=leaders(cells, first) if first else {},
        best=best_cells(cells),
        legend=legend(list(dict.fromkeys(names.values()))),
        plots=plots(cells, names, reference, target),
        samples=sample_groups(cells, called, reference, samples),
        strips=strips(cells, names, trajectories),
    )


def _notes(outcomes: Outcomes) -> list[tuple[str, str, str]]:
    """Target and integrator, budgets, and note: once for all budgets where it is the same."""
    found: dict[tuple[str, str], list[str]] = {}
    for one in (*outcomes.references.values(), *outcomes.cells):
        if one.note:
            key = (f"{one.cell.target}, {one.cell.label}", one.note)
            found.setdefault(key, []).append("" if one.cell.budget is None else str(one.cell.budget))
    return [(name, ", ".join(dict.fromkeys(filter(None, calls))), note) for (name, note), calls in found.items()]

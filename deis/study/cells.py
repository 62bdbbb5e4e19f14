"""The cells of a study's matrix, and the files that hold their results.

A folder of results holds ``study.toml`` (the file as it was given), ``study.json`` (the list of cells), ``references/``
(solutions, as :func:`deis.analysis.reference` keeps them) and, for each cell, ``cells/ID.json`` and
``cells/ID.safetensors``. The JSON file is written last: it marks the cell as finished.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import safetensors.torch
from torch import Tensor

from deis.files import whole_file
from deis.integrators.base import BlackBox, need_steps
from deis.study.config import Method, Study
from deis.study.outcomes import Estimate, Outcome, read_outcome, read_states
from deis.study.record import checksum, versions, write_json
from deis.study.references import Sampling
from deis.study.targets import ModelTarget, Target

CELLS: Final = "cells"


@attrs.frozen
class Cell:
    """One integrator on one target, grid and budget.

    :param method: None for the reference of the target.
    :param grid: none for the reference, and for methods that choose their own steps; ``own`` for plans.
    :param budget: likewise.
    """

    target: Target
    method: Method | None
    sampling: Sampling
    grid: str = ""
    budget: int | None = None

    @property
    def label(self) -> str:
        """What results call it."""
        return "reference" if self.method is None else self.method.title

    @property
    def title(self) -> str:
        """What tells it from the other cells of its study."""
        calls = "" if self.budget is None else f"{self.budget} calls"
        return ", ".join(filter(None, [self.target.title, self.label, self.grid, calls]))

    def about(self) -> dict[str, Any]:
        """Everything that determines the results, as JSON knows it."""
        integrator = "" if self.method is None else repr(self.method.integrator)
        own = {"integrator": integrator, "label": self.label, "grid": self.grid, "budget": self.budget}
        shared: dict[str, Any] = {"reference_nfe": self.sampling.reference_nfe}
        if isinstance(self.target, ModelTarget):
            shared |= {
                "seeds": self.sampling.seeds,
                "batch": self.sampling.batch,
                "metrics": list(self.sampling.metrics),
            }
        return {**self.target.about(), **own, **shared}

    @property
    def id(self) -> str:
        """A readable name for files, with a hash of what determines the results and of the versions."""
        content = json.dumps([self.about(), versions()], sort_keys=True)
        parts = [self.label, self.target.title] if self.method is None else [self.target.title, self.label, self.grid]
        words = re.findall(r"[a-z0-9.]+", " ".join([*parts, str(self.budget or "")]).lower())
        return f"{'-'.join(words)[:80]}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"


def sampling_of(study: Study) -> Sampling:
    """What all cells of the study share."""
    return Sampling(study.seeds, study.batch, study.metrics, study.reference_nfe)


def reference_cells(study: Study) -> list[Cell]:
    """One reference a target."""
    return [Cell(target, None, sampling_of(study)) for target in study.targets]


def cells(study: Study) -> list[Cell]:
    """Target by target, integrator by integrator; a method that chooses its own steps has one cell a target.

    >>> study = Study(model=(ModelTarget("digits"),), integrator=(Method("tab3"), Method("dopri5")))
    >>> [cell.title for cell in cells(study)][2:]
    ['digits, tab3, t2, 20 calls', 'digits, dopri5']
    """
    found = []
    for target in study.targets:
        for method in study.integrator:
            pairs: list[tuple[str, int | None]] = [("", None)]
            need_steps(method.integrator)
            if not isinstance(method.integrator, BlackBox):
                pairs = [(grid, budget) for grid in study.grids_of(method) for budget in study.budgets]
            found += [Cell(target, method, sampling_of(study), *pair) for pair in pairs]
    return found


@attrs.frozen(eq=False)
class Findings:
    """What the files of a cell hold.

    :param nfe: evaluations of N, where there is one number.
    :param integrator: as it ran, if not as the cell says.
    :param uncertainty: of a reference, by the name of each error.
    :param note: why something was not or cannot be measured, or ran otherwise than asked.
    :param timing: seconds, and those of them that were spent in N.
    :param arrays: ``samples``, the first of them; ``trajectory``, states of the first few, shape
        (times, samples, ...); ``times``. Complex numbers have a last axis of real and imaginary part.
    """

    nfe: int | None = None
    integrator: str = ""
    metrics: Mapping[str, Estimate] = attrs.field(factory=dict)
    uncertainty: Mapping[str, float] = attrs.field(factory=dict)
    note: str = ""
    arrays: Mapping[str, Tensor] = attrs.field(factory=dict)
    timing: tuple[float, float] | None = None


def write_result(folder: Path, cell: Cell, result: Findings) -> None:
    """Write the files of a cell, each whole or not at all, and the one that marks it as finished last.

    :raises OutputError: if one cannot be written.
    """
    name, digest = cell.id, ""
    if result.arrays:
        content = safetensors.torch.save({key: value.contiguous() for key, value in result.arrays.items()})
        digest = hashlib.sha256(content).hexdigest()
        with whole_file(folder / CELLS / f"{name}.safetensors") as file:
            file.write(content)
    about = cell.about()
    record = {
        "id": name,
        "cell": {**about, "integrator": result.integrator or about["integrator"]},
        "nfe": result.nfe,
        "metrics": {key: attrs.asdict(value) for key, value in result.metrics.items()},
        "uncertainty": dict(result.uncertainty),
        "note": result.note,
        "arrays": digest,
        "timing": result.timing and dict(zip(("seconds", "seconds_in_network"), result.timing, strict=True)),
    }
    write_json(folder / CELLS / f"{name}.json", record | {"checksum": checksum(record)})


def trouble(folder: Path, cell: Cell) -> str | None:
    """What keeps the files of a cell from being its results; empty if they are, None if it has none yet."""
    path = folder / CELLS / f"{cell.id}.json"
    if not path.exists():
        return None
    outcome = read_outcome(path)
    if not isinstance(outcome, Outcome):
        return f"{path.name} cannot be used ({outcome})"
    if outcome.arrays and read_states(folder, outcome) is None:
        return f"{cell.id}.safetensors is missing or damaged"
    return ""

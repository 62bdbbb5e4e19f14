"""What ``deis tune`` found, as values and as ``tune.json``."""

import json
import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import attrs
import cattrs

from deis.errors import ArgumentError
from deis.integrators.plan import Plan
from deis.integrators.plan_json import plan_from_json, plan_to_json
from deis.study.outcomes import Estimate
from deis.study.record import write_json
from deis.tuning import Interval

RECORD: Final = "tune.json"
PUBLISHED: Final = "published"


@attrs.frozen
class Row:
    """A sampler on the held-out samples.

    :param role: ``learnt``, ``chosen``, ``member`` (another of the family) or ``published``.
    :param nfe: network calls that it makes.
    :param pilot: error of the pilot samples that it met last.
    :param error: geometric mean of the errors of the samples.
    :param to_best: ratio of its errors to those of the best published sampler.
    :param frechet: distance of its samples to the digits, where it could be measured.
    """

    role: str
    title: str
    grid: str
    nfe: int
    pilot: float
    error: Interval
    to_best: Interval
    frechet: Estimate | None = None


@attrs.frozen(eq=False)
class TunedBudget:
    """What was found for one number of network calls."""

    nfe: int
    plan: Plan
    rows: tuple[Row, ...]
    """Best first."""
    history: tuple[tuple[int, float, float], ...]
    """Of learning: iterations, mean logarithm of the errors that are learnt from, and of those set apart."""
    doubt: float
    """Geometric mean of the held-out solutions' own uncertainty."""
    calls: int
    """Network calls that tuning took, each on one sample."""
    seconds: Mapping[str, float]
    """Of each part of tuning."""
    grids: Mapping[str, tuple[float, ...]]
    """Times of grids that the plan's are shown beside."""
    equal_calls: int | None
    """Network calls of the published sampler that comes as near as the plan; None where none does by ``tried``."""
    tried: int
    """Most network calls at which published samplers were tried for that."""
    converged: Estimate | None = None
    """Distance of the converged solutions to the digits."""

    @cached_property
    def row(self) -> Row:
        """That of the plan."""
        return next(row for row in self.rows if row.role == self.plan.provenance["tuned"])

    @property
    def best(self) -> Row:
        """That of the best published sampler."""
        return self.published[0]

    @cached_property
    def published(self) -> tuple[Row, ...]:
        """Those of the published samplers, best first."""
        return tuple(row for row in self.rows if row.role == PUBLISHED)

    @property
    def pays_after(self) -> int | None:
        """After how many samples tuning has saved the network calls that it took; None if it saves none.

        It saves what a published sampler needs for the same error; where none was found it is no more than this number.
        """
        saved = (self.tried + 1 if self.equal_calls is None else self.equal_calls) - self.row.nfe
        return math.ceil(self.calls / saved) if saved > 0 else None


@attrs.frozen(eq=False)
class TuneRecord:
    """What a folder of ``deis tune`` holds."""

    task: Mapping[str, str]
    """All that the plans depend on, but the number of network calls."""
    options: Mapping[str, Any]
    """Of the command, as they are written there."""
    budgets: tuple[TunedBudget, ...]
    """Rising."""
    versions: Mapping[str, str]


def read_record(folder: Path | str) -> TuneRecord:
    """What a folder holds.

    :raises ArgumentError: if it holds no sound record.
    """
    try:
        return _CONVERTER.structure(json.loads((Path(folder) / RECORD).read_text(encoding="utf-8")), TuneRecord)
    except OSError as error:
        rule, why = f"must hold {RECORD}", error.strerror or str(error)
    except (ValueError, TypeError, LookupError, cattrs.BaseValidationError) as error:
        rule, why = f"must hold a sound {RECORD}", str(error)
    raise ArgumentError("folder", f"{rule} ({why})", str(folder), "make it by deis tune --outdir FOLDER")


def write_record(folder: Path, record: TuneRecord) -> None:
    """Write ``tune.json``, whole or not at all.

    :raises OutputError: if it cannot be written.
    """
    write_json(folder / RECORD, _CONVERTER.unstructure(record))


def _finite(value: float) -> float | None:
    """JSON has no infinity."""
    return value if math.isfinite(value) else None


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter()
    converter.register_unstructure_hook(float, _finite)
    converter.register_structure_hook(float, lambda value, _: math.inf if value is None else float(value))
    converter.register_unstructure_hook(Plan, lambda plan: json.loads(plan_to_json(plan)))
    converter.register_structure_hook(Plan, lambda value, _: plan_from_json(json.dumps(value)))
    return converter


_CONVERTER: Final = _converter()

"""What a study's folder holds: the finished cells, and which are missing or damaged."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import cattrs
import safetensors
import safetensors.torch
from torch import Tensor

from deis.errors import ArgumentError
from deis.fields import is_number
from deis.study.record import checksum

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=-]*")  # a file's name, never a path


def _finite(instance: Any, attribute: Any, value: Any) -> None:
    if value is not None and not is_number(value):
        raise ArgumentError(attribute.name, "must be a finite number", value)


def _file_name(instance: Any, attribute: Any, value: Any) -> None:
    if not _ID.fullmatch(value):
        raise ArgumentError(attribute.name, "must be letters, digits and ._+=- only", value)


@attrs.frozen
class Estimate:
    """A measured number, with its 95 % interval where it has one."""

    value: float = attrs.field(validator=_finite)
    low: float | None = attrs.field(default=None, validator=_finite)
    high: float | None = attrs.field(default=None, validator=_finite)

    def overlaps(self, other: "Estimate") -> bool:
        """Whether the intervals have a point in common.

        >>> Estimate(2.0, 1.0, 3.0).overlaps(Estimate(4.0, 2.5, 5.0)), Estimate(2.0).overlaps(Estimate(4.0))
        (True, False)
        """
        low, high = self._ends()
        other_low, other_high = other._ends()
        return low <= other_high and other_low <= high

    def _ends(self) -> tuple[float, float]:
        return (
            self.value if self.low is None else self.low,
            self.value if self.high is None else self.high,
        )


@attrs.frozen
class Setting:
    """What a cell of the matrix measures."""

    target: str
    kind: str
    """``model`` or ``problem``."""
    name: str
    """Of the model or problem."""
    label: str = ""
    """Of the integrator, which ``integrator`` is the repr of."""
    integrator: str = ""
    grid: str = ""
    budget: int | None = None
    seeds: str = ""
    """Of models."""


@attrs.frozen
class Timing:
    """Seconds that a cell took."""

    seconds: float = attrs.field(validator=_finite)
    seconds_in_network: float | None = attrs.field(default=None, validator=_finite)


@attrs.frozen
class Outcome:
    """A finished cell: its measurements, or a note that says why there are none.

    :param uncertainty: of a reference, by the error that it limits.
    :param arrays: SHA-256 of the file with its states; empty if there is none.
    """

    id: str = attrs.field(validator=_file_name)
    cell: Setting
    nfe: int | None = None
    metrics: Mapping[str, Estimate] = attrs.field(factory=dict)
    uncertainty: Mapping[str, float] = attrs.field(factory=dict)
    note: str = ""
    arrays: str = ""
    timing: Timing | None = None


@attrs.frozen
class Listed:
    """A cell as the study lists it, finished or not."""

    id: str = attrs.field(validator=_file_name)
    label: str


@attrs.frozen
class Index:
    """What a study's folder says of itself in ``study.json``."""

    title: str
    cells: tuple[Listed, ...]
    references: tuple[Listed, ...]
    versions: Mapping[str, str]
    command: str


@attrs.frozen
class Outcomes:
    """All that is known of a study; ``damaged`` maps the names of files to what is wrong with them."""

    index: Index
    source: str
    """Text of the study file."""
    cells: tuple[Outcome, ...]
    references: Mapping[str, Outcome]
    """The reference of each target."""
    missing: tuple[Listed, ...]
    damaged: Mapping[str, str]

    @property
    def targets(self) -> tuple[str, ...]:
        """The models and problems, in the study's order."""
        return tuple(dict.fromkeys(outcome.cell.target for outcome in self.cells))

    def of(self, target: str) -> tuple[Outcome, ...]:
        """The cells of one target."""
        return tuple(outcome for outcome in self.cells if outcome.cell.target == target)


def read_outcomes(folder: Path) -> Outcomes:
    """Everything that a run of a study has written so far.

    :raises ArgumentError: if the folder holds no study, or its list of cells cannot be read.
    """
    index, source = _index(folder)
    found, missing, damaged = [], [], {}
    for listed in (*index.references, *index.cells):
        path = folder / "cells" / f"{listed.id}.json"
        if not path.is_file():
            missing.append(listed)
            continue
        outcome = read_outcome(path)
        if isinstance(outcome, Outcome):
            found.append(outcome)
        else:
            damaged[path.name] = outcome
    known = {listed.id for listed in index.references}
    references = {one.cell.target: one for one in found if one.id in known}
    cells = tuple(one for one in found if one.id not in known)
    return Outcomes(index, source, cells, references, tuple(missing), damaged)


def read_outcome(path: Path) -> Outcome | str:
    """A finished cell, or what keeps the file from being the one of its name."""
    try:
        content = json.loads(path.read_bytes())
        outcome = cattrs.structure(content, Outcome)
    except (OSError, ValueError, TypeError, cattrs.BaseValidationError) as error:
        return _trouble(error)
    if content.get("checksum") != checksum(content):
        return "its checksum is another"
    return outcome if outcome.id == path.stem else f"it is the cell {outcome.id}"


def read_states(folder: Path, outcome: Outcome) -> Mapping[str, Tensor] | None:
    """The tensors ``samples`` and ``trajectory`` of a cell; None if there is no sound file of them."""
    try:
        content = (folder / "cells" / f"{outcome.id}.safetensors").read_bytes()
        sound = hashlib.sha256(content).hexdigest() == outcome.arrays
        states = safetensors.torch.load(content) if sound else {}
    except (OSError, safetensors.SafetensorError):
        return None
    return states if {"samples", "trajectory"} <= states.keys() else None


def _index(folder: Path) -> tuple[Index, str]:
    try:
        content = json.loads((folder / "study.json").read_text(encoding="utf-8"))
        return cattrs.structure(content, Index), (folder / "study.toml").read_text(encoding="utf-8")
    except OSError as error:
        fix = "make it with deis study run FILE --outdir FOLDER"
        raise ArgumentError("folder", f"must hold a study ({error.strerror})", str(folder), fix) from error
    except (ValueError, TypeError, cattrs.BaseValidationError) as error:
        rule = f"must hold a readable study.json ({_trouble(error)})"
        raise ArgumentError("folder", rule, str(folder), "run the study again") from error


def _trouble(error: BaseException) -> str:
    """The first reason among those that cattrs collects."""
    return " ".join(str(next(_leaves(error))).split())


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error

"""Studies from TOML files; errors name the line and the key."""

import tomllib
from pathlib import Path
from typing import Any, Final

import attrs
import cattrs
from cattrs.errors import ClassValidationError, ForbiddenExtraKeysError, IterableValidationError

from deis.errors import ArgumentError, DeisError, UnknownNameError
from deis.study.config import Method, Study
from deis.study.places import MisplacedError, Place, misplaced
from deis.study.targets import ModelTarget, ProblemTarget
from deis.study.toml_lines import lines

_CONVERTER: Final = cattrs.Converter(forbid_extra_keys=True, prefer_attrib_converters=True)
for _plain in (str, int, float):  # the validators of the classes decide; "5" is no number
    _CONVERTER.register_structure_hook(_plain, lambda value, _: value)
_TABLES: Final = {"model": ModelTarget, "problem": ProblemTarget, "integrator": Method}


class StudyError(DeisError, ValueError):
    """A study file cannot be used; the message has a line for each fault, with its place in the file."""


def load_study(path: Path | str) -> tuple[Study, str]:
    """The study in a TOML file, and the text of the file.

    :param path: the file, in UTF-8.
    :raises StudyError: if the file cannot be read or is no study; every fault found is named with line and key.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "study.toml"
    >>> _ = path.write_text("[[model]]\\nname = 'digits'\\n[[integrator]]\\nname = 'tab3'\\noptions = {step = 2}\\n")
    >>> try:
    ...     load_study(path)
    ... except StudyError as error:
    ...     print(str(error).split("/")[-1])
    study.toml:5: integrator[1].options.step: no option of 'tab3' named 'step'; near it: steps
    """
    try:
        text = Path(path).read_bytes().decode()
        document = tomllib.loads(text)
    except OSError as error:
        raise StudyError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise StudyError(f"{path} must be text in UTF-8: {error.reason} at byte {error.start}") from error
    except tomllib.TOMLDecodeError as error:
        raise StudyError(f"{path} is no TOML: {error}") from error
    faults = _shape_faults(document)
    if not faults:
        try:
            return _CONVERTER.structure(document, Study), text
        except ClassValidationError as error:
            faults = _faults(error)
    where = lines(text)
    said = sorted((_line_of(fault.place, where), str(fault)) for fault in faults)
    found = [f"{path}:{line}: {message}" for line, message in said]
    raise StudyError("\n".join(found if len(found) == 1 else [f"{len(found)} faults in {path}", *found]))


def _shape_faults(document: dict[str, Any]) -> list[MisplacedError]:
    """Tables that are written as something else, which would be misread."""
    faults = []
    for key in _TABLES.keys() & document.keys():
        value = document[key]
        if not isinstance(value, list):
            faults.append(MisplacedError((key,), f"must be a list of tables; write [[{key}]] above each"))
            continue
        rule = f"must be a table; write [[{key}]] and, below it, name = ..."
        faults += [MisplacedError((key, n), rule) for n, one in enumerate(value) if not isinstance(one, dict)]
    return faults


def _faults(error: BaseException, place: Place = ()) -> list[MisplacedError]:
    """The leaves of a tree of errors, each with its place."""
    if isinstance(error, ClassValidationError):
        noted, bare = error.group_exceptions()
        children = [(sub, (*place, note.name)) for sub, note in noted] + [(sub, place) for sub in bare]
    elif isinstance(error, IterableValidationError):
        children = [(sub, (*place, int(note.index))) for sub, note in error.group_exceptions()[0]]
    else:
        return _leaf(error, place)
    return [fault for sub, where in children for fault in _faults(sub, where)]


def _leaf(error: BaseException, place: Place) -> list[MisplacedError]:
    if isinstance(error, ForbiddenExtraKeysError):
        known = [field.name for field in attrs.fields(error.cl)]
        return [MisplacedError((*place, key), str(UnknownNameError("key", key, known))) for key in error.extra_fields]
    if isinstance(error, KeyError):
        return [MisplacedError(place, "is missing")]
    if isinstance(error, ArgumentError):
        return [misplaced((*place, error.argument), error)]
    if isinstance(error, UnknownNameError):
        return [misplaced((*place, error.kind), error)]
    if isinstance(error, DeisError):
        return [misplaced(place, error)]
    raise error


def _line_of(place: Place, where: dict[Place, int]) -> int:
    """The line of a place, or of the nearest one around it that the file names."""
    while place and place not in where:
        place = place[:-1]
    return where.get(place, 1)

"""The folder of a study: whose it is, and what a run that was cut off leaves in it."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from deis.errors import OutputError
from deis.files import output_folder, write_text
from deis.study.cells import CELLS, Cell
from deis.study.record import versions, write_json
from deis.study.references import STORE

SOURCE: Final = "study.toml"
LIST: Final = "study.json"
_LEFT: Final = re.compile(r"\..+\.[0-9a-f]{16}")  # a file that was being written
_OWN: Final = {
    CELLS: re.compile(r".+-[0-9a-f]{8}\.(json|safetensors)"),
    STORE: re.compile(r"[0-9a-f]{64}\.safetensors"),
}


def claim(folder: Path, text: str, *, force: bool) -> None:
    """Make the folder that of the study in ``text``.

    :param force: remove the results that it holds first, and nothing else.
    :raises OutputError: if it holds results of another study, or cannot be written.
    """
    source = folder / SOURCE
    try:
        held = source.read_bytes().decode(errors="replace") if source.exists() else None
    except OSError as error:
        raise OutputError(f"cannot read {source}: {error.strerror or error}") from error
    if held not in (None, text) and not force:
        raise OutputError(
            f"{folder} holds the results of another study (its {SOURCE} differs); "
            "choose another folder, or use --force to replace them"
        )
    for name in (CELLS, STORE):
        output_folder(folder / name, [])
    for path in [*_files(folder, _LEFT), *(_results(folder) if force else ())]:
        _remove(path)
    write_text(source, text)


def write_list(folder: Path, title: str, cells: Sequence[Cell], references: Sequence[Cell]) -> None:
    """Write the list of the cells, in which nothing depends on the run.

    :raises OutputError: if it cannot be written.
    """
    content = {
        "title": title,
        "command": f"deis study run {SOURCE}",
        "versions": versions(),
        "cells": [{"id": cell.id, "label": cell.title} for cell in cells],
        "references": [{"id": cell.id, "label": cell.title} for cell in references],
    }
    write_json(folder / LIST, content)


def _results(folder: Path) -> Iterator[Path]:
    yield from (path for path in (folder / SOURCE, folder / LIST) if path.is_file())
    for name, pattern in _OWN.items():
        yield from (path for path in (folder / name).iterdir() if pattern.fullmatch(path.name))


def _files(folder: Path, pattern: re.Pattern[str]) -> Iterator[Path]:
    for place in (folder, folder / CELLS, folder / STORE):
        yield from (path for path in place.iterdir() if path.is_file() and pattern.fullmatch(path.name))


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except OSError as error:
        raise OutputError(f"cannot remove {path}: {error.strerror or error}") from error

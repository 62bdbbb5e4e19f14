"""Result files, written whole or not at all."""

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from deis.errors import OutputError


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside ``path`` that takes its place at the end, or is removed after an error.

    :raises OutputError: if it cannot be written.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with whole_file(folder / "a.txt") as file:
    ...     _ = file.write(b"complete")
    >>> [(path.name, path.read_text()) for path in folder.iterdir()]
    [('a.txt', 'complete')]
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as file:
            yield file
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all.

    :raises OutputError: if it cannot be written.
    """
    with whole_file(path) as file:
        file.write(text.encode())


def output_folder(folder: Path, names: Iterable[str], *, force: bool = False) -> None:
    """Make ``folder``, and see to it that the files ``names`` can be written there.

    :param force: whether files of these names may be replaced.
    :raises OutputError: if the folder cannot be made or written to, or holds such files already.
    """
    held = [name for name in names if os.path.lexists(folder / name)]
    if held and not force:
        raise OutputError(f"{folder} already holds {', '.join(held)}; choose another folder, or use --force")
    for name in held:
        if (folder / name).is_dir():
            raise OutputError(f"cannot replace {folder / name}, which is a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe.{secrets.token_hex(8)}"
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise OutputError(f"cannot write to the folder {folder}: {error.strerror or error}") from error

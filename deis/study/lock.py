"""One run at a time in a folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deis.errors import OutputError
from deis.files import output_folder


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make a folder and hold it against other runs; a process that ends, however it does, lets go of it.

    Where the system or the file system has no such locks (Windows, some network drives), nothing is held.

    :raises OutputError: if another run holds the folder, or it cannot be written.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with locked(folder), locked(folder):  # doctest: +ELLIPSIS
    ...     pass
    Traceback (most recent call last):
        ...
    deis.errors.OutputError: another run is at work in ...; wait until it ends, or choose another folder
    """
    output_folder(folder, [])
    try:
        import fcntl
    except ImportError:
        yield
        return
    place = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            rule = "wait until it ends, or choose another folder"
            raise OutputError(f"another run is at work in {folder}; {rule}") from error
        except OSError:
            pass  # no locks here
        yield
    finally:
        os.close(place)

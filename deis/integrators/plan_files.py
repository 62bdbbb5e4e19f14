"""Plans in files: one JSON file, or a folder with one for each budget."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from deis.errors import ArgumentError, OutputError
from deis.files import write_text
from deis.integrators.plan import Plan
from deis.integrators.plan_json import plan_from_json, plan_to_json
from deis.integrators.planned import Planned

_PATTERN: Final = "plan-*.json"
_LARGEST: Final = 64 * 2**20  # bytes; a plan of numbers takes less than a thousandth of it
_FIX: Final = "make plans by save_plans(folder, plans)"


def save_plans(folder: Path | str, plans: Iterable[Plan]) -> None:
    """Write each plan as ``plan-NNN.json``, NNN its number of evaluations, in place of a file of that name.

    :param folder: made if it does not exist.
    :param plans: as :class:`~deis.Planned` takes them.
    :raises ArgumentError: if two have as many evaluations or intervals, or there is none.
    :raises OutputError: if a file cannot be written.

    >>> import tempfile
    >>> from deis import DiagonalODE, make_plan
    >>> ode = DiagonalODE(-1.0, lambda t, x: x.sin())
    >>> folder = Path(tempfile.mkdtemp())
    >>> save_plans(folder, [make_plan(ode, [0.0, 0.5, 1.0], "tab1"), make_plan(ode, [0.0, 1.0], "tab1")])
    >>> sorted(path.name for path in folder.iterdir()), [plan.nfe for plan in load_plans(folder).plans]
    (['plan-001.json', 'plan-002.json'], [1, 2])
    """
    ready = Planned(tuple(plans)).plans  # all checked before the first is written
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror or error}") from error
    for plan in ready:
        write_text(Path(folder) / f"plan-{plan.nfe:03d}.json", plan_to_json(plan))


def load_plans(path: Path | str) -> Planned:
    """The plan of a JSON file, or all of a folder, as an integrator.

    :param path: a file, or a folder with ``plan-*.json`` as :func:`save_plans` writes them.
    :raises ArgumentError: if there is no plan, or one is damaged, which is named.
    """
    place = Path(path)
    files = sorted(place.glob(_PATTERN)) if place.is_dir() else [place]
    if not files:
        raise ArgumentError("plans", f"must be a folder with files {_PATTERN}", str(path), _FIX)
    return Planned(tuple(map(_load, files)))


def _load(path: Path) -> Plan:
    try:
        size = path.stat().st_size
        if size > _LARGEST:
            raise ArgumentError("plans", f"must be files of at most {_LARGEST} bytes", f"{path} of {size}")
        return plan_from_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArgumentError("plans", f"must be a file that can be read ({error.strerror})", str(path), _FIX) from error
    except UnicodeDecodeError as error:
        raise ArgumentError("plans", "must be a file of text", str(path), _FIX) from error
    except ArgumentError as error:
        if error.argument == "plans":
            raise
        raise ArgumentError("plans", f"must be files of sound plans ({error})", str(path), _FIX) from error

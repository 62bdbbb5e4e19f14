"""Plans that ship with the package, tuned for the models of the zoo."""

from pathlib import Path
from typing import Final

from deis.errors import CapabilityError
from deis.integrators.plan_files import load_plans
from deis.integrators.planned import Planned

FOLDER: Final = Path(__file__).with_name("data") / "plans"


def presets(name: str, folder: Path = FOLDER) -> Planned:
    """The plans of the model called ``name``, in the folder of that name.

    :raises CapabilityError: if there are none.
    :raises ArgumentError: if a file is damaged.
    """
    if not (folder / name).is_dir():
        fix = f"make some by deis tune --model {name}, and name the files where an integrator is wanted"
        raise CapabilityError(f"the model {name!r} comes without plans; {fix}")
    return load_plans(folder / name)

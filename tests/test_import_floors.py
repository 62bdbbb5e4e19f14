"""A module imports only from its own floor and lower ones; the leaves only what the design allows."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "deis"
FLOORS = [
    {"errors", "fields", "files", "registry", "text", "version"},
    {"numerics"},
    {"odes"},
    {"grids", "problems"},
    {"integrators"},
    {"checkpointing", "dense_output", "evaluator", "ivp", "loop", "solve"},
    {"analysis"},
]
BELOW_ANALYSIS = set().union(*FLOORS[:-1])
TOP = "the package itself"
LIBRARY = BELOW_ANALYSIS | {"analysis", "diffusion", "tuning", "zoo", "interop", "testing", TOP}

ALLOWED = {unit: set().union(*FLOORS[: floor + 1]) for floor, units in enumerate(FLOORS) for unit in units} | {
    "diffusion": BELOW_ANALYSIS | {"diffusion"},
    "tuning": BELOW_ANALYSIS | {"analysis", "diffusion", "tuning"},
    "zoo": BELOW_ANALYSIS | {"diffusion", "zoo"},
    "interop": LIBRARY - {"zoo"},
    "testing": LIBRARY,
    TOP: LIBRARY,
    "study": LIBRARY | {"study"},
    "cli": LIBRARY | {"study", "cli"},
    "__main__": LIBRARY | {"study", "cli"},
}


def unit_of(module):
    """The part of the package that a dotted name lies in."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ALLOWED else TOP if len(parts) == 1 else f"unlisted {parts[1]}"


def targets(node, module, is_package):
    """Dotted names of this package that an import statement asks for."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names if alias.name.split(".")[0] == "deis"]
    if not isinstance(node, ast.ImportFrom):
        return []
    if node.level:
        parts = module.split(".")
        kept = len(parts) - node.level + is_package
        base = ".".join([*parts[:kept], *([node.module] if node.module else [])])
    else:
        base = node.module or ""
    if base == "deis":  # from deis import grids names a module, from deis import solve may; others are the public names
        return [f"deis.{alias.name}" if alias.name in ALLOWED else "deis" for alias in node.names]
    return [base] if base.split(".")[0] == "deis" else []


def violations(sources):
    """Imports that point up, as 'module: line n imports target', of a table from file paths to source text."""
    found = []
    for path, text in sorted(sources.items()):
        parts = list(Path(path).with_suffix("").parts)
        is_package = parts[-1] == "__init__"
        module = ".".join(parts[:-1] if is_package else parts)
        own = unit_of(module)
        if own not in ALLOWED:
            found.append(f"{module}: {own}; say in this test which floor it is on")
            continue
        for node in ast.walk(ast.parse(text)):
            for target in targets(node, module, is_package):
                if unit_of(target) not in ALLOWED[own]:
                    found.append(f"{module}: line {node.lineno} imports {target}")
    return found


def package_sources():
    return {
        path.relative_to(PACKAGE.parent).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def test_no_module_imports_from_above():
    assert violations(package_sources()) == []


def test_the_check_sees_the_whole_package():
    units = {unit_of(".".join(Path(path).with_suffix("").parts)) for path in package_sources()}
    assert set().union(*FLOORS) - {"analysis"} <= units


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("deis/numerics/phi.py", "from deis.odes.base import SemilinearODE"),
        ("deis/odes/base.py", "import deis.grids"),
        ("deis/odes/base.py", "from deis import grids"),
        ("deis/odes/base.py", "from .. import grids"),
        ("deis/odes/base.py", "from ..solve import solve"),
        ("deis/odes/__init__.py", "from ..grids import TimeGrid"),
        ("deis/grids.py", "from deis.diffusion import VPLinear"),
        ("deis/integrators/plan.py", "def f():\n    from deis.loop import march"),
        ("deis/integrators/plan.py", "if TYPE_CHECKING:\n    from deis.solve import Solution"),
        ("deis/errors.py", "from deis import ArgumentError"),
        ("deis/errors.py", "import torch, deis"),
        ("deis/solve.py", "from deis.analysis import reference"),
        ("deis/analysis/metrics.py", "from deis.diffusion.ode import ProbabilityFlowODE"),
        ("deis/diffusion/ode.py", "from deis.zoo.weights import load"),
        ("deis/diffusion/ode.py", "from deis.analysis import metrics"),
        ("deis/diffusion/ode.py", "from deis.tuning.grid import optimise_grid"),
        ("deis/tuning/grid.py", "from deis.zoo.weights import load"),
        ("deis/zoo/unet.py", "from deis.interop import diffusers"),
        ("deis/interop/diffusers.py", "from deis.zoo import unet"),
        ("deis/interop/diffusers.py", "from deis.study import report"),
        ("deis/study/runner.py", "from deis.cli import main"),
        ("deis/__init__.py", "from deis.study import runner"),
        ("deis/__init__.py", "from .cli import main"),
        ("deis/somewhere/new.py", "import math"),
        ("deis/solve.py", "from deis.somewhere import new"),
    ],
)
def test_an_import_that_points_up_is_found(path, text):
    assert len(violations({path: text})) == 1


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("deis/fields.py", "from deis.errors import ArgumentError"),
        ("deis/odes/constant.py", "from deis.odes.base import SemilinearODE\nfrom .base import Clock"),
        ("deis/odes/__init__.py", "from .base import Clock\nfrom ..numerics import phi"),
        ("deis/solve.py", "from deis.loop import march\nfrom deis import grids\nimport torch.nn"),
        ("deis/diffusion/sampling.py", "from deis.solve import solve"),
        ("deis/zoo/unet.py", "from deis.diffusion.schedules import VPLinear"),
        ("deis/interop/diffusers.py", "from deis.diffusion import convert\nimport diffusers"),
        ("deis/study/runner.py", "from deis import sample\nfrom deis.zoo import unet"),
        ("deis/cli/run.py", "from deis.study import runner"),
        ("deis/solve.py", "'''\n>>> from deis import DiagonalODE\n'''\nimport deistic"),
    ],
)
def test_an_import_that_points_down_is_allowed(path, text):
    assert violations({path: text}) == []


def test_the_mathematics_knows_no_networks():
    for path, text in package_sources().items():
        if path.startswith("deis/numerics/"):
            assert "torch.nn" not in text, path


def test_importing_the_package_loads_no_optional_library():
    optional = {"click", "matplotlib", "sklearn", "diffusers", "k_diffusion", "mpmath", "pytest"}
    code = f"import sys, deis; print(sorted({optional!r} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    )
    assert result.stdout.strip() == "[]"

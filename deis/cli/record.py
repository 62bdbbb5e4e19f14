"""What a result file says about how it came about."""

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from deis.cli.options import Given
from deis.files import write_text
from deis.version import __version__


def options(params: dict[str, Any]) -> dict[str, Any]:
    """Every option as it is written on the command line, given or not."""
    return {name: _plain(value) for name, value in params.items()}


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    return {"deis": __version__, "python": platform.python_version()} | {
        name: version(name) for name in ("torch", "numpy")
    }


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write ``content``, whole or not at all."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, Given):
        return value.text
    return str(value) if isinstance(value, Path) else value

"""What result files say about how they came about."""

import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from deis.files import write_text
from deis.version import __version__


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    return {"deis": __version__, "python": platform.python_version()} | {
        name: version(name) for name in ("torch", "numpy")
    }


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write ``content``, whole or not at all."""
    write_text(path, json.dumps(content, indent=2) + "\n")

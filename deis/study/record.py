"""What result files say about how they came about."""

import hashlib
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


def checksum(content: Mapping[str, Any]) -> str:
    """SHA-256 of what the file of a cell holds but for ``timing`` and the checksum itself: equal for equal results.

    >>> checksum({"nfe": 5, "timing": 1.5, "checksum": "x"}) == checksum({"nfe": 5, "timing": 1.6})
    True
    """
    rest = {key: value for key, value in content.items() if key not in ("checksum", "timing")}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write ``content``, whole or not at all."""
    write_text(path, json.dumps(content, indent=2) + "\n")

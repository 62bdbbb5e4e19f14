"""What a result file says about how it came about."""

from pathlib import Path
from typing import Any

from deis.cli.options import Given


def options(params: dict[str, Any]) -> dict[str, Any]:
    """Every option as it is written on the command line, given or not."""
    return {name: _plain(value) for name, value in params.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Given):
        return value.text
    return str(value) if isinstance(value, Path) else value

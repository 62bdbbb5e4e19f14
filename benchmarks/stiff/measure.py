"""What the parts have in common: seconds, versions, and right-hand sides that stop in time."""

import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import torch

LIBRARIES = ("torch-deis", "torch", "numpy", "scipy")
MALLOC = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")  # whether glibc keeps memory that was freed


def seconds(run: Callable[[], object]) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def least_times(runs: dict[str, Callable[[], object]], repeats: int, warm: int = 1) -> dict[str, float]:
    """Least wall time of each, over repeats that take turns; the first ``warm`` turns do not count.

    What else runs on a machine only ever adds to a time, and not to both sides alike.
    """
    turns = [{name: seconds(run) for name, run in runs.items()} for _ in range(warm + repeats)][warm:]
    return {name: min(turn[name] for turn in turns) for name in runs}


def circumstances() -> dict[str, Any]:
    """Versions, the machine, and how busy it is."""
    return {
        **{name: version(name) for name in LIBRARIES},
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 2),
        **{name: os.environ[name] for name in MALLOC if name in os.environ},
    }


def brief(record: Any) -> Any:
    """The same with four digits of each float."""
    if isinstance(record, float):
        return float(f"{record:.4g}")
    if isinstance(record, dict):
        return {key: brief(value) for key, value in record.items()}
    return [brief(value) for value in record] if isinstance(record, list | tuple) else record


class CutOffError(Exception):
    """The time that a run may take is over."""


class Watched:
    """A right-hand side that counts its calls, and raises :class:`CutOffError` once ``limit`` seconds have passed."""

    def __init__(self, function: Callable[[float, Any], Any], limit: float) -> None:
        self._function = function
        self._end = time.perf_counter() + limit
        self.calls = 0

    def __call__(self, t: float, y: Any) -> Any:
        if time.perf_counter() > self._end:
            raise CutOffError
        self.calls += 1
        return self._function(t, y)

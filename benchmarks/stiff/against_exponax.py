"""A batch of the Kuramoto-Sivashinsky equation beside exponax, which compiles its steps by jax.

exponax runs under an interpreter of its own, which solves when it is asked to, so that the two sides take turns.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

import deis
from benchmarks.stiff import ks
from benchmarks.stiff.measure import least_times
from deis.problems.waves import KuramotoSivashinsky

BATCH: Final = 64
STEPS: Final = 400
PROMISED: Final = 1.5
METHODS: Final = ("etdrk4", "krogstad")
_SCRIPT: Final = Path(__file__).with_name("exponax_side.py")


class UnavailableError(Exception):
    """exponax cannot run."""


def batch_of(problem: KuramotoSivashinsky, count: int) -> Tensor:
    """Coefficients of the initial state, moved along x by a different part of the period for each sample."""
    y = problem.basis.points * (2 * torch.pi / problem.length)
    shifts = torch.arange(count, dtype=torch.float64)[:, None] * (2 * torch.pi / count)
    return problem.basis.to_coefficients((y + shifts).cos() * (1 + (y + shifts).sin()))


class Other:
    """The process of :mod:`exponax_side`, once it has compiled.

    :param folder: where values are exchanged.
    :raises UnavailableError: if it could not start.
    """

    def __init__(self, problem: KuramotoSivashinsky, x0: Tensor, steps: int, python: str, folder: Path) -> None:
        self._end = folder / "end.txt"
        start, errors = folder / "start.txt", folder / "errors.txt"
        np.savetxt(start, problem.values(x0).numpy(), fmt="%.17g")
        numbers = (problem.size, steps, problem.domain[1], start, self._end)
        with errors.open("w") as file:
            try:
                self._process = subprocess.Popen(
                    [python, str(_SCRIPT), *map(str, numbers)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=file,
                    text=True,
                )
            except OSError as error:
                raise UnavailableError(str(error)) from None
        try:
            self.about: dict[str, Any] = json.loads(self._answer())
        except UnavailableError:
            self.end()
            raise UnavailableError((errors.read_text().strip() or "no message").splitlines()[-1]) from None

    def solve(self) -> None:
        """One solve, from asking for it to hearing that it is done."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self._answer()

    def end(self) -> None:
        """Let the process finish."""
        self._process.communicate()

    def values(self) -> Tensor:
        """What it found, after its end."""
        return torch.from_numpy(np.loadtxt(self._end, ndmin=2))

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise UnavailableError("it ended without an answer")
        return line


def measured(
    repeats: int, python: str = sys.executable, size: int = 512, batch: int = BATCH, steps: int = STEPS
) -> dict[str, Any]:
    """Seconds of both sides, which take turns, their ratios, and by how much their results differ."""
    problem = KuramotoSivashinsky(size=size)
    ode, x0, times = problem.ode, batch_of(problem, batch), ks.grid(problem, steps)
    runs: dict[str, Callable[[], object]] = {
        name: lambda name=name: deis.solve(ode, x0, times, name)  # type: ignore[misc]
        for name in METHODS
    }
    record: dict[str, Any] = {"size": size, "batch": batch, "steps": steps, "promised ratio": PROMISED}
    with tempfile.TemporaryDirectory() as folder:
        try:
            other = Other(problem, x0, steps, python, Path(folder))
        except UnavailableError as error:
            return {**record, "seconds": least_times(runs, repeats), "skipped": str(error)}
        spent = least_times({**runs, "exponax": other.solve}, repeats)
        other.end()
        state = problem.basis.to_coefficients(other.values())
    return {
        **record,
        **other.about,
        "seconds": spent,
        "ratios": {name: spent[name] / spent["exponax"] for name in METHODS},
        "difference": ks.difference(problem, state, deis.solve(ode, x0, times, "etdrk4").x),
    }


def lines(record: Mapping[str, Any]) -> list[str]:
    """A short table."""
    spent = ", ".join(f"{name} {value:.3g} s" for name, value in record["seconds"].items())
    found = [f"batch of {record['batch']}, size {record['size']}, {record['steps']} steps: {spent}"]
    if "skipped" in record:
        return [*found, f"exponax could not run: {record['skipped']}"]
    ratios = ", ".join(f"{name} {value:.3g}" for name, value in record["ratios"].items())
    return [
        *found,
        f"ratios {ratios}; compilation {record['compilation']:.3g} s; difference {record['difference']:.1e}",
    ]

"""A batch of the Kuramoto-Sivashinsky equation beside exponax, which compiles its steps by jax."""

import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

import deis
from benchmarks.stiff import ks
from benchmarks.stiff.measure import medians
from deis.problems.waves import KuramotoSivashinsky

BATCH: Final = 64
STEPS: Final = 400
PROMISED: Final = 1.5
METHODS: Final = ("etdrk4", "krogstad")
_SCRIPT: Final = Path(__file__).with_name("exponax_side.py")


def batch_of(problem: KuramotoSivashinsky, count: int) -> Tensor:
    """Coefficients of the initial state, moved along x by a different part of the period for each sample."""
    y = problem.basis.points * (2 * torch.pi / problem.length)
    shifts = torch.arange(count, dtype=torch.float64)[:, None] * (2 * torch.pi / count)
    return problem.basis.to_coefficients((y + shifts).cos() * (1 + (y + shifts).sin()))


def theirs(problem: KuramotoSivashinsky, x0: Tensor, steps: int, repeats: int, python: str) -> dict[str, Any]:
    """What :mod:`exponax_side` measures under another interpreter; or why it could not run."""
    text = io.StringIO()
    np.savetxt(text, problem.values(x0).numpy(), fmt="%.17g")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "values.txt"
        numbers = (problem.size, len(x0), steps, problem.domain[1], repeats)
        command = [python, str(_SCRIPT), *map(str, numbers), str(file)]
        try:
            found = subprocess.run(command, input=text.getvalue(), capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            message = getattr(error, "stderr", "") or str(error)
            return {"skipped": message.strip().splitlines()[-1]}
        values = torch.from_numpy(np.loadtxt(file).reshape(len(x0), -1))
    return {**json.loads(found.stdout.splitlines()[-1]), "state": problem.basis.to_coefficients(values)}


def measured(
    repeats: int, python: str = sys.executable, size: int = 512, batch: int = BATCH, steps: int = STEPS
) -> dict[str, Any]:
    """Seconds of both sides, the ratios, and by how much their results differ."""
    problem = KuramotoSivashinsky(size=size)
    ode, x0, times = problem.ode, batch_of(problem, batch), ks.grid(problem, steps)
    other = theirs(problem, x0, steps, repeats, python)
    spent = medians({name: lambda name=name: deis.solve(ode, x0, times, name) for name in METHODS}, repeats)  # type: ignore[misc]
    record: dict[str, Any] = {"size": size, "batch": batch, "steps": steps, "promised ratio": PROMISED}
    record["deis"] = spent
    state = other.pop("state", None)
    record["exponax"] = other
    if state is not None:
        record["ratios"] = {name: value / other["seconds"] for name, value in spent.items()}
        record["difference"] = ks.difference(problem, state, deis.solve(ode, x0, times, "etdrk4").x)
    return record


def lines(record: Mapping[str, Any]) -> list[str]:
    """A short table."""
    mine = ", ".join(f"{name} {value:.3g} s" for name, value in record["deis"].items())
    found = [f"batch of {record['batch']}, size {record['size']}, {record['steps']} steps: {mine}"]
    other = record["exponax"]
    if "skipped" in other:
        return [*found, f"exponax could not run: {other['skipped']}"]
    ratios = ", ".join(f"{name} {value:.3g}" for name, value in record["ratios"].items())
    spent = f"exponax {other['seconds']:.3g} s after {other['compilation']:.3g} s of compilation"
    return [*found, f"{spent}; ratios {ratios}; difference {record['difference']:.1e}"]

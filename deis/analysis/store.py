"""Solutions kept on disk under a hash of what they depend on."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from deis.errors import OutputError
from deis.files import whole_file
from deis.problems import Problem
from deis.version import __version__

_PROBES = (0.0, 0.37, 1.0)


def fingerprint(problem: Problem, times: Sequence[float], settings: Sequence[str]) -> str:
    """Hash of a problem's content (not its name), the times and the settings: sha256 in hex.

    The ODE is read as a black box: L, G, Psi and N at three times, N at the initial state. Networks that differ give
    other values there; the same network on another machine may round otherwise, which costs a new computation only.

    >>> from deis import Bernoulli
    >>> fingerprint(Bernoulli(), [0.0, 1.0], []) == fingerprint(Bernoulli(2.5), [0.0, 1.0], [])
    False
    """
    digest = hashlib.sha256(json.dumps([__version__, list(times), list(settings)]).encode())
    for tensor in _contents(problem):
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(np.ascontiguousarray(tensor.detach().cpu().resolve_conj().resolve_neg().numpy()).tobytes())
    return digest.hexdigest()


def _contents(problem: Problem) -> Iterable[Tensor]:
    ode, x = problem.ode, problem.initial
    start, end = ode.domain
    t = torch.tensor([start + share * (end - start) for share in _PROBES], dtype=torch.float64)
    yield from (x, ode.linear(t), ode.weight(t), ode.transition(t, t.flip(0)))
    with torch.no_grad():
        for when in t.tolist():
            yield ode.nonlinearity(when, x)


def load(folder: Path, key: str) -> tuple[Tensor, Tensor, int, str] | None:
    """States, the second solution, evaluations and method kept under ``key``; None if there is no sound file."""
    path = folder / f"{key}.safetensors"
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()["reference"])
            states, check = (file.get_tensor(name) for name in ("states", "check"))
        if about["complex"]:
            states, check = torch.view_as_complex(states), torch.view_as_complex(check)
        return states, check, int(about["nfe"]), str(about["method"])
    except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError, RuntimeError):
        return None  # a damaged file is computed anew


def save(folder: Path, key: str, states: Tensor, check: Tensor, nfe: int, method: str) -> None:
    """Keep two solutions under ``key``, whole or not at all.

    :raises OutputError: if the folder or the file cannot be written.
    """
    about = json.dumps({"complex": states.is_complex(), "nfe": nfe, "method": method})
    tensors = {"states": states, "check": check}
    if states.is_complex():
        tensors = {name: torch.view_as_real(value) for name, value in tensors.items()}
    plain = {name: value.cpu().contiguous() for name, value in tensors.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror or error}") from error
    with whole_file(folder / f"{key}.safetensors") as file:
        file.write(safetensors.torch.save(plain, {"reference": about}))

"""How far learning has come, in memory and on disk."""

import hashlib
import json
import math
from pathlib import Path

import attrs
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from deis.files import whole_file
from deis.integrators.plan_json import plan_to_json
from deis.tuning.pairs import Pairs
from deis.tuning.trainable import Trainable
from deis.tuning.training import Training
from deis.version import __version__

_BETAS = (0.9, 0.95)
_TENSORS = ("units", "parameters", "best", "mean", "square")


@attrs.define(eq=False)
class Progress:
    """Parameters with the moments that Adam (arXiv 1412.6980) keeps of them, and the best so far."""

    key: str
    """Hash of all that the results depend on."""
    units: Tensor
    """Of the parameters, shape (size, size)."""
    parameters: Tensor
    best: Tensor
    mean: Tensor
    square: Tensor
    iteration: int = 0
    history: list[tuple[int, float, float]] = attrs.field(factory=list)

    @classmethod
    def begun(cls, trainable: Trainable, pairs: Pairs, apart: Pairs, training: Training, units: Tensor) -> "Progress":
        """The beginning: all parameters are zero."""
        zero = torch.zeros(trainable.size, dtype=torch.float64)
        key = _key(trainable, pairs, apart, training)
        return cls(key, units, zero.clone().requires_grad_(), zero.clone(), zero.clone(), zero.clone())

    @classmethod
    def resumed(
        cls, path: Path | None, trainable: Trainable, pairs: Pairs, apart: Pairs, training: Training
    ) -> "Progress | None":
        """What the file holds, if it is of the same task."""
        return _read(path, _key(trainable, pairs, apart, training), trainable.size) if path is not None else None

    def step(self, rate: float) -> None:
        """One step of Adam along the gradient of the parameters."""
        grad = self.parameters.grad
        assert grad is not None
        self.iteration += 1
        self.mean.lerp_(grad, 1 - _BETAS[0])
        self.square.lerp_(grad.square(), 1 - _BETAS[1])
        mean, square = (
            moment / (1 - beta**self.iteration) for moment, beta in zip((self.mean, self.square), _BETAS, strict=True)
        )
        with torch.no_grad():
            self.parameters -= rate * mean / (square.sqrt() + 1e-8)

    def look(self, learnt: float, apart: float) -> None:
        """Take in how large the errors are, and keep the parameters if they are the best so far."""
        if apart < min([row[2] for row in self.history], default=math.inf):
            self.best = self.parameters.detach().clone()
        self.history.append((self.iteration, learnt, apart))

    def ended(self, iterations: int, patience: int) -> bool:
        """Whether all iterations are made, or the last ``patience`` looks saw nothing better."""
        seen = [row[2] for row in self.history]
        stale = len(seen) > patience and min(seen[-patience:]) >= min(seen[:-patience])
        return stale or self.iteration >= iterations

    def save(self, path: Path | None) -> None:
        """Keep everything, whole or not at all.

        :raises OutputError: if the file cannot be written.
        """
        if path is None:
            return
        tensors = {name: getattr(self, name).detach() for name in _TENSORS}
        about = {"key": self.key, "iteration": self.iteration, "history": self.history}
        with whole_file(path) as file:
            file.write(safetensors.torch.save(tensors, {"progress": json.dumps(about)}))


def _read(path: Path, key: str, size: int) -> Progress | None:
    """What a file holds; None if there is none, if it is damaged, or of another task."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()["progress"])
            # clones, since sums are rounded by where memory begins: what goes on must equal what was never cut off
            tensors = {name: file.get_tensor(name).clone() for name in _TENSORS}
        shapes = {name: (size,) if name != "units" else (size, size) for name in _TENSORS}
        if about["key"] != key or any(t.shape != shapes[n] or t.dtype != torch.float64 for n, t in tensors.items()):
            return None
        history = [(int(n), float(a), float(b)) for n, a, b in about["history"]]
        tensors["parameters"].requires_grad_()
        return Progress(key, **tensors, iteration=int(about["iteration"]), history=history)
    except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError):
        return None


def _key(trainable: Trainable, pairs: Pairs, apart: Pairs, training: Training) -> str:
    """Features, whose names may change from process to process, are known by their values."""
    start = trainable(torch.zeros(trainable.size, dtype=torch.float64)).numbers()
    plain = attrs.evolve(training, features=None)
    about = [__version__, plan_to_json(start), trainable.parts, repr(plain), pairs.seeds, apart.seeds]
    digest = hashlib.sha256(json.dumps(about).encode())
    tensors = [pairs.start, pairs.solution, apart.start, apart.solution]
    if training.features is not None:
        with torch.no_grad():
            tensors += [training.features(batch.start) for batch in apart.split()]
    for tensor in tensors:
        real = torch.view_as_real(tensor) if tensor.is_complex() else tensor
        digest.update(real.numpy(force=True).tobytes())
    return digest.hexdigest()

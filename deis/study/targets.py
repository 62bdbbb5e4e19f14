"""What a study samples or solves, as plain values that make models and problems where they are needed."""

from collections.abc import Sequence
from typing import Any, Final

import attrs
import torch

from deis.diffusion.ode import ProbabilityFlowODE
from deis.fields import one_of
from deis.grids import make_grid
from deis.problems import PROBLEMS, Problem
from deis.study.batches import Request
from deis.study.places import placed
from deis.study.seeds import parse_seeds
from deis.zoo.models import MODELS, Model

_DTYPES: Final = ("float16", "bfloat16", "float32", "float64")


def _model(instance: Any, attribute: Any, value: Any) -> None:
    placed((attribute.name,), lambda: MODELS.create(value))


def _problem(instance: Any, attribute: Any, value: Any) -> None:
    placed((attribute.name,), lambda: PROBLEMS.create(value))


@attrs.frozen
class ModelTarget:
    """A model of the zoo, as ``[[model]]`` describes it.

    :param name: as ``deis list models`` shows it.
    :param label: class of all samples; None for the class that each seed stands for.
    :param guidance: strength of classifier-free guidance; 1 is none.
    :param dtype: precision; None for the model's own.
    :raises MisplacedError: if there is no such model.
    :raises ArgumentError: if the model does not take the label or the guidance.

    >>> ModelTarget("digits-exact", label=3).title
    'digits-exact, label 3'
    """

    name: str = attrs.field(validator=_model)
    label: int | None = None
    guidance: float = 1.0
    dtype: str | None = attrs.field(default=None, validator=one_of(_DTYPES, optional=True))

    def __attrs_post_init__(self) -> None:
        self._ode(self.model, range(1))  # refuses labels and guidance that the model does not take

    @property
    def model(self) -> Model:
        """The model itself."""
        return MODELS.create(self.name)

    @property
    def title(self) -> str:
        """What tells it from other targets."""
        parts = [self.name] if self.label is None else [self.name, f"label {self.label}"]
        parts += [f"guidance {self.guidance:g}"] if self.guidance != 1 else []
        return ", ".join([*parts, self.dtype] if self.dtype else parts)

    def about(self) -> dict[str, Any]:
        """Everything that determines it."""
        own = {"name": self.name, "class": self.label, "guidance": self.guidance, "dtype": self._dtype(self.model)}
        return {"target": self.title, "kind": "model", **own}

    def request(self, seeds: str, grid: str, batch: int) -> Request:
        """Samples of it."""
        model = self.model

        def ode_of(some: Sequence[int]) -> ProbabilityFlowODE:
            return self._ode(model, some)

        dtype = getattr(torch, self._dtype(model))
        return Request(ode_of, model.shape, parse_seeds(seeds), make_grid(grid), batch, dtype, "cpu")

    def classes(self, seeds: str) -> Sequence[int] | None:
        """The class of each sample where the seeds say it."""
        return self.model.labels(parse_seeds(seeds)) if self.label is None else None

    def _dtype(self, model: Model) -> str:
        return self.dtype or str(model.dtype).removeprefix("torch.")

    def _ode(self, model: Model, seeds: Sequence[int]) -> ProbabilityFlowODE:
        return model.ode(model.labels(seeds) if self.label is None else self.label, self.guidance)


@attrs.frozen
class ProblemTarget:
    """A problem with a known or converged solution, as ``[[problem]]`` describes it.

    :param name: as ``deis list problems`` shows it, with options: ``bernoulli:lam=3``.
    :raises MisplacedError: if there is no such problem.
    """

    name: str = attrs.field(validator=_problem)

    @property
    def problem(self) -> Problem:
        """The problem itself."""
        return PROBLEMS.create(self.name)

    @property
    def title(self) -> str:
        """What tells it from other targets."""
        return self.name

    def about(self) -> dict[str, Any]:
        """Everything that determines it."""
        return {"target": self.title, "kind": "problem", "name": self.name}


Target = ModelTarget | ProblemTarget

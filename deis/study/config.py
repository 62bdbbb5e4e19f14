"""What a study is: targets, integrators, grids, budgets, seeds and metrics; all plain values."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from deis.analysis.reference import FIFTH_ORDER
from deis.errors import ArgumentError, DeisError, UnknownNameError
from deis.fields import integer_in, is_integer
from deis.grids import make_grid
from deis.integrators.base import INTEGRATORS, Integrator
from deis.study.measures import METRICS
from deis.study.methods import OWN, method_of
from deis.study.places import MisplacedError, misplaced, placed
from deis.study.seeds import parse_seeds
from deis.study.targets import ModelTarget, ProblemTarget, Target

_MOST: Final = 100_000
_LEAST_REFERENCE: Final = 2 * INTEGRATORS.create(FIFTH_ORDER).nfe(1)  # the second solution has half the evaluations


def _listed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _copied(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def _each(check: Callable[[Any], object]) -> Callable[[Any, Any, Any], None]:
    """Accept lists of different values that ``check`` accepts, and that are not empty."""

    def validate(instance: Any, attribute: Any, value: Any) -> None:
        if not isinstance(value, tuple) or not value:
            raise ArgumentError(attribute.name, "must be a list that is not empty", value)
        for number, one in enumerate(value):
            placed((attribute.name, number), lambda one=one: check(one))  # type: ignore[misc]
            if one in value[:number]:
                raise MisplacedError((attribute.name, number), f"must differ from the others, got {one!r}")

    return validate


def _budget(value: Any) -> None:
    if not is_integer(value) or not 1 <= value <= _MOST:
        raise ArgumentError("budgets", f"must be a whole number from 1 to {_MOST}", value)


def _metric(value: Any) -> None:
    if not isinstance(value, str) or value not in METRICS:
        raise UnknownNameError("metric", value, METRICS)


def _line(instance: Any, attribute: Any, value: Any) -> None:
    if not isinstance(value, str) or not value.strip() or "\n" in value:
        raise ArgumentError(attribute.name, "must be a line of text that is not empty", value)


def _seeds(instance: Any, attribute: Any, value: Any) -> None:
    if not isinstance(value, str):
        raise ArgumentError("seeds", "must be a text", value, 'for example "0-255"')
    parse_seeds(value)


def _options(instance: Any, attribute: Any, value: Any) -> None:
    if not isinstance(value, dict):
        raise ArgumentError("options", "must be a table", value, "for example {corrector = true}")


def _tuple_of(kind: type) -> Callable[[Any, Any, Any], None]:
    def validate(instance: Any, attribute: Any, value: Any) -> None:
        if not isinstance(value, tuple) or not all(isinstance(one, kind) for one in value):
            raise ArgumentError(attribute.name, f"must be a tuple of {kind.__name__} objects", value)

    return validate


_GRIDS: Final = _each(make_grid)


@attrs.frozen
class Method:
    """An integrator with options and grids, as ``[[integrator]]`` describes it.

    :param name: as ``deis list integrators`` shows it, or plans: a ``.json`` file, a folder, or ``zoo/NAME`` for those
        of a model.
    :param options: of a registered integrator.
    :param grids: in place of the study's; plans have none but their own.
    :param label: what results call it; None for its name and options.
    :raises MisplacedError: if there is no such integrator, or it does not take the options.

    >>> method = Method("tab3", {"corrector": True})
    >>> method.title, method.integrator.order
    ('tab3, corrector=True', 3)
    """

    name: str
    options: Mapping[str, Any] = attrs.field(factory=dict, converter=_copied, validator=_options)
    grids: tuple[str, ...] | None = attrs.field(
        default=None, converter=_listed, validator=attrs.validators.optional(_GRIDS)
    )
    label: str | None = attrs.field(default=None, validator=attrs.validators.optional(_line))

    def __attrs_post_init__(self) -> None:
        try:
            _ = self.integrator
        except DeisError as error:
            names = [getattr(error, field, None) for field in ("argument", "kind", "name", "value")]
            guilty = [option for option in self.options if option in names]
            raise misplaced(("options", guilty[0]) if guilty else ("name",), error) from error
        if self.grids and self.integrator.own_grid:
            raise MisplacedError(("grids",), "must be left out with plans, which bring their own times")

    @property
    def integrator(self) -> Integrator:
        """The integrator itself."""
        return method_of(self.name, **self.options)

    @property
    def title(self) -> str:
        """What results call it."""
        return self.label or ", ".join([self.name, *(f"{name}={value}" for name, value in self.options.items())])


@attrs.frozen
class Study:
    """Targets, and what they are sampled or solved with.

    Models are measured by ``metrics``; problems by ``error_max`` and ``error_rms``, the largest and the root mean
    square difference of the state at the end from the solution.

    :param title: of the report.
    :param budgets: numbers of evaluations of N.
    :param seeds: one a sample, as ``0-255`` or ``1,5,9-12``.
    :param grids: one or more grids for every integrator that names none itself.
    :param metrics: names in ``METRICS``.
    :param reference_nfe: evaluations of the reference solutions.
    :param batch: most samples at a time.
    :param model: models to sample.
    :param problem: problems to solve.
    :param integrator: what they are sampled and solved with.
    :raises ArgumentError: if a value breaks its rule.
    :raises MisplacedError: if a part of a value does.

    >>> Study(model=(ModelTarget("digits"),), integrator=(Method("ddim"),)).budgets
    (5, 10, 20)
    """

    title: str = attrs.field(default="Study", validator=_line)
    budgets: tuple[int, ...] = attrs.field(default=(5, 10, 20), converter=_listed, validator=_each(_budget))
    seeds: str = attrs.field(default="0-255", validator=_seeds)
    grids: tuple[str, ...] = attrs.field(default=("t2",), converter=_listed, validator=_GRIDS)
    metrics: tuple[str, ...] = attrs.field(default=("error", "frechet"), converter=_listed, validator=_each(_metric))
    reference_nfe: int = attrs.field(default=240, validator=integer_in(_LEAST_REFERENCE, _MOST))
    batch: int = attrs.field(default=64, validator=integer_in(1, 1_000_000))
    model: tuple[ModelTarget, ...] = attrs.field(default=(), validator=_tuple_of(ModelTarget))
    problem: tuple[ProblemTarget, ...] = attrs.field(default=(), validator=_tuple_of(ProblemTarget))
    integrator: tuple[Method, ...] = attrs.field(default=(), validator=_tuple_of(Method))

    def __attrs_post_init__(self) -> None:
        if not self.model and not self.problem:
            raise MisplacedError((), "must have a [[model]] or a [[problem]]")
        if not self.integrator:
            raise MisplacedError((), "must have an [[integrator]]")
        _differ("model", [[target.title] for target in self.model])
        _differ("problem", [[target.title] for target in self.problem])
        for name_of in (lambda method: repr(method.integrator), lambda method: method.title):
            names = [[f"{name_of(one)} on the grid {grid}" for grid in self.grids_of(one)] for one in self.integrator]
            _differ("integrator", names)
        count = len(parse_seeds(self.seeds))
        for number, name in enumerate(self.metrics if self.model else ()):
            if count < METRICS[name].least:
                rule = f"must have at least {METRICS[name].least} seeds for {name!r}, got {count}"
                raise MisplacedError(("metrics", number), f"{rule}; name more seeds, or leave it out")

    @property
    def targets(self) -> tuple[Target, ...]:
        """Models, then problems."""
        return (*self.model, *self.problem)

    def grids_of(self, method: Method) -> tuple[str, ...]:
        """The grids that an integrator of the study runs on."""
        return (OWN,) if method.integrator.own_grid else method.grids or self.grids


def _differ(key: str, names: Sequence[Sequence[str]]) -> None:
    """Refuse tables of which one repeats a name of another."""
    seen: set[str] = set()
    for number, some in enumerate(names):
        for name in some:
            if name in seen:
                raise MisplacedError((key, number), f"must differ from the others, got {name} again")
        seen |= set(some)

"""``deis list``: what is registered."""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any, Final

import click

from deis import GRIDS, INTEGRATORS, PROBLEMS, SCHEDULES, zoo
from deis.registry import Registry
from deis.text import columns

_OPTIONS: Final = "Options are written after the name:"
_LITERALS: Final = (str, int, float, complex, type(None))


@click.command("list", epilog="\b\nExample:\n  deis list integrators")
@click.argument("kind", type=click.Choice(["integrators", "schedules", "grids", "models", "problems"]), required=False)
def list_(kind: str | None) -> None:
    """List what can be named in other commands.

    Without an argument, everything is listed.
    """
    sections: dict[str, Callable[[], Iterable[str]]] = {
        "integrators": _integrators,
        "schedules": lambda: _plain(SCHEDULES, f"{_OPTIONS} vp-linear:beta_1=30"),
        "grids": lambda: _plain(GRIDS, "t, rho and vp-t take any power: t1.5, rho5, vp-t2.5"),
        "models": lambda: _plain(zoo.MODELS, ""),
        "problems": _problems,
    }
    for name in [kind] if kind else sections:
        lines = [name.upper(), *sections[name]()]
        click.echo("\n".join(lines if kind else [*lines, ""]))


def _integrators() -> Iterator[str]:
    """A table of all integrators, with the families in between."""
    names = sorted(INTEGRATORS, key=_family)
    head, *lines = columns([["name", "order", "NFE/step", "kind", "options"], *map(_row, names)], "lrr")
    yield head
    for _, members in groupby(zip(names, lines, strict=True), key=lambda member: INTEGRATORS[member[0]].cls):
        group = list(members)
        entry = INTEGRATORS[group[0][0]]
        yield f"\n# {entry.summary()}\n# {getattr(entry.cls, 'source', '')}"
        yield from (line for _, line in group)
    yield f"\n{_OPTIONS} tab3:corrector=true, polynomial:predict=x0:clock=lambda:steps=2"


def _family(name: str) -> tuple[int, str]:
    """Integrators of one class side by side, in the order of their registration, and by name within."""
    classes = [INTEGRATORS[other].cls for other in INTEGRATORS]
    return classes.index(INTEGRATORS[name].cls), name


def _row(name: str) -> list[str]:
    method = INTEGRATORS.create(name)
    kind = "stochastic" if method.stochastic else "deterministic"
    return [name, str(method.order), str(method.evaluations_per_step), kind, _options(INTEGRATORS, name)]


def _plain(registry: Registry[Any], footer: str) -> Iterator[str]:
    rows = [[name, _options(registry, name), registry[name].summary()] for name in sorted(registry)]
    yield from columns([["name", "options", "summary"], *rows])
    if footer:
        yield f"\n{footer}"


def _problems() -> Iterator[str]:
    """A table of all problems; the solution of some is known, that of others is converged."""
    rows = []
    for name in sorted(PROBLEMS):
        known = PROBLEMS.create(name).exact(0.0) is not None  # at any time: the domain would take making the ODE
        rows.append([name, "exact" if known else "converged", _options(PROBLEMS, name), PROBLEMS[name].summary()])
    yield from columns([["name", "solution", "options", "summary"], *rows])
    yield f"\n{_OPTIONS} burgers:size=128"


def _options(registry: Registry[Any], name: str) -> str:
    """The options with the values that the name gives them, as they are written on the command line."""
    made = registry.create(name)
    values = {option: getattr(made, option) for option in registry[name].options()}
    return " ".join(f"{option}={_word(value)}" for option, value in values.items() if isinstance(value, _LITERALS))


def _word(value: object) -> str:
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)

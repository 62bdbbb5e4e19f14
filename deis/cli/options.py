"""Options that commands share, and how their text is read."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import attrs
import click
import torch

from deis import (
    INTEGRATORS,
    PROBLEMS,
    ArgumentError,
    BlackBox,
    CapabilityError,
    GridFamily,
    Integrator,
    ProbabilityFlowODE,
    UnknownNameError,
    make_grid,
    zoo,
)
from deis.integrators.base import need_steps
from deis.study import Request
from deis.study.methods import method_of
from deis.study.seeds import parse_seeds

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])

MOST_NFE: Final = 100_000
ALL: Final = "all"
PLANS: Final = "also a plan.json, a ./folder of plans, or zoo/MODEL for those of a model"
_DTYPES: Final = {
    str(d).removeprefix("torch."): d for d in (torch.float32, torch.float64, torch.float16, torch.bfloat16)
}


@attrs.frozen
class Given(Generic[T]):
    """The text of an option, and what it stands for."""

    text: str
    value: T


class Parsed(click.ParamType, Generic[T]):  # type: ignore[type-arg]  # generic since click 8.4
    """An option that a function reads; errors of the library become errors of usage."""

    def __init__(self, name: str, parse: Callable[[str], T]) -> None:
        self.name, self._parse = name, parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Given[T]:
        """Text to the text with its meaning."""
        try:
            return value if isinstance(value, Given) else Given(value, self._parse(value))
        except (ArgumentError, UnknownNameError, CapabilityError) as error:
            self.fail(str(error), param, ctx)


class Folder(click.Path):
    """A folder that has a name: an empty text would stand for the current one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("must name a folder, for example . for the current one", param, ctx)
        return super().convert(value, param, ctx)


def parse_budgets(text: str) -> tuple[int, ...]:
    """Numbers of network calls, without repetition, rising.

    :raises ArgumentError: if the text is malformed, or a number is out of range.
    """
    parts = text.split(",")
    if not all(re.fullmatch(r"\s*[0-9]{1,6}\s*", part) and 1 <= int(part) <= MOST_NFE for part in parts):
        raise ArgumentError("nfe", f"must be whole numbers from 1 to {MOST_NFE}", text, "for example 5,10,20")
    return tuple(sorted({int(part) for part in parts}))


def parse_integrators(text: str) -> dict[str, Integrator]:
    """Integrators by the text that describes each.

    :raises ArgumentError: if one comes twice.
    """
    names = [part.strip() for part in text.split(",")]
    for name in names:
        if names.count(name) > 1:
            raise ArgumentError("integrators", "must name each one once", name)
    return {name: method_of(name) for name in names}


def chosen_integrators(text: str) -> dict[str, Integrator]:
    """The integrators that a list names; ``all`` is every one without noise that can keep a budget."""
    if text != ALL:
        return parse_integrators(text)
    methods = {name: INTEGRATORS.create(name) for name in INTEGRATORS}
    return {name: method for name, method in methods.items() if not (method.stochastic or isinstance(method, BlackBox))}


def parse_device(text: str) -> torch.device:
    """A device that can be used.

    :raises ArgumentError: if there is none of that name here.
    """
    try:
        device = torch.device(text)
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError):
        raise ArgumentError("device", "must be one that this machine has", text, "for example cpu") from None
    return device


INTEGRATOR: Final = Parsed("integrator", method_of)
PROBLEM: Final = Parsed("problem", PROBLEMS.create)
METHODS: Final = Parsed("list", chosen_integrators)
BUDGETS: Final = Parsed("list", parse_budgets)


def sampling_options(
    seeds: str, outdir: str, batch: int, grid: str = "default", label: str = "all; digits takes seed mod 10"
) -> Callable[[Command], Command]:
    """The options that say what is sampled, how, and where the results go.

    ``seeds`` or ``grid`` "" is for a command without such an option.
    """
    options = [
        click.option(
            "--model", type=Parsed("name", zoo.load), default="digits", show_default=True, help="See deis list."
        ),
        click.option("--label", type=int, help=f"Class of all samples.  [default: {label}]"),
        click.option("--guidance", type=float, default=1.0, show_default=True, help="Classifier-free; 1 is none."),
    ]
    if grid:
        kind = Parsed("grid", make_grid)
        options += [click.option("--grid", type=kind, default=grid, show_default=True, help="t, t1.5, rho7 ...")]
    if seeds:
        rows = Parsed("seeds", parse_seeds)
        options += [click.option("--seeds", type=rows, default=seeds, show_default=True, help="One a sample.")]
    options += [
        click.option("--batch", type=click.IntRange(1), default=batch, show_default=True, help="Samples at a time."),
        click.option("--device", type=Parsed("name", parse_device), default="cpu", show_default=True),
        click.option("--dtype", type=click.Choice(list(_DTYPES)), help="[default: the model's own]"),
        click.option("--outdir", type=Folder(path_type=Path), default=outdir, show_default=True),
        click.option("--force", is_flag=True, help="Replace results that exist."),
    ]

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@contextmanager
def usage() -> Iterator[None]:
    """Turn refused arguments into errors of usage, exit code 2."""
    try:
        yield
    except (ArgumentError, UnknownNameError, CapabilityError) as error:
        raise click.UsageError(str(error), click.get_current_context(silent=True)) from error


def ode_by_seed(params: dict[str, Any]) -> Callable[[Sequence[int]], ProbabilityFlowODE]:
    """From seeds to the ODE of their samples, as the shared options describe it."""
    model, label, guidance = params["model"].value, params["label"], params["guidance"]

    def ode_of(seeds: Sequence[int]) -> ProbabilityFlowODE:
        ode: ProbabilityFlowODE = model.ode(model.labels(seeds) if label is None else label, guidance)
        return ode

    with usage():
        ode_of([0])
    return ode_of


def precision(params: dict[str, Any]) -> torch.dtype:
    """The precision that is asked for; None for ``dtype`` becomes the model's."""
    if params["dtype"] is None:
        params["dtype"] = str(params["model"].value.dtype).removeprefix("torch.")
    return _DTYPES[params["dtype"]]


def requested(params: dict[str, Any]) -> Request:
    """The request that the shared options describe; None for ``dtype`` becomes the model's."""
    dtype, ode_of = precision(params), ode_by_seed(params)
    seeds, grid, device = (params[name].value for name in ("seeds", "grid", "device"))
    return Request(ode_of, params["model"].value.shape, seeds, grid, params["batch"], dtype, str(device))


def check_plan(ode: ProbabilityFlowODE, grid: GridFamily, method: Integrator, nfe: int | None) -> None:
    """Make the plan once, before any network call, so that what does not fit is said in time."""
    with usage():
        need_steps(method)
        intervals = 1 if isinstance(method, BlackBox) or nfe is None else method.intervals_for(nfe)
        times = (method.own_grid or grid)(ode, intervals).tensor()
        if not isinstance(method, BlackBox):
            method.plan(ode, times)

"""What the commands that start from data share: their images, their options, and the path through the ODE."""

import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import click
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from deis import BlackBox, Integrator, ProbabilityFlowODE
from deis.cli.options import INTEGRATOR, MOST_NFE, Command, Given, Parsed, check_plan, sampling_options, usage
from deis.cli.record import options
from deis.diffusion.route import deterministic_route
from deis.errors import ArgumentError
from deis.files import whole_file
from deis.grids import GridFamily
from deis.study.batches import ticking
from deis.study.images import mosaic, write_image
from deis.study.record import versions, write_json
from deis.zoo import Model
from deis.zoo.weights import load_images

_WIDTH: Final = 1200
_LARGEST: Final = 8


def read_samples(path: str) -> Tensor:
    """The array ``samples`` of an .npz file, as ``deis sample`` writes it.

    :raises ArgumentError: if there is none, or if it does not hold finite floating point numbers.
    """
    hint = "for example samples.npz of deis sample"
    try:
        with np.load(path, allow_pickle=False) as file:
            x = file["samples"]
    except (OSError, ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
        raise ArgumentError("images", "must be an .npz file with an array 'samples'", path, hint) from None
    if x.dtype not in (np.float32, np.float64) or x.ndim < 1 or not len(x):
        got = f"{x.dtype} of shape {x.shape}"
        raise ArgumentError("images", "must hold float32 or float64 'samples' of shape (B, ...)", got, hint)
    if not np.isfinite(x).all():
        raise ArgumentError("images", "must hold finite 'samples'", path)
    return torch.from_numpy(x)


@attrs.frozen(eq=False)
class Course:
    """How a command goes through the ODE, everything checked before any network call."""

    ode: ProbabilityFlowODE
    method: Integrator
    grid: GridFamily
    nfe: int | None
    batch: int
    device: torch.device

    @property
    def arguments(self) -> dict[str, Any]:
        """What the functions of the library are called with."""
        return {"nfe": self.nfe, "integrator": self.method, "grid": self.grid}

    @contextmanager
    def progress(self, name: str, solves: int) -> Iterator[ProbabilityFlowODE]:
        """The ODE, with a bar that counts the network calls of ``solves``."""
        with tqdm(total=self.nfe and self.nfe * solves, desc=name, unit="call", disable=None, leave=False) as bar:
            yield ticking(self.ode, bar.update)

    def split(self, x: Tensor) -> list[Tensor]:
        """Batches of ``x`` on the device."""
        return [part.to(self.device) for part in torch.split(x, self.batch)]

    def noise_level(self) -> float:
        """sigma at the noisy end."""
        return float(self.ode.marginal(torch.tensor(self.ode.domain[0], dtype=torch.float64))[1])


def data_options(
    name: str, integrator: str, nfe: int, grid: str, batch: int, images: str
) -> Callable[[Command], Command]:
    """The options of a command that goes from data to noise."""
    budget = f"Network calls in each direction.  [default: {nfe}; adaptive methods choose their own]"
    given = [
        click.option("--images", type=Parsed("file", read_samples), help=f"An .npz of samples.  [default: {images}]"),
        click.option("--integrator", type=INTEGRATOR, default=integrator, show_default=True, help="See deis list."),
        click.option("--nfe", type=click.IntRange(1, MOST_NFE), help=budget),
        sampling_options("", f"deis-results/{name}", batch, grid, label="none"),
    ]

    def add(command: Command) -> Command:
        for option in reversed(given):
            command = option(command)
        return command

    return add


def course(params: dict[str, Any], nfe: int) -> Course:
    """The course that the options describe; what was left out of them is filled in."""
    model: Model = params["model"].value
    method = params["integrator"].value
    grid = method.own_grid or params["grid"].value
    if params["dtype"] is None:
        params["dtype"] = str(model.dtype).removeprefix("torch.")
    with usage():
        ode = model.ode(params["label"], params["guidance"])
        params["nfe"] = deterministic_route(ode, params["nfe"], method, grid, nfe).calls
    if not isinstance(method, BlackBox):
        check_plan(ode, grid, method, params["nfe"])
    return Course(ode, method, grid, params["nfe"], params["batch"], params["device"].value)


def chosen_images(params: dict[str, Any], count: int) -> Tensor:
    """The samples of ``--images``, or the first of the model's data set, of the class ``--label`` if it is given."""
    model: Model = params["model"].value
    given: Given[Tensor] | None = params["images"]
    if given is None:
        images, labels = load_images()
        x = images if params["label"] is None else images[labels == params["label"]]
    else:
        x = given.value
    if x.shape[1:] != model.shape:
        rule = f"must hold samples of shape {model.shape}, as the model has them"
        with usage():
            raise ArgumentError("images", rule, tuple(x.shape[1:]))
    return x[:count].to(getattr(torch, params["dtype"]))


def write_arrays(path: Path, **arrays: Tensor) -> None:
    """Write tensors as an .npz file, whole or not at all; half precision becomes float32."""
    plain = {name: (x if x.dtype.itemsize > 2 else x.float()).numpy() for name, x in arrays.items()}
    with whole_file(path) as file:
        np.savez(file, **plain)  # type: ignore[arg-type]  # its stub takes every keyword for allow_pickle


def write_record(path: Path, params: dict[str, Any], way: Course, nfe: int, **results: Any) -> None:
    """Write how the results came about, and those that are given."""
    how = {"options": options(params), "integrator": repr(way.method), "grid": repr(way.grid), "nfe": nfe}
    write_json(path, {**how, **results, "versions": versions()})


def write_rows(path: Path, model: Model, rows: list[Tensor]) -> None:
    """Write states, each (B, *shape), as the rows of one PNG."""
    tiles = torch.stack([model.images(row) for row in rows]).numpy()
    scale = int(np.clip(_WIDTH // (tiles.shape[1] * (tiles.shape[3] + 1)), 1, _LARGEST))
    write_image(path, mosaic(tiles.repeat(scale, axis=2).repeat(scale, axis=3), line=max(1, scale // 4)))

"""``deis interpolate``: images between two images of a model."""

from typing import Any, Final

import click
import torch
from torch import Tensor

from deis import ArgumentError, Interpolation, SampleNoise, decode, encode, slerp
from deis.cli.data import Course, chosen_images, course, data_options, write_arrays, write_record, write_rows
from deis.cli.options import Parsed, usage
from deis.files import output_folder
from deis.study.seeds import parse_seeds

_FILES: Final = ("interpolate.npz", "interpolate.png", "interpolate.json")
_NFE: Final = 50


def _pair(text: str) -> tuple[int, ...]:
    seeds = parse_seeds(text)
    if len(seeds) != 2:
        raise ArgumentError("seeds", "must be two", text, "for example 0,1")
    return seeds


@click.command(
    epilog="\b\nExamples:\n  deis interpolate --model digits --seeds 3,8 --label 3 --count 9 --outdir path\n"
    "  deis interpolate --images deis-results/sample/samples.npz"
)
@click.option("--seeds", type=Parsed("seeds", _pair), help="Two seeds of noise.  [default: 0,1 without --images]")
@click.option("--count", type=click.IntRange(2, 1000), default=9, show_default=True, help="Images, both ends included.")
@data_options("interpolate", "default", _NFE, "default", 64, "none: noise of --seeds is decoded")
def interpolate(**params: Any) -> None:
    """Interpolate between two samples of a model, on the great circle between their latents.

    The latents are the noise of two seeds, or those of the first two samples of --images. Writes samples and latents as
    numbers, an image of the path from left to right, and a record.
    """
    if params["images"] is not None and params["seeds"] is not None:
        raise click.UsageError("--seeds and --images exclude each other; leave one of them out")
    if params["images"] is None:
        params["seeds"] = params["seeds"] or Parsed("seeds", _pair).convert("0,1", None, None)
    way, outdir = course(params, _NFE), params["outdir"]
    ends = _ends(params, way)
    output_folder(outdir, _FILES, force=params["force"])
    path = _path(way, ends, params["count"], encoded=params["images"] is None)
    numbers, image, record = (outdir / name for name in _FILES)
    write_arrays(numbers, samples=path.x, latents=path.latents)
    write_rows(image, params["model"].value, [path.x])
    write_record(record, params, way, path.nfe)
    click.echo(f"{len(path.x)} samples on a path in {path.nfe} network calls: {image}")


def _ends(params: dict[str, Any], way: Course) -> Tensor:
    """Two samples of data, or the latents of two seeds."""
    if params["images"] is None:
        noise = SampleNoise(params["seeds"].value).initial(params["model"].value.shape, torch.float64)
        return (noise * way.noise_level()).to(getattr(torch, params["dtype"]))
    x = chosen_images(params, 2)
    if len(x) < 2:
        with usage():
            raise ArgumentError("images", "must hold two samples", len(x))
    return x


def _path(way: Course, ends: Tensor, count: int, encoded: bool) -> Interpolation:
    solves = len(way.split(ends.new_empty(count))) + (not encoded)
    with way.progress("interpolate", solves) as ode:
        there = None if encoded else encode(ode, ends.to(way.device), **way.arguments)
        ends = ends if there is None else there.x.cpu()
        latents = slerp(ends[:1], ends[1:], torch.linspace(0, 1, count, dtype=torch.float64))[:, 0]
        back = [decode(ode, part, **way.arguments) for part in way.split(latents)]
    nfe = max(part.nfe for part in back) + (there.nfe if there else 0)
    return Interpolation(torch.cat([part.x.cpu() for part in back]), latents, nfe)

"""``deis encode``: latents of images, and what decoding makes of them."""

from typing import Any, Final

import click
import torch
from torch import Tensor

from deis import Reconstruction, reconstruct
from deis.cli.data import Course, chosen_images, course, data_options, write_arrays, write_record, write_rows
from deis.files import output_folder

_FILES: Final = ("latents.npz", "encode.png", "encode.json")
_NFE: Final = 50
_SHOWN: Final = 16


@click.command(epilog="\b\nExample:\n  deis encode --model digits --count 16 --nfe 50 --outdir latents")
@click.option("--count", type=click.IntRange(1), default=16, show_default=True, help="Most images that are taken.")
@data_options("encode", "default", _NFE, "default", 64, "the first of the model's data set")
def encode(**params: Any) -> None:
    """Encode images into latents of a model, and decode them again.

    Writes latents, reconstructions and the error of each as numbers, a record, and an image of the first 16: images
    above, latents (at half contrast) between, reconstructions below.
    """
    way, outdir = course(params, _NFE), params["outdir"]
    x = chosen_images(params, params["count"])
    output_folder(outdir, _FILES, force=params["force"])
    cycle = _cycle(way, x)
    numbers, image, record = (outdir / name for name in _FILES)
    write_arrays(numbers, samples=x, latents=cycle.latents, reconstructions=cycle.x, error=cycle.error)
    rows = [x[:_SHOWN], cycle.latents[:_SHOWN] / (2 * way.noise_level()), cycle.x[:_SHOWN]]
    write_rows(image, params["model"].value, rows)
    write_record(record, params, way, cycle.nfe, error=cycle.error.tolist())
    errors = cycle.error
    click.echo(
        f"{len(x)} images there and back in {cycle.nfe} network calls, error {errors.mean():.2g} on average and "
        f"{errors.max():.2g} at most: {image}"
    )


def _cycle(way: Course, x: Tensor) -> Reconstruction:
    batches = way.split(x)
    with way.progress("encode", 2 * len(batches)) as ode:
        parts = [reconstruct(ode, part, **way.arguments) for part in batches]
    back, latents, error = (torch.cat([getattr(p, name).cpu() for p in parts]) for name in ("x", "latents", "error"))
    return Reconstruction(back, latents, error, max(part.nfe for part in parts))

"""``deis likelihood``: log-densities of images under a model."""

import csv
import io
import re
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import click
import torch
from torch import Tensor

from deis import Likelihood, SampleNoise, log_likelihood
from deis.cli.data import Course, chosen_images, course, data_options, write_record
from deis.cli.options import Parsed, usage
from deis.diffusion.likelihood import DIVERGENCES
from deis.errors import ArgumentError
from deis.files import output_folder, write_text

_FILES: Final = ("likelihood.csv", "likelihood.json")
_NFE: Final = 36
_BIN: Final = "1/8"  # between the 17 grey levels of the digits on [-1, 1]
_WIDEST: Final = 1_000_000
_WIDTH: Final = re.compile(r"[0-9]{1,20}/[0-9]{1,20}|[0-9]{0,20}\.?[0-9]{1,20}(e-?[0-9]{1,2})?")  # no long exponents


def parse_width(text: str) -> float:
    """The distance of grey levels, a number or a fraction.

    :raises ArgumentError: if it is malformed or out of range.

    >>> parse_width("2/256")
    0.0078125
    """
    try:
        width = Fraction(text if _WIDTH.fullmatch(text) else "-1")
    except ZeroDivisionError:
        width = Fraction(-1)
    if not 0 <= width <= _WIDEST:
        raise ArgumentError("bin-width", f"must be a number from 0 to {_WIDEST}", text, "for example 1/8")
    return float(width)


@click.command(
    epilog="\b\nExamples:\n  deis likelihood --model digits --count 64 --divergence hutchinson --outdir bits\n"
    "  deis likelihood --images deis-results/sample/samples.npz --bin-width 0"
)
@click.option("--count", type=click.IntRange(1), default=16, show_default=True, help="Most images that are taken.")
@click.option(
    "--divergence",
    type=click.Choice(DIVERGENCES),
    default="exact",
    show_default=True,
    help="One reverse pass a dimension, or one a probe.",
)
@click.option("--probes", type=click.IntRange(1), help="Random signs of hutchinson.  [default: 1]")
@click.option(
    "--bin-width",
    type=Parsed("number", parse_width),
    default=_BIN,
    show_default=True,
    help="Distance of grey levels, which noise fills up; 0 for continuous data.",
)
@data_options("likelihood", "rhork-kutta3:clock=vp_t", _NFE, "vp-t2", 64, "the first of the model's data set")
def likelihood(**params: Any) -> None:
    """Compute the log-density of images under a model.

    Grey levels are spread over their bins by uniform noise, so that the mean of bits per dimension bounds the code
    length of the discrete images. Writes nats and bits per dimension of each image as a table, and a record.
    """
    if params["divergence"] == "exact" and params["probes"] is not None:
        raise click.UsageError("--probes belongs to --divergence hutchinson; leave it out")
    params["probes"] = params["probes"] or 1
    way, outdir = course(params, _NFE), params["outdir"]
    if params["dtype"] not in ("float32", "float64"):
        with usage():
            raise ArgumentError("dtype", "must be float32 or float64 for likelihoods", params["dtype"])
    width = params["bin_width"].value
    x = chosen_images(params, params["count"])
    output_folder(outdir, _FILES, force=params["force"])
    result = _measure(way, spread(x, width), params["divergence"], params["probes"])
    bits = result.bits_per_dim(width or 1.0)
    _write(outdir, params, way, result, bits)
    click.echo(
        f"{len(x)} images in {result.nfe} network calls each: "
        f"{_summary(result.log_density)} nats, {_summary(bits)} bits per dimension: {outdir / _FILES[0]}"
    )


def spread(x: Tensor, width: float) -> Tensor:
    """Data in bins of ``width`` made continuous by uniform noise, which depends on the number of the sample only."""
    noise = SampleNoise(range(len(x))).initial(tuple(x.shape[1:]), torch.float64)
    uniform: Tensor = torch.special.ndtr(noise) - 0.5
    return (x.double() + width * uniform).to(x.dtype)


def _measure(way: Course, x: Tensor, divergence: str, probes: int) -> Likelihood:
    batches, first, parts = way.split(x), 0, []
    with way.progress("likelihood", len(batches)) as ode:
        for part in batches:
            seeds = range(first, first + len(part))
            parts.append(log_likelihood(ode, part, divergence=divergence, probes=probes, seeds=seeds, **way.arguments))
            first += len(part)
    density, latents = (torch.cat([getattr(p, name).cpu() for p in parts]) for name in ("log_density", "latents"))
    return Likelihood(density, latents, max(part.nfe for part in parts))


def _summary(values: Tensor) -> str:
    """Mean and its standard error."""
    error = f" +- {values.std() / len(values) ** 0.5:.2g}" if len(values) > 1 else ""
    return f"{values.mean():.4g}{error}"


def _write(outdir: Path, params: dict[str, Any], way: Course, result: Likelihood, bits: Tensor) -> None:
    table, record = (outdir / name for name in _FILES)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "nats", "bits_per_dim"])
    writer.writerows(zip(range(len(bits)), result.log_density.tolist(), bits.tolist(), strict=True))
    write_text(table, text.getvalue())
    columns = {"nats": result.log_density, "bits_per_dim": bits}
    results = {name: {"mean": float(values.mean()), "each": values.tolist()} for name, values in columns.items()}
    write_record(record, params, way, result.nfe, **results)

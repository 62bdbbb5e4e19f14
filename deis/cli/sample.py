"""``deis sample``: images of a model."""

from pathlib import Path
from typing import Any, Final

import click
import numpy as np
from tqdm import tqdm

from deis import BlackBox, Denoised, Integrator
from deis.cli.options import INTEGRATOR, MOST_NFE, PLANS, Given, check_plan, requested, sampling_options, usage
from deis.cli.record import options
from deis.files import output_folder, whole_file
from deis.integrators.base import usual_nfe
from deis.study import Drawn, Request, draw, watched
from deis.study.images import image_grid, write_image
from deis.study.record import versions, write_json
from deis.zoo import Model

_FILES: Final = ("samples.npz", "samples.png", "sample.json")
_NFE: Final = 10
_SHOWN: Final = 1024


@click.command(
    epilog="\b\nExample:\n  deis sample --integrator tab3:corrector=true --nfe 8 --grid t1.5 --seeds 0-15 --outdir out"
)
@click.option(
    "--integrator", type=INTEGRATOR, default="default", show_default=True, help=f"See deis list integrators; {PLANS}."
)
@click.option(
    "--nfe",
    type=click.IntRange(1, MOST_NFE),
    help=f"Network calls.  [default: {_NFE}, or those of a plan; dopri5 chooses its own]",
)
@click.option("--denoise", is_flag=True, help="Let the last call replace the end by the prediction of the data there.")
@sampling_options(seeds="0-63", outdir="deis-results/sample", batch=64)
def sample(**params: Any) -> None:
    """Draw samples of a model.

    Writes an image of the first 1024, the numbers of all, and a record of how they came about.
    """
    method, outdir = params["integrator"].value, params["outdir"]
    if isinstance(method, BlackBox) and params["nfe"] is not None:
        raise click.BadOptionUsage("nfe", f"{method!r} chooses its own steps; leave --nfe out and set its tolerances")
    if params["denoise"]:
        with usage():
            method = Denoised(method)
    if method.own_grid and params["grid"].text != "default":
        raise click.BadOptionUsage("grid", f"{method!r} brings its own times; leave --grid out")
    params["nfe"] = params["nfe"] or usual_nfe(method, _NFE)
    request = requested(params)
    check_plan(request.ode, request.grid, method, params["nfe"])
    output_folder(outdir, _FILES, force=params["force"])
    total = params["nfe"] * request.batches if params["nfe"] else None
    with tqdm(total=total, desc="sample", unit="call", disable=None, leave=False) as bar:
        drawn = draw(watched(request, bar.update), method, params["nfe"])
    _write(outdir, params, method, request, drawn)
    click.echo(
        f"{len(drawn.x)} samples with {drawn.nfe} network calls each in {drawn.seconds:.1f} s: {outdir / _FILES[1]}"
    )


def _write(outdir: Path, params: dict[str, Any], method: Integrator, request: Request, drawn: Drawn) -> None:
    model: Given[Model] = params["model"]
    numbers, image, record = (outdir / name for name in _FILES)
    x = drawn.x if drawn.x.dtype.itemsize > 2 else drawn.x.float()  # numpy has no bfloat16
    with whole_file(numbers) as file:
        np.savez(file, samples=x.numpy(), seeds=np.array(request.seeds, dtype=np.int64))
    write_image(image, image_grid(model.value.images(drawn.x[:_SHOWN]).numpy()))
    write_json(
        record,
        {
            "options": options(params),
            "integrator": repr(method),
            "grid": repr(method.own_grid or request.grid),
            "nfe": drawn.nfe,
            "seconds": drawn.seconds,
            "seconds_in_network": drawn.seconds_in_network,
            "versions": versions(),
        },
    )

"""Does the closed form of Gaussian data for the first part of the way save network calls, on the exact digits mixture?

    python benchmarks/gaussian_start.py [--samples 256]

Every sampler at the same number of calls, from the same noise, without the start and with it, on the method's grid from
``until`` on; geometric mean of the per-sample RMSE against a solve with 400 steps of fourth order. The mean and the
covariance are those of the data, which a user would estimate from a training set.
"""

import argparse
import json
import pathlib

import torch
from torch import Tensor
from tqdm import tqdm

import deis

BUDGETS = (5, 8, 10)
BLUR = 0.1  # of the mixture's components
UNTIL = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
SAMPLERS = (
    ("ddim", "t2"),
    ("tab3", "t2"),
    ("dpmpp-2m", "log"),
    ("unipc-3", "log"),
    ("polynomial:predict=x0:clock=t:steps=4:corrector=true", "t3"),
)
RESULTS = pathlib.Path(__file__).parent / "results" / "gaussian_start.json"


def geometric(x: Tensor, exact: Tensor) -> float:
    """Geometric mean of the per-sample RMSE."""
    return float((x - exact).flatten(1).square().mean(1).sqrt().log().mean().exp())


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=256)
    seeds = range(parser.parse_args().samples)
    model = deis.zoo.load("digits-exact")
    ode = model.ode()
    images = deis.zoo.load_images()[0].double()
    data = deis.GaussianStart.of(images, until=1.0)
    covariance = data.covariance + BLUR**2 * torch.eye(images[0].numel(), dtype=torch.float64)
    fine = deis.PolynomialEIAB(steps=4, start="runge-kutta")
    starts = {until: deis.GaussianStart(data.mean, covariance, until) for until in UNTIL}
    common = {"grid": "t2", "dtype": torch.float64}
    exact = deis.sample(ode, model.shape, seeds, nfe=fine.nfe(400), integrator=fine, **common).x
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, grid in tqdm(SAMPLERS, unit="sampler"):
        for nfe in BUDGETS:
            row = found.setdefault(f"{name}, {grid}", {}).setdefault(str(nfe), {})
            for until, start in [("none", None), *starts.items()]:
                options = {"nfe": nfe, "integrator": name, "grid": grid, "start": start, "dtype": torch.float64}
                row[str(until)] = geometric(deis.sample(ode, model.shape, seeds, **options).x, exact)
            tqdm.write(f"{name}, {grid}, {nfe}: " + " ".join(f"{key} {value:.4f}" for key, value in row.items()))
    RESULTS.write_text(json.dumps({"samples": len(seeds), "geometric_rmse": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()

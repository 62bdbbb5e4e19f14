"""RMSE and geometric-mean error of the papers' samplers on the exact digits mixture, with their spread over seeds.

    python benchmarks/digits_table.py [--samples 2048]

Every sampler starts from the same noise; errors are against a solve with 800 steps of the fourth order member, whose
distance from an independent solve (rho Runge-Kutta 4, 400 steps) is printed and saved as the reference's uncertainty.
"""

import argparse
import json
import pathlib

import torch
from torch import Tensor
from tqdm import tqdm

import deis

BATCH = 256
BUDGETS = (5, 8, 10, 15, 20, 50)
SAMPLERS = (
    ("ddim", "t2"),
    ("tab1", "t2"),
    ("tab3", "t2"),
    ("rhoab3", "t2"),
    ("rhork-kutta3", "t2"),
    ("ipndm", "t"),
    ("polynomial:predict=x0:clock=t:steps=4:corrector=true", "t3"),
)
RESULTS = pathlib.Path(__file__).parent / "results" / "digits_table.json"


def errors(ode: deis.ProbabilityFlowODE, x0: Tensor, reference: Tensor) -> dict[str, dict[int, Tensor]]:
    """Per-sample RMSE of every sampler at every budget, one batch."""
    table: dict[str, dict[int, Tensor]] = {}
    for name, grid in SAMPLERS:
        integrator = deis.INTEGRATORS.create(name)
        for nfe in BUDGETS:
            times = deis.make_grid(grid)(ode, integrator.most_intervals(nfe))
            x = deis.solve(ode, x0, times, integrator).x
            table.setdefault(f"{name}, {grid}", {})[nfe] = (x - reference).flatten(1).square().mean(1).sqrt()
    return table


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=2048)
    samples = parser.parse_args().samples
    ode = deis.zoo.load("digits-exact").ode()
    fine = deis.PolynomialEIAB(steps=4, start="runge-kutta")
    batches, gap = [], 0.0
    for first in tqdm(range(0, samples, BATCH), unit="batch"):
        x0 = deis.SampleNoise(range(first, first + BATCH)).initial((1, 8, 8), torch.float64)
        reference = deis.solve(ode, x0, deis.make_grid("t2")(ode, 800), fine).x
        check = deis.solve(ode, x0, deis.make_grid("t2")(ode, 400), deis.RhoRungeKutta("rk4")).x
        gap = max(gap, float((reference - check).abs().max()))
        batches.append(errors(ode, x0, reference))
    result: dict[str, object] = {"samples": samples, "batch": BATCH, "reference_uncertainty_max": gap}
    for sampler in batches[0]:
        for nfe in BUDGETS:
            rmse = torch.stack([batch[sampler][nfe].square().mean().sqrt() for batch in batches])
            geometric = torch.stack([batch[sampler][nfe].log().mean().exp() for batch in batches])
            result[f"{sampler}, {nfe}"] = {
                "rmse": float(rmse.square().mean().sqrt()),
                "rmse_lowest_of_batches": float(rmse.min()),
                "rmse_highest_of_batches": float(rmse.max()),
                "geometric_mean": float(geometric.log().mean().exp()),
                "geometric_mean_lowest_of_batches": float(geometric.min()),
                "geometric_mean_highest_of_batches": float(geometric.max()),
            }
            print(sampler, nfe, " ".join(f"{v:.4f}" for v in result[f"{sampler}, {nfe}"].values()))  # type: ignore[attr-defined]
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

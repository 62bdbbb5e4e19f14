"""Likelihood of Gaussian data against its closed form, and encode-decode cycle errors against network calls.

    python benchmarks/uses.py

The likelihood is judged by the mean over 256 samples of N(m, std^2 I), m of size 0.3, in 64 dimensions: its difference
from the exact value in bits per dimension at 36 network calls. The cycle error is the geometric mean over samples of
the exact digits mixture of the RMSE between data and decoded latents, with the order between one number of
calls and the next.
"""

import json
import math
import pathlib
from itertools import pairwise

import torch
from tqdm import tqdm

import deis

RESULTS = pathlib.Path(__file__).parent / "results" / "uses.json"
SPREADS = (0.1, 0.3, 0.5, 0.8, 1.0, 1.2, 1.5, 2.0)
METHODS = (
    ("rhork-kutta3", "vp-t2"),
    ("rhork-kutta3:clock=vp_t", "vp-t2"),
    ("tab3", "vp-t2"),
    ("ddim", "vp-t2"),
)
CYCLES = ("ddim", "tab1", "tab3", "tab3:start=runge-kutta", "rhork-kutta3")
CALLS = (20, 40, 80, 160)


def likelihood_error(std: float, integrator: str, grid: str) -> float:
    """Mean difference from the exact value in bits per dimension."""
    generator = torch.Generator().manual_seed(0)
    mean = 0.3 * torch.randn(1, 64, generator=generator, dtype=torch.float64)
    ode = deis.GaussianMixture(mean, std).ode(deis.VPLinear())
    alpha, sigma = (float(level) for level in ode.marginal(torch.tensor(ode.domain[1], dtype=torch.float64)))
    variance = (alpha * std) ** 2 + sigma**2
    x = alpha * mean + math.sqrt(variance) * torch.randn(256, 64, generator=generator, dtype=torch.float64)
    squares = (x - alpha * mean).square().mean(1)
    exact = (squares / variance + math.log(2 * math.pi * variance)) / (2 * math.log(2))
    found = deis.log_likelihood(ode, x, nfe=36, integrator=integrator, grid=grid).bits_per_dim()
    return float((found - exact).mean())


def cycle_errors(integrator: str) -> dict[int, float]:
    """Typical cycle error by network calls in one direction."""
    ode = deis.zoo.load("digits-exact").ode()
    x = deis.sample(ode, (1, 8, 8), range(64), nfe=100, integrator="tab3", grid="t2", dtype=torch.float64).x
    method = deis.INTEGRATORS.create(integrator)
    errors = {}
    for budget in CALLS:
        times = deis.make_grid("t2")(ode, method.most_intervals(budget))
        cycle = deis.reconstruct(ode, x, integrator=integrator, grid=times)
        errors[cycle.nfe // 2] = float(cycle.error.log().mean().exp())
    return errors


def main() -> None:
    """Measure, print and save."""
    result: dict[str, object] = {"dimensions": 64, "samples": 256, "nfe": 36, "likelihood": {}, "cycle": {}}
    likelihood: dict[str, dict[str, float]] = {}
    for integrator, grid in tqdm(METHODS, desc="likelihood", disable=None):
        name = f"{integrator}, {grid}"
        likelihood[name] = {str(std): likelihood_error(std, integrator, grid) for std in SPREADS}
        print(name, " ".join(f"{std}: {error:.1e}" for std, error in likelihood[name].items()))
    cycle: dict[str, dict[str, object]] = {}
    for integrator in tqdm(CYCLES, desc="cycle", disable=None):
        errors = cycle_errors(integrator)
        orders = [math.log(errors[a] / errors[b]) / math.log(b / a) for a, b in pairwise(errors)]
        cycle[integrator] = {"errors": errors, "orders": orders}
        print(integrator, " ".join(f"{nfe}: {error:.1e}" for nfe, error in errors.items()), orders)
    result |= {"likelihood": likelihood, "cycle": cycle}
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

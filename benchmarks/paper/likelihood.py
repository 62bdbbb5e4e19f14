"""Bits per dimension of held-out images by network calls: adaptive RK45 against rho3Kutta and tAB3.

Images are dequantised uniformly; the divergence is estimated by one random probe an image, the same for all solvers, so
that they solve the same equation.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor
from tqdm import tqdm

from benchmarks.paper.experiment import Experiment, Found, Table, main
from benchmarks.paper.plots import Panel, by_calls, curves
from benchmarks.paper.samples import held_out
from deis import INTEGRATORS, Integrator, ProbabilityFlowODE, TimeGrid, make_grid, solve, zoo
from deis.odes.divergence import DivergenceODE
from deis.text import number

LEVELS = 16
"""Grey levels of the digits are 0 to 16, on [-1, 1]."""

ADAPTIVE = {
    "DOPRI5": ["raw", "v"],  # the plain ODE: on a variance-preserving schedule the v splitting has no linear part
    "DOPRI5 in rho": ["rho", "eps"],
}
METHODS = {
    "rho3Kutta": ["rhork-kutta3", "eps"],
    "Kutta in t": ["rhork-kutta3:clock=t", "v"],
    "tAB3": ["tab3", "eps"],
}


def measure(
    images: int,
    budgets: Sequence[int],
    tolerances: Sequence[float],
    methods: Mapping[str, Sequence[str]],
    converged: int,
    grid: str,
) -> dict[str, Any]:
    """Mean bits per dimension, and the root mean square over the images of the difference to the converged ones.

    :param methods: by name, an integrator and the splitting that it runs on.
    """
    data, labels = held_out(images)
    random = torch.Generator().manual_seed(0)
    x = data + (torch.rand(data.shape, generator=random) - 0.5) * (2 / LEVELS)
    probes = torch.randn(1, *data.shape, generator=random).sign()
    ode = zoo.load("digits").ode(labels)

    def bits(text: str, splitting: str, budget: int | None) -> tuple[Tensor, int]:
        method = INTEGRATORS.create(text)
        times = make_grid(grid)(ode, 1 if budget is None else method.intervals_for(budget)).reversed()
        log_p, nfe = log_density(ode.split(splitting), x, times, method, probes)
        return -log_p / (x[0].numel() * math.log(2)) - math.log2(2 / LEVELS), nfe

    truth, half = (bits("rhork-rk4", "eps", nfe)[0] for nfe in (converged, converged // 2))
    runs = [*_adaptive(tolerances), *_budgeted(methods, budgets)]
    rows = []
    for name, tolerance, *choice in tqdm(runs, unit="run", leave=False, disable=None):
        own, nfe = bits(*choice)
        error = float((own - truth).square().mean().sqrt())
        rows.append(
            {"integrator": name, "tolerance": tolerance, "nfe": nfe, "bits_per_dim": float(own.mean()), "error": error}
        )
    return {
        "rows": rows,
        "converged": float(truth.mean()),
        "standard_error": float(truth.std()) / images**0.5,
        "uncertainty": float((truth - half).square().mean().sqrt()),
    }


Run = tuple[str, float | None, str, str, int | None]
"""Name, tolerance, integrator, splitting, budget."""


def _adaptive(tolerances: Sequence[float]) -> list[Run]:
    return [
        (name, tolerance, f"dopri5:rtol={tolerance}:atol={tolerance}:form={form}", splitting, None)
        for name, (form, splitting) in ADAPTIVE.items()
        for tolerance in tolerances
    ]


def _budgeted(methods: Mapping[str, Sequence[str]], budgets: Sequence[int]) -> list[Run]:
    return [(name, None, text, splitting, budget) for name, (text, splitting) in methods.items() for budget in budgets]


def log_density(
    ode: ProbabilityFlowODE, x: Tensor, times: TimeGrid, integrator: Integrator, probes: Tensor | None
) -> tuple[Tensor, int]:
    """log p at the first of ``times``, shape (B,), and the network calls, as ``deis.diffusion.likelihood`` has it.

    Here the splitting is the caller's: rhoRK-DEIS runs on eps.
    """
    augmented = DivergenceODE(ode, x.shape[1:], times.times[0], probes)
    solution = solve(augmented, augmented.join(x), times, integrator)
    latents, integral = augmented.parts(solution.x, times.times[-1])
    _, sigma = ode.marginal(times.tensor()[-1])
    flat = latents.double().flatten(1) / sigma
    normal = -(flat**2).sum(1) / 2 - flat.shape[1] * (math.log(2 * math.pi) / 2 + sigma.log())
    return normal + integral, solution.nfe


def figure(found: Found) -> Figure:
    """Error against network calls."""
    return curves([Panel("", by_calls(found["rows"], "error"), "error in bits per dimension (RMS)")])


def tables(found: Found) -> Mapping[str, Table]:
    """A row a run; then the converged value."""
    rows = [
        [
            row["integrator"],
            number(row["tolerance"]),
            str(row["nfe"]),
            f"{row['bits_per_dim']:.4f}",
            number(row["error"]),
        ]
        for row in found["rows"]
    ]
    converged = [f"{found['converged']:.4f}", number(found["standard_error"]), number(found["uncertainty"])]
    return {
        "runs": [["method", "tolerance", "calls", "bits per dimension", "error (RMS)"], *rows],
        "converged": [["converged", "standard error over images", "uncertainty (RMS)"], converged],
    }


EXPERIMENT = Experiment(
    __doc__,
    options={
        "images": 60,
        "budgets": [9, 18, 36, 72],
        "tolerances": [1e-2, 1e-3, 1e-4],
        "methods": METHODS,
        "converged": 480,
        "grid": "t2",
    },
    quick={"images": 4, "budgets": [9], "tolerances": [1e-1], "converged": 16},
    measure=measure,
    figure=figure,
    tables=tables,
)

if __name__ == "__main__":
    main(EXPERIMENT, __file__)

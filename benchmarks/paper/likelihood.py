"""Bits per dimension of held-out images by network calls: adaptive RK45 against rho3Kutta and tAB3.

Images are dequantised uniformly; the divergence is estimated by one random probe an image, the same for all solvers, so
that they solve the same equation.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor
from tqdm import tqdm

from benchmarks.paper.experiment import Experiment, Found, Table, main
from benchmarks.paper.plots import Panel, by_calls, curves
from benchmarks.paper.samples import held_out
from deis import zoo
from deis.diffusion.likelihood import log_likelihood
from deis.text import number

LEVELS = 16
"""Grey levels of the digits are 0 to 16, on [-1, 1]."""

METHODS = {"rho3Kutta": "rhork-kutta3", "tAB3": "tab3"}


def measure(
    images: int, budgets: Sequence[int], tolerances: Sequence[float], methods: Mapping[str, str], converged: int
) -> dict[str, Any]:
    """Mean bits per dimension, and the root mean square over the images of the difference to the converged ones."""
    data, labels = held_out(images)
    uniform = torch.rand(data.shape, generator=torch.Generator().manual_seed(0))
    x = data + (uniform - 0.5) * (2 / LEVELS)
    ode = zoo.load("digits").ode(labels)

    def bits(integrator: str, nfe: int | None) -> tuple[Tensor, int]:
        found = log_likelihood(
            ode, x, nfe=nfe, integrator=integrator, grid="t2", divergence="hutchinson", seeds=range(images)
        )
        return found.bits_per_dim(2 / LEVELS), found.nfe

    truth, half = (bits("rhork-rk4", nfe)[0] for nfe in (converged, converged // 2))
    runs: list[tuple[str, str, int | None, float | None]] = [
        (f"DOPRI5{title}", f"dopri5:rtol={tolerance}:atol={tolerance}:form={form}", None, tolerance)
        for form, title in {"raw": "", "rho": " in rho"}.items()
        for tolerance in tolerances
    ]
    runs += [(name, text, budget, None) for name, text in methods.items() for budget in budgets]
    rows = []
    for name, text, budget, tolerance in tqdm(runs, unit="run", leave=False, disable=None):
        own, nfe = bits(text, budget)
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
        "converged": 240,
    },
    quick={"images": 4, "budgets": [9], "tolerances": [1e-1], "converged": 16},
    measure=measure,
    figure=figure,
    tables=tables,
)

if __name__ == "__main__":
    main(EXPERIMENT, __file__)

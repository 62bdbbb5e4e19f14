"""Samples between two x_T, on the great circle and on the straight line (fig. 6 of the DDIM paper)."""

from collections.abc import Mapping
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks.paper.experiment import Experiment, Found, Table, main
from benchmarks.paper.plots import as_text, images
from benchmarks.paper.samples import probabilities
from deis import SampleNoise, zoo
from deis.diffusion.inversion import decode, slerp
from deis.text import number
from deis.zoo.weights import load_images

SHOWN = 4
MODEL = zoo.load("digits")


def measure(pairs: int, points: int, nfe: int, integrator: str, grid: str) -> dict[str, Any]:
    """Images on the paths, and how real those in the middle are; without a label."""
    noise = SampleNoise(range(2 * pairs)).initial(MODEL.shape, torch.float64)
    a, b = noise[:pairs], noise[pairs:]
    fractions = torch.linspace(0, 1, points, dtype=torch.float64)
    share = fractions.reshape(-1, 1, 1, 1, 1)
    paths = {"slerp of x_T": slerp(a, b, fractions), "line between x_T": (1 - share) * a + share * b}
    decoded = {name: _decoded(path, nfe, integrator, grid) for name, path in paths.items()}
    ends = decoded["slerp of x_T"]
    decoded["line between pixels"] = (1 - share) * ends[:1] + share * ends[-1:]
    middle = points // 2
    rows = {name: _quality(path[middle]) for name, path in decoded.items()}
    rows["ends"] = _quality(torch.cat([ends[0], ends[-1]]))
    shown = {f"slerp, pair {i + 1}": as_text(MODEL.images(ends[:, i])) for i in range(SHOWN)}
    shown |= {f"{name}, pair 1": as_text(MODEL.images(decoded[name][:, 0])) for name in list(decoded)[1:]}
    return {"rows": rows, "images": shown}


def _decoded(path: Tensor, nfe: int, integrator: str, grid: str) -> Tensor:
    """Samples of a path of x_T, shape (points, pairs, 1, 8, 8)."""
    decoded = [decode(MODEL.ode(), x, nfe=nfe, integrator=integrator, grid=grid).x for x in path]
    return torch.stack(decoded)


def _quality(x: Tensor) -> dict[str, float]:
    """Mean distance (RMSE) to the nearest image of the data, and the mean of the classifier's largest probability."""
    data, _ = load_images()
    nearest = torch.cdist(x.flatten(1).double(), data.flatten(1).double()).amin(1) / x[0].numel() ** 0.5
    return {"nearest": float(nearest.mean()), "confidence": float(probabilities(x).amax(1).double().mean())}


def figure(found: Found) -> Figure:
    """A row a path."""
    return images(found["images"])


def tables(found: Found) -> Mapping[str, Table]:
    """Quality in the middle of the paths, and at their ends."""
    rows = [[name, number(row["nearest"]), number(row["confidence"])] for name, row in found["rows"].items()]
    return {"middle": [["images", "RMSE to the nearest image", "largest class probability"], *rows]}


EXPERIMENT = Experiment(
    __doc__,
    options={"pairs": 60, "points": 11, "nfe": 50, "integrator": "ddim", "grid": "t2"},
    quick={"pairs": SHOWN, "points": 3, "nfe": 5},
    measure=measure,
    figure=figure,
    tables=tables,
)

if __name__ == "__main__":
    main(EXPERIMENT, __file__)

"""Error of the trained network over time and distance from the data (DEIS, fig. 2).

The exact minimiser of the training loss is known: the prediction for the mixture of the training images without blur.
States are x = alpha x0 + r sigma z with z normal: at radius r = 1 they are what the network was trained on.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor
from tqdm import tqdm

from benchmarks.paper.experiment import Experiment, Found, Table, main
from benchmarks.paper.samples import trained_on
from deis import GaussianMixture, SampleNoise, zoo
from deis.text import number

MODEL = zoo.load("digits")


def measure(images: int, times: Sequence[float], radii: Sequence[float]) -> dict[str, Any]:
    """Relative error of eps and log-density a dimension, means over images: a row a time, a column a radius."""
    data, labels = trained_on()
    x0, z = data[:images].double(), SampleNoise(range(images)).initial(MODEL.shape, torch.float64)
    ode = MODEL.ode(labels[:images].tolist())
    errors, densities = [], []
    for time in tqdm(times, unit="time", leave=False, disable=None):
        t = torch.full((images,), time, dtype=torch.float64)
        alpha, sigma = (float(level(t[0])) for level in (MODEL.schedule.alpha, MODEL.schedule.sigma))
        states = [alpha * x0 + radius * sigma * z for radius in radii]
        with torch.no_grad():
            pairs = [(ode.network(x, t), _minimiser(x, t, labels[:images])) for x in states]
        errors.append(
            [float(((own - best).flatten(1).norm(dim=1) / best.flatten(1).norm(dim=1)).mean()) for own, best in pairs]
        )
        densities.append([float(_log_density(x, data.double(), alpha, sigma).mean()) for x in states])
    return {"times": list(times), "radii": list(radii), "error": errors, "log_density": densities}


def _minimiser(x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
    """eps of the mixture of each sample's own digit."""
    data, digits = trained_on()
    eps = torch.empty_like(x)
    for digit in torch.unique(labels):
        here = labels == digit
        mixture = GaussianMixture(data[digits == digit].double(), std=0.0)
        eps[here] = mixture.network(MODEL.schedule)(x[here], t[here])
    return eps


def _log_density(x: Tensor, data: Tensor, alpha: float, sigma: float) -> Tensor:
    """log p_t(x) / d of the mixture of all digits, shape (B,)."""
    size = x[0].numel()
    squares = torch.cdist(x.flatten(1), alpha * data.flatten(1)) ** 2
    log_p = (-squares / (2 * sigma**2)).logsumexp(1) - math.log(len(data))
    return log_p / size - math.log(math.sqrt(2 * math.pi) * sigma)


def figure(found: Found) -> Figure:
    """Density and error over time and radius."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    panels = {"log p / d + log sigma": found["log_density"], "log10 of the relative error of eps": found["error"]}
    for axes, (title, values) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        grid = torch.tensor(values, dtype=torch.float64)
        if values is found["error"]:
            grid = grid.log10()
        else:  # the width of p_t alone would hide where it is high
            sigma = MODEL.schedule.sigma(torch.tensor(found["times"], dtype=torch.float64))
            grid = grid + sigma.log()[:, None]
        mesh = axes.contourf(found["times"], found["radii"], grid.T.numpy(), levels=12, cmap="viridis")
        axes.axhline(1, color="white", linestyle=":", linewidth=1)
        axes.set(xscale="log", xlabel="time t", ylabel="radius r", title=title)
        axes.title.set_fontsize(10)
        figure.colorbar(mesh, ax=axes)
    return figure


def tables(found: Found) -> Mapping[str, Table]:
    """The relative error, a row a radius, at every other time."""
    head = ["radius", *(f"t = {time:g}" for time in found["times"][::2])]
    columns = list(zip(*found["error"][::2], strict=True))
    body = [[f"{r:g}", *map(number, column)] for r, column in zip(found["radii"], columns, strict=True)]
    return {"error": [head, *body]}


EXPERIMENT = Experiment(
    __doc__,
    options={
        "images": 200,
        "times": [0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0],
        "radii": [0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0],
    },
    quick={"images": 10, "times": [0.01, 0.1, 1.0]},
    measure=measure,
    figure=figure,
    tables=tables,
)

if __name__ == "__main__":
    main(EXPERIMENT, __file__)

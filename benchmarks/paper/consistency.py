"""Samples of one x_T at different numbers of steps S (fig. 5 of the DDIM paper), from the network without a label."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor
from tqdm import tqdm

from benchmarks.paper.experiment import Experiment, Found, Table, main
from benchmarks.paper.plots import as_text, images
from benchmarks.paper.samples import probabilities, request
from deis import StochasticDDIM, zoo
from deis.analysis import per_sample_rmse
from deis.study import draw, reference_samples
from deis.text import number

SHOWN = 14


def measure(seeds: int, steps: Sequence[int], etas: Sequence[float], grid: str, converged: int) -> dict[str, Any]:
    """How far samples lie from the converged sample of the same x_T, and from that of another."""
    wanted = request(range(seeds), grid, labelled=False)
    truth = reference_samples(wanted, converged).x.float()
    pixels = zoo.load("digits").images
    runs = [(eta, count) for eta in etas for count in steps]
    rows, pictures = [], {"converged": as_text(pixels(truth[:SHOWN]))}
    for eta, count in tqdm(runs, unit="run", leave=False, disable=None):
        x = draw(wanted, StochasticDDIM(eta), count).x
        rows.append({"eta": eta, "steps": count, **_agreement(x, truth)})
        pictures[f"eta = {eta:g}, S = {count}"] = as_text(pixels(x[:SHOWN]))
    return {"rows": rows, "other": _agreement(truth.roll(1, 0), truth), "images": pictures}


def _agreement(x: Tensor, truth: Tensor) -> dict[str, float]:
    """Mean RMSE, and the share of samples that the classifier takes for the same digit."""
    same = probabilities(x).argmax(1) == probabilities(truth).argmax(1)
    return {"rmse": float(per_sample_rmse(x, truth).mean()), "same_digit": float(same.double().mean())}


def figure(found: Found) -> Figure:
    """A column an x_T, a row a run."""
    return images(found["images"])


def tables(found: Found) -> Mapping[str, Table]:
    """Agreement with the converged sample of the same x_T; last, that of samples of different x_T."""
    rows = [[f"{row['eta']:g}", str(row["steps"]), *_cells(row)] for row in found["rows"]]
    head = ["eta", "S", "mean RMSE to the converged sample", "same digit"]
    return {"agreement": [head, *rows, ["another x_T", "-", *_cells(found["other"])]]}


def _cells(row: Mapping[str, float]) -> list[str]:
    return [number(row["rmse"]), f"{row['same_digit']:.2f}"]


EXPERIMENT = Experiment(
    __doc__,
    options={"converged": 160, "seeds": 150, "steps": [10, 20, 50, 100], "etas": [0.0, 1.0], "grid": "t2"},
    quick={"converged": 24, "seeds": SHOWN, "steps": [5]},
    measure=measure,
    figure=figure,
    tables=tables,
)

if __name__ == "__main__":
    main(EXPERIMENT, __file__)

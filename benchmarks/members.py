"""Members of the family of multistep samplers against the named ones, on several models, and the choice of the default.

    OMP_NUM_THREADS=1 python -m benchmarks.members --model digits-exact --part family

Everything is in ``results/members``: one file of cells a model (so that models can be measured side by side, and a run
goes on where the last one ended), all cells in one table, and the verdict drawn from them. An error is the geometric
mean over the samples of the RMSE to a converged solution from the same noise; states are float64.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import product
from pathlib import Path
from statistics import geometric_mean
from typing import Any, Final

import attrs
import click
import torch
from torch import Tensor
from tqdm import tqdm

import deis
from benchmarks.models import load
from benchmarks.training import write_json
from deis.analysis import Reference, geometric_mean_rmse, reference
from deis.tuning import NAMED, NAMED_GRIDS

RESULTS: Final = Path(__file__).parent / "results" / "members"
STORE: Final = Path("deis-results") / "references"  # which git ignores
BUDGETS: Final = (5, 6, 7, 8, 9, 10, 12, 15, 20, 25, 30, 40, 50)
PUBLISHED: Final = {"digits-exact": (8, 10, 12), "digits": (8, 10, 15)}
"""Models and budgets on which the best member of the family is held against the best published sampler."""
CUSTOMARY: Final = (*product(["ddim", "tab3"], ["t", "t2"]), *product(["dpmpp-2m", "unipc-3"], ["t", "log", "rho7"]))
"""Known samplers on their customary grids, in the time of the model."""
CARRIED: Final = (
    *product(["ddim", "tab3:clock=vp_t"], ["vp-t", "vp-t2"]),
    *product(["dpmpp-2m", "unipc-3"], ["vp-t"]),
)
"""The same in the time of the linear VP schedule, which is not done elsewhere; on that schedule it is no difference."""
MEMBER: Final = "polynomial:predict={}:clock={}:steps={}:corrector={}"
FAMILY: Final = tuple(
    MEMBER.format(*axes)
    for axes in product(["eps", "x0"], ["vp_t", "sqrt_t", "rho", "lambda"], [2, 3, 4], ["false", "true"])
)
FAMILY_GRIDS: Final = ("vp-t1.5", "vp-t2", "vp-t2.5", "vp-t3", "rho7", "log")
FAMILY_BUDGETS: Final = (5, 8, 10, 20)
CONTENDERS: Final = (
    (MEMBER.format("eps", "vp_t", 2, "true") + ":lower_final=true:moments=halved", "vp-t2.25"),
    (MEMBER.format("eps", "vp_t", 3, "true") + ":lower_final=true", "vp-t2.25"),
    (MEMBER.format("eps", "vp_t", 4, "true") + ":lower_final=true", "vp-t2.25"),
    (MEMBER.format("eps", "sqrt_t", 2, "true") + ":lower_final=true", "vp-t2.5"),
)
"""The best of a wider search on 96 samples of digits-exact, with ``lower_final`` and ``moments``."""
CORRECTED: Final = tuple(
    MEMBER.format("x0", "vp_t", steps, "true") + moments for steps in (3, 4) for moments in ("", ":moments=bh1")
)
FINALISTS: Final = (
    *product(CORRECTED, ["vp-t3", "vp-t3.25", "vp-t3.5"]),
    (MEMBER.format("x0", "vp_t", 2, "true"), "vp-t3"),
    (MEMBER.format("x0", "vp_t", 3, "true"), "vp-t2.5"),
    (MEMBER.format("x0", "rho", 3, "true"), "vp-t2.5"),
    (MEMBER.format("eps", "sqrt_t", 3, "false"), "vp-t2.5"),
)
DEFAULT: Final = (CORRECTED[-1], "vp-t3")
DECISIVE: Final = ("digits-exact", "digits", "plane", "patches")
"""The models that the default is chosen on; the others show how far that carries."""

Sampler = tuple[str, str]
"""The names of an integrator and of a grid."""
Cells = Mapping[Sampler, Mapping[int, float]]
"""Errors by sampler and budget."""


@attrs.frozen
class Subject:
    """A model with the number of its samples."""

    load: Callable[[range], deis.ProbabilityFlowODE]
    shape: tuple[int, ...]
    samples: int

    def problem(self) -> deis.InitialValueProblem:
        """The probability-flow ODE with the noise of seeds 0, 1, ... ."""
        seeds = range(self.samples)
        ode = self.load(seeds)
        _, sigma = ode.marginal(torch.tensor(ode.domain[0], dtype=torch.float64))
        return deis.InitialValueProblem(ode, deis.SampleNoise(seeds).initial(self.shape, torch.float64) * float(sigma))


def shipped(name: str, samples: int) -> Subject:
    """A model of the zoo, with the labels that its seeds stand for."""
    model = deis.zoo.load(name)
    return Subject(lambda seeds: model.ode(model.labels(seeds)), model.shape, samples)


def trained(name: str, samples: int) -> Subject:
    """A model of the benchmarks."""
    model = load(name)
    return Subject(lambda seeds: model.ode(), model.shape, samples)


def mixture(schedule: str, samples: int) -> Subject:
    """The exact mixture of digits on another schedule."""
    images, _ = deis.zoo.load_images()
    exact = deis.GaussianMixture(images.double(), std=0.1)
    return Subject(lambda seeds: exact.ode(deis.SCHEDULES.create(schedule)), (1, 8, 8), samples)


SUBJECTS: Final[Mapping[str, Callable[[], Subject]]] = {
    "digits-exact": lambda: shipped("digits-exact", 256),
    "digits": lambda: shipped("digits", 64),
    "plane": lambda: trained("plane", 256),
    "patches": lambda: trained("patches", 128),
    "exact-edm": lambda: mixture("edm", 128),
    "exact-cosine": lambda: mixture("vp-cosine", 128),
    "exact-flow": lambda: mixture("rectified-flow", 128),
}


def jobs(part: str, model: str) -> Iterator[tuple[Sampler, int]]:
    """The cells of a part of the study."""
    if part == "named":
        return product((*product(NAMED, NAMED_GRIDS), *CONTENDERS), PUBLISHED.get(model, ()))
    if part == "family":
        return product(product(FAMILY, FAMILY_GRIDS), FAMILY_BUDGETS)
    return product(dict.fromkeys((*CUSTOMARY, *CARRIED, *FINALISTS)), BUDGETS)


@attrs.define
class Record:
    """The cells of one model on disk."""

    path: Path
    content: dict[str, Any]

    @classmethod
    def open(cls, folder: Path, model: str) -> "Record":
        """What is known of a model."""
        path = folder / f"{model}.json"
        return cls(path, json.loads(path.read_text()) if path.exists() else {"model": model, "errors": {}})

    def __contains__(self, job: tuple[Sampler, int]) -> bool:
        (integrator, grid), budget = job
        return str(budget) in self.content["errors"].get(f"{integrator} | {grid}", {})

    def add(self, job: tuple[Sampler, int], error: float) -> None:
        """Take in one error."""
        (integrator, grid), budget = job
        self.content["errors"].setdefault(f"{integrator} | {grid}", {})[str(budget)] = float(f"{error:.5g}")

    def save(self) -> None:
        """Write everything."""
        write_json(self.path, self.content)

    def cells(self) -> Cells:
        """Errors by sampler and budget."""
        found = {}
        for sampler, errors in self.content["errors"].items():
            integrator, grid = sampler.split(" | ")
            found[integrator, grid] = {int(budget): error for budget, error in errors.items()}
        return found


def measure(record: Record, wanted: Iterable[tuple[Sampler, int]], subject: Callable[[], Subject], nfe: int) -> None:
    """Fill in the cells that are not there yet."""
    missing = [job for job in wanted if job not in record]
    if not missing:
        return
    made = subject()
    problem = made.problem()
    known = reference(problem, nfe=nfe, store=STORE)
    doubt = known.uncertainty(geometric_mean_rmse)
    about = {"nfe": known.nfe, "method": known.method, "uncertainty": doubt}
    record.content |= {"samples": made.samples, "torch": torch.__version__, "reference": about}
    for n, job in enumerate(tqdm(missing, desc=record.content["model"], mininterval=5)):
        record.add(job, error(problem, job, known))
        if n % 20 == 0:
            record.save()
    record.save()


@torch.no_grad()
def error(problem: deis.InitialValueProblem, job: tuple[Sampler, int], known: Reference) -> float:
    """Error of a sampler that makes as many calls as fit into a budget; infinity if it makes none, or overflows."""
    (integrator, grid), budget = job
    method = deis.INTEGRATORS.create(integrator)
    try:
        times = deis.make_grid(grid)(problem.ode, method.most_intervals(budget))
        x: Tensor = deis.solve(problem.ode, problem.initial, times, method).x
    except (deis.ArgumentError, deis.NonFiniteError):
        return float("inf")
    return geometric_mean_rmse(x, known.x)


def best(cells: Cells, samplers: Iterable[Sampler], budget: int) -> tuple[float, Sampler]:
    """The least error at a budget, and whose it is."""
    return min((cells[sampler][budget], sampler) for sampler in samplers if budget in cells.get(sampler, {}))


def against_published(cells: Cells, budgets: Iterable[int]) -> dict[str, Any]:
    """The best member of the family over the best published sampler, each on its best grid."""
    found = {}
    for budget in budgets:
        named, sampler = best(cells, product(NAMED, NAMED_GRIDS), budget)
        least, member = best(cells, (*product(FAMILY, FAMILY_GRIDS), *CONTENDERS, *FINALISTS), budget)
        found[str(budget)] = {"published": sampler, "member": member, "ratio": round(least / named, 3)}
    return found


def ratios(cells: Cells, sampler: Sampler, others: Iterable[Sampler]) -> dict[str, float]:
    """Errors over the least of others, at every budget."""
    known = list(others)
    return {str(budget): round(cells[sampler][budget] / best(cells, known, budget)[0], 3) for budget in BUDGETS}


def judged(known: Mapping[str, Cells], sampler: Sampler) -> dict[str, Any]:
    """The worst ratio of a finalist to the known samplers, and the geometric mean of all, on the decisive models."""
    found = [ratio for model in DECISIVE for ratio in ratios(known[model], sampler, CUSTOMARY).values()]
    return {"sampler": sampler, "worst": max(found), "mean": round(geometric_mean(found), 3)}


def verdict(known: Mapping[str, Cells]) -> dict[str, Any]:
    """The family against the published samplers; the finalists in order, those first that never lose; the default."""
    finalists = [judged(known, sampler) for sampler in FINALISTS]
    return {
        "published": {model: against_published(known[model], budgets) for model, budgets in PUBLISHED.items()},
        "finalists": sorted(finalists, key=lambda row: (row["worst"] > 1, row["mean"])),
        "default": DEFAULT,
        "ratios": {model: ratios(cells, DEFAULT, CUSTOMARY) for model, cells in known.items()},
        "ratios_to_carried": {model: ratios(cells, DEFAULT, (*CUSTOMARY, *CARRIED)) for model, cells in known.items()},
    }


def write_table(path: Path, known: Mapping[str, Cells]) -> None:
    """All cells, one a line."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["model", "integrator", "grid", "nfe", "error"])
        for model, cells in known.items():
            writer.writerows(
                (model, *sampler, nfe, value) for sampler, row in cells.items() for nfe, value in row.items()
            )


@click.command(help=__doc__)
@click.option("--model", "models", multiple=True, type=click.Choice(list(SUBJECTS)), default=list(SUBJECTS))
@click.option(
    "--part",
    "parts",
    multiple=True,
    type=click.Choice(["finalists", "named", "family"]),
    default=["finalists", "named"],
)
@click.option("--reference-nfe", default=400, show_default=True, help="Network calls of the reference.")
@click.option("--out", default=RESULTS, type=click.Path(path_type=Path), show_default=True)
def main(models: tuple[str, ...], parts: tuple[str, ...], reference_nfe: int, out: Path) -> None:
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    for model in models:
        for part in parts:
            measure(Record.open(out, model), jobs(part, model), SUBJECTS[model], reference_nfe)
    known = {model: Record.open(out, model).cells() for model in SUBJECTS if (out / f"{model}.json").exists()}
    write_table(out / "members.csv", known)
    if len(known) == len(SUBJECTS):
        write_json(out / "verdict.json", verdict(known))


if __name__ == "__main__":
    main()
